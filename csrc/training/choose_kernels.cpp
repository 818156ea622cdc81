#include <algorithm>
#include <future>

#include "../cpu.h"
#include "kernels.h"

namespace litehrnet::training {

#if defined(__aarch64__)
extern const Kernels neon_kernels;
#else
extern const Kernels baseline_kernels;
#endif
#if defined(__x86_64__)
extern const Kernels avx2_kernels, avx512_kernels;
#endif

std::vector<const Kernels*> present_kernels() {
#if defined(__x86_64__)
    return present({&avx512_kernels, &avx2_kernels, &baseline_kernels});
#elif defined(__aarch64__)
    return present({&neon_kernels});
#else
    return present({&baseline_kernels});
#endif
}

const Kernels& choose_kernels() { return choose(present_kernels()); }

void share_images(Int images, Int threads, void (*work)(void* context, Int begin, Int end), void* context) {
    threads = std::max<Int>(1, std::min(threads, images));
    std::vector<std::future<void>> others;
    for (Int t = 1; t < threads; ++t) {
        const Int begin = images * t / threads, end = images * (t + 1) / threads;
        others.push_back(std::async(std::launch::async, work, context, begin, end));
    }
    work(context, 0, images / threads);
    for (std::future<void>& other : others) other.get();
}

}  // namespace litehrnet::training
