// 1x1 convolutions: a matrix product whose rows of pixels lie anywhere.
//
// A tile of up to 8 outputs x 3 vectors of pixels stays in registers while all inputs pass; every loaded vector of
// pixels is used 8 times, every weight 3 times.
#pragma once

#include "../kernels.h"
#include "../vector.h"

namespace litehrnet {
namespace {

constexpr int tile_rows = registers == 32 ? 8 : 4;
constexpr int tile_vectors = 3;

inline V activated(V v, Activation activation) {
    switch (activation) {
        case Activation::relu: return relu(v);
        case Activation::sigmoid: return sigmoid(v);
        default: return v;
    }
}

// `first` is the first output, `pixel` the first pixel; `ahead` inputs are fetched for the next tile where it is not 0.
template <int rows, int vectors>
inline void pointwise_tile(const Pointwise& s, float* arena, int first, int pixel, const float* weight, int ahead) {
    V total[rows][vectors];
    for (int m = 0; m < rows; ++m)
        for (int v = 0; v < vectors; ++v) total[m][v] = all(s.bias[first + m]);
    for (int k = 0; k < s.inputs; ++k, weight += rows) {
        const float* in = arena + s.in[k] + pixel;
        V x[vectors];
        for (int v = 0; v < vectors; ++v) {
            x[v] = load(in + v * W);
            keep(x[v]);
        }
        if (ahead)
            for (int v = 0; v < vectors * W; v += 16) __builtin_prefetch(in + ahead + v);
        __builtin_prefetch(weight + 40 * rows);
        for (int m = 0; m < rows; ++m) {
            V w = all(weight[m]);
            if (vectors > 1) keep(w);
            for (int v = 0; v < vectors; ++v) total[m][v] += w * x[v];
        }
    }
    for (int m = 0; m < rows; ++m) {
        float* out = arena + s.out[first + m] + pixel;
        const float* addend = s.addend ? arena + s.addend[first + m] + pixel : nullptr;
        for (int v = 0; v < vectors; ++v) {
            const V result = addend ? total[m][v] + load(addend + v * W) : total[m][v];
            store(out + v * W, activated(result, s.activation));
        }
    }
}

template <int vectors>
inline void pointwise_rows(const Pointwise& s, float* arena, int pixel, int ahead) {
    const int blocks = block_count(s.outputs, tile_rows);
    const float* weight = s.weight;
    for (int block = 0; block < blocks; ++block) {
        const int first = block_begin(s.outputs, blocks, block);
        const int rows = block_begin(s.outputs, blocks, block + 1) - first;
        const int now_ahead = block == 0 ? ahead : 0;
        switch (rows) {
            case 1: pointwise_tile<1, vectors>(s, arena, first, pixel, weight, now_ahead); break;
            case 2: pointwise_tile<2, vectors>(s, arena, first, pixel, weight, now_ahead); break;
            case 3: pointwise_tile<3, vectors>(s, arena, first, pixel, weight, now_ahead); break;
            case 4: pointwise_tile<4, vectors>(s, arena, first, pixel, weight, now_ahead); break;
#if LITEHRNET_REGISTERS == 32
            case 5: pointwise_tile<5, vectors>(s, arena, first, pixel, weight, now_ahead); break;
            case 6: pointwise_tile<6, vectors>(s, arena, first, pixel, weight, now_ahead); break;
            case 7: pointwise_tile<7, vectors>(s, arena, first, pixel, weight, now_ahead); break;
            case 8: pointwise_tile<8, vectors>(s, arena, first, pixel, weight, now_ahead); break;
#endif
            default: __builtin_unreachable();
        }
        weight += rows * s.inputs;
    }
}

void pointwise(const Pointwise& s, float* arena) {
    int left = (s.pixels + W - 1) / W, pixel = 0;  // vectors; the last one may reach into the slack
    while (left > 0) {
        const int vectors = left == 4 ? 2 : left < tile_vectors ? left : tile_vectors;
        const int ahead = left > vectors ? vectors * W : 0;
        switch (vectors) {
            case 1: pointwise_rows<1>(s, arena, pixel, ahead); break;
            case 2: pointwise_rows<2>(s, arena, pixel, ahead); break;
            default: pointwise_rows<3>(s, arena, pixel, ahead); break;
        }
        left -= vectors;
        pixel += vectors * W;
    }
}

}  // namespace
}  // namespace litehrnet
