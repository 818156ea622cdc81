// The highest resolution of a fusion. Its sum goes row by row into the depthwise convolutions of the lower resolutions,
// and is stored only after its ReLU.
#pragma once

#include "stride_2.h"

namespace litehrnet {
namespace {

// The sum of one channel. Reading a row also stores its ReLU, which is convolved if `rectified`.
template <bool rectified>
struct FusedPlane {
    const float *in, *lower;
    float* out;
    int width;
    I twice;

    float value(int y, int x) const {
        const float v = 2.0f * in[y * width + x] + lower[y / 2 * (width / 2) + x / 2];
        return rectified && !(v > 0) ? 0.0f : v;
    }

    template <int inputs>
    LITEHRNET_INLINE void read_row(int y, int column, V (&row)[inputs]) const {
        const int begin = y * width + column;
        const float* enlarged = lower + y / 2 * (width / 2) + column / 2;
#pragma GCC unroll 6
        for (int v = 0; v < inputs; ++v) {
            row[v] = 2.0f * load(in + begin + v * W) + shuffle(load(enlarged + v * W / 2), twice);
            const V positive = relu(row[v]);
            store(out + begin + v * W, positive);
            if (rectified) row[v] = positive;
        }
    }
};

template <int branches, bool rectified>
inline void fuse_first_into(const FuseFirst& s, float* arena) {
    for (int c = 0; c < s.channels; ++c) {
        const FusedPlane<rectified> plane{arena + s.in[c], arena + s.lower[c], arena + s.out[c], s.width, lanes() >> 1};
        Convolution convolutions[branches];
        for (int b = 0; b < branches; ++b)
            convolutions[b] = {arena + s.lowered[b][c], s.weight[b] + 9 * c, s.bias[b][c]};
        convolve_stride_2(plane, s.height, s.width, convolutions);
    }
}

template <bool rectified>
inline void fuse_first(const FuseFirst& s, float* arena) {
    switch (s.branches) {
        case 1: return fuse_first_into<1, rectified>(s, arena);
        case 2: return fuse_first_into<2, rectified>(s, arena);
        default: return fuse_first_into<FuseFirst::most, rectified>(s, arena);
    }
}

void fuse_first(const FuseFirst& s, float* arena) {
    s.rectified ? fuse_first<true>(s, arena) : fuse_first<false>(s, arena);
}

}  // namespace
}  // namespace litehrnet
