#include "choose_kernels.h"

#include <algorithm>
#include <cstdlib>
#include <future>
#include <string_view>

namespace litehrnet::training {

extern const Kernels baseline_kernels;
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
    return present;
}

const Kernels& choose_kernels() {
    const auto present = present_kernels();
    // What the engine has besides (bfloat16, a plain version) is no choice here: then it is the best there is.
    const char* wanted = std::getenv("LITEHRNET_KERNELS");
    for (const Kernels* kernels : present)
        if (wanted && std::string_view(kernels->name) == wanted) return *kernels;
    return *present.front();
}

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
