// allocation_test PROGRAM: makes every allocation fail in turn, from reading the program to running it on several
// threads. Each time the caller must get an exception, and nothing may stay allocated.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <new>

#include "../engine/runner.h"
#include "../engine/program_file.h"

namespace {

std::atomic<std::int64_t> until_failure{-1};  // number of allocations that still succeed; negative: all of them
std::atomic<std::int64_t> alive{0};

void* allocate(std::size_t bytes, std::size_t alignment) {
    if (until_failure >= 0 && until_failure-- == 0) throw std::bad_alloc();
    void* memory = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    if (!memory) throw std::bad_alloc();
    ++alive;
    return memory;
}

void release(void* memory) {
    if (!memory) return;
    --alive;
    std::free(memory);
}

}  // namespace

void* operator new(std::size_t bytes) { return allocate(bytes, alignof(std::max_align_t)); }
void* operator new(std::size_t bytes, std::align_val_t to) { return allocate(bytes, static_cast<std::size_t>(to)); }
void operator delete(void* memory) noexcept { release(memory); }
void operator delete(void* memory, std::size_t) noexcept { release(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { release(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { release(memory); }

namespace litehrnet {
namespace {

constexpr int threads = 3, images = 4;

void read_and_run(const ProgramFile& file, const Kernels& kernels, const std::vector<std::uint8_t>& pixels,
                  std::vector<float>& heatmaps) {
    Runner runner(read_program(file.numbers, file.constants), kernels, threads);
    runner.run(pixels.data(), images, heatmaps.data());
    runner.run(pixels.data(), 1, heatmaps.data());  // shared by the threads
}

// Number of allocations, or -1 if memory leaked.
std::int64_t fail_every_one(const ProgramFile& file, const Kernels& kernels) {
    const Engine engine(read_program(file.numbers, file.constants), kernels);
    const std::vector<std::uint8_t> pixels(static_cast<std::size_t>(images * engine.image_bytes()));
    std::vector<float> heatmaps(static_cast<std::size_t>(images * engine.heatmap_floats()));
    for (std::int64_t n = 0;; ++n) {
        const std::int64_t before = alive;
        bool failed = false;
        until_failure = n;
        try {
            read_and_run(file, kernels, pixels, heatmaps);
        } catch (const std::bad_alloc&) {
            failed = true;
        }
        const bool reached = until_failure < 0;
        until_failure = -1;
        if (alive != before || failed != reached) {
            std::printf("FAILED %s: allocation %lld\n", kernels.name, static_cast<long long>(n));
            return -1;
        }
        if (!failed) return n;
    }
}

int run(const std::string& path) {
    const ProgramFile file(path);
    for (const Kernels* kernels : {present_kernels().front(), present_kernels().back()}) {
        const std::int64_t count = fail_every_one(file, *kernels);
        if (count < 0) return 1;
        std::printf("%s: %lld allocations, each made to fail\n", kernels->name, static_cast<long long>(count));
    }
    return 0;
}

}  // namespace
}  // namespace litehrnet

int main(int count, char** words) { return count == 2 ? litehrnet::run(words[1]) : 2; }
