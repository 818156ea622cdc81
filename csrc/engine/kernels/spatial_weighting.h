// Multiplies every plane by one number, computed from the means of all planes.
#pragma once

#include "../kernels.h"
#include "../vector.h"

namespace litehrnet {
namespace {

// Computes `vectors` sums of a dense layer side by side: a single sum would wait for its own last addition. Weights are
// read in the order in which they are stored.
template <int vectors>
inline void dense_block(const float* in, int inputs, float* out, const float* weight, const float* bias, int row) {
    V total[vectors];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) total[v] = load(bias + v * W);
    for (int i = 0; i < inputs; ++i, weight += row)
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) total[v] += in[i] * load(weight + v * W);
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) store(out + v * W, total[v]);
}

// out = weight in + bias, `outputs` rounded up to whole vectors.
inline void dense(const float* in, int inputs, float* out, int outputs, const float* weight, const float* bias) {
    const int row = dense_row(outputs);
    int o = 0;
    for (; o + 8 * W <= row; o += 8 * W) dense_block<8>(in, inputs, out + o, weight + o, bias + o, row);
    for (; o + 2 * W <= row; o += 2 * W) dense_block<2>(in, inputs, out + o, weight + o, bias + o, row);
    for (; o < row; o += W) dense_block<1>(in, inputs, out + o, weight + o, bias + o, row);
}

void spatial_weighting(const SpatialWeighting& s, float* arena) {
    float* hidden = arena + s.scratch;
    float* factors = hidden + dense_row(s.hidden);
    dense(arena + s.means, s.channels, hidden, s.hidden, s.weight1, s.bias1);
    for (int i = 0; i < s.hidden; i += W) store(hidden + i, relu(load(hidden + i)));
    dense(hidden, s.hidden, factors, s.channels, s.weight2, s.bias2);
    for (int i = 0; i < s.channels; i += W)
        store(factors + i, s.hard ? hard_sigmoid(load(factors + i)) : sigmoid(load(factors + i)));
    for (int c = s.begin; c < s.end; ++c) {
        const V factor = all(factors[c] * (s.scale ? s.scale[c] : 1.0f)), offset = all(s.scale ? s.offset[c] : 0.0f);
        const float* in = arena + s.in[c];
        float* out = arena + s.out[c];
        for (int i = 0; i < s.pixels; i += W) store(out + i, factor * load(in + i) + offset);
    }
}

}  // namespace
}  // namespace litehrnet
