// The engine for Python: from programs and images to heatmaps. Arrays are checked here; the engine trusts its callers.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <array>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "../engine/peaks.h"
#include "../engine/runner.h"

namespace nb = nanobind;

namespace litehrnet {
namespace {

template <typename Value, typename... Shape>
using Input = nb::ndarray<const Value, Shape..., nb::c_contig, nb::device::cpu>;
using Images = Input<std::uint8_t, nb::shape<-1, -1, -1, 3>>;

template <typename Value>
std::span<const Value> span_of(const Input<Value, nb::ndim<1>>& array) {
    return {array.data(), array.size()};
}

// An array that owns its values.
template <typename Value, std::size_t dimensions>
nb::ndarray<nb::numpy, Value> array_of(std::unique_ptr<Value[]> values, const std::array<std::size_t, dimensions>& shape) {
    nb::capsule owner(values.get(), [](void* p) noexcept { delete[] static_cast<Value*>(p); });
    return {values.release(), dimensions, shape.data(), owner};
}

class NativeRunner {
public:
    NativeRunner(const Input<std::int32_t, nb::ndim<1>>& numbers, const Input<float, nb::ndim<1>>& constants, int threads,
                 bool bfloat16)
        : NativeRunner(read_program(span_of(numbers), span_of(constants)), threads,
                       bfloat16 ? Precision::bfloat16 : Precision::float32) {}

    nb::ndarray<nb::numpy, float> run(const Images& images) {
        check(images);
        const std::size_t count = images.shape(0);
        auto heatmaps = std::make_unique_for_overwrite<float[]>(
            count * static_cast<std::size_t>(runner_.engine().heatmap_floats()));
        {
            const nb::gil_scoped_release released;
            runner_.run(images.data(), static_cast<std::int64_t>(count), heatmaps.get());
        }
        return array_of(std::move(heatmaps), std::array{count, size(output_.count()), size(output_.height),
                                                        size(output_.width)});
    }

    nb::ndarray<nb::numpy, double> profile(const Images& image) {
        check(image);
        if (image.shape(0) != 1) throw nb::value_error("expected one image");
        auto seconds = std::make_unique_for_overwrite<double[]>(kinds_.size());
        {
            const nb::gil_scoped_release released;
            runner_.profile(image.data(), seconds.get());
        }
        return array_of(std::move(seconds), std::array{kinds_.size()});
    }

    std::string kernels() const { return runner_.engine().kernels().name; }
    std::int64_t arena_bytes() const { return runner_.engine().arena_floats() * static_cast<std::int64_t>(sizeof(float)); }
    std::vector<std::int32_t> kinds() const { return kinds_; }
    std::vector<std::int32_t> heatmap_shape() const { return {output_.count(), output_.height, output_.width}; }

private:
    NativeRunner(const Program& program, int threads, Precision precision)
        : runner_(program, choose_kernels(), threads, precision),
          width_(program.width),
          height_(program.height),
          output_(program.output) {
        for (const Step& step : program.steps) kinds_.push_back(static_cast<std::int32_t>(step.kind));
    }

    static std::size_t size(std::int32_t value) { return static_cast<std::size_t>(value); }

    void check(const Images& images) const {
        if (images.shape(1) == size(height_) && images.shape(2) == size(width_)) return;
        const std::string wanted = std::to_string(height_) + ", " + std::to_string(width_);
        throw nb::value_error(("expected images of shape (n, " + wanted + ", 3)").c_str());
    }

    Runner runner_;
    std::int32_t width_, height_;
    Planes output_;
    std::vector<std::int32_t> kinds_;
};

template <std::size_t count>
nb::list list_of(const char* const (&names)[count]) {
    nb::list list;
    for (const char* name : names) list.append(name);
    return list;
}

// A program is invalid if reading it throws.
void check_program(const Input<std::int32_t, nb::ndim<1>>& numbers, const Input<float, nb::ndim<1>>& constants) {
    read_program(span_of(numbers), span_of(constants));
}

double peak_macs() {
    const nb::gil_scoped_release released;
    return peaks_of(choose_kernels()).multiply_adds();
}

double peak_reading(std::int64_t bytes) {
    if (bytes < 256 || bytes > std::int64_t{1} << 32) throw nb::value_error("expected 256 to 2^32 bytes");
    const nb::gil_scoped_release released;
    const std::int64_t floats = bytes / 256 * 64;
    const Arena block(floats);
    return peaks_of(choose_kernels()).reading(block.data(), floats);
}

}  // namespace

NB_MODULE(_native, module) {
    nb::exception<ProgramError>(module, "ProgramError", PyExc_ValueError);
    module.attr("KINDS") = list_of(kind_names);
    module.attr("ACTIVATIONS") = list_of(activation_names);
    module.def("check", &check_program, nb::arg("numbers"), nb::arg("constants"));
    module.def("kernels", [] { return std::string(choose_kernels().name); });
    module.def("peak_macs", &peak_macs);
    module.def("peak_reading", &peak_reading, nb::arg("bytes"));
    module.def("has_bfloat16", [] { return choose_kernels().pointwise_bf16 != nullptr; });
    nb::class_<NativeRunner>(module, "Runner")
        .def(nb::init<const Input<std::int32_t, nb::ndim<1>>&, const Input<float, nb::ndim<1>>&, int, bool>(),
             nb::arg("numbers"), nb::arg("constants"), nb::arg("threads"), nb::arg("bfloat16") = false)
        .def("run", &NativeRunner::run, nb::arg("images"))
        .def("profile", &NativeRunner::profile, nb::arg("image"))
        .def_prop_ro("kernels", &NativeRunner::kernels)
        .def_prop_ro("arena_bytes", &NativeRunner::arena_bytes)
        .def_prop_ro("kinds", &NativeRunner::kinds)
        .def_prop_ro("heatmap_shape", &NativeRunner::heatmap_shape);
}

}  // namespace litehrnet
