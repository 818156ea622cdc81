// Means of planes, of the plane times its enlarged channel weight.
#pragma once

#include "../kernels.h"
#include "../vector.h"

namespace litehrnet {
namespace {

inline float sum_of(const float* in, int count) {
    V totals[4] = {};
    int i = 0;
    for (; i + 4 * W <= count; i += 4 * W)
#pragma GCC unroll 4
        for (int v = 0; v < 4; ++v) totals[v] += load(in + i + v * W);
    for (; i < count; i += W) totals[0] += select(lanes() < count - i, load(in + i), V{});
    return sum((totals[0] + totals[1]) + (totals[2] + totals[3]));
}

// Rows with the same weights are summed before they are multiplied.
inline float weighted_sum_of(const float* in, const float* weight, int height, int width, int shift) {
    const I spread = lanes() >> shift;
    V total{};
    for (int y = 0; y < height >> shift; ++y, in += width << shift, weight += width >> shift)
        for (int x = 0; x < width; x += W) {
            V rows{};
            for (int row = 0; row < 1 << shift; ++row) rows += load(in + row * width + x);
            rows *= shuffle(load(weight + (x >> shift)), spread);
            total += x + W <= width ? rows : select(lanes() < width - x, rows, V{});
        }
    return sum(total);
}

void means(const Means& s, float* arena) {
    for (int c = 0; c < s.channels; ++c) {
        const float* in = arena + s.in[c];
        const float total = s.channel_weight
                                ? weighted_sum_of(in, arena + s.channel_weight[c], s.height, s.width, s.shift)
                                : sum_of(in, s.height * s.width);
        arena[s.out + c] = total / static_cast<float>(s.height * s.width);
    }
}

}  // namespace
}  // namespace litehrnet
