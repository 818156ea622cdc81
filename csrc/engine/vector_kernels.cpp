// The vector kernels of one instruction set. Compiled once per instruction set; LITEHRNET_SET is its name.
#include "../instruction_set_table.h"
#include "kernels/add.h"
#include "kernels/context.h"
#include "kernels/convolution.h"
#include "kernels/depthwise.h"
#include "kernels/enlarge.h"
#include "kernels/enlarge_bilinear.h"
#include "kernels/fuse_first.h"
#include "kernels/image_planes.h"
#include "kernels/max_pool.h"
#include "kernels/means.h"
#include "kernels/mix_kernels.h"
#include "kernels/pointwise.h"
#include "kernels/pointwise_bf16.h"
#include "kernels/pool.h"
#include "kernels/spatial_weighting.h"
#include "kernels/stem.h"
#include "kernels/transposed.h"

namespace litehrnet {

extern const Kernels LITEHRNET_JOIN(LITEHRNET_SET, _kernels);
const Kernels LITEHRNET_JOIN(LITEHRNET_SET, _kernels) = {
    .name = LITEHRNET_TEXT(LITEHRNET_SET),
    .vector_floats = W,
    .tile_rows = tile_rows,
    .pointwise = pointwise,
    .depthwise = depthwise,
    .pool = pool,
    .spatial_weighting = spatial_weighting,
    .enlarge = enlarge,
    .fuse_first = fuse_first,
    .enlarge_bilinear = enlarge_bilinear,
    .means = means,
    .mix_kernels = mix_kernels,
    .context = context,
    .stem = stem,
    .image_planes = image_planes,
    .convolution = convolution,
    .transposed = transposed,
    .max_pool = max_pool,
    .add = add,
#if defined(__AVX512BF16__)
    .pointwise_bf16 = pointwise_bf16,
#else
    .pointwise_bf16 = nullptr,
#endif
};

}  // namespace litehrnet
