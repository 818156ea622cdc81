#pragma once

#include <vector>

#include "kernels.h"

namespace litehrnet::training {

// The kernels for the instruction sets of this CPU, the best first.
std::vector<const Kernels*> present_kernels();

// The best of them, or those that the environment variable LITEHRNET_KERNELS names (cpu.h).
const Kernels& choose_kernels();

}  // namespace litehrnet::training
