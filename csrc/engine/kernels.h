// The arguments of every kernel, and the table of the kernels of one instruction set.
//
// A place is the start of a plane, in floats from the beginning of the arena. The pixels of every plane are followed by
// slack of one vector. Kernels may read and write it; its values mean nothing.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

namespace litehrnet {

using Place = std::int32_t;

// Sides of planes differ by a factor of up to 2^most_shift: the network has four branches.
constexpr std::int32_t most_shift = 3;

// program.py names the same activations in the same order; a test compares both.
enum class Activation : std::int32_t { none, relu, sigmoid, relu6, hard_swish, hard_sigmoid };
constexpr const char* activation_names[] = {"none", "relu", "sigmoid", "relu6", "hard_swish", "hard_sigmoid"};
constexpr std::int32_t activations = sizeof activation_names / sizeof *activation_names;

// out = activation(weight in + bias + addend). Weights are packed in blocks of up to Kernels::tile_rows outputs, all of
// nearly the same size. A block holds, for every input, the weights of its outputs. A kernel in the arena is (outputs,
// inputs) and is packed to scratch.
struct Pointwise {
    const Place* in;
    const Place* addend;  // null: none
    const Place* out;
    std::int32_t inputs, outputs;
    std::int32_t begin, end;  // range of the computed pixels
    const float* weight;
    const float* bias;
    Activation activation;
    Place kernel = 0;  // of the weights; 0: `weight` has them
    Place scratch = 0;
    Place from = 0;  // is added to the places of all inputs
};

// Pointwise with inputs and weights rounded to bfloat16 and multiplied in pairs; an odd last input is paired with 0.
// Weights are packed in the same blocks, two in a number, the first in the lower half.
struct PointwiseBf16 {
    Pointwise product;  // its weight is null
    const std::uint32_t* weight;
    Place scratch;
};

// DenseConvolution of every plane times its enlarged channel weight, with stride 1 or 2. The kernel is a square.
struct Depthwise {
    const Place* in;
    const Place* channel_weight;  // null: none
    const Place* out;
    Place means;  // 0: none
    Place scratch;
    std::int32_t channels, height, width, stride;
    std::int32_t size;   // rows of the kernel: 3, 5, 7 or 9
    std::int32_t shift;  // the channel weight is smaller by 2^shift
    const float* weight;  // size * size per plane
    const float* bias;
    Place kernel = 0;     // of the weights; 0: `weight` has them
    Activation activation;
};

// Means over blocks of 2^shift x 2^shift pixels.
struct Pool {
    const Place* in;
    const Place* out;
    std::int32_t channels, height, width, shift;  // of out
};

// Multiplies every plane by one number, which two dense layers and a sigmoid compute from the means of all planes. With
// a scale, every plane is then multiplied by its own and shifted. Weights are transposed (in, out); their rows and the
// biases are padded with zeros to multiples of 16.
struct SpatialWeighting {
    const Place* in;
    const Place* out;
    Place means, scratch;
    std::int32_t channels, hidden, pixels;
    std::int32_t begin, end;  // range of the computed planes
    const float* weight1;
    const float* bias1;
    const float* weight2;
    const float* bias2;
    const float* scale;   // null: none
    const float* offset;
    bool hard;            // the sigmoid is the hard one
};

// out = addend + in, with every pixel of in repeated to twice the sides.
struct Enlarge {
    const Place* addend;  // null: none
    const Place* in;
    const Place* out;
    std::int32_t channels, height, width;  // of in
};

// S = 2 in + lower enlarged, out = relu(S), lowered[i] = depthwise convolution of stride 2 of S, or of relu(S).
struct FuseFirst {
    static constexpr int most = 3;
    const Place* in;
    const Place* lower;
    const Place* out;
    const Place* lowered[most];
    const float* weight[most];
    const float* bias[most];
    std::int32_t channels, height, width, branches;
    bool rectified;  // convolve relu(S)
};

// out = addend + in enlarged bilinearly to twice the sides, corners aligned. Every output column has the input column
// to its left, counted from the first of its vector, and the share of the input column to its right.
struct EnlargeBilinear {
    const Place* addend;
    const Place* in;
    const Place* out;
    std::int32_t channels, height, width;  // of in
    const std::int32_t* first;             // first input column of every vector of output columns
    const std::int32_t* column;            // input column of every output column, relative to first
    const float* share;
};

// Means of planes times their enlarged channel weight.
struct Means {
    const Place* in;
    const Place* channel_weight;  // null: none
    Place out;
    std::int32_t channels, height, width, shift;
};

// out = sum of kernels, each times a weight that two dense layers with a sigmoid compute from means. The layers are
// stored like those of SpatialWeighting, and every kernel is padded like their rows.
struct MixKernels {
    Place means, out, scratch;
    std::int32_t inputs, hidden, kernels, floats;  // floats of a kernel
    const float *weight1, *bias1, *weight2, *bias2, *values;
};

// Sums of pixels, weighted by the softmax of logits over all pixels. Planes are cut into runs of `length` pixels, and
// counted through all planes. Run t is weighted like the pixels of run t / channels of a plane, which gives pixel
// t / channels of output t % channels. So an output is not computed from the input of its number: Dite-HRNet is trained
// that way (docs/spec/architecture.md, section 20.3). With one run per plane it is, and the sums are weighted means.
struct Context {
    const Place* in;
    const Place* out;
    Place logits, scratch;
    std::int32_t channels, runs, length;
    std::int32_t begin, end;  // range of the planes that are read
};

// The stem as a pipeline of rows. Image columns are split into 4 phases, so that both convolutions of stride 2 read
// consecutive values.
struct Stem {
    static constexpr int channels = 32, half = 16, taps = 27;
    const Place* out;  // 32 planes, already shuffled: paths A and B alternate
    Place scratch;
    std::int32_t height, width;  // of the image
    std::int32_t begin, end;     // range of the computed rows of out
    const float *scale, *offset;  // normalize the levels of every image channel
    const float *conv, *conv_bias, *depthwise_a, *depthwise_a_bias, *pointwise_a, *pointwise_a_bias;
    const float *expand, *expand_bias, *depthwise_b, *depthwise_b_bias, *linear, *linear_bias;
};

// Image to three normalized planes, in the order of the image's channels.
struct ImagePlanes {
    const Place* out;
    std::int32_t begin, end;  // range of the computed pixels
    const float *scale, *offset;
};

// Planes as a dense convolution reads them: a band of pixels of a group of planes at a time. For every row of results
// there are `stride` rows of every plane, and three copies of each in scratch: neighbors to the left, the pixels
// themselves, neighbors to the right. So every input of a product is a list of consecutive pixels. What is outside the
// plane is zero.
struct ShiftedCopies {
    static constexpr std::int32_t most_planes = 16;  // of a group: a tile of its product fits the first-level cache
    const Place* in;
    std::int32_t inputs, height, width, stride;  // of in
    std::int32_t band;    // most pixels of a copy that are computed at once
    std::int32_t pitch;   // floats from one copy to the next
    Place scratch;
    Place offset;         // of the scratch of this share: is added to all places in scratch

    std::int32_t copy_width() const { return (width + stride - 1) / stride; }

    // Planes of the group that begins with `plane`.
    std::int32_t planes_from(std::int32_t plane) const {
        return inputs - plane < most_planes ? inputs - plane : most_planes;
    }

    // Of the copy of a plane of the group, `row` rows below the row of the result, for the column 0 (left), 1 or 2 (right)
    // of a kernel of 3x3. With stride 2, even and odd rows of the plane are apart.
    Place place(std::int32_t plane, std::int32_t row, std::int32_t column) const {
        const std::int32_t odd = stride == 2 ? row & 1 : 0;
        return scratch + ((plane * stride + odd) * 3 + column) * pitch + (row - odd) / stride * copy_width();
    }
};

// 3x3 convolution with stride 1 or 2: the sum of one product per group of planes.
struct DenseConvolution {
    ShiftedCopies copies;
    Pointwise product;  // without weights
    const float* weight;  // of one group after another, each packed as those of Pointwise
    const float* zeros;   // the bias of all groups but the first
    std::int32_t taps;    // inputs of the product per plane
    std::int32_t first_output, all_outputs;  // this share begins with the first of all outputs

    const float* weights_of(std::int32_t plane) const {
        return weight + taps * (plane * all_outputs + first_output * copies.planes_from(plane));
    }

    // The product of the group that begins with `plane`; it adds to that of the group before.
    Pointwise product_of(std::int32_t plane) const {
        Pointwise part = product;
        part.inputs = taps * copies.planes_from(plane);
        part.weight = weights_of(plane);
        if (plane > 0) {
            part.addend = part.out;
            part.bias = zeros;
        }
        if (plane + copies.planes_from(plane) < copies.inputs) part.activation = Activation::none;
        return part;
    }
};

// Transposed 4x4 convolution with stride 2, which doubles both sides. Even and odd rows and columns of out are four
// convolutions of 2x2. Their results are in scratch too.
struct Transposed {
    DenseConvolution phase;  // the first of the four; the lists of places and the weights of the others follow
    const Place* out;
    std::int32_t phase_inputs, phase_weights;  // from one phase to the next
};

// Maximum of 3x3 neighbors, with stride 2; neighbors outside the plane do not count.
struct MaxPool {
    const Place* in;
    const Place* out;
    std::int32_t channels, height, width;  // of in
};

// out = activation(a + b).
struct Add {
    const Place* a;
    const Place* b;
    const Place* out;
    std::int32_t channels, pixels;
    Activation activation;
};

struct Kernels {
    const char* name;
    std::int32_t vector_floats;  // floats in a vector
    std::int32_t tile_rows;      // most outputs in a block of Pointwise
    void (*pointwise)(const Pointwise&, float* arena);
    void (*depthwise)(const Depthwise&, float* arena);
    void (*pool)(const Pool&, float* arena);
    void (*spatial_weighting)(const SpatialWeighting&, float* arena);
    void (*enlarge)(const Enlarge&, float* arena);
    void (*fuse_first)(const FuseFirst&, float* arena);
    void (*enlarge_bilinear)(const EnlargeBilinear&, float* arena);
    void (*means)(const Means&, float* arena);
    void (*mix_kernels)(const MixKernels&, float* arena);
    void (*context)(const Context&, float* arena);
    void (*stem)(const Stem&, const std::uint8_t* image, float* arena);
    void (*image_planes)(const ImagePlanes&, const std::uint8_t* image, float* arena);
    void (*convolution)(const DenseConvolution&, float* arena);
    void (*transposed)(const Transposed&, float* arena);
    void (*max_pool)(const MaxPool&, float* arena);
    void (*add)(const Add&, float* arena);
    void (*pointwise_bf16)(const PointwiseBf16&, float* arena);  // null: the instruction set has no bfloat16
};

constexpr std::int32_t slack_floats = 16;  // after every plane; no vector is longer

constexpr std::int32_t rounded_up(std::int32_t value, std::int32_t to) { return (value + to - 1) / to * to; }

// Floats in a row of the dense layers of SpatialWeighting: whole vectors of every instruction set.
constexpr std::int32_t dense_row(std::int32_t outputs) { return rounded_up(outputs, slack_floats); }

// Floats of the masks that kernels/flat_planes.h writes to scratch before a plane.
constexpr std::int64_t edge_floats(std::int32_t width, std::int32_t pixels) {
    return 2 * std::min(std::int64_t{width} * slack_floats, std::int64_t{rounded_up(pixels, slack_floats)});
}

// Scratch of a flat plane: the masks, a row of zeros above, the pixels, a row of zeros below.
constexpr std::int32_t zeros_above(std::int32_t width) { return rounded_up(width, slack_floats); }
constexpr std::int64_t flat_scratch(std::int32_t height, std::int32_t width) {
    return edge_floats(width, height * width) + 2 * zeros_above(width) +
           rounded_up(height * width, slack_floats) + 2 * slack_floats;
}

// Floats from one row of a scratch plane to the next: at least one zero follows every row.
constexpr std::int32_t scratch_pitch(std::int32_t width) { return rounded_up(width + 1, slack_floats); }

// Depthwise kernels larger than 3x3 have scratch with as many rows of zeros above and below as they reach outside. With
// stride 2, every row is stored as two: its even and its odd columns. At least most_reach zeros follow every row.
constexpr std::int32_t most_reach = 4;
constexpr std::int32_t reaching_pitch(std::int32_t width, std::int32_t stride) {
    return rounded_up((width + stride - 1) / stride + most_reach, slack_floats);
}

// Scratch of Depthwise. For 3x3, with a row of zeros below, and zeros to the left of the first row.
constexpr std::int64_t depthwise_scratch(std::int32_t height, std::int32_t width, std::int32_t size,
                                         std::int32_t stride) {
    if (size == 3)
        return std::max(flat_scratch(height, width),
                        (std::int64_t{height} + 1) * scratch_pitch(width) + 2 * slack_floats);
    return (static_cast<std::int64_t>(height) + size) * stride * reaching_pitch(width, stride) + 4 * slack_floats;
}

// Scratch of Stem: every row holds a quarter of the image's width, followed by at least one vector of zeros.
constexpr std::int32_t stem_pitch(std::int32_t image_width) {
    return rounded_up((image_width + 3) / 4, slack_floats) + slack_floats;
}
struct StemRows {
    static constexpr int image = 1;                // after the row of zeros; a ring of 3 image rows: channel, phase
    static constexpr int ring = image + 3 * 12;    // ring of 3 rows: even and odd columns of A's 16, B's 32 channels
    static constexpr int entry = ring + 3 * 96;    // path B before its expansion
    static constexpr int filtered = entry + 16;    // results of the depthwise convolutions
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

// Rows of a copy of ShiftedCopies: those of a band, which may begin and end within a row, and one above and below.
constexpr std::int32_t copied_rows(std::int32_t band, std::int32_t width) { return (band + width - 2) / width + 3; }

// Rounds to the nearest bfloat16, ties to even. A bfloat16 is the upper half of a float.
inline std::uint16_t bf16_bits(float x) {
    const auto bits = std::bit_cast<std::uint32_t>(x);
    return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// How Pointwise splits its outputs into blocks: block `index` of `blocks` begins at block_begin.
constexpr std::int32_t block_count(std::int32_t outputs, std::int32_t tile_rows) {
    return (outputs + tile_rows - 1) / tile_rows;
}
constexpr std::int32_t block_begin(std::int32_t outputs, std::int32_t blocks, std::int32_t index) {
    return static_cast<std::int32_t>(static_cast<std::int64_t>(outputs) * index / blocks);
}

}  // namespace litehrnet
