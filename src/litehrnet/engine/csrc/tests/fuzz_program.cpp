// fuzz_program PROGRAM COUNT: mutated programs are refused, or run without touching what is not theirs (a build with
// AddressSanitizer sees to that).
#include <algorithm>
#include <cstdio>
#include <random>

#include "../engine.h"
#include "program_file.h"

namespace litehrnet {
namespace {

void mutate(ProgramFile& file, std::mt19937& random) {
    const auto below = [&](std::size_t end) { return std::uniform_int_distribution<std::size_t>(0, end - 1)(random); };
    constexpr std::int32_t telling[] = {-2147483647 - 1, -1, 0, 1, 2, 3, 8, 15, 16, 17, 4096, 1 << 24, 2147483647};
    for (std::size_t left = 1 + below(3); left > 0; --left) {
        std::int32_t& number = file.numbers[below(file.numbers.size())];
        switch (below(4)) {
            case 0: number = telling[below(std::size(telling))]; break;
            case 1: number ^= std::int32_t{1} << below(31); break;
            case 2: number = file.numbers[below(file.numbers.size())]; break;
            default: number += below(2) ? 16 : -16;
        }
    }
    if (below(20) == 0) file.numbers.resize(below(file.numbers.size()));
    if (below(20) == 0) file.constants.resize(below(file.constants.size()));
}

int run(const std::string& path, int count) {
    const ProgramFile original(path);
    const auto kernels = present_kernels();
    int refused = 0, ran = 0;
    for (int seed = 0; seed < count; ++seed) {
        std::mt19937 random(static_cast<unsigned>(seed));
        ProgramFile file = original;
        mutate(file, random);
        try {
            // Of exactly their size, so that one number too many is noticed.
            const std::vector<std::int32_t> numbers(file.numbers.begin(), file.numbers.end());
            const std::vector<float> constants(file.constants.begin(), file.constants.end());
            const Program program = read_program(numbers, constants);
            if (program.arena_floats > 1 << 22) continue;  // allowed, but slow
            const Engine engine(program, *kernels[static_cast<std::size_t>(seed) % (kernels.size() - 1)]);
            Arena arena(engine.arena_floats());
            const std::vector<std::uint8_t> image(static_cast<std::size_t>(engine.image_bytes()));
            std::vector<float> heatmaps(static_cast<std::size_t>(engine.heatmap_floats()));
            engine.run(image.data(), heatmaps.data(), arena);
            ++ran;
        } catch (const ProgramError&) {
            ++refused;
        }
    }
    std::printf("%d mutations: %d refused, %d ran\n", count, refused, ran);
    return refused > 0 && ran > 0 ? 0 : 1;
}

}  // namespace
}  // namespace litehrnet

int main(int count, char** words) { return count == 3 ? litehrnet::run(words[1], std::stoi(words[2])) : 2; }
