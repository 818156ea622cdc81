// The kernels of one instruction set. Compiled once per instruction set; LITEHRNET_SET is its name.
#include "kernels.h"

#include "fuse.h"
#include "product.h"
#include "unit.h"

#define LITEHRNET_TEXT_OF(name) #name
#define LITEHRNET_TEXT(name) LITEHRNET_TEXT_OF(name)
#define LITEHRNET_TABLE_OF(name) name##_kernels
#define LITEHRNET_TABLE(name) LITEHRNET_TABLE_OF(name)

namespace litehrnet::training {

extern const Kernels LITEHRNET_TABLE(LITEHRNET_SET);
const Kernels LITEHRNET_TABLE(LITEHRNET_SET) = {
    LITEHRNET_TEXT(LITEHRNET_SET),
    norm_forward,
    norm_backward,
    depthwise_forward,
    depthwise_backward,
    product_norm_forward,
    product_norm_backward,
    unit_forward,
    unit_backward,
    pool_forward,
    pool_backward,
    fuse_forward,
    fuse_backward,
};

}  // namespace litehrnet::training
