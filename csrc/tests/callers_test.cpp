// callers_test PROGRAM IMAGES: several callers at once get the same heatmaps and keep their rounding mode. One of them
// runs a single image at a time, which the threads share.
#include <cfenv>
#include <cstdio>

#include "../engine/program_file.h"
#include "../engine/runner.h"

namespace {

using namespace litehrnet;

constexpr int callers = 3, threads = 3;

int run(char** words) {
    const ProgramFile file(words[1]);
    const std::vector<char> bytes = read_file(words[2]);
    const auto* images = reinterpret_cast<const std::uint8_t*>(bytes.data());
    Runner runner(read_program(file.numbers, file.constants), choose_kernels(), threads);
    const std::int64_t image = runner.engine().image_bytes(), maps = runner.engine().heatmap_floats();
    const auto count = static_cast<std::int64_t>(bytes.size()) / image;
    std::vector<std::vector<float>> heatmaps(callers, std::vector<float>(static_cast<std::size_t>(count * maps)));
    std::vector<std::thread> running;
    std::atomic<bool> kept{true};
    for (auto& result : heatmaps)
        running.emplace_back([&] {
            std::fesetround(FE_UPWARD);
            const std::int64_t at_once = &result == &heatmaps.back() ? 1 : count;
            for (std::int64_t i = 0; i < count; i += at_once)
                runner.run(images + i * image, at_once, result.data() + i * maps);
            if (std::fegetround() != FE_UPWARD) kept = false;
        });
    for (std::thread& thread : running) thread.join();
    if (kept && heatmaps[0] == heatmaps[1] && heatmaps[0] == heatmaps[2]) return 0;
    std::printf("FAILED: callers found different results, or another rounding mode\n");
    return 1;
}

}  // namespace

int main(int count, char** words) { return count == 3 ? run(words) : 2; }
