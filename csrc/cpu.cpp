#include "cpu.h"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

namespace litehrnet {
namespace {

std::vector<std::string_view> find_instruction_sets() {
#if defined(__x86_64__)
    std::vector<std::string_view> sets;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq")) {
        if (__builtin_cpu_supports("avx512bf16")) sets.push_back("avx512bf16");
        sets.push_back("avx512");
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) sets.push_back("avx2");
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
