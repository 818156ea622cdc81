// Sums of two planes each.
#pragma once

#include "activate.h"

namespace litehrnet {
namespace {

void add(const Add& s, float* arena) {
    with_activation(s.activation, [&](auto activated) {
        for (int c = 0; c < s.channels; ++c) {
            const float *a = arena + s.a[c], *b = arena + s.b[c];
            float* out = arena + s.out[c];
            for (int i = 0; i < s.pixels; i += W) store(out + i, activated(load(a + i) + load(b + i)));
        }
    });
}

}  // namespace
}  // namespace litehrnet
