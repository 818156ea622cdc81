// Batch normalisation: statistics from sums, and gradients from sums.
#pragma once

#include <cmath>

#include "rows.h"

namespace litehrnet::training {
namespace {

// Over the images, in their order.
inline double total(const double* sums, Int images, Int c, Int channel) {
    double sum = 0;
    for (Int n = 0; n < images; ++n) sum += sums[n * c + channel];
    return sum;
}

// Mean and inverse deviation from sums and sums of squares per image, and a step of the running statistics.
inline void statistics_from(const double* sums, const double* squares, Int images, Int c, Int count, const Norm& norm,
                            const Statistics& statistics) {
    for (Int j = 0; j < c; ++j) {
        const double mean = total(sums, images, c, j) / static_cast<double>(count);
        const double square = total(squares, images, c, j) / static_cast<double>(count);
        const double variance = std::max(0.0, square - mean * mean);
        const double unbiased = variance * static_cast<double>(count) / static_cast<double>(count - 1);
        statistics.mean[j] = mean;
        statistics.inverse_std[j] = 1 / std::sqrt(variance + norm.epsilon);
        const auto move = [&](float& running, double value) {
            running = static_cast<float>(running + norm.momentum * (value - static_cast<double>(running)));
        };
        move(norm.running_mean[j], mean);
        move(norm.running_variance[j], unbiased);
    }
}

inline double gain_of(const Norm& norm, const Statistics& s, Int j) {
    return static_cast<double>(norm.weight[j]) * s.inverse_std[j];
}
inline double offset_of(const Norm& norm, const Statistics& s, Int j) {
    return static_cast<double>(norm.bias[j]) - s.mean[j] * gain_of(norm, s, j);
}

// The gradient through gain and offset of one channel: dx += plus + times * x.
struct ThroughStatistics {
    double plus, times;
};
inline ThroughStatistics through_statistics(const Norm& norm, const Statistics& s, Int j, double dgain, double doffset,
                                            Int count, const NormGradient& dnorm) {
    const double mean = s.mean[j], inverse = s.inverse_std[j];
    const double whole = dgain - mean * doffset;  // of the gain: the offset depends on it
    dnorm.weight[j] = static_cast<float>(inverse * whole);
    dnorm.bias[j] = static_cast<float>(doffset);
    const double dmean = -gain_of(norm, s, j) * doffset;
    const double dvariance = -0.5 * inverse * inverse * inverse * static_cast<double>(norm.weight[j]) * whole;
    return {(dmean - 2 * mean * dvariance) / static_cast<double>(count), 2 * dvariance / static_cast<double>(count)};
}

struct GainAndOffset {
    Floats gain, offset;

    GainAndOffset(const Norm& norm, const Statistics& s, Int c) : gain(period_of(c)), offset(period_of(c)) {
        for (Int j = 0; j < period_of(c); ++j) {
            gain[j] = static_cast<float>(gain_of(norm, s, j % c));
            offset[j] = static_cast<float>(offset_of(norm, s, j % c));
        }
    }
};

// Pieces of an image that are summed in floats before they are added to doubles.
constexpr Int periods_per_piece = 16;

void norm_forward(const Shape& shape, const float* x, const Norm& norm, const Statistics& statistics, bool relu,
                  float* out, Int threads) {
    const Int c = shape.channels, size = shape.places() * c, period = period_of(c), piece = periods_per_piece * period;
    Doubles sums(shape.images * c), squares(shape.images * c);
    for_images(shape.images, threads, [&](Int begin, Int end) {
        for (Int n = begin; n < end; ++n)
            for (Int j = 0; j < size; j += piece)
                add_moments(x + n * size + j, std::min(piece, size - j), c, period, sums + n * c, squares + n * c);
    });
    statistics_from(sums, squares, shape.images, c, shape.images * shape.places(), norm, statistics);
    const GainAndOffset norms(norm, statistics, c);
    const Vector lowest = Vector{} + (relu ? 0.0f : -__builtin_inff());
    for_images(shape.images, threads, [&](Int begin, Int end) {
        for (Int n = begin; n < end; ++n)
            for_vectors(n * size, (n + 1) * size, period, [&](Int j, Int lane, auto vector) {
                const Vector v = vector.load(x + j) * load(norms.gain + lane) + load(norms.offset + lane);
                vector.store(out + j, v < lowest ? lowest : v);
            });
    });
}

void norm_backward(const Shape& shape, const float* x, const Norm& norm, const Statistics& statistics, bool relu,
                   const float* dout, float* dx, const NormGradient& dnorm, Int threads) {
    const Int c = shape.channels, size = shape.places() * c, period = period_of(c), piece = periods_per_piece * period;
    const GainAndOffset norms(norm, statistics, c);
    const Vector lowest = Vector{} + (relu ? 0.0f : -__builtin_inff());
    // The gradient where the output was not cut off.
    const auto passed = [&](Vector g, Vector v, Int lane) {
        const Vector out = v * load(norms.gain + lane) + load(norms.offset + lane);
        return out > lowest ? g : Vector{};
    };
    Doubles sums(shape.images * c), products(shape.images * c);
    for_images(shape.images, threads, [&](Int begin, Int end) {
        const Floats s(period), p(period);
        for (Int n = begin; n < end; ++n)
            for (Int from = n * size; from < (n + 1) * size; from += piece) {
                const Int to = std::min(from + piece, (n + 1) * size);
                for (Int lane = 0; lane < period; lane += lanes) {
                    Vector sum{}, product{};
                    const auto add = [&](Vector g, Vector v) {
                        const Vector through = passed(g, v, lane);
                        sum += through;
                        product += through * v;
                    };
                    Int j = from + lane;
                    for (; j + lanes <= to; j += period) add(load(dout + j), load(x + j));
                    if (j < to) add(Part{to - j}.load(dout + j), Part{to - j}.load(x + j));
                    store(s + lane, sum);
                    store(p + lane, product);
                }
                for (Int j = 0; j < period; ++j) {
                    sums[n * c + j % c] += static_cast<double>(s[j]);
                    products[n * c + j % c] += static_cast<double>(p[j]);
                }
            }
    });
    const Floats plus(c), times(c);
    for (Int j = 0; j < c; ++j) {
        const auto through = through_statistics(norm, statistics, j, total(products, shape.images, c, j),
                                                total(sums, shape.images, c, j), shape.images * shape.places(), dnorm);
        plus[j] = static_cast<float>(through.plus);
        times[j] = static_cast<float>(through.times);
    }
    const Repeated added(+plus, c), multiplied(+times, c);
    for_images(shape.images, threads, [&](Int begin, Int end) {
        for (Int n = begin; n < end; ++n)
            for_vectors(n * size, (n + 1) * size, period, [&](Int j, Int lane, auto vector) {
                const Vector v = vector.load(x + j), g = passed(vector.load(dout + j), v, lane);
                vector.store(dx + j, g * load(norms.gain + lane) + load(added + lane) + v * load(multiplied + lane));
            });
    });
}

}  // namespace
}  // namespace litehrnet::training
