// 3x3 convolutions of every plane by itself, of the plane times its enlarged channel weight.
#pragma once

#include "scratch.h"

namespace litehrnet {
namespace {

inline void depthwise_stride_1(const Depthwise& s, float* arena) {
    const int width = s.width, rest = width % W, pitch = scratch_pitch(width);
    const Rows rows{arena + s.scratch + slack_floats, pitch};
    store(rows.first - W, V{});
    zero_row(rows, s.height);
    const I in_last = lanes() < rest, spread = lanes() >> s.shift;
    for (int c = 0; c < s.channels; ++c) {
        const float* in = arena + s.in[c];
        for (int y = 0; y < s.height; ++y) {
            const float* row = in + y * width;
            if (s.channel_weight) {
                const float* weight = arena + s.channel_weight[c] + (y >> s.shift) * (width >> s.shift);
                fill_row(rows, y, width, in_last,
                         [=](int x) { return load(row + x) * shuffle(load(weight + (x >> s.shift)), spread); });
            } else {
                fill_row(rows, y, width, in_last, [=](int x) { return load(row + x); });
            }
        }
        const float total = convolve(rows, arena + s.out[c], s.height, width, s.weight + 9 * c, s.bias[c]);
        if (s.means) arena[s.means + c] = total / static_cast<float>(s.height * width);
    }
}

inline void depthwise_stride_2(const Depthwise& s, float* arena) {
    const int out_height = (s.height + 1) / 2, out_width = (s.width + 1) / 2;
    const SplitRows rows = split_rows(arena + s.scratch, s.height, out_width);
    const I even_in_last = lanes() < out_width % W, odd_in_last = lanes() < s.width / 2 % W;
    for (int c = 0; c < s.channels; ++c) {
        for (int y = 0; y < s.height; ++y) {
            const float* row = arena + s.in[c] + y * s.width;
            fill_row(rows.even, y, out_width, even_in_last,
                     [=](int x) { return evens(load(row + 2 * x), load(row + 2 * x + W)); });
            fill_row(rows.odd, y, s.width / 2, odd_in_last,
                     [=](int x) { return odds(load(row + 2 * x), load(row + 2 * x + W)); });
        }
        convolve_split(rows, arena + s.out[c], out_height, out_width, s.weight + 9 * c, s.bias[c]);
    }
}

void depthwise(const Depthwise& s, float* arena) {
    if (s.stride == 1)
        depthwise_stride_1(s, arena);
    else
        depthwise_stride_2(s, arena);
}

}  // namespace
}  // namespace litehrnet
