#include "cpu.h"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

namespace litehrnet {
namespace {

#if defined(__x86_64__)
// Clang's __builtin_cpu_supports needs a library that is not linked by default on Windows, and that finds nothing in
// builds by Zig. So the CPU is asked here, by the instructions and bits of Intel's manual (volume 2, CPUID and XGETBV).
struct CpuidResult {
    unsigned eax, ebx, ecx, edx;
};

CpuidResult ask_cpuid(unsigned leaf, unsigned subleaf) {
    CpuidResult result{};
    asm("cpuid" : "=a"(result.eax), "=b"(result.ebx), "=c"(result.ecx), "=d"(result.edx) : "a"(leaf), "c"(subleaf));
    return result;
}

// Whether the operating system keeps these parts of the registers' state for each thread.
bool has_saved_state(unsigned wanted) {
    constexpr unsigned has_xgetbv = 1u << 27;
    if (!(ask_cpuid(1, 0).ecx & has_xgetbv)) return false;
    unsigned low, high;
    asm("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & wanted) == wanted;
}

bool has_bits(unsigned leaf, unsigned subleaf, unsigned CpuidResult::*place, unsigned wanted) {
    return leaf <= ask_cpuid(0, 0).eax && (ask_cpuid(leaf, subleaf).*place & wanted) == wanted;
}

bool has_avx2() {
    constexpr unsigned fma = 1u << 12, avx2 = 1u << 5, state = 0x6;
    return has_bits(1, 0, &CpuidResult::ecx, fma) && has_bits(7, 0, &CpuidResult::ebx, avx2) && has_saved_state(state);
}
bool has_avx512() {
    constexpr unsigned f = 1u << 16, dq = 1u << 17, bw = 1u << 30, vl = 1u << 31;
#if defined(__APPLE__)  // where a thread's state is enlarged when it first uses AVX-512
    constexpr unsigned state = 0x6;
#else
    constexpr unsigned state = 0xe6;
#endif
    return has_avx2() && has_bits(7, 0, &CpuidResult::ebx, f | dq | bw | vl) && has_saved_state(state);
}
bool has_avx512bf16() { return has_avx512() && has_bits(7, 1, &CpuidResult::eax, 1u << 5); }
#endif

std::vector<std::string_view> find_instruction_sets() {
#if defined(__x86_64__)
    std::vector<std::string_view> sets;
    if (has_avx512bf16()) sets.push_back("avx512bf16");
    if (has_avx512()) sets.push_back("avx512");
    if (has_avx2()) sets.push_back("avx2");
    sets.insert(sets.end(), {"baseline", "plain"});
    return sets;
#elif defined(__aarch64__)
    return {"neon", "plain"};
#else
    return {"baseline", "plain"};
#endif
}

}  // namespace

const std::vector<std::string_view>& instruction_sets() {
    static const std::vector<std::string_view> sets = find_instruction_sets();
    return sets;
}

std::string_view chosen_instruction_set() {
    const auto& sets = instruction_sets();
    const char* wanted = std::getenv("LITEHRNET_KERNELS");
    if (!wanted || !*wanted) return sets.front();
    const auto found = std::find(sets.begin(), sets.end(), wanted);
    if (found != sets.end()) return *found;
    std::string names;
    for (const std::string_view name : sets) names += (names.empty() ? "" : ", ") + std::string(name);
    throw std::invalid_argument("LITEHRNET_KERNELS=" + std::string(wanted) +
                                ": not on this machine (expected one of " + names + ")");
}

}  // namespace litehrnet
