// fuzz_program PROGRAM COUNT: mutated programs are refused, or run inside their own memory (which a build with
// AddressSanitizer checks).
#include <cstdio>
#include <iterator>
#include <random>
#include <span>

#include "../engine/engine.h"
#include "../engine/program_file.h"

namespace litehrnet {
namespace {

using Numbers = std::vector<std::int32_t>;

Numbers mutated(const Numbers& original, std::mt19937& random) {
    const auto below = [&](std::size_t end) { return std::uniform_int_distribution<std::size_t>(0, end - 1)(random); };
    constexpr std::int32_t telling[] = {-2147483647 - 1, -1, 0, 1, 2, 3, 8, 15, 16, 17, 4096, 1 << 24, 2147483647};
    Numbers numbers = original;
    for (std::size_t left = 1 + below(3); left > 0; --left) {
        std::int32_t& number = numbers[below(numbers.size())];
        switch (below(4)) {
            case 0: number = telling[below(std::size(telling))]; break;
            case 1: number ^= std::int32_t{1} << below(31); break;
            case 2: number = numbers[below(numbers.size())]; break;
            default: number = static_cast<std::int32_t>(static_cast<std::uint32_t>(number) + (below(2) ? 16u : -16u));
        }
    }
    if (below(20) == 0) numbers.resize(below(numbers.size()));
    numbers.shrink_to_fit();  // so that AddressSanitizer notices a read after the end
    return numbers;
}

enum class Outcome { refused, too_large, ran };

Outcome read_and_run(const Numbers& numbers, std::span<const float> constants, const Kernels& kernels) {
    try {
        const Program program = read_program(numbers, constants);
        if (program.arena_floats > 1 << 22) return Outcome::too_large;  // allowed, but slow
        const Engine engine(program, kernels, kernels.pointwise_bf16 ? Precision::bfloat16 : Precision::float32);
        Arena arena(engine.arena_floats());
        const std::vector<std::uint8_t> image(static_cast<std::size_t>(engine.image_bytes()));
        std::vector<float> heatmaps(static_cast<std::size_t>(engine.heatmap_floats()));
        engine.run(image.data(), heatmaps.data(), arena);
        return Outcome::ran;
    } catch (const ProgramError&) {
        return Outcome::refused;
    }
}

int run(const std::string& path, unsigned count) {
    const ProgramFile file(path);
    const auto kernels = present_kernels();
    unsigned outcomes[3] = {};
    for (unsigned seed = 0; seed < count; ++seed) {
        std::mt19937 random(seed);
        std::vector<float> fewer;
        std::span<const float> constants = file.constants;
        if (seed % 20 == 0) {
            fewer.assign(constants.begin(), constants.begin() + static_cast<std::ptrdiff_t>(random() % constants.size()));
            constants = fewer;
        }
        const Numbers numbers = seed % 40 == 0 ? file.numbers : mutated(file.numbers, random);
        ++outcomes[static_cast<int>(read_and_run(numbers, constants, *kernels[seed % (kernels.size() - 1)]))];
    }
    std::printf("%u mutations: %u refused, %u too large, %u ran\n", count, outcomes[0], outcomes[1], outcomes[2]);
    return outcomes[0] > 0 && outcomes[2] > 0 ? 0 : 1;
}

}  // namespace
}  // namespace litehrnet

int main(int count, char** words) { return count == 3 ? litehrnet::run(words[1], std::stoul(words[2])) : 2; }
