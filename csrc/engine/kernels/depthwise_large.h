// Depthwise convolutions with kernels of 5x5, 7x7 and 9x9, from scratch with zeros around the plane.
//
// With stride 2, even and odd columns are stored apart, so that neighboring results read consecutive values.
#pragma once

#include "scratch.h"

namespace litehrnet {
namespace {

// Copies one plane to scratch; rows.row(0) is the uppermost row of zeros.
inline void fill_reaching(const Depthwise& s, const float* arena, int c, const Rows& rows) {
    const int reach = s.size / 2, even = (s.width + 1) / 2, odd = s.width / 2;
    const I in_last = lanes() < s.width % W, in_last_even = lanes() < even % W, in_last_odd = lanes() < odd % W;
    for (int y = 0; y < s.height; ++y) {
        const int to = s.stride * (y + reach);
        const float* row = arena + s.in[c] + y * s.width;
        if (s.stride == 1) {
            fill_weighted_row(s, arena, c, y, rows, to, in_last);
        } else {
            fill_row(rows, to, even, in_last_even,
                     [=](int x) { return evens(load(row + 2 * x), load(row + 2 * x + W)); });
            fill_row(rows, to + 1, odd, in_last_odd,
                     [=](int x) { return odds(load(row + 2 * x), load(row + 2 * x + W)); });
        }
    }
}

// `count` rows of results from row y on, one vector of columns; returns their sums.
template <int count, int size, int stride>
inline V convolve_reaching_rows(const Rows& in, float* out, int y, int width, int column, const float* k, float bias) {
    V total[count];
#pragma GCC unroll 4
    for (int r = 0; r < count; ++r) total[r] = all(bias);
    for (int i = 0; i < size; ++i, k += size) {
        const float* first = in.row(stride * (stride * y + i)) + column;
#pragma GCC unroll 9
        for (int j = 0; j < size; ++j) {
            const int from = j - size / 2, phase = stride == 2 ? from & 1 : 0;
            const float* p = first + phase * in.pitch + (from - phase) / stride;
            const V w = all(k[j]);
#pragma GCC unroll 4
            for (int r = 0; r < count; ++r) total[r] += w * load(p + r * stride * stride * in.pitch);
        }
    }
    V sums{};
#pragma GCC unroll 4
    for (int r = 0; r < count; ++r) {
        store(out + (y + r) * width + column, total[r]);
        sums += total[r];
    }
    return sums;
}

// Columns from right to left: the excess of the last vector in a row falls into the first columns of the next row, or
// into the slack after the plane. Returns the sum of the results.
template <int size, int stride>
inline float convolve_reaching(const Rows& in, float* out, int height, int width, const float* k, float bias) {
    V total{};
    for (int column = (width - 1) / W * W; column >= 0; column -= W) {
        V sums{};
        int y = 0;
        for (; y + 4 <= height; y += 4)
            sums += convolve_reaching_rows<4, size, stride>(in, out, y, width, column, k, bias);
        for (; y < height; ++y) sums += convolve_reaching_rows<1, size, stride>(in, out, y, width, column, k, bias);
        total += select(lanes() < width - column, sums, V{});
    }
    return sum(total);
}

template <int size>
inline float convolve_reaching(const Depthwise& s, const Rows& in, float* out, const float* k, float bias) {
    if (s.stride == 1) return convolve_reaching<size, 1>(in, out, s.height, s.width, k, bias);
    return convolve_reaching<size, 2>(in, out, (s.height + 1) / 2, (s.width + 1) / 2, k, bias);
}

// Scratch for planes, with zeros above and below.
inline Rows reaching_rows(const Depthwise& s, float* arena) {
    const Rows rows{arena + s.scratch + slack_floats, reaching_pitch(s.width, s.stride)};
    const int above = s.stride * (s.size / 2), filled = s.stride * s.height;
    store(rows.first - W, V{});
    for (int y = 0; y < above; ++y) {
        zero_row(rows, y);
        zero_row(rows, above + filled + y);
    }
    return rows;
}

// Stores the results of one plane and returns their sum.
inline float filter_large(const Depthwise& s, float* arena, const Rows& rows, int c) {
    fill_reaching(s, arena, c, rows);
    const float* k = s.weight + s.size * s.size * c;
    float* out = arena + s.out[c];
    return s.size == 5   ? convolve_reaching<5>(s, rows, out, k, s.bias[c])
           : s.size == 7 ? convolve_reaching<7>(s, rows, out, k, s.bias[c])
                         : convolve_reaching<9>(s, rows, out, k, s.bias[c]);
}

}  // namespace
}  // namespace litehrnet
