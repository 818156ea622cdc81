// The fusion's highest resolution: its sum goes plane by plane into the depthwise convolutions of the lower ones, and
// is stored only after its ReLU.
#pragma once

#include "stride_2.h"

namespace litehrnet {
namespace {

template <int branches>
inline void fuse_first_into(const FuseFirst& s, float* arena) {
    const I twice = lanes() >> 1;
    float* sums = arena + s.scratch + slack_floats;
    for (int c = 0; c < s.channels; ++c) {
        for (int y = 0; y < s.height; ++y) {
            const float* in = arena + s.in[c] + y * s.width;
            const float* lower = arena + s.lower[c] + y / 2 * (s.width / 2);
            float* out = arena + s.out[c] + y * s.width;
            for (int x = 0; x < s.width; x += W) {
                const V sum = 2.0f * load(in + x) + shuffle(load(lower + x / 2), twice);
                store(sums + y * s.width + x, sum);
                store(out + x, relu(sum));
            }
        }
        Convolution convolutions[branches];
        for (int b = 0; b < branches; ++b)
            convolutions[b] = {arena + s.lowered[b][c], s.weight[b] + 9 * c, s.bias[b][c]};
        convolve_stride_2(sums, s.height, s.width, convolutions);
    }
}

void fuse_first(const FuseFirst& s, float* arena) {
    switch (s.branches) {
        case 1: return fuse_first_into<1>(s, arena);
        case 2: return fuse_first_into<2>(s, arena);
        default: return fuse_first_into<FuseFirst::most>(s, arena);
    }
}

}  // namespace
}  // namespace litehrnet
