// Products of matrices with few columns: 1x1 convolutions, forward and backward.
//
// A tile of the result is held in registers: `rows` rows of `wide` whole vectors, and half a one where `narrow`.
#pragma once

#include "rows.h"

namespace litehrnet::training {
namespace {

// Sums that the registers hold beside the vectors of one row and what a machine needs for a step: AVX-512 and NEON have
// 32 registers, the others 16, of which the baseline needs some for products that it cannot add in one operation.
#if defined(__AVX512F__)
constexpr Int most_sums = 26, most_wide = 5;
#elif defined(__AVX2__)
constexpr Int most_sums = 12, most_wide = 3;
#elif defined(__aarch64__)
constexpr Int most_sums = 24, most_wide = 5;
#else
constexpr Int most_sums = 10, most_wide = 3;
#endif

constexpr Int half = std::max<Int>(4, lanes / 2);

// One factor of a product: element (row, k) lies at values[row * row_step + k * depth_step].
struct Left {
    const float* values;
    Int row_step, depth_step;
};

// The columns of the other one, rows of whole and half vectors; and, where it is not null, what the sums begin with.
struct Right {
    const float* values;
    Int depth, step;
    const float* start = nullptr;
};

template <Int rows, Int wide, bool narrow>
void tile(const Left& left, const Right& right, float* out, Int out_step, Int columns, bool add) {
    using Half = Channels<half>;
    Vector sums[rows][wide + 1] = {};
    Half::Type ends[rows] = {};
    if (right.start)
        for (Int r = 0; r < rows; ++r) {
            for (Int w = 0; w < wide; ++w) sums[r][w] = load(right.start + w * lanes);
            if constexpr (narrow) ends[r] = Half::load(right.start + wide * lanes);
        }
    const float *a = left.values, *b = right.values;
    const Int row_step = left.row_step;
    for (Int k = 0; k < right.depth; ++k, a += left.depth_step, b += right.step) {
        Vector of_k[wide + 1];
        Half::Type end{};
        for (Int w = 0; w < wide; ++w) of_k[w] = load(b + w * lanes);
        if constexpr (narrow) end = Half::load(b + wide * lanes);
        for (Int r = 0; r < rows; ++r) {
            const float value = a[r * row_step];
            for (Int w = 0; w < wide; ++w) sums[r][w] += value * of_k[w];
            if constexpr (narrow) ends[r] += value * end;
        }
    }
    for (Int r = 0; r < rows; ++r, out += out_step) {
        const auto write = [&](Int j, auto some, auto sum) {
            some.store(out + j, add ? some.load(out + j) + sum : sum);
        };
        if (columns == wide * lanes + (narrow ? half : 0)) {
            for (Int w = 0; w < wide; ++w) write(w * lanes, Channels<lanes>(), sums[r][w]);
            if constexpr (narrow) write(wide * lanes, Half(), ends[r]);
            continue;
        }
        float values[(wide + 1) * lanes] = {};
        for (Int w = 0; w < wide; ++w) store(values + w * lanes, sums[r][w]);
        if constexpr (narrow) Half::store(values + wide * lanes, ends[r]);
        for (Int j = 0; j < columns; ++j) write(j, Channels<1>(), values[j]);
    }
}

template <Int rows, Int wide, bool narrow>
void tiles_of(Left left, const Right& right, float* out, Int out_step, Int columns, Int count, bool add) {
    for (; count >= rows; count -= rows, left.values += rows * left.row_step, out += rows * out_step)
        tile<rows, wide, narrow>(left, right, out, out_step, columns, add);
    if constexpr (rows > 1) tiles_of<rows / 2, wide, narrow>(left, right, out, out_step, columns, count, add);
}

// `count` rows of out, `columns` of them being at most most_wide vectors: left times right, or that added to it.
inline void multiply(const Left& left, const Right& right, float* out, Int out_step, Int columns, Int count, bool add) {
    const Int wide = (columns + half - 1) / lanes;
    const bool narrow = columns > wide * lanes;
    const auto go = [&](auto w) {
        constexpr auto rows_for = [](Int vectors) {
            return std::max<Int>(1, std::min<Int>(12, most_sums / vectors));
        };
        if constexpr (half < lanes)
            if (narrow) return tiles_of<rows_for(w + 1), w, true>(left, right, out, out_step, columns, count, add);
        if constexpr (w > 0) tiles_of<rows_for(w), w, false>(left, right, out, out_step, columns, count, add);
    };
    const auto choose = [&]<Int... w>(std::integer_sequence<Int, w...>) {
        (void)((wide == w && (go(std::integral_constant<Int, w>()), true)) || ...);
    };
    choose(std::make_integer_sequence<Int, most_wide + 1>());
}

// Columns that a tile takes at once, and floats of a packed row of them.
constexpr Int most_columns = most_wide * lanes;
inline Int packed(Int columns) { return (columns + half - 1) / half * half; }

// Packs `columns` columns from values[k * depth_step + j * column_step].
inline void pack(const float* values, Int depth_step, Int column_step, Int depth, Int columns, float* to) {
    for (Int k = 0; k < depth; ++k, values += depth_step, to += packed(columns))
        if (column_step == 1) std::memcpy(to, values, static_cast<std::size_t>(columns) * sizeof(float));
        else for (Int j = 0; j < columns; ++j) to[j] = values[j * column_step];
}

// Rows of x that a thread works on at once: all blocks of columns while they are in the cache.
constexpr Int rows_at_once = 240;

// out (rows, columns) = x (rows, depth) times a matrix whose element (k, j) is at matrix[k * depth_step + j * step],
// plus bias, if it is not null.
inline void rows_times(const float* x, Int x_stride, Int rows, Int depth, const float* matrix, Int depth_step, Int step,
                       const float* bias, Int columns, float* out, Int threads) {
    const Int blocks = (columns + most_columns - 1) / most_columns, floats = (depth + 1) * most_columns;
    const Floats all(blocks * floats);
    for (Int b = 0; b < blocks; ++b) {
        const Int first = b * most_columns, width = std::min(most_columns, columns - first);
        pack(matrix + first * step, depth_step, step, depth, width, all + b * floats);
        if (bias) pack(bias + first, 0, 1, 1, width, all + b * floats + depth * packed(width));
    }
    for_images((rows + rows_at_once - 1) / rows_at_once, threads, [&](Int begin, Int end) {
        for (Int from = begin * rows_at_once; from < std::min(rows, end * rows_at_once); from += rows_at_once)
            for (Int b = 0; b < blocks; ++b) {
                const Int width = std::min(most_columns, columns - b * most_columns);
                const float* values = all + b * floats;
                const Right right{values, depth, packed(width), bias ? values + depth * packed(width) : nullptr};
                multiply({x + from * x_stride, x_stride, 1}, right, out + from * columns + b * most_columns, columns,
                         width, std::min(rows_at_once, rows - from), false);
            }
    });
}

void product_forward(const Shape& shape, const float* x, Int x_stride, const float* matrix, const float* bias,
                     Int columns, float* y, Int threads) {
    const Int depth = shape.channels;
    rows_times(x, x_stride, shape.images * shape.places(), depth, matrix, 1, depth, bias, columns, y, threads);
}

void product_backward(const Shape& shape, const float* x, Int x_stride, const float* matrix, Int columns,
                      const float* dy, float* dx, float* dmatrix, float* dbias, Int threads) {
    const Int rows = shape.images * shape.places(), depth = shape.channels;
    rows_times(dy, columns, rows, columns, matrix, depth, 1, nullptr, depth, dx, threads);
    // The matrix's rows are shared out: every one of them is summed over all rows of x by one thread.
    constexpr Int share = 20;
    for_images((columns + share - 1) / share, threads, [&](Int begin, Int end) {
        const Int first = begin * share, count = std::min(columns, end * share) - first;
        const Floats some(rows_at_once * most_columns), sums(share * (end - begin) + slack);
        for (Int from = 0; from < rows; from += rows_at_once) {
            const Int block = std::min(rows_at_once, rows - from);
            const float* g = dy + from * columns + first;
            for (Int k = 0; k < depth; k += most_columns) {
                const Int width = std::min(most_columns, depth - k);
                Right right{x + from * x_stride + k, block, x_stride};
                if (packed(width) != width) {
                    pack(right.values, x_stride, 1, block, width, some);
                    right = {some, block, packed(width)};
                }
                multiply({g, 1, columns}, right, dmatrix + first * depth + k, depth, width, count, from > 0);
            }
            if (!dbias) continue;
            for (Int row = 0; row < block; ++row)
                for_channels(count, [&](Int j, auto some_of) {
                    some_of.store(sums + j, some_of.load(sums + j) + some_of.load(g + row * columns + j));
                });
        }
        if (dbias) std::copy(+sums, sums + count, dbias + first);
    });
}

}  // namespace
}  // namespace litehrnet::training
