// Batch normalization: statistics from sums, and gradients from sums.
#pragma once

#include <cmath>

#include "rows.h"

namespace litehrnet::training {
namespace {

// Sums over the images, in order.
template <typename Value>
double total(const Value* sums, Int images, Int c, Int channel) {
    double sum = 0;
    for (Int n = 0; n < images; ++n) sum += static_cast<double>(sums[n * c + channel]);
    return sum;
}

// Mean and inverse standard deviation from sums and sums of squares per image; updates the running statistics.
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

// Adds the sums and the sums of squares of whole pixels, `size` floats.
inline void add_all_moments(const float* x, Int size, ChannelSums& moments, double* sums, double* squares) {
    const Int piece = periods_per_piece * moments.period();
    for (Int j = 0; j < size; j += piece) add_moments(x + j, std::min(piece, size - j), moments);
    moments.move_to(sums, squares);
}

inline Vector lowest_output(bool relu) { return Vector{} + (relu ? 0.0f : -__builtin_inff()); }

// out = norm(x), or ReLU of it.
inline void normalize(const Shape& shape, const float* x, const Norm& norm, const Statistics& statistics, bool relu,
                      float* out, Int threads) {
    const Int c = shape.channels, size = shape.places() * c;
    const GainAndOffset norms(norm, statistics, c);
    const Vector lowest = lowest_output(relu);
    for_images(shape.images, threads, [&](Int begin, Int end) {
        for (Int n = begin; n < end; ++n)
            for_vectors(n * size, (n + 1) * size, period_of(c), [&](Int j, Int lane, auto vector) {
                const Vector v = vector.load(x + j) * load(norms.gain + lane) + load(norms.offset + lane);
                vector.store(out + j, v < lowest ? lowest : v);
            });
    });
}

void norm_forward(const Shape& shape, const float* x, const Norm& norm, const Statistics& statistics, bool relu,
                  float* out, Int threads) {
    const Int c = shape.channels, size = shape.places() * c;
    Doubles sums(shape.images * c), squares(shape.images * c);
    for_images(shape.images, threads, [&](Int begin, Int end) {
        ChannelSums moments(c);
        for (Int n = begin; n < end; ++n) add_all_moments(x + n * size, size, moments, sums + n * c, squares + n * c);
    });
    statistics_from(sums, squares, shape.images, c, shape.images * shape.places(), norm, statistics);
    normalize(shape, x, norm, statistics, relu, out, threads);
}

// The backward pass of batch normalization of x, and of ReLU.
class NormBackward {
public:
    // Writes the gradients of the parameters.
    NormBackward(const Shape& shape, const float* x, const Norm& norm, const Statistics& statistics, bool relu,
                 const float* dout, const NormGradient& dnorm, Int threads)
        : period_(period_of(shape.channels)), lowest_(lowest_output(relu)), norms_(norm, statistics, shape.channels),
          plus_(period_), times_(period_) {
        const Int c = shape.channels, size = shape.places() * c;
        Doubles sums(shape.images * c), products(shape.images * c);
        for_images(shape.images, threads, [&](Int begin, Int end) {
            ChannelSums image(c);
            for (Int n = begin; n < end; ++n) {
                sum(x + n * size, dout + n * size, size, image);
                image.move_to(sums + n * c, products + n * c);
            }
        });
        for (Int j = 0; j < c; ++j) {
            const auto through =
                through_statistics(norm, statistics, j, total(+products, shape.images, c, j),
                                   total(+sums, shape.images, c, j), shape.images * shape.places(), dnorm);
            for (Int k = j; k < period_; k += c) {
                plus_[k] = static_cast<float>(through.plus);
                times_[k] = static_cast<float>(through.times);
            }
        }
    }

    // The gradient of whole pixels of x, `size` floats.
    void write(const float* x, const float* dout, Int size, float* dx) const {
        for_vectors(0, size, period_, [&](Int j, Int lane, auto vector) {
            const Vector v = vector.load(x + j), g = passed(vector.load(dout + j), v, lane);
            vector.store(dx + j, g * load(norms_.gain + lane) + load(plus_ + lane) + v * load(times_ + lane));
        });
    }

private:
    // The gradient where the output was not cut off.
    LITEHRNET_ALWAYS Vector passed(Vector gradient, Vector x, Int lane) const {
        const Vector out = x * load(norms_.gain + lane) + load(norms_.offset + lane);
        return out > lowest_ ? gradient : Vector{};
    }
    // Adds the sums of the gradients of whole pixels, and of their products with x.
    void sum(const float* x, const float* dout, Int size, ChannelSums& sums) const {
        const Int piece = periods_per_piece * period_;
        for (Int from = 0; from < size; from += piece)
            add_piece(from, std::min(from + piece, size), sums, [&](Int j, Int lane, auto vector) LITEHRNET_INLINED {
                const Vector v = vector.load(x + j), g = passed(vector.load(dout + j), v, lane);
                return Terms{g, g * v};
            });
    }

    Int period_;
    Vector lowest_;
    GainAndOffset norms_;
    Floats plus_, times_;
};

void norm_backward(const Shape& shape, const float* x, const Norm& norm, const Statistics& statistics, bool relu,
                   const float* dout, float* dx, const NormGradient& dnorm, Int threads) {
    const NormBackward through(shape, x, norm, statistics, relu, dout, dnorm, threads);
    const Int size = shape.places() * shape.channels;
    for_images(shape.images, threads, [&](Int begin, Int end) {
        through.write(x + begin * size, dout + begin * size, (end - begin) * size, dx + begin * size);
    });
}

}  // namespace
}  // namespace litehrnet::training
