// Rows of pixels with their channels side by side, and operations on whole rows.
//
// A row is a sequence of floats in which every channel recurs after c floats. Values per channel are repeated to a
// period that is a multiple of c and of a vector (`Repeated`). So rows are processed vector by vector for any c. Row
// buffers are `slack` floats longer than the row: the last vector may reach over its end.
//
// Everything here has internal linkage: the same source is compiled for several instruction sets.
#pragma once

#include <algorithm>
#include <cstring>
#include <new>
#include <type_traits>
#include <utility>

#include "kernels.h"

#define LITEHRNET_ALWAYS [[gnu::always_inline]] inline

// For lambdas that add to vectors: these stay in registers only if every call is inlined.
#define LITEHRNET_INLINED __attribute__((always_inline))

// Elements of two vectors, by index into both.
#if __has_builtin(__builtin_shufflevector)
#define LITEHRNET_PICK(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else // GCC before version 12
#define LITEHRNET_PICK(a, b, ...) __builtin_shuffle(a, b, decltype(a < b){__VA_ARGS__})
#endif

namespace litehrnet::training {
namespace {

// Floats in a register of the instruction set. Longer vectors would compile, but compilers keep them in memory.
#if defined(__AVX512F__)
constexpr Int lanes = 16;
#elif defined(__AVX2__)
constexpr Int lanes = 8;
#else
constexpr Int lanes = 4;
#endif
constexpr Int slack = lanes;
constexpr Int half = std::max<Int>(4, lanes / 2);

template <Int count>
struct Of {
    typedef float Type __attribute__((vector_size(count * sizeof(float))));
};
template <>
struct Of<1> {
    typedef float Type;
};
using Vector = Of<lanes>::Type;

// Consecutive channels of a pixel.
template <Int count>
struct Channels {
    using Type = typename Of<count>::Type;

    LITEHRNET_ALWAYS static Type load(const float* p) {
        Type v;
        std::memcpy(&v, p, sizeof v);
        return v;
    }
    LITEHRNET_ALWAYS static void store(float* p, Type v) { std::memcpy(p, &v, sizeof v); }

    // Every other element of twice as many, from the first (0) or from the second (1).
    template <int first>
    LITEHRNET_ALWAYS static Type load_every_other(const float* p) {
        if constexpr (count == 1) return p[first];
        else return every_other<first>(load(p), load(p + count), std::make_integer_sequence<int, count>());
    }
    LITEHRNET_ALWAYS static void store_in_turn(float* p, Type a, Type b) {
        if constexpr (count == 1) p[0] = a, p[1] = b;
        else store_halves(p, a, b, std::make_integer_sequence<int, count>());
    }

private:
    template <int first, int... i>
    LITEHRNET_ALWAYS static Type every_other(Type a, Type b, std::integer_sequence<int, i...>) {
        return LITEHRNET_PICK(a, b, (2 * i + first)...);
    }
    template <int... i>
    LITEHRNET_ALWAYS static void store_halves(float* p, Type a, Type b, std::integer_sequence<int, i...>) {
        constexpr int n = count;
        store(p, LITEHRNET_PICK(a, b, (i / 2 + i % 2 * n)...));
        store(p + count, LITEHRNET_PICK(a, b, (n / 2 + i / 2 + i % 2 * n)...));
    }
};

LITEHRNET_ALWAYS Vector load(const float* p) { return Channels<lanes>::load(p); }
LITEHRNET_ALWAYS void store(float* p, Vector v) { Channels<lanes>::store(p, v); }

// Calls work(0), work(1), ... with compile-time constants: arrays that they index can stay in registers.
template <Int count, typename Work>
LITEHRNET_ALWAYS void unrolled(const Work& work) {
    [&]<Int... i>(std::integer_sequence<Int, i...>) {
        (work(std::integral_constant<Int, i>()), ...);
    }(std::make_integer_sequence<Int, count>());
}

// Calls work(j, Channels<...>()) for channels 0 to c - 1, as many at once as possible.
template <typename C, typename Work>
LITEHRNET_ALWAYS void for_channels(C c, const Work& work) {
    Int j = 0;
    for (; j + lanes <= c; j += lanes) work(j, Channels<lanes>());
    if constexpr (lanes > 8)
        if (j + 8 <= c) work(j, Channels<8>()), j += 8;
    if constexpr (lanes > 4)
        if (j + 4 <= c) work(j, Channels<4>()), j += 4;
    for (; j < c; ++j) work(j, Channels<1>());
}

// Access to one vector of a row. Whole: all of its floats belong to the row. Part: only the first `count` do; the others
// are read as 0 and are not written.
struct Whole {
    Vector load(const float* p) const { return training::load(p); }
    void store(float* p, Vector v) const { training::store(p, v); }
    Vector load_odd(const float* p) const { return Channels<lanes>::load_every_other<1>(p); }
};
struct Part {
    Int count;

    Vector load(const float* p) const {
        Vector v{};
        for (Int k = 0; k < count; ++k) v[k] = p[k];
        return v;
    }
    void store(float* p, Vector v) const {
        for (Int k = 0; k < count; ++k) p[k] = v[k];
    }
    Vector load_odd(const float* p) const {
        Vector v{};
        for (Int k = 0; k < count; ++k) v[k] = p[2 * k + 1];
        return v;
    }
};

// Calls work(j, lane, Whole or Part) for the vectors of a row; lane is the position of j in the period.
template <typename Work>
LITEHRNET_ALWAYS void for_vectors(Int begin, Int end, Int period, const Work& work) {
    Int lane = 0;
    for (; begin + lanes <= end; begin += lanes, lane = lane + lanes == period ? 0 : lane + lanes)
        work(begin, lane, Whole());
    if (begin < end) work(begin, lane, Part{end - begin});
}

// Values that are initialized to zero. They begin at a cache line: a vector that crosses lines takes twice as long.
template <typename Value>
class Zeros {
public:
    explicit Zeros(Int count) : values_(static_cast<Value*>(::operator new(bytes(count), line))) {
        std::memset(values_, 0, bytes(count));
    }
    Zeros(const Zeros&) = delete;
    ~Zeros() { ::operator delete(values_, line); }
    operator Value*() const { return values_; }

private:
    static constexpr std::align_val_t line{64};
    static std::size_t bytes(Int count) { return static_cast<std::size_t>(count) * sizeof(Value); }

    Value* values_;
};
using Floats = Zeros<float>;
using Doubles = Zeros<double>;

inline Int period_of(Int c) {
    Int together = c;
    while (together % lanes != 0) together += c;
    return together * ((4 * lanes + together - 1) / together);
}

// The values of the channels, repeated for a period.
struct Repeated : Floats {
    Repeated(const float* values, Int c) : Floats(period_of(c)) {
        for (Int j = 0; j < period_of(c); ++j) (*this)[j] = values[j % c];
    }
};

template <typename Work>
void for_images(Int images, Int threads, Work work) {
    share_images(images, threads, [](void* w, Int begin, Int end) { (*static_cast<Work*>(w))(begin, end); }, &work);
}

// `count` pixels of c channels, `from_step` and `to_step` floats apart.
template <typename C>
LITEHRNET_ALWAYS void copy_pixels(const float* from, Int from_step, float* to, Int to_step, Int count, C c) {
    for (Int px = 0; px < count; ++px, from += from_step, to += to_step)
        for_channels(c, [&](Int j, auto some) { some.store(to + j, some.load(from + j)); });
}

// Calls work(c) with c as a compile-time constant if the networks have that number of channels: loops over so few
// channels become several times as fast. The slowest instruction set goes without: it would need as much code as the
// others.
template <typename Work>
void with_constant(Int c, const Work& work) {
#if defined(__AVX2__) || defined(__aarch64__)
    switch (c) {
        case 16: return work(std::integral_constant<Int, 16>());
        case 20: return work(std::integral_constant<Int, 20>());
        case 32: return work(std::integral_constant<Int, 32>());
        case 40: return work(std::integral_constant<Int, 40>());
        case 80: return work(std::integral_constant<Int, 80>());
        case 160: return work(std::integral_constant<Int, 160>());
        default: break;
    }
#endif
    work(c);
}

inline void add_row(const float* row, Int length, float* to) {
    for_vectors(0, length, lanes, [&](Int j, Int, auto vector) {
        vector.store(to + j, vector.load(to + j) + vector.load(row + j));
    });
}

// out = sum of taps[t] * weights[t]; weights are repeated to a period.
template <std::size_t count>
void weighted_sum(float* out, const float* const (&taps)[count], const float* const (&weights)[count], Int length,
                  Int period) {
    for (Int lane = 0; lane < period; lane += lanes) {
        Vector w[count];
        const float* tap[count];  // a copy: for the compiler, a store could change the argument
        for (std::size_t t = 0; t < count; ++t) w[t] = load(weights[t] + lane), tap[t] = taps[t];
        const auto sum_at = [&](Int j) {
            Vector sum = load(tap[0] + j) * w[0];
            for (std::size_t t = 1; t < count; ++t) sum += load(tap[t] + j) * w[t];
            return sum;
        };
        Int j = lane;
        for (; j + lanes <= length; j += period) store(out + j, sum_at(j));
        if (j < length) Part{length - j}.store(out + j, sum_at(j));
    }
}

// sums[t * period + ...] += row * taps[t]; the row must be followed by zeros.
template <std::size_t count>
void add_products(float* sums, const float* row, const float* const (&taps)[count], Int length, Int period) {
    for (Int lane = 0; lane < period; lane += lanes) {
        Vector s[count];
        for (std::size_t t = 0; t < count; ++t) s[t] = load(sums + static_cast<Int>(t) * period + lane);
        for (Int j = lane; j < length; j += period) {
            const Vector v = load(row + j);
            for (std::size_t t = 0; t < count; ++t) s[t] += v * load(taps[t] + j);
        }
        for (std::size_t t = 0; t < count; ++t) store(sums + static_cast<Int>(t) * period + lane, s[t]);
    }
}

// Two sums for every channel, for each place of a period: in floats along a piece of a row, then in doubles.
class ChannelSums {
public:
    explicit ChannelSums(Int c) : c_(c), period_(period_of(c)), piece_(2 * period_), all_(2 * period_) {}

    Int period() const { return period_; }
    // Sums of one vector of the period over a piece.
    LITEHRNET_ALWAYS void set(Int lane, Vector first, Vector second) {
        store(piece_ + lane, first);
        store(piece_ + period_ + lane, second);
    }
    // Adds a piece, after its vectors were set.
    void add_piece() {
        const float* piece = piece_;
        double* all = all_;
        for (Int j = 0; j < 2 * period_; ++j) all[j] += static_cast<double>(piece[j]);
    }
    // Adds them to the sums of every channel, and starts again with zeros.
    void move_to(double* first, double* second) {
        for (Int from = 0; from < period_; from += c_)
            for (Int j = 0; j < c_; ++j) {
                first[j] += all_[from + j];
                second[j] += all_[period_ + from + j];
            }
        std::fill(+all_, all_ + 2 * period_, 0.0);
    }

private:
    Int c_, period_;
    Floats piece_;
    Doubles all_;
};

// Terms of the two sums, from one vector of a row.
struct Terms {
    Vector first, second;
};

// Adds a piece of a row: terms(j, lane, Whole or Part) are those of a vector. Several vectors are summed at once, as one
// addition has to wait for the one before.
template <typename Work>
LITEHRNET_ALWAYS void add_piece(Int begin, Int end, ChannelSums& sums, const Work& terms) {
    const Int period = sums.period();
    const auto sum = [&](Int lane, auto count) {
        Terms totals[count] = {};
        Int j = begin + lane;
        const auto add = [&](auto v, auto access) LITEHRNET_INLINED {
            const Terms more = terms(j + v * lanes, lane + v * lanes, access);
            totals[v].first += more.first;
            totals[v].second += more.second;
        };
        for (; j + count * lanes <= end; j += period)
            unrolled<count>([&](auto v) LITEHRNET_INLINED { add(v, Whole()); });
        unrolled<count>([&](auto v) LITEHRNET_INLINED {
            const Int rest = end - j - v * lanes;
            if (rest > 0) add(v, Part{std::min(rest, lanes)});
            sums.set(lane + v * lanes, totals[v].first, totals[v].second);
        });
    };
    Int lane = 0;
    for (; lane + 4 * lanes <= period; lane += 4 * lanes) sum(lane, std::integral_constant<Int, 4>());
    for (; lane < period; lane += lanes) sum(lane, std::integral_constant<Int, 1>());
    sums.add_piece();
}

// Adds the sums and sums of squares of a row.
inline void add_moments(const float* row, Int length, ChannelSums& moments) {
    add_piece(0, length, moments, [&](Int j, Int, auto vector) LITEHRNET_INLINED {
        const Vector v = vector.load(row + j);
        return Terms{v, v * v};
    });
}

}  // namespace
}  // namespace litehrnet::training
