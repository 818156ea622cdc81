// The operations of training for Python. Tensors come as DLPack capsules: nanobind checks their type and their device,
// and this file checks that their shapes and layouts fit one another. Operations and kernels trust their callers.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "../training/operations.h"

namespace nb = nanobind;

namespace litehrnet::training {
namespace {

using Release = nb::call_guard<nb::gil_scoped_release>;
using Array = nb::ndarray<float, nb::c_contig, nb::device::cpu>;         // of as many values as are asked for
using Counter = nb::ndarray<std::int64_t, nb::c_contig, nb::device::cpu>;
using Bytes = nb::ndarray<std::uint8_t, nb::c_contig, nb::device::cpu>;
using ImageArray = nb::ndarray<float, nb::ndim<4>, nb::device::cpu>;     // (n, c, h, w), in channels last
using ImageArrays = std::vector<ImageArray>;
using Sizes = std::vector<Int>;  // (n, c, h, w)

template <typename Values>
auto* sized(const Values& array, Int size) {
    require(static_cast<Int>(array.size()) == size, "an array has another number of values than expected");
    return array.data();
}

std::byte* memory_of(const Bytes& array, Int bytes) { return reinterpret_cast<std::byte*>(sized(array, bytes)); }

Shape shape_of(const Sizes& sizes) {
    require(sizes.size() == 4, "a shape does not have four sides");
    for (const Int side : sizes) require(side > 0, "an array is empty");
    return {sizes[0], sizes[2], sizes[3], sizes[1]};
}

std::vector<Shape> shapes_of(const std::vector<Sizes>& all) {
    std::vector<Shape> shapes;
    for (const Sizes& sizes : all) shapes.push_back(shape_of(sizes));
    return shapes;
}

Sizes sizes_of(const Shape& shape) { return {shape.images, shape.channels, shape.height, shape.width}; }

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

// Several dense arrays of given shapes.
std::vector<float*> shaped(const ImageArrays& arrays, const std::vector<Images>& like) {
    require(arrays.size() == like.size(), "there are fewer or more arrays than branches");
    std::vector<float*> values;
    for (std::size_t i = 0; i < arrays.size(); ++i) values.push_back(shaped(arrays[i], like[i].shape));
    return values;
}

std::vector<Images> dense(const ImageArrays& arrays) {
    std::vector<Images> images;
    for (const ImageArray& array : arrays) images.push_back(dense(array));
    return images;
}

std::vector<Shape> shapes_of(const std::vector<Images>& branches) {
    std::vector<Shape> shapes;
    for (const Images& images : branches) shapes.push_back(images.shape);
    return shapes;
}

// Keeps arrays as long as what points to their values.
template <typename... Arrays>
std::shared_ptr<const void> owner_of(const Arrays&... arrays) {
    return std::make_shared<std::tuple<Arrays...>>(arrays...);
}

// Batch normalization, and the arrays that it points to.
struct NormArrays {
    Array weight, bias, running_mean, running_variance;
    Counter batches;
    Int step;
    double momentum, epsilon;

    TrackedNorm tracked() const {
        const auto channels = static_cast<Int>(weight.size());
        const Norm norm{weight.data(), sized(bias, channels), sized(running_mean, channels),
                        sized(running_variance, channels), momentum, epsilon};
        return {norm, channels, sized(batches, 1), step};
    }
};

Int side(const ImageArray& array, std::size_t i) { return static_cast<Int>(array.shape(i)); }

// Returns the values of an array whose last dimensions are contiguous.
float* in_order(const ImageArray& array) {
    Int step = 1;
    for (std::size_t i = 4; i-- > 0; step *= side(array, i))
        require(side(array, i) == 1 || array.stride(i) == step, "a weight has another layout than expected");
    return array.data();
}

Depthwise depthwise_of(const ImageArray& kernel, Int stride, Int channels) {
    require(stride == 1 || stride == 2, "a stride is neither 1 nor 2");
    require(static_cast<Int>(kernel.size()) == 9 * channels, "a kernel is not 3x3");
    return {in_order(kernel), stride};
}

std::shared_ptr<Layer> norm_layer(const NormArrays& norm, bool relu) {
    auto layer = std::make_shared<NormLayer>(norm.tracked(), relu);
    layer->owner = owner_of(norm);
    return layer;
}

std::shared_ptr<ProductLayer> product_layer(const ImageArray& matrix, const NormArrays& norm, bool relu) {
    require(side(matrix, 2) == 1 && side(matrix, 3) == 1, "a convolution is not 1x1");
    auto layer =
        std::make_shared<ProductLayer>(in_order(matrix), side(matrix, 1), side(matrix, 0), norm.tracked(), relu);
    layer->owner = owner_of(matrix, norm);
    return layer;
}

std::shared_ptr<Layer> separable_layer(const ImageArray& kernel, Int stride, const NormArrays& norm,
                                       std::shared_ptr<ProductLayer> product) {
    const TrackedNorm tracked = norm.tracked();
    auto layer = std::make_shared<SeparableLayer>(depthwise_of(kernel, stride, tracked.channels), tracked,
                                                  std::move(product));
    layer->owner = owner_of(kernel, norm);
    return layer;
}

// The matrix is (columns, 3, 3, channels).
std::shared_ptr<Layer> convolution_layer(const ImageArray& matrix, Int stride, const NormArrays& norm, bool relu) {
    require(stride == 1 || stride == 2, "a stride is neither 1 nor 2");
    require(side(matrix, 1) == 3 && side(matrix, 2) == 3, "a convolution is not 3x3");
    auto layer = std::make_shared<ConvolutionLayer>(in_order(matrix), side(matrix, 3), side(matrix, 0), stride,
                                                    norm.tracked(), relu);
    layer->owner = owner_of(matrix, norm);
    return layer;
}

UnitBranch unit_branch(const ImageArray& kernel, const NormArrays& norm, const Array& weight1, const Array& bias1,
                       const Array& weight2, const Array& bias2) {
    const TrackedNorm tracked = norm.tracked();
    const Int c = tracked.channels, reduced = static_cast<Int>(bias1.size());
    const SpatialWeighting layers{sized(weight1, reduced * c), bias1.data(), sized(weight2, c * reduced),
                                  sized(bias2, c), reduced};
    return {depthwise_of(kernel, 1, c).kernel, tracked, layers,
            owner_of(kernel, norm, weight1, bias1, weight2, bias2)};
}

// Chosen at the first use: LITEHRNET_KERNELS may name an instruction set that this machine does not have.
const Kernels*& chosen() {
    static const Kernels* table = &choose_kernels();
    return table;
}

Run run(Int threads) { return {*chosen(), threads}; }

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

Sizes path_result(const Path& path, const Sizes& x) { return sizes_of(path.result(shape_of(x))); }

Int path_bytes(const Path& path, const Sizes& x) {
    Memory memory(nullptr);
    path.keep(memory, shape_of(x));
    return memory.bytes();
}

void path_forward(const Path& path, const ImageArray& x, const Bytes& bytes, const ImageArray& out, Int threads) {
    const Images in = images_of(x);
    Memory memory(memory_of(bytes, path_bytes(path, sizes_of(in.shape))));
    path.forward(run(threads), in, path.keep(memory, in.shape), shaped(out, path.result(in.shape)));
}

void path_backward(const Path& path, const ImageArray& x, const Bytes& bytes, const ImageArray& dout,
                   const ImageArray& dx, const Array& gradients, Int threads) {
    const Images in = images_of(x);
    Memory memory(memory_of(bytes, path_bytes(path, sizes_of(in.shape))));
    path.backward(run(threads), in, path.keep(memory, in.shape), shaped(dout, path.result(in.shape)),
                  shaped(dx, in.shape), false, sized(gradients, path.gradients()));
}

Sizes unit_cells(const WeightingUnit& unit, const std::vector<Sizes>& branches) {
    return sizes_of(unit.cells(shapes_of(branches)));
}

template <typename Operation>
Int bytes_of(const Operation& operation, const std::vector<Sizes>& branches) {
    return operation.bytes(shapes_of(branches));
}

void unit_forward_cross(const WeightingUnit& unit, const ImageArrays& arrays, const Bytes& bytes,
                        const ImageArray& logits, Int threads) {
    const std::vector<Images> branches = dense(arrays);
    const std::vector<Shape> shapes = shapes_of(branches);
    unit.forward_cross(run(threads), branches, memory_of(bytes, unit.bytes(shapes)),
                       shaped(logits, unit.cells(shapes)));
}

void unit_forward(const WeightingUnit& unit, const ImageArrays& arrays, const ImageArray& cells, const Bytes& bytes,
                  const ImageArrays& outputs, Int threads) {
    const std::vector<Images> branches = dense(arrays);
    const std::vector<Shape> shapes = shapes_of(branches);
    unit.forward(run(threads), branches, shaped(cells, unit.cells(shapes)), memory_of(bytes, unit.bytes(shapes)),
                 shaped(outputs, branches));
}

void unit_backward(const WeightingUnit& unit, const ImageArrays& arrays, const ImageArray& cells, const Bytes& bytes,
                   const ImageArrays& doutputs, const ImageArrays& dbranches, const ImageArray& dcells,
                   const Array& gradients, Int threads) {
    const std::vector<Images> branches = dense(arrays);
    const std::vector<Shape> shapes = shapes_of(branches);
    const Shape shape = unit.cells(shapes);
    unit.backward(run(threads), branches, shaped(cells, shape), memory_of(bytes, unit.bytes(shapes)),
                  shaped(doutputs, branches), shaped(dbranches, branches), shaped(dcells, shape),
                  sized(gradients, unit.gradients()));
}

void unit_backward_cross(const WeightingUnit& unit, const ImageArrays& arrays, const ImageArray& dlogits,
                         const Bytes& bytes, const ImageArrays& dbranches, const Array& gradients, Int threads) {
    const std::vector<Images> branches = dense(arrays);
    const std::vector<Shape> shapes = shapes_of(branches);
    unit.backward_cross(run(threads), branches, shaped(dlogits, unit.cells(shapes)),
                        memory_of(bytes, unit.bytes(shapes)), shaped(dbranches, branches),
                        sized(gradients, unit.gradients()));
}

void exchange_forward(const Exchange& exchange, const ImageArrays& arrays, const Bytes& bytes,
                      const ImageArrays& outputs, Int threads) {
    const std::vector<Images> branches = dense(arrays);
    exchange.forward(run(threads), branches, memory_of(bytes, exchange.bytes(shapes_of(branches))),
                     shaped(outputs, branches));
}

void exchange_backward(const Exchange& exchange, const ImageArrays& arrays, const Bytes& bytes,
                       const ImageArrays& outputs, const ImageArrays& doutputs, const ImageArrays& dbranches,
                       const Array& gradients, Int threads) {
    const std::vector<Images> branches = dense(arrays);
    exchange.backward(run(threads), branches, memory_of(bytes, exchange.bytes(shapes_of(branches))),
                      shaped(outputs, branches), shaped(doutputs, branches), shaped(dbranches, branches),
                      sized(gradients, exchange.gradients()));
}

}  // namespace

NB_MODULE(_kernels, module) {
    nb::set_leak_warnings(false);  // a network holds operations, and may live until the interpreter ends
    module.def("name", [] { return std::string(chosen()->name); });
    module.def("instruction_sets", &names);
    module.def("use", &use);

    nb::class_<NormArrays>(module, "Norm")
        .def(nb::init<Array, Array, Array, Array, Counter, Int, double, double>());
    nb::class_<Layer>(module, "Layer");
    nb::class_<ProductLayer, Layer>(module, "Product").def(nb::new_(&product_layer));
    module.def("norm", &norm_layer);
    module.def("separable", &separable_layer);
    module.def("convolution", &convolution_layer);
    nb::class_<Path>(module, "Path")
        .def(nb::init<std::vector<std::shared_ptr<const Layer>>>())
        .def_prop_ro("gradients", &Path::gradients)
        .def("result", &path_result)
        .def("bytes", &path_bytes)
        .def("forward", &path_forward, Release())
        .def("backward", &path_backward, Release());

    nb::class_<UnitBranch>(module, "UnitBranch").def(nb::new_(&unit_branch));
    nb::class_<WeightingUnit>(module, "Unit")
        .def(nb::init<Path, std::vector<UnitBranch>>())
        .def_prop_ro("gradients", &WeightingUnit::gradients)
        .def("cells", &unit_cells)
        .def("bytes", &bytes_of<WeightingUnit>)
        .def("forward_cross", &unit_forward_cross, Release())
        .def("forward", &unit_forward, Release())
        .def("backward", &unit_backward, Release())
        .def("backward_cross", &unit_backward_cross, Release());

    nb::class_<PathTerm>(module, "Term").def(nb::init<Int, Path, Int, float>());
    nb::class_<Exchange>(module, "Exchange")
        .def(nb::init<std::vector<std::vector<PathTerm>>, bool>())
        .def_prop_ro("gradients", &Exchange::gradients)
        .def("bytes", &bytes_of<Exchange>)
        .def("forward", &exchange_forward, Release())
        .def("backward", &exchange_backward, Release());
}

}  // namespace litehrnet::training
