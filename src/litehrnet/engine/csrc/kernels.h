// The kinds of steps as the kernels take them, and one table of kernels per instruction set.
//
// A plane is named by where it begins, in floats from the beginning of the arena. Behind the pixels of every plane
// there is slack for one vector, which kernels may read and write; what stands there means nothing.
#pragma once

#include <bit>
#include <cstdint>

namespace litehrnet {

using Place = std::int32_t;

// Planes are smaller than others by a factor of up to 2^most_shift: the network has four branches.
constexpr std::int32_t most_shift = 3;

enum class Activation : std::int32_t { none = 0, relu = 1, sigmoid = 2 };

// out = activation(weight in + bias + addend). Weights are packed in blocks of up to Kernels::tile_rows outputs, as
// even as can be: for every input the weights of the block's outputs.
struct Pointwise {
    const Place* in;
    const Place* addend;  // null: none
    const Place* out;
    std::int32_t inputs, outputs;
    std::int32_t begin, end;  // of the pixels that are computed
    const float* weight;
    const float* bias;
    Activation activation;
};

// The same with inputs and weights rounded to bfloat16 and multiplied in pairs, an odd last one with 0: weights are
// packed as there, two of them in a number, the first one in the lower half.
struct PointwiseBf16 {
    Pointwise product;  // without a weight
    const std::uint32_t* weight;
    Place scratch;
};

// 3x3 convolution of every plane, times the enlarged channel weight, by stride 1 or 2.
struct Depthwise {
    const Place* in;
    const Place* channel_weight;  // null: none
    const Place* out;
    Place means;  // 0: none
    Place scratch;
    std::int32_t channels, height, width, stride;
    std::int32_t shift;  // the channel weight is smaller by 2^shift
    const float* weight;  // 9 per plane
    const float* bias;
};

// Means over blocks of 2^shift x 2^shift pixels.
struct Pool {
    const Place* in;
    const Place* out;
    std::int32_t channels, height, width, shift;  // of out
};

// in times one number per plane, from two dense layers on the means. Weights are transposed (in, out), rows padded with
// zeros to whole vectors of 16, and so are the biases.
struct SpatialWeighting {
    const Place* in;
    const Place* out;
    Place means, scratch;
    std::int32_t channels, hidden, pixels;
    std::int32_t begin, end;  // of the planes that are computed
    const float* weight1;
    const float* bias1;
    const float* weight2;
    const float* bias2;
};

// addend + in, every pixel repeated to twice the sides.
struct Enlarge {
    const Place* addend;  // null: none
    const Place* in;
    const Place* out;
    std::int32_t channels, height, width;  // of in
};

// S = 2 in + lower enlarged, out = relu(S), lowered[i] = depthwise convolution of stride 2 of S.
struct FuseFirst {
    static constexpr int most = 3;
    const Place* in;
    const Place* lower;
    const Place* out;
    const Place* lowered[most];
    const float* weight[most];
    const float* bias[most];
    std::int32_t channels, height, width, branches;
};

// addend + in enlarged to twice the sides, bilinearly, corners aligned. For every output column, relative to the first
// one of its vector: the column to its left in in, and the share of the one to its right.
struct EnlargeBilinear {
    const Place* addend;
    const Place* in;
    const Place* out;
    std::int32_t channels, height, width;  // of in
    const std::int32_t* first;             // per vector of output columns: its first input column
    const std::int32_t* column;            // per output column, relative to first
    const float* share;
};

// The stem as a pipeline of rows. Image columns are split into 4 phases, so that both strides of 2 are plain vectors.
struct Stem {
    static constexpr int channels = 32, half = 16, taps = 27;
    const Place* out;  // 32 planes, as shuffled: path A and path B in turn
    Place scratch;
    std::int32_t height, width;  // of the image
    std::int32_t begin, end;     // of the rows of out that are computed
    const float *scale, *offset;  // of every channel of the image: what normalizes its levels
    const float *conv, *conv_bias, *depthwise_a, *depthwise_a_bias, *pointwise_a, *pointwise_a_bias;
    const float *expand, *expand_bias, *depthwise_b, *depthwise_b_bias, *linear, *linear_bias;
};

struct Kernels {
    const char* name;
    std::int32_t vector_floats;  // in a vector
    std::int32_t tile_rows;      // outputs of a block of Pointwise
    void (*pointwise)(const Pointwise&, float* arena);
    void (*depthwise)(const Depthwise&, float* arena);
    void (*pool)(const Pool&, float* arena);
    void (*spatial_weighting)(const SpatialWeighting&, float* arena);
    void (*enlarge)(const Enlarge&, float* arena);
    void (*fuse_first)(const FuseFirst&, float* arena);
    void (*enlarge_bilinear)(const EnlargeBilinear&, float* arena);
    void (*stem)(const Stem&, const std::uint8_t* image, float* arena);
    void (*pointwise_bf16)(const PointwiseBf16&, float* arena);  // null: not on these instructions
};

constexpr std::int32_t slack_floats = 16;  // behind every plane; no vector is longer

constexpr std::int32_t rounded_up(std::int32_t value, std::int32_t to) { return (value + to - 1) / to * to; }

// Floats from one row of a scratch plane to the next: at least one zero behind every row.
constexpr std::int32_t scratch_pitch(std::int32_t width) { return rounded_up(width + 1, slack_floats); }

// Scratch of Depthwise: a row of zeros below, and zeros to the left of the first row.
constexpr std::int64_t depthwise_scratch(std::int32_t height, std::int32_t width) {
    return (static_cast<std::int64_t>(height) + 1) * scratch_pitch(width) + 2 * slack_floats;
}

// Scratch of Stem: rows for a quarter of the image's width each, with at least one vector of zeros behind them.
constexpr std::int32_t stem_pitch(std::int32_t image_width) {
    return rounded_up((image_width + 3) / 4, slack_floats) + slack_floats;
}
struct StemRows {
    static constexpr int image = 1;                // row 0 is zeros; then a ring of 3 image rows: channel, phase
    static constexpr int ring = image + 3 * 12;    // ring of 3 rows: even and odd columns of A's 16, B's 32 channels
    static constexpr int entry = ring + 3 * 96;    // of path B, before it is expanded
    static constexpr int filtered = entry + 16;    // through the depthwise convolutions
    static constexpr int count = filtered + 48;
};
constexpr std::int64_t stem_scratch(std::int32_t image_width) {
    return static_cast<std::int64_t>(StemRows::count) * stem_pitch(image_width) + 2 * slack_floats;
}

constexpr std::int32_t pair_count(std::int32_t inputs) { return (inputs + 1) / 2; }

// Scratch of PointwiseBf16: a tile of pixels of all inputs.
constexpr std::int64_t pointwise_scratch(std::int32_t inputs) {
    return static_cast<std::int64_t>(pair_count(inputs)) * 3 * slack_floats;
}

// Rounded to the nearest bfloat16, the even one of two: the upper half of a float.
inline std::uint16_t bf16_bits(float x) {
    const auto bits = std::bit_cast<std::uint32_t>(x);
    return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// How Pointwise splits its outputs into blocks: first output of block `index` of `blocks`.
constexpr std::int32_t block_count(std::int32_t outputs, std::int32_t tile_rows) {
    return (outputs + tile_rows - 1) / tile_rows;
}
constexpr std::int32_t block_begin(std::int32_t outputs, std::int32_t blocks, std::int32_t index) {
    return static_cast<std::int32_t>(static_cast<std::int64_t>(outputs) * index / blocks);
}

}  // namespace litehrnet
