#include <cstdlib>
#include <string>

#include "engine.h"
#include "peaks.h"

namespace litehrnet {

extern const Kernels plain_kernels;
#if defined(__aarch64__)
extern const Kernels neon_kernels;
extern const Peaks neon_peaks;
#else
extern const Kernels baseline_kernels;
extern const Peaks baseline_peaks;
#endif
#if defined(__x86_64__)
extern const Kernels avx2_kernels, avx512_kernels, avx512bf16_kernels;
extern const Peaks avx2_peaks, avx512_peaks;
#endif

std::vector<const Kernels*> present_kernels() {
    std::vector<const Kernels*> present;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq")) {
        if (__builtin_cpu_supports("avx512bf16")) present.push_back(&avx512bf16_kernels);
        present.push_back(&avx512_kernels);
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) present.push_back(&avx2_kernels);
#endif
#if defined(__aarch64__)
    present.push_back(&neon_kernels);
#else
    present.push_back(&baseline_kernels);
#endif
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

const Peaks& peaks_of([[maybe_unused]] const Kernels& kernels) {
#if defined(__x86_64__)
    if (kernels.vector_floats == 16) return avx512_peaks;
    if (kernels.vector_floats == 8) return avx2_peaks;
#endif
#if defined(__aarch64__)
    return neon_peaks;
#else
    return baseline_peaks;
#endif
}

}  // namespace litehrnet
