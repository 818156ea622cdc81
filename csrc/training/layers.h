// Layers with batch normalization, forward and backward, and paths of several layers. They call the kernels, and lay
// out the memory that lasts from the forward to the backward pass.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <vector>

#include "kernels.h"

namespace litehrnet::training {

// Images, `stride` floats from one pixel to the next.
struct Images {
    float* values;
    Shape shape;
    Int stride;

    Int floats() const { return shape.images * shape.places() * shape.channels; }
};

inline Images dense_images(float* values, const Shape& shape) { return {values, shape, shape.channels}; }

// What runs the kernels: an instruction set, and the most threads.
struct Run {
    const Kernels& kernels;
    Int threads;

    // Number of threads that share as many floats: starting a thread takes as long as some 100,000 numbers.
    Int threads_for(const Images& images) const {
        const Int shares = 1 + images.floats() / (1 << 17);
        return shares < threads ? shares : threads;
    }
};

// Throws std::invalid_argument.
void require(bool condition, const char* otherwise);

// Memory of one operation that lasts from its forward to its backward pass. Both take the same arrays from it, in the
// same order. Without a beginning it only counts bytes. Arrays begin at cache lines if the memory does.
class Memory {
public:
    explicit Memory(std::byte* begin) : begin_(begin) {}

    float* floats(Int count) { return take<float>(count); }
    float* floats(const Shape& shape) { return floats(shape.images * shape.places() * shape.channels); }
    double* doubles(Int count) { return take<double>(count); }
    Statistics statistics(Int channels) {
        double* mean = doubles(channels);
        return {mean, doubles(channels)};
    }
    Int bytes() const { return used_; }

private:
    template <typename Value>
    Value* take(Int count) {
        std::byte* at = begin_ ? begin_ + used_ : nullptr;
        used_ += (count * static_cast<Int>(sizeof(Value)) + 63) / 64 * 64;
        return reinterpret_cast<Value*>(at);
    }

    std::byte* begin_;
    Int used_ = 0;
};

// Floats for a part of one pass, not initialized. They begin at a cache line.
class Scratch {
public:
    explicit Scratch(Int count)
        : values_(static_cast<float*>(::operator new(static_cast<std::size_t>(count) * sizeof(float), line))) {}
    explicit Scratch(const Shape& shape) : Scratch(shape.images * shape.places() * shape.channels) {}
    Scratch(const Scratch&) = delete;
    ~Scratch() { ::operator delete(values_, line); }
    operator float*() const { return values_; }

private:
    static constexpr std::align_val_t line{64};
    float* values_;
};

// Batch normalization that counts its batches by `step`.
struct TrackedNorm {
    Norm norm;
    Int channels;
    std::int64_t* batches;
    Int step;

    // Counts a batch y, before its statistics are taken. Throws if there is one value per channel, as PyTorch does.
    void count(const Shape& y) const;
};

// What the backward pass of a layer needs; layers differ in what they use.
struct Kept {
    float* y = nullptr;  // before the last normalization
    Statistics statistics{};
    float *depthwise = nullptr, *gain = nullptr, *matrix = nullptr;  // of a depthwise convolution before a product
    Statistics of_depthwise{};
    float* out = nullptr;  // the result, except of the last layer of a path
};

// A layer that ends with batch normalization and maybe ReLU. `gradients` are those of its parameters, in order.
struct Layer {
    TrackedNorm last;
    bool relu;
    std::shared_ptr<const void> owner;  // of the parameters

    Layer(const TrackedNorm& last, bool relu) : last(last), relu(relu) {}
    virtual ~Layer() = default;

    virtual Shape result(const Shape& x) const = 0;
    virtual Kept keep(Memory& memory, const Shape& x) const;
    // `out` may be null: then the normalization is not applied to kept.y. Layers that begin with batch normalization or
    // a dense convolution need `out`.
    virtual void forward(const Run& run, const Images& x, const Kept& kept, float* out) const = 0;
    // Writes dx, or adds to it.
    virtual void backward(const Run& run, const Images& x, const Kept& kept, const float* dout, float* dx, bool add,
                          float* gradients) const = 0;
    virtual Int gradients() const = 0;  // number of floats
};

struct NormLayer final : Layer {
    using Layer::Layer;

    Shape result(const Shape& x) const override { return x; }
    Kept keep(Memory& memory, const Shape& x) const override;
    void forward(const Run& run, const Images& x, const Kept& kept, float* out) const override;
    void backward(const Run& run, const Images& x, const Kept& kept, const float* dout, float* dx, bool add,
                  float* gradients) const override;
    Int gradients() const override { return 2 * last.channels; }
};

// A 1x1 convolution by a matrix (columns, depth).
struct ProductLayer final : Layer {
    const float* matrix;
    Int depth, columns;

    ProductLayer(const float* matrix, Int depth, Int columns, const TrackedNorm& last, bool relu);

    Shape result(const Shape& x) const override { return {x.images, x.height, x.width, columns}; }
    void forward(const Run& run, const Images& x, const Kept& kept, float* out) const override;
    void backward(const Run& run, const Images& x, const Kept& kept, const float* dout, float* dx, bool add,
                  float* gradients) const override;
    Int gradients() const override { return columns * depth + 2 * columns; }

    // The same with another matrix in place of `matrix`, and a bias that may be null.
    void forward_by(const float* other, const float* bias, const Run& run, const Images& x, const Kept& kept,
                    float* out) const;
    void backward_by(const float* other, const Run& run, const Images& x, const Kept& kept, const float* dout,
                     float* dx, bool add, float* gradients) const;
};

// A depthwise convolution with batch normalization, then a product.
struct SeparableLayer final : Layer {
    Depthwise depthwise;
    TrackedNorm norm;
    std::shared_ptr<const ProductLayer> product;

    SeparableLayer(const Depthwise& depthwise, const TrackedNorm& norm, std::shared_ptr<const ProductLayer> product);

    Shape convolved(const Shape& x) const;
    Shape result(const Shape& x) const override { return product->result(convolved(x)); }
    Kept keep(Memory& memory, const Shape& x) const override;
    void forward(const Run& run, const Images& x, const Kept& kept, float* out) const override;
    void backward(const Run& run, const Images& x, const Kept& kept, const float* dout, float* dx, bool add,
                  float* gradients) const override;
    Int gradients() const override { return 11 * norm.channels + product->gradients(); }
};

// A 3x3 convolution of few channels by a matrix (columns, 3, 3, depth). x gets no gradient.
struct ConvolutionLayer final : Layer {
    const float* matrix;
    Int depth, columns, stride;

    ConvolutionLayer(const float* matrix, Int depth, Int columns, Int stride, const TrackedNorm& last, bool relu);

    Shape result(const Shape& x) const override;
    void forward(const Run& run, const Images& x, const Kept& kept, float* out) const override;
    void backward(const Run& run, const Images& x, const Kept& kept, const float* dout, float* dx, bool add,
                  float* gradients) const override;
    Int gradients() const override { return 9 * depth * columns + 2 * columns; }
};

// Layers in turn.
class Path {
public:
    explicit Path(std::vector<std::shared_ptr<const Layer>> layers);

    Shape result(Shape x) const;
    std::vector<Kept> keep(Memory& memory, Shape x) const;
    void forward(const Run& run, Images x, const std::vector<Kept>& kept, float* out) const;
    void backward(const Run& run, const Images& x, const std::vector<Kept>& kept, const float* dout, float* dx,
                  bool add, float* gradients) const;
    Int gradients() const;
    const Layer& last() const { return *layers_.back(); }

private:
    std::vector<std::shared_ptr<const Layer>> layers_;
};

}  // namespace litehrnet::training
