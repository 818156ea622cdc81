// The sum of kernels, each times a weight computed from means.
#pragma once

#include "spatial_weighting.h"

namespace litehrnet {
namespace {

void mix_kernels(const MixKernels& s, float* arena) {
    if (s.floats == 0) return;  // another share computes it
    float* hidden = arena + s.scratch;
    float* shares = hidden + dense_row(s.hidden);
    dense(arena + s.means, s.inputs, hidden, s.hidden, s.weight1, s.bias1);
    for (int i = 0; i < s.hidden; i += W) store(hidden + i, relu(load(hidden + i)));
    dense(hidden, s.hidden, shares, s.kernels, s.weight2, s.bias2);
    for (int i = 0; i < s.kernels; i += W) store(shares + i, sigmoid(load(shares + i)));
    for (int i = 0; i < s.floats; i += W) {
        V total{};
        for (int k = 0; k < s.kernels; ++k) total += shares[k] * load(s.values + k * dense_row(s.floats) + i);
        store(arena + s.out + i, total);
    }
}

}  // namespace
}  // namespace litehrnet
