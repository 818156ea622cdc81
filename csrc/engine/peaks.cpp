// Peak rates of one instruction set. Compiled once per instruction set; LITEHRNET_SET is its name.
#include "peaks.h"

#include <algorithm>
#include <chrono>

#include "../instruction_set_table.h"
#include "vector.h"

namespace litehrnet {
namespace {

constexpr int trials = 40;  // the best one counts: other work on the machine can only slow one down
constexpr int chains = registers * 3 / 4;

template <typename Work>
double best_rate(double amount, Work work) {
    using Clock = std::chrono::steady_clock;
    double best = 0;
    for (int trial = 0; trial < trials; ++trial) {
        const auto before = Clock::now();
        work();
        const std::chrono::duration<double> taken = Clock::now() - before;
        best = std::max(best, amount / std::max(taken.count(), 1e-9));
    }
    return best;
}

// Without a use of the result, the compiler would remove the work.
void use(V v) {
    volatile float sink = sum(v);
    static_cast<void>(sink);
}

double multiply_adds() {
    constexpr int repeats = 50'000;
    V factor = all(1.0f), term = all(0.0f);
    keep(factor);
    keep(term);
    return best_rate(double{repeats} * chains * W, [=] {
        V sums[chains];
#pragma GCC unroll 32
        for (int i = 0; i < chains; ++i) {
            V start{};  // unknown to the compiler: equal chains would be computed once
            keep(start);
            sums[i] = start;
        }
        for (int repeat = 0; repeat < repeats; ++repeat) {
#pragma GCC unroll 32
            for (int i = 0; i < chains; ++i) sums[i] = sums[i] * factor + term;
        }
        V total{};
#pragma GCC unroll 32
        for (int i = 0; i < chains; ++i) total += sums[i];
        use(total);
    });
}

double reading(const float* block, std::int64_t floats) {
    constexpr int step = 64, parts = step / W;  // floats and vectors that are read and summed side by side
    const std::int64_t repeats = std::max<std::int64_t>(1, (std::int64_t{1} << 21) / floats);
    return best_rate(4.0 * static_cast<double>(floats * repeats), [=] {
        V sums[parts] = {};
        for (std::int64_t repeat = 0; repeat < repeats; ++repeat) {
            for (std::int64_t at = 0; at < floats; at += step) {
#pragma GCC unroll 16
                for (int i = 0; i < parts; ++i) sums[i] += *reinterpret_cast<const V*>(block + at + i * W);
            }
        }
        V total{};
#pragma GCC unroll 16
        for (int i = 0; i < parts; ++i) total += sums[i];
        use(total);
    });
}

}  // namespace

extern const Peaks LITEHRNET_JOIN(LITEHRNET_SET, _peaks);
const Peaks LITEHRNET_JOIN(LITEHRNET_SET, _peaks) = {multiply_adds, reading};

}  // namespace litehrnet
