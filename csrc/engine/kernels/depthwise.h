// Convolutions of every plane by itself, of the plane times its enlarged channel weight.
#pragma once

#include "activate.h"
#include "depthwise_large.h"
#include "rows_in_registers.h"
#include "scratch.h"
#include "stride_2.h"

namespace litehrnet {
namespace {

inline void depthwise_in_registers(const Depthwise& s, float* arena) {
    for (int c = 0; c < s.channels; ++c) {
        const float total = convolve_rows(s, arena, c);
        if (s.means) arena[s.means + c] = total / static_cast<float>(s.height * s.width);
    }
}

inline void depthwise_by_scratch(const Depthwise& s, float* arena) {
    const int width = s.width, rest = width % W, pitch = scratch_pitch(width);
    const Rows rows{arena + s.scratch + slack_floats, pitch};
    store(rows.first - W, V{});
    zero_row(rows, s.height);
    const I in_last = lanes() < rest;
    for (int c = 0; c < s.channels; ++c) {
        for (int y = 0; y < s.height; ++y) fill_weighted_row(s, arena, c, y, rows, y, in_last);
        const float total = convolve(rows, arena + s.out[c], s.height, width, s.weight + 9 * c, s.bias[c]);
        if (s.means) arena[s.means + c] = total / static_cast<float>(s.height * width);
    }
}

// A plane in the arena, for convolutions of stride 2.
struct StoredPlane {
    const float* in;
    int width;

    float value(int y, int x) const { return in[y * width + x]; }

    template <int inputs>
    LITEHRNET_INLINE void read_row(int y, int column, V (&row)[inputs]) const {
#pragma GCC unroll 6
        for (int v = 0; v < inputs; ++v) row[v] = load(in + y * width + column + v * W);
    }
};

inline void filter_planes(const Depthwise& s, float* arena) {
    if (s.size > 3) {
        depthwise_large(s, arena);
    } else if (s.stride == 2) {
        for (int c = 0; c < s.channels; ++c)
            convolve_stride_2<1>(StoredPlane{arena + s.in[c], s.width}, s.height, s.width,
                                 {{arena + s.out[c], s.weight + 9 * c, s.bias[c]}});
    } else if (takes_rows(s.width)) {
        depthwise_in_registers(s, arena);
    } else {
        depthwise_by_scratch(s, arena);
    }
}

// Planes are activated one by one, while they are in the first-level cache.
void depthwise(const Depthwise& step, float* arena) {
    Depthwise s = step;
    if (s.kernel) s.weight = arena + s.kernel;
    const bool sums_itself = s.stride == 1 || !s.means;
    if (s.activation == Activation::none && sums_itself) return filter_planes(s, arena);
    const int pixels = ((s.height + s.stride - 1) / s.stride) * ((s.width + s.stride - 1) / s.stride);
    for (int c = 0; c < s.channels; ++c) {
        Depthwise plane = s;
        plane.in += c;
        plane.out += c;
        if (s.channel_weight) plane.channel_weight += c;
        plane.means = 0;
        plane.channels = 1;
        plane.weight += s.size * s.size * c;
        plane.bias += c;
        filter_planes(plane, arena);
        const float total = activate_plane(arena + s.out[c], pixels, s.activation);
        if (s.means) arena[s.means + c] = total / static_cast<float>(pixels);
    }
}

}  // namespace
}  // namespace litehrnet
