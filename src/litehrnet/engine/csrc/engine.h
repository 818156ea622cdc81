// A program made ready for one instruction set, and the memory that a thread runs it in.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <variant>
#include <vector>

#include "program.h"

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
    // The program may go afterwards. Throws ProgramError where the kernels have no products of that precision.
    Engine(const Program& program, const Kernels& kernels, Precision precision = Precision::float32);

    const Kernels& kernels() const { return kernels_; }
    std::int64_t arena_floats() const { return arena_floats_; }
    std::int64_t image_bytes() const { return image_bytes_; }
    std::int64_t heatmap_floats() const { return output_.count() * output_.pixels(); }

    // One image, rows of 3-channel pixels, to `heatmap_floats` values. May be called by many threads at once, each with
    // an arena of its own.
    void run(const std::uint8_t* image, float* heatmaps, Arena& arena) const;

    // The same without heatmaps, and how many seconds every step took.
    void profile(const std::uint8_t* image, double* seconds, Arena& arena) const;

private:
    using Ready = std::variant<Pointwise, PointwiseBf16, Depthwise, Pool, SpatialWeighting, Enlarge, FuseFirst, EnlargeBilinear, Stem>;

    void run_step(const Ready& step, const std::uint8_t* image, float* memory) const;

    Ready prepare(const Step& step);
    Ready prepare_pointwise(const Step& step);
    Ready prepare_stem(const Step& step);
    Ready prepare_spatial_weighting(const Step& step);
    Ready prepare_fuse_first(const Step& step);
    Ready prepare_enlarge_bilinear(const Step& step);

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
    std::vector<Ready> steps_;
};

}  // namespace litehrnet
