// Programs as the compiler writes them (program.py, programfile.py). They are read and checked before anything runs.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels.h"
#include "program_error.h"

namespace litehrnet {

// In floats: 4 GiB, or 1 GiB where addresses have 32 bits.
constexpr std::int64_t largest_arena = std::int64_t{1} << (sizeof(void*) < 8 ? 28 : 30);

// Floats from one plane to the next (planning.py).
constexpr std::int64_t plane_floats(std::int64_t pixels) {
    return (((pixels + slack_floats - 1) / slack_floats + 1) | 1) * slack_floats;
}

// program.py names the same kinds in the same order and says what each computes; a test compares both. check_step.cpp
// says what each reads, writes and holds.
enum class Kind : std::int32_t {
    stem, pointwise, depthwise, pool, spatial_weighting, enlarge, fuse_first, enlarge_bilinear, means, mix_kernels,
    context, image, convolution, transposed, max_pool, add,
};
constexpr const char* kind_names[] = {
    "stem", "pointwise", "depthwise", "pool", "spatial_weighting", "enlarge", "fuse_first", "enlarge_bilinear", "means",
    "mix_kernels", "context", "image", "convolution", "transposed", "max_pool", "add",
};
constexpr std::int32_t kinds = sizeof kind_names / sizeof *kind_names;

struct Planes {
    std::int32_t height = 0, width = 0;
    std::vector<Place> places;

    std::int64_t pixels() const { return static_cast<std::int64_t>(height) * width; }
    std::int32_t count() const { return static_cast<std::int32_t>(places.size()); }
};

struct Constant {
    std::vector<std::int32_t> shape;
    const float* values;  // inside the constants that the program was read from
};

struct Step {
    Kind kind;
    Activation activation;
    std::int32_t stride;
    std::vector<Planes> reads, writes;
    std::vector<Constant> constants;
};

struct Program {
    std::int32_t width, height;  // size of the image
    std::int64_t arena_floats;
    Planes output;
    std::vector<Step> steps;
};

// Reads the whole numbers of a program file. Constants are not copied and must outlive the program. Throws ProgramError
// if a number is wrong. After it, all planes are inside the arena, all constants inside `constants`, and all shapes
// match.
Program read_program(std::span<const std::int32_t> numbers, std::span<const float> constants);

// Throws ProgramError if the operands of a step do not fit its kind; part of read_program.
void check_step(const Step& step, const Program& program);

// Rows of the square kernels of a depthwise step, or 0 if it has no such kernels.
std::int32_t kernel_size(const Step& step);

// Whether a context step writes one plane with a number per channel.
bool writes_means(const Step& step);

// log2 of the factor between the sides, or -1 if the factor is not a power of two up to 2^most_shift.
int shift_between(const Planes& large, const Planes& small);

}  // namespace litehrnet
