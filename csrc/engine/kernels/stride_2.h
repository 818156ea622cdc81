// 3x3 convolutions of one plane with stride 2, several of the same plane at once.
//
// Rows are split into even and odd columns in registers, where the parts of three rows that the next result needs are
// kept. An odd column is the right neighbor of one result and the left neighbor of the next. Left neighbors are summed
// in place, and their sums are moved by one lane.
#pragma once

#include "../kernels.h"
#include "../vector.h"

namespace litehrnet {
namespace {

constexpr int most_split_vectors = registers == 32 ? 6 : 2;

struct Convolution {
    float* out;
    const float* k;
    float bias;
};

// A block of columns of a row, and the odd column to its left.
template <int vectors>
struct SplitColumns {
    V even[vectors], odd[vectors];
    float left;
};

// Columns of row y from `column` on, which is even. plane.read_row(y, column, row) reads a row into vectors;
// plane.value(y, x) is one value.
template <int inputs, bool leftmost, typename Plane>
LITEHRNET_INLINE SplitColumns<(inputs + 1) / 2> read_columns(const Plane& plane, int y, int column, I odd_in_last) {
    constexpr int vectors = (inputs + 1) / 2;
    V row[inputs];
    plane.read_row(y, column, row);
    SplitColumns<vectors> columns;
#pragma GCC unroll 3
    for (int v = 0; v < vectors; ++v) {
        const V next = 2 * v + 1 < inputs ? row[2 * v + 1] : V{};
        columns.even[v] = evens(row[2 * v], next);
        columns.odd[v] = odds(row[2 * v], next);
    }
    columns.odd[vectors - 1] = select(odd_in_last, columns.odd[vectors - 1], V{});
    columns.left = leftmost ? 0.0f : plane.value(y, column - 1);
    return columns;
}

template <bool leftmost, int vectors>
LITEHRNET_INLINE void convolve_columns(const Convolution& c, float* out, const SplitColumns<vectors>& above,
                                       const SplitColumns<vectors>& row, const SplitColumns<vectors>& below) {
    const float* k = c.k;
    V left_sums = leftmost ? V{} : all(k[0] * above.left + k[3] * row.left + k[6] * below.left);
#pragma GCC unroll 3
    for (int v = 0; v < vectors; ++v) {
        V sums = k[0] * above.odd[v];
        sums += k[3] * row.odd[v];
        sums += k[6] * below.odd[v];
        V total = all(c.bias);
        total += k[1] * above.even[v];
        total += k[2] * above.odd[v];
        total += k[4] * row.even[v];
        total += k[5] * row.odd[v];
        total += k[7] * below.even[v];
        total += k[8] * below.odd[v];
        store(out + v * W, total + after(left_sums, sums));
        left_sums = sums;
    }
}

// Results from `column` of the plane on. The plane is copied, so that the compiler knows that no stored result changes
// it.
template <int inputs, bool leftmost, int count, typename Plane>
inline void convolve_block(Plane plane, int height, int width, int column, const Convolution (&convolutions)[count]) {
    constexpr int vectors = (inputs + 1) / 2;
    const int out_height = (height + 1) / 2, out_width = (width + 1) / 2;
    const I odd_in_last = 2 * ((vectors - 1) * W + lanes()) + 1 < width - column;
    SplitColumns<vectors> above{};
    for (int y = 0; y < out_height; ++y) {
        const auto row = read_columns<inputs, leftmost>(plane, 2 * y, column, odd_in_last);
        SplitColumns<vectors> below{};
        if (2 * y + 1 < height) below = read_columns<inputs, leftmost>(plane, 2 * y + 1, column, odd_in_last);
        for (const Convolution& c : convolutions)
            convolve_columns<leftmost>(c, c.out + y * out_width + column / 2, above, row, below);
        above = below;
    }
}

// Blocks from right to left: the excess of the last vector is overwritten by the next row or by the block to the left,
// or falls into the slack after the plane.
template <int count, typename Plane>
inline void convolve_stride_2(const Plane& plane, int height, int width, const Convolution (&convolutions)[count]) {
    constexpr int most = most_split_vectors;
    const int all = (width + W - 1) / W, right = (all - 1) / most * most;
    const auto call = [&]<int inputs>(int first) {
        if (first > 0) return convolve_block<inputs, false>(plane, height, width, first * W, convolutions);
        convolve_block<inputs, true>(plane, height, width, 0, convolutions);
    };
    switch (all - right) {
        case 1: call.template operator()<1>(right); break;
#if LITEHRNET_REGISTERS == 32
        case 2: call.template operator()<2>(right); break;
        case 3: call.template operator()<3>(right); break;
        case 4: call.template operator()<4>(right); break;
        case 5: call.template operator()<5>(right); break;
#endif
        default: call.template operator()<most>(right); break;
    }
    for (int first = right - most; first >= 0; first -= most) call.template operator()<most>(first);
}

}  // namespace
}  // namespace litehrnet
