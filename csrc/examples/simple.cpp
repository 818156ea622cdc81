// simple PROGRAM IMAGES HEATMAPS THREADS [bfloat16]: the whole C++ API, from a program file to heatmaps.
//
// PROGRAM comes from: litehrnet export weights.safetensors --format native --out person.native
// IMAGES holds crops one after another: rows of 3 bytes per pixel, RGB, of the size that the program is for.
// HEATMAPS becomes float32: for every crop, one map of a quarter of its sides per keypoint.
#include <cstdio>
#include <exception>
#include <fstream>

#include "../engine/program_file.h"
#include "../engine/runner.h"

namespace {

void run(char** words, litehrnet::Precision precision) {
    // Read the program: whole numbers that list its steps, and the constants of the steps.
    const litehrnet::ProgramFile file(words[1]);

    // Check it. No number in a file can make a step leave its memory: read_program throws ProgramError instead.
    const litehrnet::Program program = litehrnet::read_program(file.numbers, file.constants);

    // Choose the kernels: the best instruction set of this CPU, or the one that LITEHRNET_KERNELS names.
    const litehrnet::Kernels& kernels = litehrnet::choose_kernels();

    // Prepare: constants are copied into the order in which the kernels read them, and every thread gets its memory.
    litehrnet::Runner runner(program, kernels, std::stoi(words[4]), precision);
    const litehrnet::Engine& engine = runner.engine();

    // Load the images, and make room for the heatmaps.
    const std::vector<char> images = litehrnet::read_file(words[2]);
    const auto count = static_cast<std::int64_t>(images.size()) / engine.image_bytes();
    std::vector<float> heatmaps(static_cast<std::size_t>(count * engine.heatmap_floats()));

    // Run. Many threads may call this: they wait for one another.
    runner.run(reinterpret_cast<const std::uint8_t*>(images.data()), count, heatmaps.data());

    // Write the heatmaps, and print the name of the instruction set.
    std::ofstream(words[3], std::ios::binary)
        .write(reinterpret_cast<const char*>(heatmaps.data()),
               static_cast<std::streamsize>(heatmaps.size() * sizeof(float)));
    std::printf("%s\n", kernels.name);
}

}  // namespace

int main(int count, char** words) {
    const bool bfloat16 = count == 6 && std::string(words[5]) == "bfloat16";
    if (count != 5 && !bfloat16) return 2;
    try {
        run(words, bfloat16 ? litehrnet::Precision::bfloat16 : litehrnet::Precision::float32);
    } catch (const std::exception& error) {
        std::printf("%s\n", error.what());
        return 1;
    }
}
