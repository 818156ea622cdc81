// The fusion's highest resolution: its sum goes plane by plane into the depthwise convolutions of the lower ones, and
// is stored only after its ReLU.
#pragma once

#include "scratch.h"

namespace litehrnet {
namespace {

void fuse_first(const FuseFirst& s, float* arena) {
    const int width = s.width, half = width / 2;
    const SplitRows rows = split_rows(arena + s.scratch, s.height, half);
    const I in_last = lanes() < half % W, twice = lanes() >> 1;
    for (int c = 0; c < s.channels; ++c) {
        for (int y = 0; y < s.height; ++y) {
            const float* in = arena + s.in[c] + y * width;
            const float* lower = arena + s.lower[c] + y / 2 * half;
            float* out = arena + s.out[c] + y * width;
            fill_row(rows.even, y, half, in_last,
                     [=](int x) { return 2.0f * evens(load(in + 2 * x), load(in + 2 * x + W)) + load(lower + x); });
            fill_row(rows.odd, y, half, in_last,
                     [=](int x) { return 2.0f * odds(load(in + 2 * x), load(in + 2 * x + W)) + load(lower + x); });
            for (int x = 0; x < width; x += W)
                store(out + x, relu(2.0f * load(in + x) + shuffle(load(lower + x / 2), twice)));
        }
        for (int b = 0; b < s.branches; ++b)
            convolve_split(rows, arena + s.lowered[b][c], (s.height + 1) / 2, half, s.weight[b] + 9 * c, s.bias[b][c]);
    }
}

}  // namespace
}  // namespace litehrnet
