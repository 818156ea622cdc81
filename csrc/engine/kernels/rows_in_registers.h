// 3x3 convolutions whose rows stay in registers; lanes are permuted to get the neighbors. This is for vectors of 16: a
// row takes few of them, and a permutation costs no more than a load.
#pragma once

#include "../kernels.h"
#include "../vector.h"

namespace litehrnet {
namespace {

constexpr bool rows_fit_registers = W == 16 && registers == 32;
constexpr int most_row_vectors = 5;

// Half as long as V, for short rows: less work on CPUs that compute half a vector at a time.
typedef float Half __attribute__((vector_size(W * 2)));

// Rows of one plane times their enlarged channel weight, each followed by zeros.
template <typename T, int vectors>
struct WeightedRows {
    const Depthwise& s;
    const float* in;
    const float* channel_weight;  // null: none
    Integers<T> in_last, spread;

    WeightedRows(const Depthwise& step, const float* arena, int channel)
        : s(step),
          in(arena + s.in[channel]),
          channel_weight(s.channel_weight ? arena + s.channel_weight[channel] : nullptr),
          in_last(lanes<T>() < s.width - (vectors - 1) * floats_in<T>),
          spread(lanes<T>() >> s.shift) {
    }

    void read(int y, T (&row)[vectors]) const {
        constexpr int n = floats_in<T>;
        for (int v = 0; v < vectors; ++v) row[v] = load_as<T>(in + y * s.width + v * n);
        if (channel_weight) {
            const float* p = channel_weight + (y >> s.shift) * (s.width >> s.shift);
            for (int v = 0; v < vectors; ++v) row[v] *= shuffle(load_as<T>(p + (v * n >> s.shift)), spread);
        }
        row[vectors - 1] = select(in_last, row[vectors - 1], T{});
    }
};

// Stride 1; returns the sum of the results. Three rows of results are in progress at any time. A row is stored after
// the next one was read. So it may be stored over the inputs, if the excess ends within that row.
template <typename T, int vectors>
inline float convolve_rows(const Depthwise& s, float* arena, int channel) {
    WeightedRows<T, vectors> rows(s, arena, channel);
    float* out = arena + s.out[channel];
    T w[9];
    for (int i = 0; i < 9; ++i) w[i] = all<T>(s.weight[9 * channel + i]);
    const T bias = all<T>(s.bias[channel]);
    T upper[vectors], lower[vectors], total{};
    for (int v = 0; v < vectors; ++v) upper[v] = lower[v] = bias;
    for (int y = 0; y <= s.height; ++y) {
        T row[vectors] = {};
        if (y < s.height) rows.read(y, row);
        for (int v = 0; v < vectors; ++v) {
            const T left = after(v > 0 ? row[v - 1] : T{}, row[v]);
            const T right = before(row[v], v + 1 < vectors ? row[v + 1] : T{});
            const T done = upper[v] + w[6] * left + w[7] * row[v] + w[8] * right;
            upper[v] = lower[v] + w[3] * left + w[4] * row[v] + w[5] * right;
            lower[v] = bias + w[0] * left + w[1] * row[v] + w[2] * right;
            if (y > 0) {
                store(out + (y - 1) * s.width + v * floats_in<T>, done);
                total += v + 1 < vectors ? done : select(rows.in_last, done, T{});
            }
        }
    }
    return sum(total);
}

// Whether convolve_rows takes rows of this width.
constexpr bool takes_rows(int width) {
    const int step = width <= floats_in<Half> ? floats_in<Half> : W;
    return rows_fit_registers && width <= most_row_vectors * W && rounded_up(width, step) <= 2 * width;
}

inline float convolve_rows(const Depthwise& s, float* arena, int channel) {
    if (s.width <= floats_in<Half>) return convolve_rows<Half, 1>(s, arena, channel);
    switch ((s.width + W - 1) / W) {
        case 1: return convolve_rows<V, 1>(s, arena, channel);
        case 2: return convolve_rows<V, 2>(s, arena, channel);
        case 3: return convolve_rows<V, 3>(s, arena, channel);
        case 4: return convolve_rows<V, 4>(s, arena, channel);
        default: return convolve_rows<V, most_row_vectors>(s, arena, channel);
    }
}

}  // namespace
}  // namespace litehrnet
