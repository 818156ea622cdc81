#include "layers.h"

#include <stdexcept>
#include <string>

namespace litehrnet::training {

void require(bool condition, const char* otherwise) {
    if (!condition) throw std::invalid_argument(otherwise);
}

namespace {

constexpr const char* wrong_size = "an array has another number of values than expected";

void require_dense(const Images& x) {
    require(x.stride == x.shape.channels, "an array holds only some of its channels");
}

NormGradient norm_gradient(float* gradients, Int channels) { return {gradients, gradients + channels}; }

}  // namespace

void TrackedNorm::count(const Shape& y) const {
    require(y.channels == channels, wrong_size);
    if (y.images * y.places() <= 1) {
        std::string size;
        for (const Int side : {y.images, y.channels, y.height, y.width})
            size += (size.empty() ? "" : ", ") + std::to_string(side);
        throw std::invalid_argument("Expected more than 1 value per channel when training, got input size (" + size +
                                    ")");
    }
    *batches += step;
}

Kept Layer::keep(Memory& memory, const Shape& x) const {
    Kept kept;
    kept.y = memory.floats(result(x));
    kept.statistics = memory.statistics(last.channels);
    return kept;
}

Kept NormLayer::keep(Memory& memory, const Shape& x) const {
    Kept kept;
    kept.statistics = memory.statistics(x.channels);
    return kept;
}

void NormLayer::forward(const Run& run, const Images& x, const Kept& kept, float* out) const {
    require_dense(x);
    require(out != nullptr, "a term of a sum does not end with a product");
    last.count(x.shape);
    run.kernels.norm_forward(x.shape, x.values, last.norm, kept.statistics, relu, out, run.threads_for(x));
}

void NormLayer::backward(const Run& run, const Images& x, const Kept& kept, const float* dout, float* dx, bool add,
                         float* gradients) const {
    require(!add, "a gradient of batch normalization cannot be added");
    run.kernels.norm_backward(x.shape, x.values, last.norm, kept.statistics, relu, dout, dx,
                              norm_gradient(gradients, last.channels), run.threads_for(x));
}

ProductLayer::ProductLayer(const float* matrix, Int depth, Int columns, const TrackedNorm& last, bool relu)
    : Layer(last, relu), matrix(matrix), depth(depth), columns(columns) {
    require(columns == last.channels, wrong_size);
}

void ProductLayer::forward(const Run& run, const Images& x, const Kept& kept, float* out) const {
    forward_by(matrix, nullptr, run, x, kept, out);
}

void ProductLayer::backward(const Run& run, const Images& x, const Kept& kept, const float* dout, float* dx, bool add,
                            float* gradients) const {
    backward_by(matrix, run, x, kept, dout, dx, add, gradients);
}

void ProductLayer::forward_by(const float* other, const float* bias, const Run& run, const Images& x,
                              const Kept& kept, float* out) const {
    require(x.shape.channels == depth, wrong_size);
    last.count(result(x.shape));
    run.kernels.product_norm_forward(x.shape, x.values, x.stride, other, bias, columns, kept.y, last.norm,
                                     kept.statistics, relu, out, run.threads_for(x));
}

void ProductLayer::backward_by(const float* other, const Run& run, const Images& x, const Kept& kept,
                               const float* dout, float* dx, bool add, float* gradients) const {
    run.kernels.product_norm_backward(x.shape, x.values, x.stride, other, columns, kept.y, last.norm, kept.statistics,
                                      relu, dout, dx, add, gradients,
                                      norm_gradient(gradients + columns * depth, columns), run.threads_for(x));
}

SeparableLayer::SeparableLayer(const Depthwise& depthwise, const TrackedNorm& norm,
                               std::shared_ptr<const ProductLayer> product)
    : Layer(product->last, product->relu), depthwise(depthwise), norm(norm), product(std::move(product)) {
    require(norm.channels == this->product->depth, wrong_size);
}

Shape SeparableLayer::convolved(const Shape& x) const {
    return {x.images, depthwise.size(x.height), depthwise.size(x.width), x.channels};
}

Kept SeparableLayer::keep(Memory& memory, const Shape& x) const {
    Kept kept = product->keep(memory, convolved(x));
    kept.depthwise = memory.floats(convolved(x));
    kept.of_depthwise = memory.statistics(x.channels);
    kept.gain = memory.floats(x.channels);
    kept.matrix = memory.floats(product->columns * product->depth);
    return kept;
}

void SeparableLayer::forward(const Run& run, const Images& x, const Kept& kept, float* out) const {
    const Int c = x.shape.channels;
    norm.count(convolved(x.shape));
    const Scratch offset(c), bias(product->columns);
    run.kernels.depthwise_forward(x.shape, x.values, x.stride, depthwise, norm.norm, kept.of_depthwise, kept.depthwise,
                                  kept.gain, offset, run.threads_for(x));
    // A 1x1 convolution after a factor and an offset per channel is another 1x1 convolution, with a bias.
    for (Int column = 0; column < product->columns; ++column) {
        const float* weights = product->matrix + column * c;
        double sum = 0;
        for (Int j = 0; j < c; ++j) {
            kept.matrix[column * c + j] = weights[j] * kept.gain[j];
            sum += static_cast<double>(weights[j]) * static_cast<double>(offset[j]);
        }
        bias[column] = static_cast<float>(sum);
    }
    product->forward_by(kept.matrix, bias, run, dense_images(kept.depthwise, convolved(x.shape)), kept, out);
}

void SeparableLayer::backward(const Run& run, const Images& x, const Kept& kept, const float* dout, float* dx, bool add,
                              float* gradients) const {
    const Int c = x.shape.channels;
    const Images y = dense_images(kept.depthwise, convolved(x.shape));
    const Scratch dy(y.shape);
    float* dmatrix = gradients + 11 * c;
    product->backward_by(kept.matrix, run, y, kept, dout, dy, false, dmatrix);
    std::vector<float> dgain(static_cast<std::size_t>(c)), doffset(dgain.size());
    for (Int column = 0; column < product->columns; ++column)
        for (Int j = 0; j < c; ++j) {
            float& gradient = dmatrix[column * c + j];
            dgain[static_cast<std::size_t>(j)] += gradient * product->matrix[column * c + j];
            gradient *= kept.gain[j];
        }
    // Normalization takes away what the offset adds: its gradient is 0.
    run.kernels.depthwise_backward(x.shape, x.values, x.stride, depthwise, kept.depthwise, norm.norm, kept.of_depthwise,
                                   dy, dgain.data(), doffset.data(), dx, add, gradients,
                                   norm_gradient(gradients + 9 * c, c), run.threads_for(x));
}

ConvolutionLayer::ConvolutionLayer(const float* matrix, Int depth, Int columns, Int stride, const TrackedNorm& last,
                                   bool relu)
    : Layer(last, relu), matrix(matrix), depth(depth), columns(columns), stride(stride) {
    require(columns == last.channels, wrong_size);
}

Shape ConvolutionLayer::result(const Shape& x) const {
    const Depthwise size{nullptr, stride};
    return {x.images, size.size(x.height), size.size(x.width), columns};
}

void ConvolutionLayer::forward(const Run& run, const Images& x, const Kept& kept, float* out) const {
    require_dense(x);
    require(x.shape.channels == depth, wrong_size);
    require(out != nullptr, "a term of a sum does not end with a product");
    const Images y = dense_images(kept.y, result(x.shape));
    last.count(y.shape);
    run.kernels.convolution_norm_forward(x.shape, x.values, stride, matrix, columns, kept.y, last.norm, kept.statistics,
                                         relu, out, run.threads_for(y));
}

void ConvolutionLayer::backward(const Run& run, const Images& x, const Kept& kept, const float* dout, float*, bool,
                                float* gradients) const {
    const Images y = dense_images(kept.y, result(x.shape));
    run.kernels.convolution_norm_backward(x.shape, x.values, stride, columns, kept.y, last.norm, kept.statistics, relu,
                                          dout, gradients, norm_gradient(gradients + 9 * depth * columns, columns),
                                          run.threads_for(y));
}

Path::Path(std::vector<std::shared_ptr<const Layer>> layers) : layers_(std::move(layers)) {
    require(!layers_.empty(), "a path has no layers");
}

Shape Path::result(Shape x) const {
    for (const auto& layer : layers_) x = layer->result(x);
    return x;
}

std::vector<Kept> Path::keep(Memory& memory, Shape x) const {
    std::vector<Kept> kept;
    for (const auto& layer : layers_) {
        kept.push_back(layer->keep(memory, x));
        x = layer->result(x);
        if (kept.size() < layers_.size()) kept.back().out = memory.floats(x);
    }
    return kept;
}

void Path::forward(const Run& run, Images x, const std::vector<Kept>& kept, float* out) const {
    for (std::size_t i = 0; i < layers_.size(); ++i) {
        float* result = i + 1 == layers_.size() ? out : kept[i].out;
        layers_[i]->forward(run, x, kept[i], result);
        x = dense_images(result, layers_[i]->result(x.shape));
    }
}

void Path::backward(const Run& run, const Images& x, const std::vector<Kept>& kept, const float* dout, float* dx,
                    bool add, float* gradients) const {
    std::vector<Images> inputs{x};
    for (std::size_t i = 0; i + 1 < layers_.size(); ++i)
        inputs.push_back(dense_images(kept[i].out, layers_[i]->result(inputs[i].shape)));
    gradients += this->gradients();
    std::unique_ptr<const Scratch> previous;
    for (std::size_t i = layers_.size(); i-- > 0;) {
        gradients -= layers_[i]->gradients();
        auto inner = i > 0 ? std::make_unique<const Scratch>(inputs[i].shape) : nullptr;
        layers_[i]->backward(run, inputs[i], kept[i], dout, inner ? +*inner : dx, i == 0 && add, gradients);
        previous = std::move(inner);
        dout = previous ? +*previous : nullptr;
    }
}

Int Path::gradients() const {
    Int count = 0;
    for (const auto& layer : layers_) count += layer->gradients();
    return count;
}

}  // namespace litehrnet::training
