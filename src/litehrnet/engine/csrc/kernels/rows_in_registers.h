// 3x3 convolutions whose rows stay in registers, neighbours moved in by permuting lanes: for vectors of 16, of which a
// row takes few, and a permutation costs no more than a load.
#pragma once

#include "../kernels.h"
#include "../vector.h"

namespace litehrnet {
namespace {

constexpr bool rows_fit_registers = W == 16 && registers == 32;
constexpr int most_row_vectors = 5;

// Rows of one plane times their enlarged channel weight, one after another, zeros behind each.
template <int vectors>
struct WeightedRows {
    const Depthwise& s;
    const float* in;
    const float* channel_weight;  // null: none
    I in_last, spread;

    WeightedRows(const Depthwise& step, const float* arena, int channel)
        : s(step),
          in(arena + s.in[channel]),
          channel_weight(s.channel_weight ? arena + s.channel_weight[channel] : nullptr),
          in_last(lanes() < s.width - (vectors - 1) * W),
          spread(lanes() >> s.shift) {
    }

    void read(int y, V (&row)[vectors]) const {
        for (int v = 0; v < vectors; ++v) row[v] = load(in + y * s.width + v * W);
        if (channel_weight) {
            const float* p = channel_weight + (y >> s.shift) * (s.width >> s.shift);
            for (int v = 0; v < vectors; ++v) row[v] *= shuffle(load(p + (v * W >> s.shift)), spread);
        }
        row[vectors - 1] = select(in_last, row[vectors - 1], V{});
    }
};

// Stride 1; gives the sum of the results. Three rows of results are under way at any time. A row is stored when the next
// one has been read: it may lie where the inputs were, as long as what is stored too much ends within the next row.
template <int vectors>
inline float convolve_rows(const Depthwise& s, float* arena, int channel) {
    WeightedRows<vectors> rows(s, arena, channel);
    float* out = arena + s.out[channel];
    V w[9];
    for (int i = 0; i < 9; ++i) w[i] = all(s.weight[9 * channel + i]);
    const V bias = all(s.bias[channel]);
    V upper[vectors], lower[vectors], total{};
    for (int v = 0; v < vectors; ++v) upper[v] = lower[v] = bias;
    for (int y = 0; y <= s.height; ++y) {
        V row[vectors] = {};
        if (y < s.height) rows.read(y, row);
        for (int v = 0; v < vectors; ++v) {
            const V left = after(v > 0 ? row[v - 1] : V{}, row[v]);
            const V right = before(row[v], v + 1 < vectors ? row[v + 1] : V{});
            const V done = upper[v] + w[6] * left + w[7] * row[v] + w[8] * right;
            upper[v] = lower[v] + w[3] * left + w[4] * row[v] + w[5] * right;
            lower[v] = bias + w[0] * left + w[1] * row[v] + w[2] * right;
            if (y > 0) {
                store(out + (y - 1) * s.width + v * W, done);
                total += v + 1 < vectors ? done : select(rows.in_last, done, V{});
            }
        }
    }
    return sum(total);
}

// Whether convolve_rows takes rows of this width.
constexpr bool takes_rows(int width) {
    return rows_fit_registers && width <= most_row_vectors * W && rounded_up(width, W) <= 2 * width;
}

inline float convolve_rows(const Depthwise& s, float* arena, int channel) {
    switch ((s.width + W - 1) / W) {
        case 1: return convolve_rows<1>(s, arena, channel);
        case 2: return convolve_rows<2>(s, arena, channel);
        case 3: return convolve_rows<3>(s, arena, channel);
        case 4: return convolve_rows<4>(s, arena, channel);
        default: return convolve_rows<most_row_vectors>(s, arena, channel);
    }
}

}  // namespace
}  // namespace litehrnet
