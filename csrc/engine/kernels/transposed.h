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

inline void interleave_phases(const Transposed& s, float* arena, int first, int begin, int end) {
    const int width = s.phase.copies.width, all_outputs = s.phase.all_outputs;
    const float* results = arena + s.phase.copies.offset - first;
    for (int m = 0; m < s.phase.product.outputs; ++m)
        for (int row = 2 * (begin / width); row < 2 * (end / width); ++row) {
            const Place* even = s.phase.product.out + m + row % 2 * 2 * all_outputs;
            const int pixel = row / 2 * width;
            interleave(results + even[0] + pixel, results + even[all_outputs] + pixel, width,
                       arena + s.out[m] + row * 2 * width);
        }
}

void transposed(const Transposed& s, float* arena) {
    const ShiftedCopies& copies = s.phase.copies;
    const int pixels = s.phase.product.end;
    if (s.phase.product.outputs == 0) return;
    for (int begin = 0; begin < pixels; begin += copies.band) {
        const int end = begin + copies.band < pixels ? begin + copies.band : pixels;
        int first = 0;
        for (int plane = 0; plane < copies.inputs; plane += ShiftedCopies::most_planes) {
            first = copy_band(copies, arena, plane, begin, end);
            for (int phase = 0; phase < 4; ++phase) {
                DenseConvolution one = s.phase;
                one.product.in += phase * s.phase_inputs;
                one.product.out += phase * one.all_outputs;
                one.weight += phase * s.phase_weights;
                one.product.begin = begin - first;
                one.product.end = end - first;
                pointwise(one.product_of(plane), arena + copies.offset);
            }
        }
        interleave_phases(s, arena, first, begin, end);
    }
}

}  // namespace
}  // namespace litehrnet
