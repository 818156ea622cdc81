#include <cstdlib>
#include <string>

#include "engine.h"

namespace litehrnet {

extern const Kernels plain_kernels, baseline_kernels;
#if defined(__x86_64__)
extern const Kernels avx2_kernels, avx512_kernels;
#endif

std::vector<const Kernels*> present_kernels() {
    std::vector<const Kernels*> present;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq"))
        present.push_back(&avx512_kernels);
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) present.push_back(&avx2_kernels);
#endif
    present.push_back(&baseline_kernels);
    present.push_back(&plain_kernels);
    return present;
}

const Kernels& choose_kernels() {
    const auto present = present_kernels();
    const char* wanted = std::getenv("LITEHRNET_KERNELS");
    if (!wanted || !*wanted) return *present.front();
    std::string names;
    for (const Kernels* kernels : present) {
        if (std::string(kernels->name) == wanted) return *kernels;
        names += std::string(names.empty() ? "" : ", ") + kernels->name;
    }
    throw ProgramError("LITEHRNET_KERNELS=" + std::string(wanted) + ": not on this machine (expected one of " + names +
                       ")");
}

}  // namespace litehrnet
