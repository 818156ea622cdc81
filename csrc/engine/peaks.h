// Measured peak rates of one thread: no time of the engine can be below the floor that follows from them.
#pragma once

#include <cstdint>

#include "kernels.h"

namespace litehrnet {

struct Peaks {
    // Multiply-adds of floats per second, in registers only.
    double (*multiply_adds)();
    // Bytes per second when a block is read over and over. It begins at a cache line and has a multiple of 64 floats.
    double (*reading)(const float* block, std::int64_t floats);
};

// The rates on the instruction set of the kernels.
const Peaks& peaks_of(const Kernels& kernels);

}  // namespace litehrnet
