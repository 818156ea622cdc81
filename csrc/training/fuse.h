// Sums of a fuse layer.
#pragma once

#include "norm.h"

namespace litehrnet::training {
namespace {

// The normalizations of all terms with their weights: a factor (terms, channels) each, and one offset (channels).
struct TermFactors {
    Floats gain, offset;

    TermFactors(const Term* terms, Int count, Int c) : gain(std::max<Int>(1, count) * c), offset(c) {
        for (Int t = 0; t < count; ++t)
            for (Int j = 0; j < c; ++j) {
                const double weight = static_cast<double>(terms[t].weight);
                gain[t * c + j] = static_cast<float>(weight * gain_of(terms[t].norm, terms[t].statistics, j));
                offset[j] += static_cast<float>(weight * offset_of(terms[t].norm, terms[t].statistics, j));
            }
    }
};

void fuse_forward(const Shape& shape, const float* x, float scale, const Term* terms, Int count, float* sum,
                  float* rectified, Int threads) {
    const Int width = shape.width;
    const TermFactors factors(terms, count, shape.channels);
    const float *gain = factors.gain, *offset = factors.offset;
    for_images(shape.images, threads, [&](Int begin, Int end) {
        with_constant(shape.channels, [&](auto c) {
            for (Int row = begin * shape.height; row < end * shape.height; ++row)
                for (Int px = 0; px < width; ++px) {
                    const Int at = (row * width + px) * c;
                    const float* added[most_terms];
                    for (Int t = 0; t < count; ++t) {
                        const Int factor = terms[t].factor;
                        added[t] = terms[t].values + (row / factor * (width / factor) + px / factor) * c;
                    }
                    for_channels(c, [&](Int j, auto some) {
                        auto total = some.load(x + at + j) * scale + some.load(offset + j);
                        for (Int t = 0; t < count; ++t) total += some.load(added[t] + j) * some.load(gain + t * c + j);
                        if (sum) some.store(sum + at + j, total);
                        some.store(rectified + at + j, total < 0 ? decltype(total){} : total);
                    });
                }
        });
    });
}

void fuse_backward(const Shape& shape, const float* rectified, const float* dsum, const float* drectified, float scale,
                   float* dx, bool add, const TermGradient* terms, Int count, Int threads) {
    const Int width = shape.width, length = width * shape.channels;
    for_images(shape.images, threads, [&](Int begin, Int end) {
        const Floats g(length);  // the gradient of a row of the sum
        with_constant(shape.channels, [&](auto c) {
            for (Int row = begin * shape.height; row < end * shape.height; ++row) {
                const Int at = row * length;
                for_vectors(0, length, lanes, [&](Int j, Int, auto vector) {
                    Vector gradient = dsum ? vector.load(dsum + at + j) : Vector{};
                    gradient += vector.load(rectified + at + j) > 0 ? vector.load(drectified + at + j) : Vector{};
                    vector.store(g + j, gradient);
                    const Vector scaled = gradient * scale;
                    vector.store(dx + at + j, add ? vector.load(dx + at + j) + scaled : scaled);
                });
                for (const TermGradient* term = terms; term < terms + count; ++term) {
                    const Int factor = term->factor;
                    float* to = term->values + row / factor * (width / factor) * c;
                    const bool is_first = row % factor == 0;
                    for (Int cell = 0; cell < width / factor; ++cell, to += c)
                        for_channels(c, [&](Int j, auto some) {
                            auto total = decltype(some.load(to)){};
                            if (!is_first) total = some.load(to + j);
                            for (Int px = cell * factor; px < (cell + 1) * factor; ++px)
                                total += some.load(g + px * c + j) * term->weight;
                            some.store(to + j, total);
                        });
                }
            }
        });
    });
}

}  // namespace
}  // namespace litehrnet::training
