// The kernels for Python: tensors come as the addresses of their values. Whoever calls has checked shapes and layouts.
#include <nanobind/nanobind.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <array>
#include <string>
#include <tuple>
#include <vector>

#include "../training/choose_kernels.h"

namespace nb = nanobind;

namespace litehrnet::training {
namespace {

using Address = std::uintptr_t;
using Release = nb::call_guard<nb::gil_scoped_release>;

// images, height, width, channels
using ShapeNumbers = std::array<Int, 4>;
// weight, bias, running mean, running variance; momentum, epsilon
using NormValues = std::tuple<Address, Address, Address, Address, double, double>;
using Pair = std::array<Address, 2>;
// values, stride, factor
using CellNumbers = std::tuple<Address, Int, Int>;
// weight1, bias1, weight2, bias2
using Layers = std::array<Address, 4>;
// values, factor, weight
using TermNumbers = std::tuple<Address, Int, float>;

float* floats(Address address) { return reinterpret_cast<float*>(address); }
double* doubles(Address address) { return reinterpret_cast<double*>(address); }

Shape shape_of(const ShapeNumbers& s) { return {s[0], s[1], s[2], s[3]}; }
Norm norm_of(const NormValues& values) {
    const auto& [weight, bias, mean, variance, momentum, epsilon] = values;
    return {floats(weight), floats(bias), floats(mean), floats(variance), momentum, epsilon};
}
// (2, channels)
Statistics statistics_of(Address address, Int channels) { return {doubles(address), doubles(address) + channels}; }
NormGradient gradient_of(const Pair& pair) { return {floats(pair[0]), floats(pair[1])}; }
Cells cells_of(const CellNumbers& cells) {
    return {floats(std::get<0>(cells)), std::get<1>(cells), std::get<2>(cells)};
}
std::vector<Term> terms_of(const std::vector<TermNumbers>& numbers) {
    std::vector<Term> terms;
    for (const auto& [values, factor, weight] : numbers) terms.push_back({floats(values), factor, weight});
    return terms;
}

// Chosen at the first use: LITEHRNET_KERNELS may name none of this machine's, which throws.
const Kernels*& chosen() {
    static const Kernels* table = &choose_kernels();
    return table;
}

const Kernels& kernels() { return *chosen(); }

std::vector<std::string> instruction_sets() {
    std::vector<std::string> names;
    for (const Kernels* present : present_kernels()) names.push_back(present->name);
    return names;
}

void use(const std::string& name) {
    for (const Kernels* present : present_kernels())
        if (present->name == name) return void(chosen() = present);
    throw nb::value_error((name + ": not on this machine").c_str());
}

void norm_forward(const ShapeNumbers& shape, Address x, const NormValues& norm, Address statistics, bool relu,
                  Address out, Int threads) {
    kernels().norm_forward(shape_of(shape), floats(x), norm_of(norm), statistics_of(statistics, shape[3]), relu,
                           floats(out), threads);
}

void norm_backward(const ShapeNumbers& shape, Address x, const NormValues& norm, Address statistics, bool relu,
                   Address dout, Address dx, const Pair& dnorm, Int threads) {
    kernels().norm_backward(shape_of(shape), floats(x), norm_of(norm), statistics_of(statistics, shape[3]), relu,
                            floats(dout), floats(dx), gradient_of(dnorm), threads);
}

void depthwise_forward(const ShapeNumbers& shape, Address x, Int x_stride, Address kernel, Int stride,
                       const NormValues& norm, Address statistics, Address y, const Pair& affine, Int threads) {
    kernels().depthwise_forward(shape_of(shape), floats(x), x_stride, {floats(kernel), stride}, norm_of(norm),
                                statistics_of(statistics, shape[3]), floats(y), floats(affine[0]), floats(affine[1]),
                                threads);
}

void depthwise_backward(const ShapeNumbers& shape, Address x, Int x_stride, Address kernel, Int stride, Address y,
                        const NormValues& norm, Address statistics, Address dy, const Pair& daffine, Address dx,
                        Address dkernel, const Pair& dnorm, Int threads) {
    kernels().depthwise_backward(shape_of(shape), floats(x), x_stride, {floats(kernel), stride}, floats(y),
                                 norm_of(norm), statistics_of(statistics, shape[3]), floats(dy), floats(daffine[0]),
                                 floats(daffine[1]), floats(dx), floats(dkernel), gradient_of(dnorm), threads);
}

void product_norm_forward(const ShapeNumbers& shape, Address x, Int x_stride, Address matrix, Address bias, Int columns,
                          Address y, const NormValues& norm, Address statistics, bool relu, Address out, Int threads) {
    kernels().product_norm_forward(shape_of(shape), floats(x), x_stride, floats(matrix), floats(bias), columns,
                                   floats(y), norm_of(norm), statistics_of(statistics, columns), relu, floats(out),
                                   threads);
}

void product_norm_backward(const ShapeNumbers& shape, Address x, Int x_stride, Address matrix, Int columns, Address y,
                           const NormValues& norm, Address statistics, bool relu, Address dout, Address dx,
                           Address dmatrix, const Pair& dnorm, Int threads) {
    kernels().product_norm_backward(shape_of(shape), floats(x), x_stride, floats(matrix), columns, floats(y),
                                    norm_of(norm), statistics_of(statistics, columns), relu, floats(dout), floats(dx),
                                    floats(dmatrix), gradient_of(dnorm), threads);
}

void unit_forward(const ShapeNumbers& shape, Address x, const CellNumbers& cells, Address kernel,
                  const NormValues& norm, const Layers& layers, Int reduced, Address y, Address moments, Address out,
                  Int threads) {
    kernels().unit_forward(shape_of(shape), floats(x), cells_of(cells), floats(kernel), norm_of(norm),
                           {floats(layers[0]), floats(layers[1]), floats(layers[2]), floats(layers[3]), reduced},
                           floats(y), doubles(moments), floats(out), threads);
}

void unit_backward(const ShapeNumbers& shape, Address x, const CellNumbers& cells, Address kernel,
                   const NormValues& norm, const Layers& layers, Int reduced, Address y, Address moments, Address dout,
                   Address dx, Address dcells, Address dkernel, const Pair& dnorm, const Layers& dlayers, Int threads) {
    kernels().unit_backward(shape_of(shape), floats(x), cells_of(cells), floats(kernel), norm_of(norm),
                            {floats(layers[0]), floats(layers[1]), floats(layers[2]), floats(layers[3]), reduced},
                            floats(y), doubles(moments), floats(dout), floats(dx), floats(dcells), floats(dkernel),
                            gradient_of(dnorm),
                            {floats(dlayers[0]), floats(dlayers[1]), floats(dlayers[2]), floats(dlayers[3])}, threads);
}

void pool_forward(const ShapeNumbers& shape, Address x, Address cells, Int cell_stride, Int factor, Int threads) {
    kernels().pool_forward(shape_of(shape), floats(x), floats(cells), cell_stride, factor, threads);
}

void pool_backward(const ShapeNumbers& shape, Address dx, Address dcells, Int cell_stride, Int factor, Int threads) {
    kernels().pool_backward(shape_of(shape), floats(dx), floats(dcells), cell_stride, factor, threads);
}

void fuse_forward(const ShapeNumbers& shape, Address x, float scale, const std::vector<TermNumbers>& numbers,
                  Address sum, Address rectified, Int threads) {
    const std::vector<Term> terms = terms_of(numbers);
    kernels().fuse_forward(shape_of(shape), floats(x), scale, terms.data(), static_cast<Int>(terms.size()), floats(sum),
                           floats(rectified), threads);
}

void fuse_backward(const ShapeNumbers& shape, Address sum, Address dsum, Address drectified, Address dx,
                   const std::vector<TermNumbers>& numbers, Int threads) {
    const std::vector<Term> terms = terms_of(numbers);
    kernels().fuse_backward(shape_of(shape), floats(sum), floats(dsum), floats(drectified), floats(dx), terms.data(),
                            static_cast<Int>(terms.size()), threads);
}

}  // namespace

NB_MODULE(_kernels, module) {
    module.def("name", [] { return std::string(kernels().name); });
    module.def("instruction_sets", &instruction_sets);
    module.def("use", &use);
    module.def("norm_forward", &norm_forward, Release());
    module.def("norm_backward", &norm_backward, Release());
    module.def("depthwise_forward", &depthwise_forward, Release());
    module.def("depthwise_backward", &depthwise_backward, Release());
    module.def("product_norm_forward", &product_norm_forward, Release());
    module.def("product_norm_backward", &product_norm_backward, Release());
    module.def("unit_forward", &unit_forward, Release());
    module.def("unit_backward", &unit_backward, Release());
    module.def("pool_forward", &pool_forward, Release());
    module.def("pool_backward", &pool_backward, Release());
    module.def("fuse_forward", &fuse_forward, Release());
    module.def("fuse_backward", &fuse_backward, Release());
}

}  // namespace litehrnet::training
