// Convolutions of every plane by itself, of the plane times its enlarged channel weight.
#pragma once

#include "activate.h"
#include "depthwise_large.h"
#include "flat_planes.h"
#include "rows_in_registers.h"
#include "stride_2.h"

namespace litehrnet {
namespace {

// Calls filter(channel), which stores a plane of `pixels` results and returns their sum. Each plane is activated while it is
// in the first-level cache.
template <typename Filter>
inline void for_planes(const Depthwise& s, float* arena, int pixels, Filter filter) {
    for (int c = 0; c < s.channels; ++c) {
        float total = filter(c);
        if (s.activation != Activation::none || (s.means && s.stride == 2))
            total = activate_plane(arena + s.out[c], pixels, s.activation);
        if (s.means) arena[s.means + c] = total / static_cast<float>(pixels);
    }
}

inline void depthwise_by_scratch(const Depthwise& s, float* arena) {
    const int width = s.width, rest = width % W, pitch = scratch_pitch(width);
    const Rows rows{arena + s.scratch + slack_floats, pitch};
    store(rows.first - W, V{});
    zero_row(rows, s.height);
    const I in_last = lanes() < rest;
    for_planes(s, arena, s.height * width, [&](int c) {
        for (int y = 0; y < s.height; ++y) fill_weighted_row(s, arena, c, y, rows, y, in_last);
        return convolve(rows, arena + s.out[c], s.height, width, s.weight + 9 * c, s.bias[c]);
    });
}

inline void depthwise_flat(const Depthwise& s, float* arena) {
    const int pixels = s.height * s.width;
    float* scratch = arena + s.scratch;
    const Edges edges = make_edges(scratch, s.width, pixels);
    float* plane = scratch + edge_floats(s.width, pixels) + zeros_above(s.width);
    fill_zeros(plane - zeros_above(s.width), zeros_above(s.width));
    for_planes(s, arena, pixels, [&](int c) {
        copy_flat(s, arena, c, plane);
        return convolve_flat(plane, arena + s.out[c], s.width, pixels, edges, s.weight + 9 * c, s.bias[c]);
    });
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

inline void depthwise_stride_2(const Depthwise& s, float* arena) {
    const int pixels = (s.height + 1) / 2 * ((s.width + 1) / 2);
    for_planes(s, arena, pixels, [&](int c) {
        convolve_stride_2<1>(StoredPlane{arena + s.in[c], s.width}, s.height, s.width,
                             {{arena + s.out[c], s.weight + 9 * c, s.bias[c]}});
        return 0.0f;
    });
}

inline void depthwise_large(const Depthwise& s, float* arena) {
    const Rows rows = reaching_rows(s, arena);
    const int pixels = ((s.height + s.stride - 1) / s.stride) * ((s.width + s.stride - 1) / s.stride);
    for_planes(s, arena, pixels, [&](int c) { return filter_large(s, arena, rows, c); });
}

void depthwise(const Depthwise& step, float* arena) {
    Depthwise s = step;
    if (s.kernel) s.weight = arena + s.kernel;
    if (s.size > 3) return depthwise_large(s, arena);
    if (s.stride == 2) return depthwise_stride_2(s, arena);
    if (fits_flat(s.width)) return depthwise_flat(s, arena);
    if (!takes_rows(s.width)) return depthwise_by_scratch(s, arena);
    for_planes(s, arena, s.height * s.width, [&](int c) { return convolve_rows(s, arena, c); });
}

}  // namespace
}  // namespace litehrnet
