// Every kernel as a plain loop over pixels. The vector kernels are compared with these.
#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "kernels.h"

namespace litehrnet {
namespace {

float activated(float x, Activation activation) {
    switch (activation) {
        case Activation::none: return x;
        case Activation::relu: return x > 0 ? x : 0;
        case Activation::sigmoid: return 1 / (1 + std::exp(-x));
        case Activation::relu6: return std::clamp(x, 0.0f, 6.0f);
        case Activation::hard_swish: return x * std::clamp(x + 3, 0.0f, 6.0f) / 6;
        case Activation::hard_sigmoid: return std::clamp((x + 1) / 2, 0.0f, 1.0f);
    }
    __builtin_unreachable();  // read_program refuses others
}

// One pixel of a convolution of value(row, column), which counts as zero outside height x width.
template <typename Value>
float neighborhood(int y, int x, int height, int width, const float* k, float bias, Value value, int size = 3) {
    float total = bias;
    for (int i = 0; i < size * size; ++i) {
        const int row = y - size / 2 + i / size, column = x - size / 2 + i % size;
        if (row >= 0 && row < height && column >= 0 && column < width) total += k[i] * value(row, column);
    }
    return total;
}

void pointwise(const Pointwise& s, float* arena) {
    const float* weight = s.kernel ? arena + s.kernel : s.weight;
    std::vector<float> results(s.outputs);
    for (int pixel = s.begin; pixel < s.end; ++pixel) {
        for (int m = 0; m < s.outputs; ++m) {
            float total = s.bias[m] + (s.addend ? arena[s.addend[m] + pixel] : 0);
            for (int k = 0; k < s.inputs; ++k) total += weight[m * s.inputs + k] * arena[s.in[k] + pixel];
            results[m] = activated(total, s.activation);
        }
        for (int m = 0; m < s.outputs; ++m) arena[s.out[m] + pixel] = results[m];
    }
}

float rounded(float x) { return std::bit_cast<float>(static_cast<std::uint32_t>(bf16_bits(x)) << 16); }

void pointwise_bf16(const PointwiseBf16& s, float* arena) {
    const Pointwise& p = s.product;
    std::vector<float> results(p.outputs);
    for (int pixel = p.begin; pixel < p.end; ++pixel) {
        for (int m = 0; m < p.outputs; ++m) {
            float total = p.bias[m] + (p.addend ? arena[p.addend[m] + pixel] : 0);
            for (int k = 0; k < p.inputs; ++k) {
                const std::uint32_t pair = s.weight[m * pair_count(p.inputs) + k / 2];
                const auto weight = std::bit_cast<float>(k % 2 ? pair & 0xffff0000 : pair << 16);
                total += weight * rounded(arena[p.in[k] + pixel]);
            }
            results[m] = activated(total, p.activation);
        }
        for (int m = 0; m < p.outputs; ++m) arena[p.out[m] + pixel] = results[m];
    }
}

void depthwise(const Depthwise& s, float* arena) {
    const int out_height = (s.height + s.stride - 1) / s.stride, out_width = (s.width + s.stride - 1) / s.stride;
    const float* weight = s.kernel ? arena + s.kernel : s.weight;
    std::vector<float> results(out_height * out_width);
    for (int c = 0; c < s.channels; ++c) {
        const auto value = [&](int y, int x) {
            const float v = arena[s.in[c] + y * s.width + x];
            return s.channel_weight
                       ? v * arena[s.channel_weight[c] + (y >> s.shift) * (s.width >> s.shift) + (x >> s.shift)]
                       : v;
        };
        float total = 0;
        for (int y = 0; y < out_height; ++y)
            for (int x = 0; x < out_width; ++x)
                results[y * out_width + x] =
                    neighborhood(y * s.stride, x * s.stride, s.height, s.width, weight + s.size * s.size * c,
                                 s.bias[c], value, s.size);
        for (float& x : results) total += x = activated(x, s.activation);
        std::copy(results.begin(), results.end(), arena + s.out[c]);
        if (s.means) arena[s.means + c] = total / static_cast<float>(out_height * out_width);
    }
}

void pool(const Pool& s, float* arena) {
    const int factor = 1 << s.shift;
    for (int c = 0; c < s.channels; ++c)
        for (int y = 0; y < s.height; ++y)
            for (int x = 0; x < s.width; ++x) {
                float total = 0;
                for (int i = 0; i < factor * factor; ++i)
                    total += arena[s.in[c] + (y * factor + i / factor) * s.width * factor + x * factor + i % factor];
                arena[s.out[c] + y * s.width + x] = total / static_cast<float>(factor * factor);
            }
}

std::vector<float> dense(const float* in, int inputs, int outputs, const float* weight, const float* bias) {
    std::vector<float> out(bias, bias + outputs);
    for (int i = 0; i < inputs; ++i)
        for (int o = 0; o < outputs; ++o) out[o] += in[i] * weight[i * dense_row(outputs) + o];
    return out;
}

void spatial_weighting(const SpatialWeighting& s, float* arena) {
    std::vector<float> hidden = dense(arena + s.means, s.channels, s.hidden, s.weight1, s.bias1);
    for (float& x : hidden) x = activated(x, Activation::relu);
    const std::vector<float> factors = dense(hidden.data(), s.hidden, s.channels, s.weight2, s.bias2);
    for (int c = s.begin; c < s.end; ++c)
        for (int i = 0; i < s.pixels; ++i)
            arena[s.out[c] + i] =
                activated(factors[c], s.hard ? Activation::hard_sigmoid : Activation::sigmoid) * arena[s.in[c] + i];
    for (int c = s.begin; s.scale && c < s.end; ++c)
        for (int i = 0; i < s.pixels; ++i) arena[s.out[c] + i] = s.scale[c] * arena[s.out[c] + i] + s.offset[c];
}

void means(const Means& s, float* arena) {
    for (int c = 0; c < s.channels; ++c) {
        float total = 0;
        for (int y = 0; y < s.height; ++y)
            for (int x = 0; x < s.width; ++x)
                total += arena[s.in[c] + y * s.width + x] *
                         (s.channel_weight
                              ? arena[s.channel_weight[c] + (y >> s.shift) * (s.width >> s.shift) + (x >> s.shift)]
                              : 1);
        arena[s.out + c] = total / static_cast<float>(s.height * s.width);
    }
}

void mix_kernels(const MixKernels& s, float* arena) {
    std::vector<float> hidden = dense(arena + s.means, s.inputs, s.hidden, s.weight1, s.bias1);
    for (float& x : hidden) x = activated(x, Activation::relu);
    const std::vector<float> shares = dense(hidden.data(), s.hidden, s.kernels, s.weight2, s.bias2);
    for (int i = 0; i < s.floats; ++i) {
        float total = 0;
        for (int k = 0; k < s.kernels; ++k)
            total += activated(shares[k], Activation::sigmoid) * s.values[k * dense_row(s.floats) + i];
        arena[s.out + i] = total;
    }
}

void context(const Context& s, float* arena) {
    const int pixels = s.runs * s.length;
    std::vector<float> shares(arena + s.logits, arena + s.logits + pixels);
    const float largest = *std::max_element(shares.begin(), shares.end());
    float total = 0;
    for (float& x : shares) total += x = std::exp(x - largest);
    for (float& x : shares) x /= total;
    for (int run = s.begin * s.runs; run < s.end * s.runs; ++run) {
        const int pixel = run / s.channels;
        const float* in = arena + s.in[run / s.runs] + run % s.runs * s.length;
        float sum = 0;
        for (int i = 0; i < s.length; ++i) sum += in[i] * shares[pixel * s.length + i];
        arena[s.out[run % s.channels] + pixel] = sum;
    }
}

void enlarge(const Enlarge& s, float* arena) {
    for (int c = 0; c < s.channels; ++c)
        for (int y = 0; y < 2 * s.height; ++y)
            for (int x = 0; x < 2 * s.width; ++x) {
                const int pixel = y * 2 * s.width + x;
                arena[s.out[c] + pixel] =
                    (s.addend ? arena[s.addend[c] + pixel] : 0) + arena[s.in[c] + y / 2 * s.width + x / 2];
            }
}

void fuse_first(const FuseFirst& s, float* arena) {
    for (int c = 0; c < s.channels; ++c) {
        const auto value = [&](int y, int x) {
            const float v = 2 * arena[s.in[c] + y * s.width + x] + arena[s.lower[c] + y / 2 * (s.width / 2) + x / 2];
            return activated(v, s.rectified ? Activation::relu : Activation::none);
        };
        for (int b = 0; b < s.branches; ++b)
            for (int y = 0; y < s.height / 2; ++y)
                for (int x = 0; x < s.width / 2; ++x)
                    arena[s.lowered[b][c] + y * (s.width / 2) + x] = neighborhood(
                        2 * y, 2 * x, s.height, s.width, s.weight[b] + 9 * c, s.bias[b][c], value);
        for (int y = 0; y < s.height; ++y)
            for (int x = 0; x < s.width; ++x)
                arena[s.out[c] + y * s.width + x] = activated(value(y, x), Activation::relu);
    }
}

// Position of an output row or column in an input of `size`, corners aligned.
struct Position {
    int before, after;
    float share;
    Position(int out, int size) {
        const int scaled = out * (size - 1), steps = 2 * size - 1;
        before = scaled / steps;
        after = scaled % steps ? before + 1 : before;
        share = static_cast<float>(scaled % steps) / static_cast<float>(steps);
    }
};

void enlarge_bilinear(const EnlargeBilinear& s, float* arena) {
    for (int c = 0; c < s.channels; ++c)
        for (int y = 0; y < 2 * s.height; ++y)
            for (int x = 0; x < 2 * s.width; ++x) {
                const Position row(y, s.height), column(x, s.width);
                const auto in = [&](int r, int q) { return arena[s.in[c] + r * s.width + q]; };
                const auto mixed = [&](int q) {
                    return in(row.before, q) + row.share * (in(row.after, q) - in(row.before, q));
                };
                const int pixel = y * 2 * s.width + x;
                arena[s.out[c] + pixel] = arena[s.addend[c] + pixel] + mixed(column.before) +
                                          column.share * (mixed(column.after) - mixed(column.before));
            }
}

void image_planes(const ImagePlanes& s, const std::uint8_t* image, float* arena) {
    for (std::int64_t i = s.begin; i < s.end; ++i)
        for (int c = 0; c < 3; ++c) arena[s.out[c] + i] = image[3 * i + c] * s.scale[c] + s.offset[c];
}

// The weights of one plane for one output.
const float* weight_of(const DenseConvolution& s, int output, int plane) {
    const int first = plane / ShiftedCopies::most_planes * ShiftedCopies::most_planes;
    return s.weights_of(first) + s.taps * (output * s.copies.planes_from(first) + plane - first);
}

void convolution(const DenseConvolution& s, float* arena) {
    const ShiftedCopies& in = s.copies;
    const Pointwise& p = s.product;
    const int out_width = in.copy_width();
    for (int m = 0; m < p.outputs; ++m)
        for (int i = p.begin; i < p.end; ++i) {
            float total = p.bias[m] + (p.addend ? arena[p.addend[m] + i] : 0);
            for (int c = 0; c < in.inputs; ++c)
                total += neighborhood(i / out_width * in.stride, i % out_width * in.stride, in.height, in.width,
                                      weight_of(s, m, c), 0,
                                      [&](int y, int x) { return arena[in.in[c] + y * in.width + x]; });
            arena[p.out[m] + i] = activated(total, p.activation);
        }
}

void transposed(const Transposed& s, float* arena) {
    const ShiftedCopies& in = s.phase.copies;
    const Pointwise& p = s.phase.product;
    for (int phase = 0; phase < 4; ++phase)
        for (int m = 0; m < p.outputs; ++m)
            for (int i = 0; i < in.height * in.width; ++i) {
                float total = p.bias[m];
                for (int k = 0; k < p.inputs; ++k) {
                    const int y = i / in.width + phase / 2 - 1 + k % 4 / 2, x = i % in.width + phase % 2 - 1 + k % 2;
                    if (y >= 0 && y < in.height && x >= 0 && x < in.width)
                        total += weight_of(s.phase, m, k / 4)[phase * s.phase_weights + k % 4] *
                                 arena[in.in[k / 4] + y * in.width + x];
                }
                const int row = 2 * (i / in.width) + phase / 2, column = 2 * (i % in.width) + phase % 2;
                arena[s.out[m] + row * 2 * in.width + column] = activated(total, p.activation);
            }
}

void max_pool(const MaxPool& s, float* arena) {
    const int out_width = (s.width + 1) / 2;
    for (int c = 0; c < s.channels; ++c)
        for (int i = 0; i < (s.height + 1) / 2 * out_width; ++i) {
            const int y = 2 * (i / out_width), x = 2 * (i % out_width);
            float most = arena[s.in[c] + y * s.width + x];
            for (int row = std::max(y - 1, 0); row < std::min(y + 2, s.height); ++row)
                for (int column = std::max(x - 1, 0); column < std::min(x + 2, s.width); ++column)
                    most = std::max(most, arena[s.in[c] + row * s.width + column]);
            arena[s.out[c] + i] = most;
        }
}

void add(const Add& s, float* arena) {
    for (int c = 0; c < s.channels; ++c)
        for (int i = 0; i < s.pixels; ++i)
            arena[s.out[c] + i] = activated(arena[s.a[c] + i] + arena[s.b[c] + i], s.activation);
}

using Image = std::vector<float>;  // channels x height x width

Image product(const Image& in, int inputs, int outputs, const float* weight, const float* bias) {
    const int pixels = static_cast<int>(in.size()) / inputs;
    Image out(static_cast<std::size_t>(outputs) * pixels);
    for (int m = 0; m < outputs; ++m)
        for (int i = 0; i < pixels; ++i) {
            float total = bias[m];
            for (int k = 0; k < inputs; ++k) total += weight[m * inputs + k] * in[k * pixels + i];
            out[m * pixels + i] = activated(total, Activation::relu);
        }
    return out;
}

Image halved(const Image& in, int height, int width, const float* k, const float* bias) {
    const int channels = static_cast<int>(in.size()) / (height * width);
    Image out;
    for (int c = 0; c < channels; ++c)
        for (int y = 0; y < height; y += 2)
            for (int x = 0; x < width; x += 2)
                out.push_back(neighborhood(y, x, height, width, k + 9 * c, bias[c],
                                            [&](int r, int q) { return in[(c * height + r) * width + q]; }));
    return out;
}

void stem(const Stem& s, const std::uint8_t* image, float* arena) {
    const int half_height = (s.height + 1) / 2, half_width = (s.width + 1) / 2;
    const auto pixel = [&](int y, int x, int c) {
        const bool inside = y >= 0 && y < s.height && x >= 0 && x < s.width;
        return inside ? image[(y * s.width + x) * 3 + c] * s.scale[c] + s.offset[c] : 0.0f;
    };
    Image taps;
    for (int tap = 0; tap < Stem::taps; ++tap)
        for (int y = 0; y < half_height; ++y)
            for (int x = 0; x < half_width; ++x)
                taps.push_back(pixel(2 * y - 1 + tap % 9 / 3, 2 * x - 1 + tap % 3, tap / 9));
    const Image x = product(taps, Stem::taps, 32, s.conv, s.conv_bias);
    const auto middle = x.begin() + static_cast<std::ptrdiff_t>(x.size() / 2);
    const Image expanded = product({middle, x.end()}, 16, 32, s.expand, s.expand_bias);
    const Image filtered_a = halved({x.begin(), middle}, half_height, half_width, s.depthwise_a, s.depthwise_a_bias);
    const Image filtered_b = halved(expanded, half_height, half_width, s.depthwise_b, s.depthwise_b_bias);
    const Image a = product(filtered_a, 16, 16, s.pointwise_a, s.pointwise_a_bias);
    const Image b = product(filtered_b, 32, 16, s.linear, s.linear_bias);
    const auto pixels = static_cast<std::ptrdiff_t>(a.size() / 16);
    const std::ptrdiff_t width = (half_width + 1) / 2, first = s.begin * width, count = (s.end - s.begin) * width;
    for (int i = 0; i < 16; ++i) {
        std::copy_n(a.begin() + i * pixels + first, count, arena + s.out[2 * i] + first);
        std::copy_n(b.begin() + i * pixels + first, count, arena + s.out[2 * i + 1] + first);
    }
}

}  // namespace

extern const Kernels plain_kernels;
const Kernels plain_kernels = {
    .name = "plain",
    .vector_floats = 1,
    .tile_rows = 1,
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
    .pointwise_bf16 = pointwise_bf16,
};

}  // namespace litehrnet
