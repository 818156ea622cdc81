// 3x3 convolutions of one plane, from scratch without gaps between rows. A vector may hold pixels of two rows and more,
// so narrow planes fill vectors too.
//
// The products with neighbors to the left are summed in the lanes of these neighbors, and their sums are moved by one
// lane. Where a row begins, they are masked. The same is done for neighbors to the right.
#pragma once

#include "../kernels.h"
#include "../vector.h"

namespace litehrnet {
namespace {

// Whether rows leave so many lanes empty that the masks pay. They do with AVX2. Vectors of 16 keep rows in registers, and
// those of 4 have few empty lanes.
constexpr bool fits_flat(int width) { return W == 8 && 4 * rounded_up(width, W) > 5 * width; }

// Masks of the pixels with a left neighbor, and of those with a right neighbor. They repeat after
// `period` pixels, which are whole rows and whole vectors.
struct Edges {
    const float *left, *right;
    int period;
};

// Writes the masks to scratch.
inline Edges make_edges(float* scratch, int width, int pixels) {
    int power = 1;  // the largest that divides both the width and W
    while (power < W && width % (2 * power) == 0) power *= 2;
    const std::int64_t whole = std::int64_t{width / power} * W;
    const int period = static_cast<int>(std::min<std::int64_t>(whole, rounded_up(pixels, W)));
    float* right = scratch + period;
    for (int i = 0, x = 0; i < period; ++i, x = x + 1 < width ? x + 1 : 0) {
        const std::int32_t not_first = x > 0 ? -1 : 0, not_last = x + 1 < width ? -1 : 0;
        scratch[i] = std::bit_cast<float>(not_first);
        right[i] = std::bit_cast<float>(not_last);
    }
    return {scratch, right, period};
}

// Zeros, in whole vectors.
inline void fill_zeros(float* p, int count) {
    for (int i = 0; i < count; i += W) store(p + i, V{});
}

// Stores rows times the weights of their pixels: a weight belongs to 2^shift rows and columns. Columns from right to left:
// the excess of a row is overwritten by the next one.
inline void copy_weighted(const float* in, const float* weight, int height, int width, int shift, float* to) {
    const I spread = lanes() >> shift;
    const int rows = 1 << shift;
    for (int y = 0; y < height; y += rows, weight += width >> shift)
        for (int x = (width - 1) / W * W; x >= 0; x -= W) {
            const V w = shuffle(load(weight + (x >> shift)), spread);
            for (int i = y * width + x, end = i + rows * width; i < end; i += width) store(to + i, w * load(in + i));
        }
}

// A plane times its enlarged channel weight, followed by a row of zeros.
inline void copy_flat(const Depthwise& s, const float* arena, int c, float* to) {
    const float *in = arena + s.in[c], *weight = s.channel_weight ? arena + s.channel_weight[c] : nullptr;
    const int pixels = s.height * s.width;
    if (!weight)
        for (int i = 0; i < pixels; i += W) store(to + i, load(in + i));
    else if (s.shift == 0)
        for (int i = 0; i < pixels; i += W) store(to + i, load(in + i) * load(weight + i));
    else
        copy_weighted(in, weight, s.height, s.width, s.shift, to);
    fill_zeros(to + pixels, s.width);
}

inline V masked(V v, const float* mask) { return reinterpret_cast<V>(reinterpret_cast<I>(v) & load_as<I>(mask)); }

// The weights of a kernel in all lanes. There are 16 registers, so some stay in memory. Else compilers keep sums there, and every
// addition waits until the one before is stored.
struct Taps {
    V held[9];
    alignas(64) float stored[5 * W];

    LITEHRNET_INLINE Taps(const float* k, float bias) {
        for (int i = 0; i < 9; ++i) held[i] = all(k[i]);
        for (int i = 0; i < 4; ++i) store(stored + i * W, all(k[2 * i]));
        store(stored + 4 * W, all(bias));
        asm volatile("" : : "r"(stored) : "memory");  // compilers must expect that stored results change them
    }

    template <int i>
    LITEHRNET_INLINE V get() const {
        if constexpr (i % 2 == 0 && i < 8)
            return load(stored + i / 2 * W);
        else
            return held[i];
    }
    LITEHRNET_INLINE V bias() const { return load(stored + 4 * W); }
};

// What the row above, the row itself and the row below add to the neighbor on one side.
template <int column>
LITEHRNET_INLINE V sum_rows(V above, V row, V below, const Taps& w) {
    return w.get<column>() * above + w.get<3 + column>() * row + w.get<6 + column>() * below;
}

// Sums the columns of three rows around the pixels at `in`.
struct Columns {
    V left, middle, right;
    LITEHRNET_INLINE Columns(const float* in, int width, const Taps& w) {
        const V above = load(in - width), row = load(in), below = load(in + width);
        left = sum_rows<0>(above, row, below, w);
        right = sum_rows<2>(above, row, below, w);
        middle = w.bias() + w.get<1>() * above + w.get<4>() * row + w.get<7>() * below;
    }
};

// Stride 1, from a plane between rows of zeros; returns the sum of the results.
inline float convolve_flat(const float* in, float* out, int width, int pixels, const Edges& edges, const float* k,
                           float offset) {
    const Taps w(k, offset);
    V total{}, left{}, right{}, unfinished{};
    const float* mask = edges.right;
    for (int begin = 0; begin < pixels; begin += edges.period) {
        const int end = begin + edges.period < pixels ? begin + edges.period : pixels;
        for (int i = begin; i < end; i += W) {
            const Columns c(in + i, width, w);
            if (i > 0) {
                const V done = unfinished + masked(before(right, c.right), mask);
                store(out + i - W, done);
                total += done;
            }
            unfinished = c.middle + masked(after(left, c.left), edges.left + i - begin);
            mask = edges.right + i - begin;
            left = c.left;
            right = c.right;
        }
    }
    const V done = unfinished + masked(before(right, V{}), mask);
    const int last = (pixels - 1) / W * W;
    store(out + last, done);
    return sum(total + select(lanes() < pixels - last, done, V{}));
}

}  // namespace
}  // namespace litehrnet
