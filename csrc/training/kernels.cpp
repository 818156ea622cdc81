// The kernels of one instruction set. Compiled once per instruction set; LITEHRNET_SET is its name.
#include "kernels.h"

#include "../instruction_set_table.h"
#include "convolution.h"
#include "fuse.h"
#include "unit.h"

namespace litehrnet::training {

extern const Kernels LITEHRNET_JOIN(LITEHRNET_SET, _kernels);
const Kernels LITEHRNET_JOIN(LITEHRNET_SET, _kernels) = {
    LITEHRNET_TEXT(LITEHRNET_SET),
    norm_forward,
    norm_backward,
    depthwise_forward,
    depthwise_backward,
    product_norm_forward,
    product_norm_backward,
    convolution_norm_forward,
    convolution_norm_backward,
    unit_forward,
    unit_backward,
    pool_forward,
    pool_backward,
    fuse_forward,
    fuse_backward,
};

}  // namespace litehrnet::training
