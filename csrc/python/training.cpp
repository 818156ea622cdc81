// The kernels of training for Python. Tensors come as DLPack capsules: nanobind checks their type and their device, and
// this file checks that their shapes and layouts fit one another. The kernels trust their callers.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "../training/kernels.h"

namespace nb = nanobind;

namespace litehrnet::training {
namespace {

using Release = nb::call_guard<nb::gil_scoped_release>;
using Array = nb::ndarray<float, nb::c_contig, nb::device::cpu>;         // of as many values as are asked for
using Sums = nb::ndarray<double, nb::c_contig, nb::device::cpu>;         // the same in float64
using ImageArray = nb::ndarray<float, nb::ndim<4>, nb::device::cpu>;     // (n, c, h, w), in channels last

void require(bool condition, const char* otherwise) {
    if (!condition) throw std::invalid_argument(otherwise);
}

template <typename Values>
auto* sized(const Values& array, Int size) {
    require(static_cast<Int>(array.size()) == size, "an array has another number of values than expected");
    return array.data();
}

struct Images {
    float* values;
    Shape shape;
    Int stride;  // from one pixel to the next; exceeds the channels if these are some of another tensor's
};

// A stride along a side of one means nothing.
Images images_of(const ImageArray& array) {
    require(array.size() > 0, "an array is empty");
    const auto side = [&](std::size_t i) { return static_cast<Int>(array.shape(i)); };
    const auto is_step = [&](std::size_t i, Int step) { return side(i) == 1 || array.stride(i) == step; };
    const Shape shape{side(0), side(2), side(3), side(1)};
    const Int stride = shape.width > 1 ? array.stride(3) : shape.height > 1 ? array.stride(2) : shape.channels;
    require(is_step(1, 1) && is_step(2, shape.width * stride) && is_step(0, shape.places() * stride) &&
                stride >= shape.channels,
            "an array is not in channels last");
    return {array.data(), shape, stride};
}

Images dense(const ImageArray& array) {
    const Images images = images_of(array);
    require(images.stride == images.shape.channels, "an array holds only some of its channels");
    return images;
}

float* shaped(const ImageArray& array, const Shape& shape) {
    const Images images = dense(array);
    require(images.shape == shape, "an array has another shape than expected");
    return images.values;
}

float* optional_images(const std::optional<ImageArray>& array, const Shape& shape) {
    return array ? shaped(*array, shape) : nullptr;
}

// Half the channels.
Shape half(const Shape& shape) {
    require(shape.channels % 2 == 0, "an array has an odd number of channels");
    return {shape.images, shape.height, shape.width, shape.channels / 2};
}

// How many times larger the sides of one are.
Int factor_between(const Shape& large, const Shape& small) {
    const Int factor = large.height / std::max<Int>(small.height, 1);
    require(factor > 0 && small.images == large.images && small.height * factor == large.height &&
                small.width * factor == large.width,
            "sizes of arrays are not multiples of one another");
    return factor;
}

// The cells of some channels, from `first` on, for images of a shape.
struct SomeCells {
    float* values;
    Int stride, factor;
};
SomeCells cells_of(const ImageArray& array, Int first, const Shape& shape) {
    const Images cells = dense(array);
    require(first >= 0 && first + shape.channels <= cells.shape.channels, "there are no cells for some channels");
    return {cells.values + first, cells.stride, factor_between(shape, cells.shape)};
}

// Batch normalization; it keeps the arrays, which the backward pass needs again.
struct NormArrays {
    Array weight, bias, running_mean, running_variance;
    double momentum, epsilon;

    Norm of(Int channels) const {
        return {sized(weight, channels),           sized(bias, channels), sized(running_mean, channels),
                sized(running_variance, channels), momentum,              epsilon};
    }
};

// The two layers of spatial weighting, or their gradients.
struct WeightingArrays {
    Array weight1, bias1, weight2, bias2;

    Int reduced() const { return static_cast<Int>(bias1.size()); }
    SpatialWeighting of(Int c) const {
        return {sized(weight1, reduced() * c), bias1.data(), sized(weight2, c * reduced()), sized(bias2, c), reduced()};
    }
    SpatialWeightingGradient gradient(Int c, Int reduced) const {
        return {sized(weight1, reduced * c), sized(bias1, reduced), sized(weight2, c * reduced), sized(bias2, c)};
    }
};

Statistics statistics_of(const Sums& array, Int channels) {
    double* values = sized(array, 2 * channels);
    return {values, values + channels};
}

NormGradient gradient_of(const Array& weight, const Array& bias, Int channels) {
    return {sized(weight, channels), sized(bias, channels)};
}

Depthwise depthwise_of(const Array& kernel, Int stride, Int channels) {
    require(stride == 1 || stride == 2, "a stride is neither 1 nor 2");
    return {sized(kernel, 9 * channels), stride};
}

Shape strided(const Shape& shape, const Depthwise& depthwise) {
    return {shape.images, depthwise.size(shape.height), depthwise.size(shape.width), shape.channels};
}

// Images of as many columns in the place of channels.
Shape with_columns(const Shape& shape, const ImageArray& y) {
    return {shape.images, shape.height, shape.width, static_cast<Int>(y.shape(1))};
}

// Images of a term of a sum, or of its gradient.
Images term_of(const ImageArray& array, const Shape& shape) {
    const Images images = dense(array);
    require(images.shape.channels == shape.channels, "a term has another number of channels");
    return images;
}

void require_few(std::size_t terms) {
    require(terms <= static_cast<std::size_t>(most_terms), "a sum has too many terms");
}

// Chosen at the first use: LITEHRNET_KERNELS may name an instruction set that this machine does not have.
const Kernels*& chosen() {
    static const Kernels* table = &choose_kernels();
    return table;
}

const Kernels& kernels() { return *chosen(); }

std::vector<std::string> names() {
    std::vector<std::string> names;
    for (const Kernels* present : present_kernels()) names.push_back(present->name);
    return names;
}

void use(const std::string& name) {
    for (const Kernels* present : present_kernels())
        if (present->name == name) return void(chosen() = present);
    throw nb::value_error((name + ": not on this machine").c_str());
}

void norm_forward(const ImageArray& x, const NormArrays& norm, const Sums& statistics, bool relu, const ImageArray& out,
                  Int threads) {
    const Images in = dense(x);
    const Int c = in.shape.channels;
    kernels().norm_forward(in.shape, in.values, norm.of(c), statistics_of(statistics, c), relu, shaped(out, in.shape),
                           threads);
}

void norm_backward(const ImageArray& x, const NormArrays& norm, const Sums& statistics, bool relu,
                   const ImageArray& dout, const ImageArray& dx, const Array& dweight, const Array& dbias,
                   Int threads) {
    const Images in = dense(x);
    const Int c = in.shape.channels;
    kernels().norm_backward(in.shape, in.values, norm.of(c), statistics_of(statistics, c), relu,
                            shaped(dout, in.shape), shaped(dx, in.shape), gradient_of(dweight, dbias, c), threads);
}

void depthwise_forward(const ImageArray& x, const Array& kernel, Int stride, const NormArrays& norm,
                       const Sums& statistics, const ImageArray& y, const Array& gain, const Array& offset,
                       Int threads) {
    const Images in = images_of(x);
    const Int c = in.shape.channels;
    const Depthwise depthwise = depthwise_of(kernel, stride, c);
    kernels().depthwise_forward(in.shape, in.values, in.stride, depthwise, norm.of(c), statistics_of(statistics, c),
                                shaped(y, strided(in.shape, depthwise)), sized(gain, c), sized(offset, c), threads);
}

void depthwise_backward(const ImageArray& x, const Array& kernel, Int stride, const NormArrays& norm,
                        const Sums& statistics, const ImageArray& y, const ImageArray& dy, const Array& dgain,
                        const Array& doffset, const ImageArray& dx, bool add, const Array& dkernel,
                        const Array& dweight, const Array& dbias, Int threads) {
    const Images in = images_of(x);
    const Int c = in.shape.channels;
    const Depthwise depthwise = depthwise_of(kernel, stride, c);
    const Shape out = strided(in.shape, depthwise);
    kernels().depthwise_backward(in.shape, in.values, in.stride, depthwise, shaped(y, out), norm.of(c),
                                 statistics_of(statistics, c), shaped(dy, out), sized(dgain, c), sized(doffset, c),
                                 shaped(dx, in.shape), add, sized(dkernel, 9 * c), gradient_of(dweight, dbias, c),
                                 threads);
}

void product_norm_forward(const ImageArray& x, const Array& matrix, const std::optional<Array>& bias,
                          const ImageArray& y, const NormArrays& norm, const Sums& statistics, bool relu,
                          const std::optional<ImageArray>& out, Int threads) {
    const Images in = images_of(x);
    const Shape shape = with_columns(in.shape, y);
    const Int columns = shape.channels;
    kernels().product_norm_forward(in.shape, in.values, in.stride, sized(matrix, columns * in.shape.channels),
                                   bias ? sized(*bias, columns) : nullptr, columns, shaped(y, shape), norm.of(columns),
                                   statistics_of(statistics, columns), relu, optional_images(out, shape), threads);
}

void product_norm_backward(const ImageArray& x, const Array& matrix, const ImageArray& y, const NormArrays& norm,
                           const Sums& statistics, bool relu, const ImageArray& dout, const ImageArray& dx, bool add,
                           const Array& dmatrix, const Array& dweight, const Array& dbias, Int threads) {
    const Images in = images_of(x);
    const Shape shape = with_columns(in.shape, y);
    const Int columns = shape.channels, size = columns * in.shape.channels;
    kernels().product_norm_backward(in.shape, in.values, in.stride, sized(matrix, size), columns, shaped(y, shape),
                                    norm.of(columns), statistics_of(statistics, columns), relu, shaped(dout, shape),
                                    shaped(dx, in.shape), add, sized(dmatrix, size),
                                    gradient_of(dweight, dbias, columns), threads);
}

// The shape of a 3x3 convolution's result, which y must have but for its columns.
Shape convolved(const Shape& shape, Int stride, const ImageArray& y) {
    require(stride == 1 || stride == 2, "a stride is neither 1 nor 2");
    const Depthwise size{nullptr, stride};
    return with_columns(strided(shape, size), y);
}

void convolution_norm_forward(const ImageArray& x, const Array& matrix, Int stride, const ImageArray& y,
                              const NormArrays& norm, const Sums& statistics, bool relu, const ImageArray& out,
                              Int threads) {
    const Images in = dense(x);
    const Shape shape = convolved(in.shape, stride, y);
    const Int columns = shape.channels;
    kernels().convolution_norm_forward(in.shape, in.values, stride, sized(matrix, columns * 9 * in.shape.channels),
                                       columns, shaped(y, shape), norm.of(columns), statistics_of(statistics, columns),
                                       relu, shaped(out, shape), threads);
}

void convolution_norm_backward(const ImageArray& x, Int stride, const ImageArray& y, const NormArrays& norm,
                               const Sums& statistics, bool relu, const ImageArray& dout, const Array& dmatrix,
                               const Array& dweight, const Array& dbias, Int threads) {
    const Images in = dense(x);
    const Shape shape = convolved(in.shape, stride, y);
    const Int columns = shape.channels;
    kernels().convolution_norm_backward(in.shape, in.values, stride, columns, shaped(y, shape), norm.of(columns),
                                        statistics_of(statistics, columns), relu, shaped(dout, shape),
                                        sized(dmatrix, columns * 9 * in.shape.channels),
                                        gradient_of(dweight, dbias, columns), threads);
}

void unit_forward(const ImageArray& x, const ImageArray& cells, Int first, const Array& kernel, const NormArrays& norm,
                  const WeightingArrays& weighting, const ImageArray& y, const Sums& moments, const ImageArray& out,
                  Int threads) {
    const Images in = dense(x);
    const Shape shape = half(in.shape);
    const Int c = shape.channels;
    const SomeCells some = cells_of(cells, first, shape);
    kernels().unit_forward(shape, in.values, {some.values, some.stride, some.factor}, sized(kernel, 9 * c), norm.of(c),
                           weighting.of(c), shaped(y, shape), sized(moments, 3 * shape.images * c),
                           shaped(out, in.shape), threads);
}

void unit_backward(const ImageArray& x, const ImageArray& cells, Int first, const Array& kernel, const NormArrays& norm,
                   const WeightingArrays& weighting, const ImageArray& y, const Sums& moments, const ImageArray& dout,
                   const ImageArray& dx, const ImageArray& dcells, const Array& dkernel, const Array& dweight,
                   const Array& dbias, const WeightingArrays& dweighting, Int threads) {
    const Images in = dense(x);
    const Shape shape = half(in.shape);
    const Int c = shape.channels;
    const SomeCells some = cells_of(cells, first, shape), gradients = cells_of(dcells, first, shape);
    require(some.stride == gradients.stride && some.factor == gradients.factor,
            "cells and their gradients have different shapes");
    kernels().unit_backward(shape, in.values, {some.values, some.stride, some.factor}, sized(kernel, 9 * c),
                            norm.of(c), weighting.of(c), shaped(y, shape), sized(moments, 3 * shape.images * c),
                            shaped(dout, in.shape), shaped(dx, in.shape), gradients.values, sized(dkernel, 9 * c),
                            gradient_of(dweight, dbias, c), dweighting.gradient(c, weighting.reduced()), threads);
}

void pool_forward(const ImageArray& x, const ImageArray& cells, Int first, Int threads) {
    const Images in = dense(x);
    const SomeCells some = cells_of(cells, first, half(in.shape));
    kernels().pool_forward(half(in.shape), in.values, some.values, some.stride, some.factor, threads);
}

void pool_backward(const ImageArray& dx, const ImageArray& dcells, Int first, Int threads) {
    const Images in = dense(dx);
    const SomeCells some = cells_of(dcells, first, half(in.shape));
    kernels().pool_backward(half(in.shape), in.values, some.values, some.stride, some.factor, threads);
}

void fuse_forward(const ImageArray& x, float scale,
                  const std::vector<std::tuple<ImageArray, float, const NormArrays*, Sums>>& arrays,
                  const std::optional<ImageArray>& sum, const ImageArray& rectified, Int threads) {
    const Images in = dense(x);
    const Int c = in.shape.channels;
    require_few(arrays.size());
    std::vector<Term> terms;
    for (const auto& [array, weight, norm, statistics] : arrays) {
        const Images images = term_of(array, in.shape);
        terms.push_back({images.values, factor_between(in.shape, images.shape), weight, norm->of(c),
                         statistics_of(statistics, c)});
    }
    kernels().fuse_forward(in.shape, in.values, scale, terms.data(), static_cast<Int>(terms.size()),
                           optional_images(sum, in.shape), shaped(rectified, in.shape), threads);
}

void fuse_backward(const ImageArray& rectified, const std::optional<ImageArray>& dsum, const ImageArray& drectified,
                   float scale, const ImageArray& dx, bool add,
                   const std::vector<std::pair<ImageArray, float>>& arrays, Int threads) {
    const Images in = dense(rectified);
    require_few(arrays.size());
    std::vector<TermGradient> terms;
    for (const auto& [array, weight] : arrays) {
        const Images images = term_of(array, in.shape);
        terms.push_back({images.values, factor_between(in.shape, images.shape), weight});
    }
    kernels().fuse_backward(in.shape, in.values, optional_images(dsum, in.shape), shaped(drectified, in.shape), scale,
                            shaped(dx, in.shape), add, terms.data(), static_cast<Int>(terms.size()), threads);
}

}  // namespace

NB_MODULE(_kernels, module) {
    nb::class_<NormArrays>(module, "Norm").def(nb::init<Array, Array, Array, Array, double, double>());
    nb::class_<WeightingArrays>(module, "Weighting").def(nb::init<Array, Array, Array, Array>());
    module.def("name", [] { return std::string(kernels().name); });
    module.def("instruction_sets", &names);
    module.def("use", &use);
    module.def("norm_forward", &norm_forward, Release());
    module.def("norm_backward", &norm_backward, Release());
    module.def("depthwise_forward", &depthwise_forward, Release());
    module.def("depthwise_backward", &depthwise_backward, Release());
    module.def("product_norm_forward", &product_norm_forward, Release());
    module.def("product_norm_backward", &product_norm_backward, Release());
    module.def("convolution_norm_forward", &convolution_norm_forward, Release());
    module.def("convolution_norm_backward", &convolution_norm_backward, Release());
    module.def("unit_forward", &unit_forward, Release());
    module.def("unit_backward", &unit_backward, Release());
    module.def("pool_forward", &pool_forward, Release());
    module.def("pool_backward", &pool_backward, Release());
    module.def("fuse_forward", &fuse_forward, Release());
    module.def("fuse_backward", &fuse_backward, Release());
}

}  // namespace litehrnet::training
