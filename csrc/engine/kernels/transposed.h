// Transposed 4x4 convolutions with stride 2: four products over shifted copies, whose results are interleaved.
#pragma once

#include "convolution.h"

namespace litehrnet {
namespace {

// a0, b0, a1, b1, ... to `out`. The excess of the last vector is overwritten by the next row, or falls into the slack
// after the plane.
inline void interleave(const float* a, const float* b, int width, float* out) {
    const I lower = (lanes() >> 1) + (lanes() & 1) * W;
    for (int x = 0; x < width; x += W / 2) store(out + 2 * x, shuffle(load(a + x), load(b + x), lower));
}

void transposed(const Transposed& s, float* arena) {
    const ShiftedCopies& copies = s.copies;
    const int width = copies.width, pixels = s.product.end;
    float* scratch = arena + copies.offset;
    if (s.product.outputs == 0) return;
    for (int begin = 0; begin < pixels; begin += copies.band) {
        const int end = begin + copies.band < pixels ? begin + copies.band : pixels;
        const int first = copy_band(copies, arena, begin, end);
        for (int phase = 0; phase < 4; ++phase) {
            Pointwise product = s.product;
            product.in += phase * product.inputs;
            product.out += phase * s.all_outputs;
            product.weight += phase * s.phase_weights;
            product.begin = begin - first;
            product.end = end - first;
            pointwise(product, scratch);
        }
        for (int m = 0; m < s.product.outputs; ++m)
            for (int row = 2 * begin / width; row < 2 * end / width; ++row) {
                const Place* even = s.product.out + m + row % 2 * 2 * s.all_outputs;
                const float* results = scratch + row / 2 * width - first;
                interleave(results + even[0], results + even[s.all_outputs], width, arena + s.out[m] + row * 2 * width);
            }
    }
}

}  // namespace
}  // namespace litehrnet
