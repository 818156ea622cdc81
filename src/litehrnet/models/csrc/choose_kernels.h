#pragma once

#include <vector>

#include "kernels.h"

namespace litehrnet::training {

// Those of this machine's instruction sets, the best first.
std::vector<const Kernels*> present_kernels();

// The best, or those that the environment variable LITEHRNET_KERNELS names.
const Kernels& choose_kernels();

}  // namespace litehrnet::training
