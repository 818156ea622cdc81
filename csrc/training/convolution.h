// 3x3 convolutions of few channels by a product: every pixel of the result is a row of the nine pixels under its weights.
#pragma once

#include "product.h"

namespace litehrnet::training {
namespace {

// The pixels under the weights, padded with zeros, as the rows of a product's left factor. They are copied to a buffer
// block by block.
struct Patches {
    Shape shape;
    const float* values;
    Int stride, step, scratch;

    static constexpr bool is_padded = true;

    Patches(const Shape& shape, const float* values, Int stride)
        : shape(shape), values(values), stride(stride), step(packed(9 * shape.channels)),
          scratch(rows_at_once * step + most_columns) {}

    Left block(Int first, Int count, float* to) const {
        if (shape.channels == 3) copy(first, count, to, std::integral_constant<Int, 3>());
        else copy(first, count, to, shape.channels);
        return {to, step, 1};
    }

private:
    template <typename C>
    void copy(Int first, Int count, float* to, C c) const {
        const Int across = (shape.width + stride - 1) / stride, down = (shape.height + stride - 1) / stride;
        Int column = first % across, row = first / across % down, image = first / across / down;
        for (; count > 0; --count, to += step) {
            const Int left = column * stride - 1;
            for (Int y = 0; y < 3; ++y) {
                const Int from = row * stride + y - 1;
                const float* pixels = values + ((image * shape.height + from) * shape.width + left) * c;
                copy_pixels_under(from >= 0 && from < shape.height, left, pixels, to + y * 3 * c, c);
            }
            if (++column == across) column = 0, ++row;
            if (row == down) row = 0, ++image;
        }
    }
    template <typename C>
    LITEHRNET_ALWAYS void copy_pixels_under(bool is_inside, Int left, const float* pixels, float* to, C c) const {
        if (is_inside && left >= 0 && left + 2 < shape.width)
            return void(std::memcpy(to, pixels, 3 * static_cast<std::size_t>(c) * sizeof(float)));
        for (Int x = 0; x < 3; ++x)
            for (Int j = x * c; j < (x + 1) * c; ++j)
                to[j] = is_inside && left + x >= 0 && left + x < shape.width ? pixels[j] : 0;
    }
};

// Shape of the result.
inline Shape convolved(const Shape& shape, Int stride, Int columns) {
    return {shape.images, (shape.height + stride - 1) / stride, (shape.width + stride - 1) / stride, columns};
}

void convolution_norm_forward(const Shape& shape, const float* x, Int stride, const float* matrix, Int columns,
                              float* y, const Norm& norm, const Statistics& statistics, bool relu, float* out,
                              Int threads) {
    multiply_and_normalize(Patches(shape, x, stride), 9 * shape.channels, matrix, nullptr,
                           convolved(shape, stride, columns), y, norm, statistics, relu, out, threads);
}

void convolution_norm_backward(const Shape& shape, const float* x, Int stride, Int columns, const float* y,
                               const Norm& norm, const Statistics& statistics, bool relu, const float* dout,
                               float* dmatrix, const NormGradient& dnorm, Int threads) {
    multiply_backward(Patches(shape, x, stride), 9 * shape.channels, convolved(shape, stride, columns), y, norm,
                      statistics, relu, dout, dmatrix, dnorm, threads, [](Int, Int, const float*) {});
}

}  // namespace
}  // namespace litehrnet::training
