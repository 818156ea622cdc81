// 1x1 convolutions: a matrix product whose rows of pixels may be anywhere in the arena.
//
// A tile of up to 8 outputs x 3 vectors of pixels stays in registers during the loop over all inputs. Every loaded
// vector of pixels is used 8 times, every weight 3 times. Browsers move some values of a tile of 4 x 3 to memory.
#pragma once

#include "activate.h"

namespace litehrnet {
namespace {

constexpr int tile_rows = registers == 32 ? 8 : 4;
#if defined(__wasm__)
constexpr int tile_vectors = 2;
#else
constexpr int tile_vectors = 3;
#endif

// Calls call<vectors>(pixel, ahead) for tiles from pixel `begin` to `end`; the last vector may reach beyond `end`.
// `ahead` is the distance to the next tile, or 0.
template <typename Call>
inline void for_pixels(int begin, int end, Call call) {
    int left = (end - begin + W - 1) / W, pixel = begin;
    while (left > 0) {
        const int vectors = left == 4 ? 2 : left < tile_vectors ? left : tile_vectors;
        left -= vectors;
        const int ahead = left > 0 ? vectors * W : 0;
        switch (vectors) {
            case 1: call.template operator()<1>(pixel, ahead); break;
            case 2: call.template operator()<2>(pixel, ahead); break;
            default: call.template operator()<tile_vectors>(pixel, ahead); break;
        }
        pixel += vectors * W;
    }
}

// Calls call<rows>(first) for every block of outputs.
template <typename Call>
inline void for_outputs(int outputs, Call call) {
    const int blocks = block_count(outputs, tile_rows);
    for (int block = 0; block < blocks; ++block) {
        const int first = block_begin(outputs, blocks, block);
        switch (block_begin(outputs, blocks, block + 1) - first) {
            case 1: call.template operator()<1>(first); break;
            case 2: call.template operator()<2>(first); break;
            case 3: call.template operator()<3>(first); break;
            case 4: call.template operator()<4>(first); break;
            case 5: if constexpr (tile_rows >= 5) call.template operator()<5>(first); break;
            case 6: if constexpr (tile_rows >= 6) call.template operator()<6>(first); break;
            case 7: if constexpr (tile_rows >= 7) call.template operator()<7>(first); break;
            case 8: if constexpr (tile_rows >= 8) call.template operator()<8>(first); break;
            default: __builtin_unreachable();
        }
    }
}

template <int rows, int vectors>
using Tile = V[rows][vectors];

template <int rows, int vectors>
inline void begin_tile(const Pointwise& s, int first, Tile<rows, vectors>& total) {
#pragma GCC unroll 8
    for (int m = 0; m < rows; ++m)
#pragma GCC unroll 3
        for (int v = 0; v < vectors; ++v) total[m][v] = all(s.bias[first + m]);
}

// Fully unrolled, like begin_tile: in a loop, the compiler would keep the tile in memory instead of registers.
template <int rows, int vectors, bool is_relu>
inline void store_tile(const Pointwise& s, float* arena, int first, int pixel, const Tile<rows, vectors>& total) {
    const Place *outs = s.out + first, *addends = s.addend ? s.addend + first : nullptr;
#pragma GCC unroll 8
    for (int m = 0; m < rows; ++m) {
        float* out = arena + outs[m] + pixel;
        const float* addend = addends ? arena + addends[m] + pixel : nullptr;
#pragma GCC unroll 3
        for (int v = 0; v < vectors; ++v) {
            const V result = addend ? total[m][v] + load(addend + v * W) : total[m][v];
            store(out + v * W, is_relu ? relu(result) : result);
        }
    }
}

template <int rows, int vectors>
inline void finish_tile(const Pointwise& s, float* arena, int first, int pixel, const Tile<rows, vectors>& total) {
    if (s.activation == Activation::relu) return store_tile<rows, vectors, true>(s, arena, first, pixel, total);
    store_tile<rows, vectors, false>(s, arena, first, pixel, total);
    if (s.activation == Activation::none) return;
    activate_tile(arena, s.out + first, rows, pixel, vectors, s.activation);
}

// `first` is the first output, `pixel` the first pixel. If `ahead` is not 0, the inputs of the next tile are
// prefetched.
template <int rows, int vectors>
inline void pointwise_tile(const Pointwise& s, float* arena, int first, int pixel, int ahead) {
    const float *weight = s.weight + first * s.inputs, *from = arena + s.from + pixel;
    V total[rows][vectors];
    begin_tile<rows, vectors>(s, first, total);
    for (int k = 0; k < s.inputs; ++k, weight += rows) {
        const float* in = from + s.in[k];
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
    finish_tile<rows, vectors>(s, arena, first, pixel, total);
}

// Packs a kernel in the arena as Constants::keep_packed does, to scratch.
inline void pack_kernel(const Pointwise& s, float* arena) {
    const int blocks = block_count(s.outputs, tile_rows);
    const float* kernel = arena + s.kernel;
    float* packed = arena + s.scratch;
    for (int block = 0; block < blocks; ++block)
        for (int k = 0; k < s.inputs; ++k)
            for (int m = block_begin(s.outputs, blocks, block); m < block_begin(s.outputs, blocks, block + 1); ++m)
                *packed++ = kernel[m * s.inputs + k];
}

void pointwise(const Pointwise& step, float* arena) {
    Pointwise s = step;
    if (s.kernel) {
        pack_kernel(s, arena);
        s.weight = arena + s.scratch;
    }
    for_pixels(s.begin, s.end, [&]<int vectors>(int pixel, int ahead) {
        for_outputs(s.outputs, [&]<int rows>(int first) {
            pointwise_tile<rows, vectors>(s, arena, first, pixel, first == 0 ? ahead : 0);
        });
    });
}

}  // namespace
}  // namespace litehrnet
