// For the kernel test: the module itself has no plain kernels.
#include "../engine/engine.h"

namespace litehrnet {

extern const Kernels web_kernels, plain_kernels;

std::vector<const Kernels*> present_kernels() { return {&web_kernels, &plain_kernels}; }

}  // namespace litehrnet
