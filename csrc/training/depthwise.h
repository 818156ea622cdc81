// 3x3 convolutions of every channel by itself, row by row. Three rows of the input, and of the gradient, are kept.
#pragma once

#include "norm.h"

namespace litehrnet::training {
namespace {

// Layout of a kept row of the input, with zeros around it: whole for stride 1; for stride 2, first its odd, then its
// even pixels. So the pixels under one weight are consecutive for both strides.
struct HeldRows {
    Int c, width, out, stride;

    HeldRows(const Shape& shape, const Depthwise& depthwise)
        : c(shape.channels), width(shape.width), out(depthwise.size(width)), stride(depthwise.stride) {}

    Int floats() const { return (stride == 1 ? width + 2 : 2 * out + 1) * c + slack; }
    // A row of the image, `step` floats from one pixel to the next.
    template <typename C>
    void hold(const float* from, Int step, float* row, C channels) const {
        if (stride == 1) return copy_pixels(from, step, row + c, c, width, channels);
        copy_pixels(from, 2 * step, row + (out + 1) * c, c, out, channels);
        copy_pixels(from + step, 2 * step, row + c, c, width / 2, channels);
    }
    // Start of the pixels under the left (0), the middle (1) or the right (2) weight.
    const float* under(const float* row, Int weight) const {
        if (stride == 1) return row + weight * c;
        return weight == 1 ? row + (out + 1) * c : row + weight / 2 * c;
    }
};

// Whole vectors that hold as many floats.
inline Int whole_vectors(Int floats) { return (floats + lanes - 1) / lanes * lanes; }

// The last three of the rows that `make(row, buffer)` makes; rows outside the image are zeros.
template <typename Make>
class ThreeRows {
public:
    ThreeRows(Int rows, Int floats, const Make& make)
        : rows_(rows), floats_(whole_vectors(floats)), make_(make), held_(3 * floats_), zeros_(floats_) {}

    void begin_image() { made_ = 0; }
    // Makes rows up to this one.
    void make_to(Int row) {
        for (; made_ <= std::min(row, rows_ - 1); ++made_) make_(made_, held_ + made_ % 3 * floats_);
    }
    const float* operator[](Int row) const {
        return row < 0 || row >= rows_ ? +zeros_ : held_ + row % 3 * floats_;
    }

private:
    Int rows_, floats_, made_ = 0;
    const Make& make_;
    Floats held_, zeros_;
};

// The nine weights of every channel, each repeated for a period.
struct RepeatedKernel : Floats {
    Int period;

    RepeatedKernel(const float* kernel, Int c) : Floats(9 * period_of(c)), period(period_of(c)) {
        for (Int t = 0; t < 9; ++t)
            for (Int j = 0; j < period; ++j) (*this)[t * period + j] = kernel[j % c * 9 + t];
    }
    const float* weight(Int y, Int x) const { return *this + (3 * y + x) * period; }
};

// Computes y of one image, and its sums and sums of squares.
template <typename Make>
void convolve(const Shape& shape, const Depthwise& depthwise, const HeldRows& layout, const RepeatedKernel& kernel,
              ThreeRows<Make>& rows, float* y, double* sums, double* squares) {
    const Int length = layout.out * layout.c;
    ChannelSums moments(layout.c);
    rows.begin_image();
    for (Int r = 0; r < depthwise.size(shape.height); ++r, y += length) {
        rows.make_to(r * depthwise.stride + 1);
        const float *taps[9], *weights[9];
        for (Int t = 0; t < 9; ++t) {
            taps[t] = layout.under(rows[r * depthwise.stride + t / 3 - 1], t % 3);
            weights[t] = kernel.weight(t / 3, t % 3);
        }
        weighted_sum(y, taps, weights, length, kernel.period);
        add_moments(y, length, moments);
    }
    moments.move_to(sums, squares);
}

// Computes, for one image, the sums for the gradient of the kernel, (9, period), and every row of the gradient of the
// input. A row is written to target(row), followed by a call of finish(row). Rows of `dy` have a pixel of zeros on
// either side.
template <typename Make, typename MakeGradient, typename Target, typename Finish>
void convolve_backward(const Shape& shape, const Depthwise& depthwise, const HeldRows& layout,
                       const RepeatedKernel& kernel, ThreeRows<Make>& rows, ThreeRows<MakeGradient>& dy,
                       float* halves, float* dkernel, const Target& target, const Finish& finish) {
    const Int c = layout.c, length = layout.out * c, height = shape.height, period = kernel.period;
    float *even = halves, *odd = halves + length + slack;
    const auto finish_halves = [&](Int row) {
        with_constant(c, [&](auto channels) {
            copy_pixels(even, c, target(row), 2 * c, layout.out, channels);
            copy_pixels(odd, c, target(row) + c, 2 * c, shape.width / 2, channels);
        });
        finish(row);
    };
    rows.begin_image();
    dy.begin_image();
    for (Int r = 0; r < depthwise.size(height); ++r) {
        rows.make_to(r * depthwise.stride + 1);
        dy.make_to(r + 1);
        const float* taps[9];
        for (Int t = 0; t < 9; ++t) taps[t] = layout.under(rows[r * depthwise.stride + t / 3 - 1], t % 3);
        add_products(dkernel, dy[r] + c, taps, length, period);
        // The gradient at x is *above[c], *here[c] or *below[c].
        const float *above = dy[r - 1], *here = dy[r], *below = dy[r + 1];
        if (depthwise.stride == 1) {
            const float* gradients[9] = {below,        below + c, below + 2 * c, here,         here + c,
                                         here + 2 * c, above,     above + c,     above + 2 * c};
            const float* weights[9];
            for (Int t = 0; t < 9; ++t) weights[t] = kernel.weight(t / 3, 2 - t % 3);
            weighted_sum(target(r), gradients, weights, length, period);
            finish(r);
            continue;
        }
        weighted_sum(even, {here + c}, {kernel.weight(1, 1)}, length, period);
        weighted_sum(odd, {here + c, here + 2 * c}, {kernel.weight(1, 2), kernel.weight(1, 0)}, length, period);
        finish_halves(2 * r);
        if (2 * r + 1 == height) continue;
        weighted_sum(even, {here + c, below + c}, {kernel.weight(2, 1), kernel.weight(0, 1)}, length, period);
        weighted_sum(odd, {here + c, here + 2 * c, below + c, below + 2 * c},
                     {kernel.weight(2, 2), kernel.weight(2, 0), kernel.weight(0, 2), kernel.weight(0, 0)}, length,
                     period);
        finish_halves(2 * r + 1);
    }
}

// dkernel (channels, 3, 3) from the sums of all images, (images, 9, period).
inline void kernel_gradient(const float* sums, Int images, Int c, float* dkernel) {
    const Int period = period_of(c);
    for (Int j = 0; j < c; ++j)
        for (Int t = 0; t < 9; ++t) {
            double sum = 0;
            for (Int n = 0; n < images; ++n)
                for (Int k = j; k < period; k += c) sum += static_cast<double>(sums[(n * 9 + t) * period + k]);
            dkernel[j * 9 + t] = static_cast<float>(sum);
        }
}

void depthwise_forward(const Shape& shape, const float* x, Int x_stride, const Depthwise& depthwise, const Norm& norm,
                       const Statistics& statistics, float* y, float* gain, float* offset, Int threads) {
    const HeldRows layout(shape, depthwise);
    const Int c = shape.channels, places = depthwise.size(shape.height) * layout.out;
    const RepeatedKernel kernel(depthwise.kernel, c);
    Doubles sums(shape.images * c), squares(shape.images * c);
    for_images(shape.images, threads, [&](Int begin, Int end) {
        const float* image = nullptr;
        const auto make = [&](Int row, float* held) {
            with_constant(c, [&](auto channels) {
                layout.hold(image + row * shape.width * x_stride, x_stride, held, channels);
            });
        };
        ThreeRows rows(shape.height, layout.floats(), make);
        for (Int n = begin; n < end; ++n) {
            image = x + n * shape.places() * x_stride;
            convolve(shape, depthwise, layout, kernel, rows, y + n * places * c, sums + n * c, squares + n * c);
        }
    });
    statistics_from(sums, squares, shape.images, c, shape.images * places, norm, statistics);
    for (Int j = 0; j < c; ++j) {
        gain[j] = static_cast<float>(gain_of(norm, statistics, j));
        offset[j] = static_cast<float>(offset_of(norm, statistics, j));
    }
}

void depthwise_backward(const Shape& shape, const float* x, Int x_stride, const Depthwise& depthwise, const float* y,
                        const Norm& norm, const Statistics& statistics, const float* dy, const float* dgain,
                        const float* doffset, float* dx, bool add, float* dkernel, const NormGradient& dnorm,
                        Int threads) {
    const HeldRows layout(shape, depthwise);
    const Int c = shape.channels, places = depthwise.size(shape.height) * layout.out, length = layout.out * c;
    const RepeatedKernel kernel(depthwise.kernel, c);
    const Int period = kernel.period;
    const Floats plus(c), times(c), sums(shape.images * 9 * period);
    for (Int j = 0; j < c; ++j) {
        const auto through =
            through_statistics(norm, statistics, j, static_cast<double>(dgain[j]), static_cast<double>(doffset[j]),
                               shape.images * places, dnorm);
        plus[j] = static_cast<float>(through.plus);
        times[j] = static_cast<float>(through.times);
    }
    const Repeated added(+plus, c), multiplied(+times, c);
    for_images(shape.images, threads, [&](Int begin, Int end) {
        Int n = begin;
        const auto make = [&](Int row, float* held) {
            with_constant(c, [&](auto channels) {
                layout.hold(x + (n * shape.height + row) * shape.width * x_stride, x_stride, held, channels);
            });
        };
        const auto make_gradient = [&](Int row, float* held) {
            const float *g = dy + n * places * c + row * length, *v = y + n * places * c + row * length;
            for_vectors(0, length, period, [&](Int j, Int lane, auto vector) {
                vector.store(held + c + j,
                             vector.load(g + j) + load(added + lane) + vector.load(v + j) * load(multiplied + lane));
            });
        };
        ThreeRows rows(shape.height, layout.floats(), make);
        ThreeRows gradients(depthwise.size(shape.height), (layout.out + 2) * c + slack, make_gradient);
        const Int size = shape.width * c;
        const Floats halves(2 * (length + slack)), added_row(size);
        const auto row_of_dx = [&](Int row) { return dx + (n * shape.height + row) * size; };
        const auto target = [&](Int row) { return add ? +added_row : row_of_dx(row); };
        const auto finish = [&](Int row) {
            if (add) add_row(added_row, size, row_of_dx(row));
        };
        for (; n < end; ++n)
            convolve_backward(shape, depthwise, layout, kernel, rows, gradients, halves, sums + n * 9 * period, target,
                              finish);
    });
    kernel_gradient(sums, shape.images, c, dkernel);
}

}  // namespace
}  // namespace litehrnet::training
