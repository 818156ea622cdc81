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

class Engine {
public:
    // The program may go afterwards.
    Engine(const Program& program, const Kernels& kernels);

    std::int64_t arena_floats() const { return arena_floats_; }
    std::int64_t image_bytes() const { return image_bytes_; }
    std::int64_t heatmap_floats() const { return output_.count() * output_.pixels(); }

    // One image, rows of 3-channel pixels, to `heatmap_floats` values. May be called by many threads at once, each with
    // an arena of its own.
    void run(const std::uint8_t* image, float* heatmaps, Arena& arena) const;

private:
    using Ready = std::variant<Pointwise, Depthwise, Pool, SpatialWeighting, Enlarge, FuseFirst, EnlargeBilinear, Stem>;

    Ready prepare(const Step& step);
    Ready prepare_stem(const Step& step);
    Ready prepare_spatial_weighting(const Step& step);
    Ready prepare_fuse_first(const Step& step);
    Ready prepare_enlarge_bilinear(const Step& step);

    const Place* keep(const Planes& planes);  // null where there are none
    const float* keep(std::vector<float> values);
    const float* keep(const Constant& constant);
    const float* keep_packed(const Constant& weight);      // for Pointwise
    const float* keep_transposed(const Constant& weight);  // for SpatialWeighting
    const float* keep_padded(const Constant& bias);

    const Kernels& kernels_;
    Place scratch_;
    std::int64_t arena_floats_, image_bytes_;
    Planes output_;
    std::deque<std::vector<Place>> places_;
    std::deque<std::vector<float>> values_;
    std::deque<std::vector<std::int32_t>> numbers_;
    std::vector<Ready> steps_;
};

}  // namespace litehrnet
