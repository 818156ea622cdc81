// 1x1 convolutions with inputs and weights rounded to bfloat16. The instructions multiply pairs and sum in float32:
// twice as many products at once as in float32.
//
// The inputs of a tile of pixels are rounded once for all outputs, to pairs of two inputs.
#pragma once

#include "pointwise.h"

#if defined(__AVX512BF16__)
#include <immintrin.h>

namespace litehrnet {
namespace {

inline I load_pairs(const float* p) { return reinterpret_cast<I>(load(p)); }

// In every lane, a in the lower half and b in the upper half.
inline V rounded_pairs(V a, V b) {
    const __m512bh both = _mm512_cvtne2ps_pbh(reinterpret_cast<__m512>(b), reinterpret_cast<__m512>(a));  // a, then b
    const I in_turn = lanes() * 0x10001 + (W << 16);
    return reinterpret_cast<V>(
        _mm512_permutexvar_epi16(reinterpret_cast<__m512i>(in_turn), reinterpret_cast<__m512i>(both)));
}

inline V multiply_pairs(V total, I a, I b) {
    return reinterpret_cast<V>(_mm512_dpbf16_ps(reinterpret_cast<__m512>(total), reinterpret_cast<__m512bh>(a),
                                                reinterpret_cast<__m512bh>(b)));
}

template <int vectors>
inline void round_inputs(const Pointwise& s, float* arena, int pixel, int ahead, float* pairs) {
    for (int k = 0; k < s.inputs; k += 2, pairs += vectors * W) {
        const float* a = arena + s.in[k] + pixel;
        const float* b = k + 1 < s.inputs ? arena + s.in[k + 1] + pixel : nullptr;
        for (int v = 0; v < vectors; ++v) {
            store(pairs + v * W, rounded_pairs(load(a + v * W), b ? load(b + v * W) : V{}));
            if (ahead) {
                __builtin_prefetch(a + ahead + v * W);
                if (b) __builtin_prefetch(b + ahead + v * W);
            }
        }
    }
}

template <int rows, int vectors>
inline void pointwise_bf16_tile(const PointwiseBf16& s, float* arena, int first, int pixel, const float* pairs) {
    const int count = pair_count(s.product.inputs);
    const std::uint32_t* weight = s.weight + first * count;
    V total[rows][vectors];
    begin_tile<rows, vectors>(s.product, first, total);
    for (int k = 0; k < count; ++k, weight += rows, pairs += vectors * W) {
        I x[vectors];
        for (int v = 0; v < vectors; ++v) x[v] = load_pairs(pairs + v * W);
        __builtin_prefetch(weight + 40 * rows);
        for (int m = 0; m < rows; ++m) {
            const I w = static_cast<std::int32_t>(weight[m]) - I{};
            for (int v = 0; v < vectors; ++v) total[m][v] = multiply_pairs(total[m][v], w, x[v]);
        }
    }
    finish_tile<rows, vectors>(s.product, arena, first, pixel, total);
}

void pointwise_bf16(const PointwiseBf16& s, float* arena) {
    float* pairs = arena + s.scratch;
    for_pixels(s.product.begin, s.product.end, [&]<int vectors>(int pixel, int ahead) {
        round_inputs<vectors>(s.product, arena, pixel, ahead, pairs);
        for_outputs(s.product.outputs, [&]<int rows>(int first) {
            pointwise_bf16_tile<rows, vectors>(s, arena, first, pixel, pairs);
        });
    });
}

}  // namespace
}  // namespace litehrnet
#endif
