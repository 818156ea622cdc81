// A program made ready for one instruction set, and the memory that a thread runs it in.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

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
    struct Free {
        void operator()(float* p) const;
    };
    std::unique_ptr<float, Free> memory_;
};

// Of the products of 1x1 convolutions, the stem's excepted; everything else is float32.
enum class Precision { float32, bfloat16 };

class Engine {
public:
    // For images that are shared by `shares` threads, besides whole ones. The program may go afterwards. Throws
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

    // The same by several threads, each of which calls run_shares with the same arena and turns; heatmaps afterwards.
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

    const Place* keep(const Planes& planes);  // null where there are none
    const float* keep(std::vector<float> values);
    const float* keep(const Constant& constant);
    const float* keep_packed(const Constant& weight);      // for Pointwise
    const std::uint32_t* keep_packed_pairs(const Constant& weight);  // for PointwiseBf16
    const float* keep_transposed(const Constant& weight);  // for SpatialWeighting
    const float* keep_padded(const Constant& bias);

    const Kernels& kernels_;
    Precision precision_;
    Place scratch_;
    std::int64_t arena_floats_, image_bytes_;
    Planes output_;
    std::deque<std::vector<Place>> places_;
    std::deque<std::vector<float>> values_;
    std::deque<std::vector<std::int32_t>> numbers_;
    std::deque<std::vector<std::uint32_t>> pairs_;
    std::vector<ReadyStep> steps_;
    std::vector<ReadyStep> shares_;  // of every step in turn; none where images are not shared
};

}  // namespace litehrnet
