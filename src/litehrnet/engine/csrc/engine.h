// A program made ready for one instruction set, and the memory that a thread runs it in.
#pragma once

#include <cstdint>
#include <vector>

#include "aligned.h"
#include "constants.h"
#include "program.h"
#include "sharing.h"

namespace litehrnet {

// The kernels for this machine: the widest vectors it has, or what the environment variable LITEHRNET_KERNELS names.
// Throws ProgramError where that is none of those that were built in and run here.
const Kernels& choose_kernels();

// All tables of kernels that run on this machine, the fastest first, the plain one last.
std::vector<const Kernels*> present_kernels();

// One thread's memory: planes, then scratch. Begins at a cache line.
class Arena {
public:
    explicit Arena(std::int64_t floats);
    float* data() const { return memory_.get(); }

private:
    Aligned<float> memory_;
};

// Of the products of 1x1 convolutions, the stem's excepted; everything else is float32.
enum class Precision { float32, bfloat16 };

class Engine {
public:
    // For images that are shared by `shares` threads, besides whole ones. The program may go afterward. Throws
    // ProgramError where the kernels have no products of that precision.
    Engine(const Program& program, const Kernels& kernels, Precision precision = Precision::float32, int shares = 1);

    const Kernels& kernels() const { return kernels_; }
    int shares() const { return static_cast<int>(shares_.size() / steps_.size()); }  // of an image; 0: it is not shared
    std::int64_t arena_floats() const { return arena_floats_; }
    std::int64_t image_bytes() const { return image_bytes_; }
    std::int64_t heatmap_floats() const { return output_.count() * output_.pixels(); }

    // One image, rows of 3-channel pixels, to `heatmap_floats` values. May be called by many threads at once, each with
    // an arena of its own.
    void run(const std::uint8_t* image, float* heatmaps, Arena& arena) const;

    // The same by several threads, each of which calls run_shares with the same arena and turns; heatmaps afterward.
    Turns turns() const { return {static_cast<std::int64_t>(steps_.size()), shares()}; }
    void run_shares(const std::uint8_t* image, Arena& arena, Turns& turns) const;
    void copy_heatmaps(float* heatmaps, const Arena& arena) const;

    // The same as run without heatmaps, and how many seconds every step took.
    void profile(const std::uint8_t* image, double* seconds, Arena& arena) const;

private:
    void run_step(const ReadyStep& step, const std::uint8_t* image, float* memory) const;

    ReadyStep prepare(const Step& step);
    ReadyStep prepare_pointwise(const Step& step);
    ReadyStep prepare_stem(const Step& step);
    ReadyStep prepare_spatial_weighting(const Step& step);
    ReadyStep prepare_fuse_first(const Step& step);
    ReadyStep prepare_enlarge_bilinear(const Step& step);

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
    std::vector<ReadyStep> shares_;  // of every step in turn; none where images are not shared
};

}  // namespace litehrnet
