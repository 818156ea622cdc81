#include "../cpu.h"
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
#if defined(__x86_64__)
    return present({&avx512bf16_kernels, &avx512_kernels, &avx2_kernels, &baseline_kernels, &plain_kernels});
#elif defined(__aarch64__)
    return present({&neon_kernels, &plain_kernels});
#else
    return present({&baseline_kernels, &plain_kernels});
#endif
}

const Kernels& choose_kernels() { return choose(present_kernels()); }

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
