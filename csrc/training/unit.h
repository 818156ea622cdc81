// One branch of conditional channel weighting, and the pooling before it.
#pragma once

#include "depthwise.h"

namespace litehrnet::training {
namespace {

void pool_forward(const Shape& shape, const float* x, float* cells, Int cell_stride, Int factor, Int threads) {
    const Int across = shape.width / factor;
    for_images(shape.images, threads, [&](Int begin, Int end) {
        with_constant(shape.channels, [&](auto c) {
            const float scale = 1.0f / static_cast<float>(factor * factor);
            const float* pixel = x + begin * shape.places() * 2 * c + c;
            for (Int row = begin * shape.height; row < end * shape.height; ++row) {
                float* mean = cells + row / factor * across * cell_stride;
                const bool is_first = row % factor == 0;
                for (Int cell = 0; cell < across; ++cell, mean += cell_stride, pixel += factor * 2 * c)
                    for_channels(c, [&](Int j, auto channels) {
                        auto sum = decltype(channels.load(mean)){};
                        for (Int px = 0; px < factor; ++px) sum += channels.load(pixel + px * 2 * c + j);
                        channels.store(mean + j, is_first ? sum * scale : channels.load(mean + j) + sum * scale);
                    });
            }
        });
    });
}

void pool_backward(const Shape& shape, float* dx, const float* dcells, Int cell_stride, Int factor, Int threads) {
    const Int across = shape.width / factor;
    for_images(shape.images, threads, [&](Int begin, Int end) {
        with_constant(shape.channels, [&](auto c) {
            const float scale = 1.0f / static_cast<float>(factor * factor);
            for (Int row = begin * shape.height; row < end * shape.height; ++row)
                for (Int px = 0; px < shape.width; ++px) {
                    float* to = dx + (row * shape.width + px) * 2 * c + c;
                    const float* from = dcells + (row / factor * across + px / factor) * cell_stride;
                    for_channels(c, [&](Int j, auto channels) {
                        channels.store(to + j, channels.load(to + j) + channels.load(from + j) * scale);
                    });
                }
        });
    });
}

// Sum of products, in eight parts at once. Rounding depends on the order, so a compiler does not split a sum by itself.
inline double dot(const double* a, const double* b, Int count) {
    double sums[8] = {}, rest = 0;
    Int j = 0;
    for (; j + 8 <= count; j += 8)
        for (Int k = 0; k < 8; ++k) sums[k] += a[j + k] * b[j + k];
    for (; j < count; ++j) rest += a[j] * b[j];
    for (const double sum : sums) rest += sum;
    return rest;
}

struct Converted : Doubles {
    Converted(const float* values, Int count) : Doubles(count) {
        for (Int i = 0; i < count; ++i) (*this)[i] = static_cast<double>(values[i]);
    }
};

// The layers of spatial weighting, with the values that their backward pass needs, (images, channels) each.
struct Weighting {
    Int images, c, reduced;
    const Converted weight1, weight2;
    Doubles pooled, hidden;  // hidden: (images, reduced)
    double* weights;         // kept from the forward to the backward pass

    Weighting(Int images, Int c, const SpatialWeighting& layers, const Norm& norm, const Statistics& s,
              const double* sums, Int places, double* weights)
        : images(images), c(c), reduced(layers.reduced), weight1(layers.weight1, reduced * c),
          weight2(layers.weight2, reduced * c), pooled(images * c), hidden(images * reduced), weights(weights) {
        for (Int n = 0; n < images; ++n) {
            double *mean = pooled + n * c, *h = hidden + n * reduced;
            for (Int j = 0; j < c; ++j)
                mean[j] = gain_of(norm, s, j) * sums[n * c + j] / static_cast<double>(places) + offset_of(norm, s, j);
            for (Int i = 0; i < reduced; ++i)
                h[i] = std::max(0.0, static_cast<double>(layers.bias1[i]) + dot(weight1 + i * c, mean, c));
        }
    }

    // Computes the weights.
    void forward(const SpatialWeighting& layers) const {
        for (Int n = 0; n < images; ++n)
            for (Int j = 0; j < c; ++j) {
                const double sum = dot(weight2 + j * reduced, hidden + n * reduced, reduced);
                weights[n * c + j] = 1 / (1 + std::exp(-sum - static_cast<double>(layers.bias2[j])));
            }
    }

    // Writes the gradients of the layers and of the means, from that of the weights.
    void backward(const double* dweights, const SpatialWeightingGradient& d, double* dpooled) const {
        const Doubles dweight1(reduced * c), dbias1(reduced), dweight2(reduced * c), dbias2(c), dhidden(reduced);
        const auto add = [](double* to, double factor, const double* from, Int count) {
            for (Int i = 0; i < count; ++i) to[i] += factor * from[i];
        };
        for (Int n = 0; n < images; ++n) {
            const double *mean = pooled + n * c, *h = hidden + n * reduced, *w = weights + n * c;
            std::fill(+dhidden, dhidden + reduced, 0.0);
            for (Int j = 0; j < c; ++j) {
                const double dsum = dweights[n * c + j] * w[j] * (1 - w[j]);
                dbias2[j] += dsum;
                add(dweight2 + j * reduced, dsum, h, reduced);
                add(dhidden, dsum, weight2 + j * reduced, reduced);
            }
            std::fill(dpooled + n * c, dpooled + (n + 1) * c, 0.0);
            for (Int i = 0; i < reduced; ++i) {
                if (h[i] <= 0) continue;
                dbias1[i] += dhidden[i];
                add(dweight1 + i * c, dhidden[i], mean, c);
                add(dpooled + n * c, dhidden[i], weight1 + i * c, c);
            }
        }
        const auto write = [](float* to, const double* from, Int count) {
            for (Int i = 0; i < count; ++i) to[i] = static_cast<float>(from[i]);
        };
        write(d.weight1, dweight1, reduced * c);
        write(d.bias1, dbias1, reduced);
        write(d.weight2, dweight2, reduced * c);
        write(d.bias2, dbias2, c);
    }
};

// Held rows of the second half of x, weighted by the cells of image n.
template <typename C>
void weighted_row(const Shape& shape, const float* x, const Cells& cells, Int n, Int row, C c, float* held) {
    const float* pixel = x + (n * shape.height + row) * shape.width * 2 * c + c;
    const Int factor = cells.factor, across = shape.width / factor;
    const float* weight = cells.values + (n * shape.height + row) / factor * across * cells.stride;
    float* to = held + c;
    for (Int cell = 0; cell < across; ++cell, weight += cells.stride)
        for (Int px = 0; px < factor; ++px, pixel += 2 * c, to += c)
            for_channels(c, [&](Int j, auto some) {
                some.store(to + j, some.load(pixel + j) * some.load(weight + j));
            });
}

void unit_forward(const Shape& shape, const float* x, const Cells& cells, const float* kernel_values, const Norm& norm,
                  const SpatialWeighting& layers, float* y, double* moments, float* out, Int threads) {
    const Int c = shape.channels, images = shape.images, places = shape.places();
    const Depthwise depthwise{kernel_values, 1};
    const HeldRows layout(shape, depthwise);
    const RepeatedKernel kernel(kernel_values, c);
    double *sums = moments, *squares = moments + images * c;
    std::fill(moments, moments + 2 * images * c, 0.0);
    for_images(images, threads, [&](Int begin, Int end) {
        Int n = begin;
        const auto make = [&](Int row, float* held) {
            with_constant(c, [&](auto channels) { weighted_row(shape, x, cells, n, row, channels, held); });
        };
        ThreeRows rows(shape.height, layout.floats(), make);
        for (; n < end; ++n)
            convolve(shape, depthwise, layout, kernel, rows, y + n * places * c, sums + n * c, squares + n * c);
    });
    const Doubles mean(c), inverse_std(c);
    const Statistics statistics{mean, inverse_std};
    statistics_from(sums, squares, images, c, images * places, norm, statistics);
    const Weighting weighting(images, c, layers, norm, statistics, sums, places, moments + 2 * images * c);
    weighting.forward(layers);
    for_images(images, threads, [&](Int begin, Int end) {
        const Floats gain(c), offset(c);
        for (Int n = begin; n < end; ++n) {
            for (Int j = 0; j < c; ++j) {
                gain[j] = static_cast<float>(gain_of(norm, statistics, j) * weighting.weights[n * c + j]);
                offset[j] = static_cast<float>(offset_of(norm, statistics, j) * weighting.weights[n * c + j]);
            }
            with_constant(c, [&](auto channels) {
                const float *first = x + n * places * 2 * channels, *second = y + n * places * channels;
                float* to = out + n * places * 2 * channels;
                for (Int place = 0; place < places; ++place) {
                    for_channels(channels, [&](Int j, auto some) {
                        const auto weighted = some.load(second + j) * some.load(gain + j) + some.load(offset + j);
                        some.store_in_turn(to + 2 * j, some.load(first + j), weighted);
                    });
                    first += 2 * channels, second += channels, to += 2 * channels;
                }
            });
        }
    });
}

// Sums over image n of the second half's gradient, and of its products with y.
inline void reduce_image(const Shape& shape, const float* dout, const float* y, Int n, ChannelSums& sums) {
    const Int length = shape.width * shape.channels, size = shape.height * length;
    for (Int from = n * size; from < (n + 1) * size; from += length)
        add_piece(from, from + length, sums, [&](Int j, Int, auto vector) LITEHRNET_INLINED {
            const Vector g = vector.load_odd(dout + 2 * j);
            return Terms{g, g * vector.load(y + j)};
        });
}

// The way of a gradient g back through spatial weighting and batch normalization: dy = gain * g + plus + times * y,
// gain and plus being every image's own. `dgains` and `doffsets` are sums of g * y and of g, (images, channels).
struct UnitGradient {
    Floats gain, plus, times;

    UnitGradient(const Shape& shape, const Norm& norm, const SpatialWeighting& layers, double* moments,
                 const double* dgains, const double* doffsets, const NormGradient& dnorm,
                 const SpatialWeightingGradient& dlayers)
        : gain(shape.images * shape.channels), plus(shape.images * shape.channels), times(shape.channels) {
        const Int c = shape.channels, images = shape.images, places = shape.places(), count = images * places;
        const double* sums = moments;
        const Doubles mean(c), inverse_std(c);
        const Statistics statistics{mean, inverse_std};
        const Floats unmoved(2 * c);
        Norm again = norm;
        again.running_mean = unmoved, again.running_variance = unmoved + c;
        statistics_from(sums, moments + images * c, images, c, count, again, statistics);
        const Weighting weighting(images, c, layers, norm, statistics, sums, places, moments + 2 * images * c);
        const Doubles dweights(images * c), dpooled(images * c);
        for (Int i = 0; i < images * c; ++i) {
            const double gain_of_y = gain_of(norm, statistics, i % c), offset_of_y = offset_of(norm, statistics, i % c);
            dweights[i] = dgains[i] * gain_of_y + doffsets[i] * offset_of_y;
        }
        weighting.backward(dweights, dlayers, dpooled);
        for (Int j = 0; j < c; ++j) {
            double dgain = 0, doffset = 0;
            for (Int i = j; i < images * c; i += c) {
                dgain += dgains[i] * weighting.weights[i] + dpooled[i] * sums[i] / static_cast<double>(places);
                doffset += doffsets[i] * weighting.weights[i] + dpooled[i];
            }
            const auto through = through_statistics(norm, statistics, j, dgain, doffset, count, dnorm);
            times[j] = static_cast<float>(through.times);
            for (Int i = j; i < images * c; i += c) {
                const double of_mean = dpooled[i] * gain_of(norm, statistics, j) / static_cast<double>(places);
                gain[i] = static_cast<float>(gain_of(norm, statistics, j) * weighting.weights[i]);
                plus[i] = static_cast<float>(of_mean + through.plus);
            }
        }
    }
};

void unit_backward(const Shape& shape, const float* x, const Cells& cells, const float* kernel_values, const Norm& norm,
                   const SpatialWeighting& layers, const float* y, double* moments, const float* dout, float* dx,
                   float* dcells, float* dkernel, const NormGradient& dnorm, const SpatialWeightingGradient& dlayers,
                   Int threads) {
    const Int c = shape.channels, images = shape.images, width = shape.width;
    const Int across = width / cells.factor, down = shape.height / cells.factor;

    const Doubles dgains(images * c), doffsets(images * c);
    for_images(images, threads, [&](Int begin, Int end) {
        ChannelSums sums(c);
        for (Int n = begin; n < end; ++n) {
            reduce_image(shape, dout, y, n, sums);
            sums.move_to(doffsets + n * c, dgains + n * c);
        }
    });

    const UnitGradient through(shape, norm, layers, moments, dgains, doffsets, dnorm, dlayers);
    const float *gain = through.gain, *plus = through.plus, *times = through.times;

    const Depthwise depthwise{kernel_values, 1};
    const HeldRows layout(shape, depthwise);
    const RepeatedKernel kernel(kernel_values, c);
    const Floats kernel_sums(images * 9 * kernel.period);
    for_images(images, threads, [&](Int begin, Int end) {
        with_constant(c, [&](auto channels) {
            Int n = begin;
            const auto make = [&](Int row, float* held) {
                weighted_row(shape, x, cells, n, row, channels, held);
            };
            // On the way, the first half's gradient is copied.
            const auto make_gradient = [&](Int row, float* held) {
                const Int place = (n * shape.height + row) * width;
                const float *g = dout + place * 2 * channels, *v = y + place * channels;
                float *to = held + channels, *first = dx + place * 2 * channels;
                const float *a = gain + n * channels, *b = plus + n * channels;
                for (Int px = 0; px < width; ++px) {
                    for_channels(channels, [&](Int j, auto some) {
                        some.store(first + j, some.template load_every_other<0>(g + 2 * j));
                        some.store(to + j, some.template load_every_other<1>(g + 2 * j) * some.load(a + j) +
                                               some.load(b + j) + some.load(v + j) * some.load(times + j));
                    });
                    g += 2 * channels, first += 2 * channels, v += channels, to += channels;
                }
            };
            ThreeRows rows(shape.height, layout.floats(), make);
            ThreeRows gradients(shape.height, (width + 2) * channels + slack, make_gradient);
            const Floats gradient(width * channels);
            for (; n < end; ++n) {
                float* dcell = dcells + n * down * across * cells.stride;
                for (Int cell = 0; cell < down * across; ++cell)
                    std::fill(dcell + cell * cells.stride, dcell + cell * cells.stride + channels, 0.0f);
                const auto finish = [&](Int row) {
                    const float* z = gradient;
                    const Int place = (n * shape.height + row) * width, at = row / cells.factor * across;
                    const float* pixel = x + place * 2 * channels + channels;
                    const float* weight = cells.values + (n * down * across + at) * cells.stride;
                    float *to = dx + place * 2 * channels + channels, *dweight = dcell + at * cells.stride;
                    for (Int cell = 0; cell < across; ++cell) {
                        for_channels(channels, [&](Int j, auto some) {
                            const auto w = some.load(weight + j);
                            auto total = some.load(dweight + j);
                            for (Int px = 0; px < cells.factor; ++px) {
                                const auto value = some.load(z + px * channels + j);
                                some.store(to + 2 * px * channels + j, value * w);
                                total += value * some.load(pixel + 2 * px * channels + j);
                            }
                            some.store(dweight + j, total);
                        });
                        const Int floats = cells.factor * channels;
                        pixel += 2 * floats, to += 2 * floats, z += floats;
                        weight += cells.stride, dweight += cells.stride;
                    }
                };
                convolve_backward(shape, depthwise, layout, kernel, rows, gradients, nullptr,
                                  kernel_sums + n * 9 * kernel.period, [&](Int) { return +gradient; }, finish);
            }
        });
    });
    kernel_gradient(kernel_sums, images, c, dkernel);
}

}  // namespace
}  // namespace litehrnet::training
