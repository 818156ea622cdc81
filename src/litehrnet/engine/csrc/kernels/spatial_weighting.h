// One number per plane, from the means of all of them.
#pragma once

#include "../kernels.h"
#include "../vector.h"

namespace litehrnet {
namespace {

// out = weight in + bias, `outputs` rounded up to whole vectors.
inline void dense(const float* in, int inputs, float* out, int outputs, const float* weight, const float* bias) {
    const int row = rounded_up(outputs, 16);
    for (int o = 0; o < outputs; o += W) {
        V total = load(bias + o);
        for (int i = 0; i < inputs; ++i) total += in[i] * load(weight + i * row + o);
        store(out + o, total);
    }
}

void spatial_weighting(const SpatialWeighting& s, float* arena) {
    float* hidden = arena + s.scratch;
    float* factors = hidden + rounded_up(s.hidden, 16);
    dense(arena + s.means, s.channels, hidden, s.hidden, s.weight1, s.bias1);
    for (int i = 0; i < s.hidden; i += W) store(hidden + i, relu(load(hidden + i)));
    dense(hidden, s.hidden, factors, s.channels, s.weight2, s.bias2);
    for (int i = 0; i < s.channels; i += W) store(factors + i, sigmoid(load(factors + i)));
    for (int c = 0; c < s.channels; ++c) {
        const V factor = all(factors[c]);
        const float* in = arena + s.in[c];
        float* out = arena + s.out[c];
        for (int i = 0; i < s.pixels; i += W) store(out + i, factor * load(in + i));
    }
}

}  // namespace
}  // namespace litehrnet
