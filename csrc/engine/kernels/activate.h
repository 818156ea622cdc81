// Activations of vectors, chosen before a loop.
#pragma once

#include "../kernels.h"
#include "../vector.h"

namespace litehrnet {
namespace {

// Returns call(the activation of a vector).
template <typename Call>
inline auto with_activation(Activation activation, Call call) {
    switch (activation) {
        case Activation::none: return call([](V v) { return v; });
        case Activation::relu: return call([](V v) { return relu(v); });
        case Activation::sigmoid: return call([](V v) { return sigmoid(v); });
        case Activation::relu6: return call([](V v) { return clamped(v, 0.0f, 6.0f); });
        case Activation::hard_swish: return call([](V v) { return hard_swish(v); });
        case Activation::hard_sigmoid: return call([](V v) { return hard_sigmoid(v); });
    }
    __builtin_unreachable();  // read_program refuses others
}

// Activates a tile of several planes in place. Not within the loops of a product: unrolling a sigmoid 24 times would
// take too much code.
[[gnu::noinline]] void activate_tile(float* arena, const Place* planes, int rows, int pixel, int vectors,
                                     Activation activation) {
    with_activation(activation, [=](auto activated) {
        for (int m = 0; m < rows; ++m) {
            float* values = arena + planes[m] + pixel;
            for (int v = 0; v < vectors; ++v) store(values + v * W, activated(load(values + v * W)));
        }
    });
}

// Activates `count` values in place, in whole vectors, and returns the sum of the results.
[[gnu::noinline]] float activate_plane(float* values, int count, Activation activation) {
    return with_activation(activation, [=](auto activated) {
        V total{};
        for (int i = 0; i < count; i += W) {
            const V v = activated(load(values + i));
            store(values + i, v);
            total += i + W <= count ? v : select(i + lanes() < count, v, V{});
        }
        return sum(total);
    });
}

}  // namespace
}  // namespace litehrnet
