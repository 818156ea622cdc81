// What one thread of this machine could do at most, measured: the floor under every time of the engine.
#pragma once

#include <cstdint>

#include "kernels.h"

namespace litehrnet {

struct Peaks {
    // Multiply-adds of floats per second, between registers alone.
    double (*multiply_adds)();
    // Bytes per second that are read from a block, over and over; it begins at a cache line and is a multiple of 64.
    double (*reading)(const float* block, std::int64_t floats);
};

// Those of the instruction set that the kernels are for.
const Peaks& peaks_of(const Kernels& kernels);

}  // namespace litehrnet
