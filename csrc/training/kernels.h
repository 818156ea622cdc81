// Operations of a training step, forward and backward, in float32 and channels last.
//
// PyTorch reads and writes every activation once per operation, so a step is bound by memory. Here, batch normalization
// is two numbers per channel that the next operation applies. Values that can be computed again from a row in the cache
// are not stored.
//
// An image is (height, width, channels), channels side by side. `stride` is the number of floats from one pixel to the
// next; it exceeds the channels if a tensor holds half the channels of another. Sums are computed per image and then
// over the images in order, so they do not depend on the number of threads.
#pragma once

#include <cstdint>
#include <vector>

namespace litehrnet::training {

using Int = std::int64_t;

struct Shape {
    Int images, height, width, channels;

    Int places() const { return height * width; }
    bool operator==(const Shape&) const = default;
};

// Batch normalization in training mode: its parameters and running statistics, (channels) each.
struct Norm {
    const float *weight, *bias;
    float *running_mean, *running_variance;  // updated with `momentum`; the variance is unbiased
    double momentum, epsilon;
};

// Statistics that the backward pass of batch normalization needs, (channels) each.
struct Statistics {
    double *mean, *inverse_std;
};

struct NormGradient {
    float *weight, *bias;
};

// A 3x3 convolution of every channel by itself, padded with zeros; kernel (channels, 3, 3); stride 1 or 2.
struct Depthwise {
    const float* kernel;
    Int stride;

    Int size(Int of_input) const { return (of_input + stride - 1) / stride; }
};

// Weights (height / factor, width / factor) of cells of `factor` x `factor` pixels, `stride` floats apart.
struct Cells {
    const float* values;
    Int stride, factor;
};

// Two linear layers on the means of the channels: (reduced, channels), (reduced), (channels, reduced), (channels).
struct SpatialWeighting {
    const float *weight1, *bias1, *weight2, *bias2;
    Int reduced;
};

struct SpatialWeightingGradient {
    float *weight1, *bias1, *weight2, *bias2;
};

// A term of a sum: its normalization, enlarged by `factor`, times a weight.
struct Term {
    const float* values;
    Int factor;
    float weight;
    Norm norm;
    Statistics statistics;
};

// The gradient of a term, of its normalization's result.
struct TermGradient {
    float* values;
    Int factor;
    float weight;
};

constexpr Int most_terms = 8;  // of a fused sum

// The kernels of one instruction set. `threads` share the images. With `add`, dx is added to instead of overwritten: the
// operations that read a tensor sum its gradient in one place.
struct Kernels {
    const char* name;

    // out = norm(x), or ReLU of it.
    void (*norm_forward)(const Shape& shape, const float* x, const Norm& norm, const Statistics& statistics, bool relu,
                         float* out, Int threads);
    void (*norm_backward)(const Shape& shape, const float* x, const Norm& norm, const Statistics& statistics,
                          bool relu, const float* dout, float* dx, const NormGradient& dnorm, Int threads);

    // y = depthwise(x). The next operation applies its normalization: y * gain + offset, (channels) each.
    void (*depthwise_forward)(const Shape& shape, const float* x, Int x_stride, const Depthwise& depthwise,
                              const Norm& norm, const Statistics& statistics, float* y, float* gain, float* offset,
                              Int threads);
    void (*depthwise_backward)(const Shape& shape, const float* x, Int x_stride, const Depthwise& depthwise,
                               const float* y, const Norm& norm, const Statistics& statistics, const float* dy,
                               const float* dgain, const float* doffset, float* dx, bool add, float* dkernel,
                               const NormGradient& dnorm, Int threads);

    // A 1x1 convolution by a matrix (columns, channels) and a bias that may be null, and normalization after it:
    // y = product(x), (images, height, width, columns); out = norm(y), or ReLU of it. `out` may be null: the next
    // operation normalizes y. The gradient of the bias is 0: normalization takes away what it adds.
    void (*product_norm_forward)(const Shape& shape, const float* x, Int x_stride, const float* matrix,
                                 const float* bias, Int columns, float* y, const Norm& norm,
                                 const Statistics& statistics, bool relu, float* out, Int threads);
    void (*product_norm_backward)(const Shape& shape, const float* x, Int x_stride, const float* matrix, Int columns,
                                  const float* y, const Norm& norm, const Statistics& statistics, bool relu,
                                  const float* dout, float* dx, bool add, float* dmatrix,
                                  const NormGradient& dnorm, Int threads);

    // A 3x3 convolution of few channels, padded with zeros, by a matrix (columns, 3, 3, channels), and normalization
    // after it: y = convolution(x); out = norm(y), or ReLU of it. x gets no gradient.
    void (*convolution_norm_forward)(const Shape& shape, const float* x, Int stride, const float* matrix, Int columns,
                                     float* y, const Norm& norm, const Statistics& statistics, bool relu, float* out,
                                     Int threads);
    void (*convolution_norm_backward)(const Shape& shape, const float* x, Int stride, Int columns, const float* y,
                                      const Norm& norm, const Statistics& statistics, bool relu, const float* dout,
                                      float* dmatrix, const NormGradient& dnorm, Int threads);

    // One branch of conditional channel weighting. x has twice the channels: its second half is weighted by cells,
    // convolved, normalized, weighted by spatial weighting, and shuffled with the first half. `moments`, (3, images,
    // channels), are sums and sums of squares of the convolution y, and the spatial weights.
    void (*unit_forward)(const Shape& shape, const float* x, const Cells& cells, const float* kernel, const Norm& norm,
                         const SpatialWeighting& weighting, float* y, double* moments, float* out, Int threads);
    void (*unit_backward)(const Shape& shape, const float* x, const Cells& cells, const float* kernel,
                          const Norm& norm, const SpatialWeighting& weighting, const float* y, double* moments,
                          const float* dout, float* dx, float* dcells, float* dkernel, const NormGradient& dnorm,
                          const SpatialWeightingGradient& dweighting, Int threads);

    // Means of the second half of x over cells; dx += the gradient of the means.
    void (*pool_forward)(const Shape& shape, const float* x, float* cells, Int cell_stride, Int factor, Int threads);
    void (*pool_backward)(const Shape& shape, float* dx, const float* dcells, Int cell_stride, Int factor,
                          Int threads);

    // sum = scale * x + terms, which may be null; rectified = ReLU(sum).
    void (*fuse_forward)(const Shape& shape, const float* x, float scale, const Term* terms, Int count, float* sum,
                         float* rectified, Int threads);
    // dsum may be null.
    void (*fuse_backward)(const Shape& shape, const float* rectified, const float* dsum, const float* drectified,
                          float scale, float* dx, bool add, const TermGradient* terms, Int count, Int threads);
};

// The kernels for the instruction sets of this CPU, the best first.
std::vector<const Kernels*> present_kernels();

// Chooses the best of them. The environment variable LITEHRNET_KERNELS overrides the choice (cpu.h).
const Kernels& choose_kernels();

// Calls work(context, first image, last image + 1) for equal shares at once, one per thread.
void share_images(Int images, Int threads, void (*work)(void* context, Int begin, Int end), void* context);

}  // namespace litehrnet::training
