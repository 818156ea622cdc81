// run_program PROGRAM IMAGES HEATMAPS THREADS [bfloat16]: raw images in, raw float32 heatmaps out, by several callers
// at once.
//
// Every caller must get the same heatmaps, though the last one gives one image after another, which threads share; and
// find its rounding mode as it was.
#include <cfenv>
#include <cstdio>
#include <exception>

#include "../runner.h"
#include "program_file.h"

namespace {

constexpr int callers = 3;

int run(char** words, bool bfloat16) {
    using namespace litehrnet;
    const ProgramFile file(words[1]);
    const std::vector<char> images = read_file(words[2]);
    const Kernels& kernels = choose_kernels();
    Runner runner(read_program(file.numbers, file.constants), kernels, std::stoi(words[4]),
                  bfloat16 ? Precision::bfloat16 : Precision::float32);
    const auto count = static_cast<std::int64_t>(images.size()) / runner.engine().image_bytes();
    std::vector<std::vector<float>> heatmaps(callers);
    std::vector<std::thread> threads;
    std::atomic<bool> kept{true};
    for (auto& result : heatmaps) {
        result.resize(static_cast<std::size_t>(count * runner.engine().heatmap_floats()));
        threads.emplace_back([&] {
            std::fesetround(FE_UPWARD);
            const std::int64_t at_once = &result == &heatmaps.back() ? 1 : count;
            for (std::int64_t i = 0; i < count; i += at_once)
                runner.run(reinterpret_cast<const std::uint8_t*>(images.data()) + i * runner.engine().image_bytes(),
                           at_once, result.data() + i * runner.engine().heatmap_floats());
            if (std::fegetround() != FE_UPWARD) kept = false;
        });
    }
    for (std::thread& thread : threads) thread.join();
    if (!kept || heatmaps[0] != heatmaps[1] || heatmaps[0] != heatmaps[2]) {
        std::printf("callers found different results, or another rounding mode\n");
        return 1;
    }
    std::ofstream(words[3], std::ios::binary)
        .write(reinterpret_cast<const char*>(heatmaps[0].data()),
               static_cast<std::streamsize>(heatmaps[0].size() * sizeof(float)));
    std::printf("%s\n", kernels.name);
    return 0;
}

}  // namespace

int main(int count, char** words) {
    const bool bfloat16 = count == 6 && std::string(words[5]) == "bfloat16";
    if (count != 5 && !bfloat16) return 2;
    try {
        return run(words, bfloat16);
    } catch (const std::exception& error) {
        std::printf("%s\n", error.what());
        return 1;
    }
}
