// The vector kernels of one instruction set: compiled once for each, with LITEHRNET_SET naming it.
#include "kernels/depthwise.h"
#include "kernels/enlarge.h"
#include "kernels/enlarge_bilinear.h"
#include "kernels/fuse_first.h"
#include "kernels/pointwise.h"
#include "kernels/pointwise_bf16.h"
#include "kernels/pool.h"
#include "kernels/spatial_weighting.h"
#include "kernels/stem.h"

#define LITEHRNET_TEXT_OF(name) #name
#define LITEHRNET_TEXT(name) LITEHRNET_TEXT_OF(name)
#define LITEHRNET_TABLE_OF(name) name##_kernels
#define LITEHRNET_TABLE(name) LITEHRNET_TABLE_OF(name)

namespace litehrnet {

extern const Kernels LITEHRNET_TABLE(LITEHRNET_SET);
const Kernels LITEHRNET_TABLE(LITEHRNET_SET) = {
    LITEHRNET_TEXT(LITEHRNET_SET), W,       tile_rows,  pointwise, depthwise, pool, spatial_weighting, enlarge,
    fuse_first,                    enlarge_bilinear, stem,
#if defined(__AVX512BF16__)
    pointwise_bf16,
#else
    nullptr,
#endif
};

}  // namespace litehrnet
