// A program prepared for one instruction set, and the memory that a thread runs it in.
#pragma once

#include <cstdint>
#include <vector>

#include "aligned.h"
#include "constants.h"
#include "program.h"
#include "sharing.h"

namespace litehrnet {

// Chooses the kernels with the widest vectors of this machine. The environment variable LITEHRNET_KERNELS overrides the
// choice. Throws std::invalid_argument if the machine lacks the instruction set that it names (cpu.h).
const Kernels& choose_kernels();

// The kernels of all instruction sets of this machine, the best first, the plain ones last.
std::vector<const Kernels*> present_kernels();

// The memory of one thread: planes, then scratch. It begins at a cache line.
class Arena {
public:
    explicit Arena(std::int64_t floats);
    float* data() const { return memory_.get(); }

private:
    Aligned<float> memory_;
};

// Type of the products of 1x1 convolutions outside the stem. Everything else is float32.
enum class Precision { float32, bfloat16 };

class Engine {
public:
    // Prepares to run whole images, and images that `shares` threads share. The program may be destroyed after that.
    // Throws ProgramError if the kernels do not have that precision.
    Engine(const Program& program, const Kernels& kernels, Precision precision = Precision::float32, int shares = 1);

    const Kernels& kernels() const { return kernels_; }
    // Of one image; 0 if images are not shared.
    int shares() const { return static_cast<int>(shares_.size() / steps_.size()); }
    std::int64_t arena_floats() const { return arena_floats_; }
    std::int64_t image_bytes() const { return image_bytes_; }
    std::int64_t heatmap_floats() const { return output_.count() * output_.pixels(); }

    // Computes the `heatmap_floats` values of one image, rows of 3-channel pixels. Many threads may call it at once,
    // each with its own arena.
    void run(const std::uint8_t* image, float* heatmaps, Arena& arena) const;

    // Runs one image on several threads: each calls run_shares with the same arena and turns. copy_heatmaps comes last.
    Turns turns() const { return {static_cast<std::int64_t>(steps_.size()), shares()}; }
    void run_shares(const std::uint8_t* image, Arena& arena, Turns& turns) const;
    void copy_heatmaps(float* heatmaps, const Arena& arena) const;

    // Runs one image and measures the seconds of every step.
    void profile(const std::uint8_t* image, double* seconds, Arena& arena) const;

private:
    void run_step(const ReadyStep& step, const std::uint8_t* image, float* memory) const;

    ReadyStep prepare(const Step& step);
    ReadyStep prepare_pointwise(const Step& step);
    ReadyStep prepare_depthwise(const Step& step);
    ReadyStep prepare_stem(const Step& step);
    ReadyStep prepare_spatial_weighting(const Step& step);
    ReadyStep prepare_fuse_first(const Step& step);
    ReadyStep prepare_enlarge_bilinear(const Step& step);
    ReadyStep prepare_mix_kernels(const Step& step);
    ReadyStep prepare_context(const Step& step);
    ReadyStep prepare_convolution(const Step& step);
    ReadyStep prepare_transposed(const Step& step);
    ShiftedCopies prepare_copies(const Step& step);

    template <typename Values>
    auto keep(const Values& values) {
        return constants_.keep(values);
    }
    const float* keep_packed(const Constant& weight) { return constants_.keep_packed(weight); }

    const Kernels& kernels_;
    Precision precision_;
    Constants constants_;
    Place scratch_;
    std::int64_t arena_floats_, image_bytes_;
    Planes output_;
    std::vector<ReadyStep> steps_;
    std::vector<ReadyStep> shares_;  // of the first step, then of the second, ...; empty if images are not shared
};

}  // namespace litehrnet
