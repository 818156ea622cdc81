// Compares every instruction set with the simplest one, on odd shapes, with 1 and 3 threads. tests/training/fast in Python
// compares it with PyTorch. Every array is exactly as long as needed, so sanitizers notice accesses outside.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <vector>

#include "../training/kernels.h"

using namespace litehrnet::training;

namespace {

using Values = std::vector<float>;

Values numbers(Int count, unsigned seed) {
    Values values(static_cast<std::size_t>(count));
    for (float& value : values) {
        seed = seed * 1664525u + 1013904223u;
        value = static_cast<float>(seed >> 8) / 16777216.0f - 0.5f;
    }
    return values;
}

Values zeros(Int count) { return Values(static_cast<std::size_t>(count)); }

struct NormArrays {
    Values weight, bias, mean, variance;
    std::vector<double> statistics;
    Values dweight, dbias;

    explicit NormArrays(Int c)
        : weight(numbers(c, 1)), bias(numbers(c, 2)), mean(numbers(c, 3)), variance(numbers(c, 4)),
          statistics(static_cast<std::size_t>(2 * c)), dweight(weight), dbias(bias) {}
    // With a large epsilon: of few values, that they are nearly equal must not make much of rounding.
    Norm norm() { return {weight.data(), bias.data(), mean.data(), variance.data(), 0.1, 0.1}; }
    Statistics saved() { return {statistics.data(), statistics.data() + weight.size()}; }
    NormGradient gradient() { return {dweight.data(), dbias.data()}; }
};

// All that a family of kernels writes, one after another.
using Run = std::function<Values(const Kernels&, Int threads)>;

void append(Values& all, const Values& more) { all.insert(all.end(), more.begin(), more.end()); }

Values norms(const Kernels& kernels, Int threads, const Shape& shape, bool relu) {
    const Int count = shape.images * shape.places() * shape.channels;
    const Values x = numbers(count, 5), dout = numbers(count, 6);
    Values out(x.size()), dx(x.size());
    NormArrays a(shape.channels);
    kernels.norm_forward(shape, x.data(), a.norm(), a.saved(), relu, out.data(), threads);
    kernels.norm_backward(shape, x.data(), a.norm(), a.saved(), relu, dout.data(), dx.data(), a.gradient(), threads);
    for (const Values* more : {&dx, &a.dweight, &a.dbias, &a.mean, &a.variance}) append(out, *more);
    return out;
}

Values depthwise(const Kernels& kernels, Int threads, const Shape& shape, Int stride, Int x_stride) {
    const Int c = shape.channels, pixels = shape.images * shape.places();
    const Values x = numbers((pixels - 1) * x_stride + c, 7), kernel = numbers(9 * c, 8);
    const Depthwise layer{kernel.data(), stride};
    const Int out = shape.images * layer.size(shape.height) * layer.size(shape.width) * c;
    const Values dy = numbers(out, 9), dgain = numbers(c, 10), doffset = numbers(c, 11);
    Values y = zeros(out), gain = zeros(c), offset = zeros(c), dx = zeros(pixels * c), dkernel = zeros(9 * c);
    NormArrays a(c);
    kernels.depthwise_forward(shape, x.data(), x_stride, layer, a.norm(), a.saved(), y.data(), gain.data(),
                              offset.data(), threads);
    kernels.depthwise_backward(shape, x.data(), x_stride, layer, y.data(), a.norm(), a.saved(), dy.data(), dgain.data(),
                               doffset.data(), dx.data(), false, dkernel.data(), a.gradient(), threads);
    kernels.depthwise_backward(shape, x.data(), x_stride, layer, y.data(), a.norm(), a.saved(), dy.data(), dgain.data(),
                               doffset.data(), dx.data(), true, dkernel.data(), a.gradient(), threads);
    for (const Values* more : {&gain, &offset, &dx, &dkernel, &a.dweight, &a.dbias}) append(y, *more);
    return y;
}

Values products(const Kernels& kernels, Int threads, const Shape& shape, Int columns, Int x_stride, bool relu) {
    const Int c = shape.channels, pixels = shape.images * shape.places();
    const Values x = numbers((pixels - 1) * x_stride + c, 12), matrix = numbers(columns * c, 13);
    const Values bias = numbers(columns, 14), dout = numbers(pixels * columns, 15);
    Values y(dout.size()), out(dout.size()), dx = zeros(pixels * c), dmatrix(matrix.size());
    NormArrays a(columns);
    kernels.product_norm_forward(shape, x.data(), x_stride, matrix.data(), relu ? nullptr : bias.data(), columns,
                                 y.data(), a.norm(), a.saved(), relu, out.data(), threads);
    kernels.product_norm_backward(shape, x.data(), x_stride, matrix.data(), columns, y.data(), a.norm(), a.saved(),
                                  relu, dout.data(), dx.data(), false, dmatrix.data(), a.gradient(), threads);
    kernels.product_norm_backward(shape, x.data(), x_stride, matrix.data(), columns, y.data(), a.norm(), a.saved(),
                                  relu, dout.data(), dx.data(), true, dmatrix.data(), a.gradient(), threads);
    for (const Values* more : {&out, &dx, &dmatrix, &a.dweight, &a.dbias, &a.mean, &a.variance}) append(y, *more);
    return y;
}

Values convolutions(const Kernels& kernels, Int threads, const Shape& shape, Int columns, Int stride) {
    const Int c = shape.channels;
    const Int places = shape.images * ((shape.height + stride - 1) / stride) * ((shape.width + stride - 1) / stride);
    const Values x = numbers(shape.images * shape.places() * c, 27), matrix = numbers(columns * 9 * c, 28);
    const Values dout = numbers(places * columns, 29);
    Values y(dout.size()), out(dout.size()), dmatrix(matrix.size());
    NormArrays a(columns);
    kernels.convolution_norm_forward(shape, x.data(), stride, matrix.data(), columns, y.data(), a.norm(), a.saved(),
                                     true, out.data(), threads);
    kernels.convolution_norm_backward(shape, x.data(), stride, columns, y.data(), a.norm(), a.saved(), true,
                                      dout.data(), dmatrix.data(), a.gradient(), threads);
    for (const Values* more : {&out, &dmatrix, &a.dweight, &a.dbias, &a.mean, &a.variance}) append(y, *more);
    return y;
}

Values units(const Kernels& kernels, Int threads, const Shape& shape, Int factor, Int reduced) {
    const Int c = shape.channels, pixels = shape.images * shape.places(), step = c + 3;
    const Int cells = shape.images * (shape.height / factor) * (shape.width / factor);
    const Values x = numbers(2 * pixels * c, 16), kernel = numbers(9 * c, 17), dout = numbers(2 * pixels * c, 18);
    const Values w1 = numbers(reduced * c, 19), b1 = numbers(reduced, 20);
    const Values w2 = numbers(reduced * c, 21), b2 = numbers(c, 22);
    Values weights = zeros((cells - 1) * step + c), dcells(weights);
    Values y = zeros(pixels * c), out(x.size()), dx(x.size()), dkernel(kernel.size());
    Values dw1(w1), db1(b1), dw2(w2), db2(b2);
    std::vector<double> moments(static_cast<std::size_t>(3 * shape.images * c));
    NormArrays a(c);
    kernels.pool_forward(shape, x.data(), weights.data(), step, factor, threads);
    const Cells given{weights.data(), step, factor};
    const SpatialWeighting layers{w1.data(), b1.data(), w2.data(), b2.data(), reduced};
    kernels.unit_forward(shape, x.data(), given, kernel.data(), a.norm(), layers, y.data(), moments.data(), out.data(),
                         threads);
    kernels.unit_backward(shape, x.data(), given, kernel.data(), a.norm(), layers, y.data(), moments.data(),
                          dout.data(), dx.data(), dcells.data(), dkernel.data(), a.gradient(),
                          {dw1.data(), db1.data(), dw2.data(), db2.data()}, threads);
    kernels.pool_backward(shape, dx.data(), dcells.data(), step, factor, threads);
    for (const Values* more : {&y, &dx, &dcells, &dkernel, &a.dweight, &a.dbias, &dw1, &db1, &dw2, &db2})
        append(out, *more);
    return out;
}

Values sums(const Kernels& kernels, Int threads, const Shape& shape, Int factor) {
    const Int count = shape.images * shape.places() * shape.channels;
    const Values x = numbers(count, 23), dsum = numbers(count, 24), drectified = numbers(count, 25);
    Values same = numbers(count, 26), small = numbers(count / (factor * factor), 27);
    Values sum(x.size()), rectified(x.size()), dx(x.size()), dsame(same.size()), dsmall(small.size());
    NormArrays a(shape.channels), b(shape.channels);
    const Shape lower{shape.images, shape.height / factor, shape.width / factor, shape.channels};
    Values unused(x.size());
    kernels.norm_forward(shape, same.data(), a.norm(), a.saved(), false, unused.data(), threads);
    kernels.norm_forward(lower, small.data(), b.norm(), b.saved(), false, unused.data(), threads);
    const Term terms[] = {{same.data(), 1, 2.0f, a.norm(), a.saved()}, {small.data(), factor, 1.0f, b.norm(), b.saved()}};
    kernels.fuse_forward(shape, x.data(), 2.0f, terms, 2, sum.data(), rectified.data(), threads);
    const TermGradient gradients[] = {{dsame.data(), 1, 2.0f}, {dsmall.data(), factor, 1.0f}};
    const auto backward = [&](const float* of_sum, bool add) {
        kernels.fuse_backward(shape, rectified.data(), of_sum, drectified.data(), 2.0f, dx.data(), add, gradients, 2,
                              threads);
        for (const Values* more : {&dx, &dsame, &dsmall}) append(sum, *more);
    };
    backward(dsum.data(), false);
    backward(nullptr, true);
    Values again = zeros(count);
    kernels.fuse_forward(shape, x.data(), 2.0f, terms, 2, nullptr, again.data(), threads);
    for (const Values* more : {&rectified, &again}) append(sum, *more);
    return sum;
}

bool compare(const char* name, const Run& run) {
    const auto present = present_kernels();
    const Values wanted = run(*present.back(), 1);
    bool good = true;
    for (const Kernels* kernels : present) {
        const Values one = run(*kernels, 1), three = run(*kernels, 3);
        double error = 0, largest = 1;
        for (std::size_t i = 0; i < wanted.size(); ++i) {
            error = std::max(error, std::fabs(static_cast<double>(one[i]) - static_cast<double>(wanted[i])));
            largest = std::max(largest, std::fabs(static_cast<double>(wanted[i])));
        }
        const bool same = one == three;
        if (error <= 1e-4 * largest && same) continue;
        std::printf("%s, %s: error %g of %g, threads %s\n", name, kernels->name, error, largest,
                    same ? "agree" : "differ");
        good = false;
    }
    return good;
}

}  // namespace

int main() {
    bool good = true;
    const auto check = [&](const char* name, const Run& run) { good &= compare(name, run); };
    for (const Int c : {1, 3, 16, 20, 37, 40, 80, 160}) {
        const Shape odd{2, 5, 7, c}, point{3, 1, 1, c}, even{2, 8, 4, c};
        for (const Shape& shape : {odd, point, even}) {
            for (const bool relu : {false, true})
                check("norm", [&](const Kernels& k, Int t) { return norms(k, t, shape, relu); });
            for (const Int stride : {1, 2})
                for (const Int step : {c, 2 * c})
                    check("depthwise", [&](const Kernels& k, Int t) { return depthwise(k, t, shape, stride, step); });
            for (const Int columns : {1, 8, 17, 40, 90})
                for (const bool relu : {false, true})
                    check("product", [&](const Kernels& k, Int t) {
                        return products(k, t, shape, columns, c + 1, relu);
                    });
        }
        for (const Shape& shape : {Shape{2, 5, 7, 3}, Shape{3, 1, 1, 3}, Shape{2, 50, 60, 3}, Shape{2, 5, 7, c}})
            for (const Int stride : {1, 2})
                check("convolution", [&](const Kernels& k, Int t) { return convolutions(k, t, shape, 17, stride); });
        const Shape large{1, 50, 60, c};  // of several blocks, and of two parts
        check("product", [&](const Kernels& k, Int t) { return products(k, t, large, 20, c, true); });
        for (const Int factor : {1, 2, 4}) {
            check("unit", [&](const Kernels& k, Int t) { return units(k, t, even, factor, c / 4 + 1); });
            check("sum", [&](const Kernels& k, Int t) { return sums(k, t, even, factor); });
        }
    }
    std::printf(good ? "all kernels agree\n" : "kernels differ\n");
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
