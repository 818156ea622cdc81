// 3x3 convolutions over all planes, as products whose inputs are shifted copies of the planes.
//
// The copies are those of few rows of few planes, so they stay in the caches. In them, the neighbors of consecutive pixels
// are consecutive too, and zero outside the plane. So the product needs no borders, and narrow planes fill its tiles.
#pragma once

#include "pointwise.h"

namespace litehrnet {
namespace {

inline void zero_copies(float* to, int pitch, int width) {
    for (int column = 0; column < 3; ++column)
        for (int x = 0; x < width; x += W) store(to + column * pitch + x, V{});
}

// The excess of the last vector is overwritten by the next row, or falls behind the last one.
inline void copy_row(const float* row, int width, float* to, int pitch) {
    for (int x = 0; x < width; x += W)
        for (int column = 0; column < 3; ++column) store(to + column * pitch + x, load(row + x - 1 + column));
    to[0] = to[2 * pitch + width - 1] = 0.0f;
}

inline void copy_row_stride_2(const float* row, int width, float* to, int pitch) {
    V before{};
    for (int x = 0; 2 * x < width; x += W) {
        const V a = load(row + 2 * x), b = load(row + 2 * x + W), odd = odds(a, b);
        store(to + x, after(before, odd));
        store(to + pitch + x, evens(a, b));
        store(to + 2 * pitch + x, odd);
        before = odd;
    }
    if (width % 2) to[2 * pitch + width / 2] = 0.0f;
}

// Copies what the pixels from `begin` to `end` need of the group that begins with `plane`. Returns the pixel that the
// copies begin with.
inline int copy_band(const ShiftedCopies& s, float* arena, int plane, int begin, int end) {
    // With stride 2, results need no rows below, and no even rows above.
    const int width = s.copy_width(), first = begin / width - 1, last = (end - 1) / width + (s.stride == 1);
    float* to = arena + s.scratch + s.offset;
    for (int i = plane; i < plane + s.planes_from(plane); ++i)
        for (int odd = 0; odd < s.stride; ++odd, to += 3 * s.pitch)
            for (int y = s.stride == 2 && !odd ? first + 1 : first; y <= last; ++y) {
                const int from = s.stride * y + odd;
                const float* row = arena + s.in[i] + from * s.width;
                float* copies = to + (y - first) * width;
                if (from < 0 || from >= s.height)
                    zero_copies(copies, s.pitch, width);
                else if (s.stride == 1)
                    copy_row(row, width, copies, s.pitch);
                else
                    copy_row_stride_2(row, s.width, copies, s.pitch);
            }
    return first * width;
}

void convolution(const DenseConvolution& s, float* arena) {
    const int pixels = s.product.end;
    for (int begin = s.product.begin; begin < pixels; begin += s.copies.band) {
        const int end = begin + s.copies.band < pixels ? begin + s.copies.band : pixels;
        for (int plane = 0; plane < s.copies.inputs; plane += ShiftedCopies::most_planes) {
            Pointwise product = s.product_of(plane);
            product.begin = begin;
            product.end = end;
            product.from = s.copies.offset - copy_band(s.copies, arena, plane, begin, end);
            pointwise(product, arena);
        }
    }
}

}  // namespace
}  // namespace litehrnet
