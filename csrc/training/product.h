// Products of matrices with few columns: 1x1 convolutions, forward and backward, and batch normalization after them.
//
// A tile of the result stays in registers: `rows` rows of `wide` whole vectors, and half a vector if `narrow`.
#pragma once

#include "norm.h"

namespace litehrnet::training {
namespace {

// Number of sums that fit in the registers beside the vectors of one row and temporary values. AVX-512 and NEON have 32
// registers, the others 16. The baseline needs some for products, as it has no fused multiply-add.
#if defined(__AVX512F__)
constexpr Int most_sums = 26, most_wide = 5;
#elif defined(__AVX2__)
constexpr Int most_sums = 12, most_wide = 3;
#elif defined(__aarch64__)
constexpr Int most_sums = 24, most_wide = 5;
#else
constexpr Int most_sums = 10, most_wide = 3;
#endif

// The left factor of a product: element (row, k) is values[row * row_step + k * depth_step].
struct Left {
    const float* values;
    Int row_step, depth_step;
};

// Columns of the right factor, as rows of whole and half vectors, and the initial values of the sums; null for zeros.
struct Right {
    const float* values;
    Int depth, step;
    const float* start = nullptr;
};

// One row of a tile.
template <Int wide, bool narrow>
struct TileRow {
    static constexpr Int floats = wide * lanes + (narrow ? half : 0);
    using Half = Channels<half>;

    Vector whole[wide + 1];
    Half::Type end;

    LITEHRNET_ALWAYS void read(const float* p) {
        unrolled<wide>([&](auto w) { whole[w] = load(p + w * lanes); });
        if constexpr (narrow) end = Half::load(p + wide * lanes);
    }
    LITEHRNET_ALWAYS void write(float* p) const {
        unrolled<wide>([&](auto w) { store(p + w * lanes, whole[w]); });
        if constexpr (narrow) Half::store(p + wide * lanes, end);
    }
    LITEHRNET_ALWAYS void add(float factor, const TileRow& row) {
        unrolled<wide>([&](auto w) { whole[w] += factor * row.whole[w]; });
        if constexpr (narrow) end += factor * row.end;
    }
};

// Separate from the tiles: there are many of them.
[[gnu::noinline]] void write_part(const float* values, Int columns, bool add, float* out) {
    for (Int j = 0; j < columns; ++j) out[j] = add ? out[j] + values[j] : values[j];
}

template <Int rows, Int wide, bool narrow>
void tile(const Left& left, const Right& right, float* out, Int out_step, Int columns, bool add) {
    using Row = TileRow<wide, narrow>;
    Row sums[rows] = {}, row;
    if (right.start) unrolled<rows>([&](auto r) { sums[r].read(right.start); });
    const float *a = left.values, *b = right.values;
    const Int row_step = left.row_step;
    for (Int k = 0; k < right.depth; ++k, a += left.depth_step, b += right.step) {
        row.read(b);
        unrolled<rows>([&](auto r) { sums[r].add(a[r * row_step], row); });
    }
    unrolled<rows>([&](auto r) {
        float* to = out + r * out_step;
        if (columns == Row::floats) {
            if (add) row.read(to), sums[r].add(1, row);
            return sums[r].write(to);
        }
        float values[Row::floats];
        sums[r].write(values);
        write_part(values, columns, add, to);
    });
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

// Most columns of a tile, and floats of a packed row of columns.
constexpr Int most_columns = most_wide * lanes;
inline Int packed(Int columns) { return (columns + half - 1) / half * half; }

// Packs `columns` columns from values[k * depth_step + j * column_step].
inline void pack(const float* values, Int depth_step, Int column_step, Int depth, Int columns, float* to) {
    for (Int k = 0; k < depth; ++k, values += depth_step, to += packed(columns))
        if (column_step == 1) std::memcpy(to, values, static_cast<std::size_t>(columns) * sizeof(float));
        else for (Int j = 0; j < columns; ++j) to[j] = values[j * column_step];
}

// Rows of x that a thread processes at once, for all blocks of columns, while they are in the cache.
constexpr Int rows_at_once = 240;

// A matrix whose element (k, j) is at matrix[k * depth_step + j * step], and a bias that may be null.
class PackedMatrix {
public:
    PackedMatrix(const float* matrix, Int depth, Int depth_step, Int columns, Int step, const float* bias)
        : depth_(depth), columns_(columns), has_bias_(bias != nullptr),
          values_((columns + most_columns - 1) / most_columns * block_floats()) {
        for (Int first = 0; first < columns; first += most_columns) {
            const Int width = std::min(most_columns, columns - first);
            float* block = values_ + first / most_columns * block_floats();
            pack(matrix + first * step, depth_step, step, depth, width, block);
            if (bias) pack(bias + first, 0, 1, 1, width, block + depth * packed(width));
        }
    }

    // out (count, columns) = left (count, depth) times the matrix, plus the bias; or that added to it.
    void multiply_rows(const Left& left, Int count, float* out, bool add = false) const {
        for (Int first = 0; first < columns_; first += most_columns) {
            const Int width = std::min(most_columns, columns_ - first);
            const float* block = values_ + first / most_columns * block_floats();
            const Right right{block, depth_, packed(width), has_bias_ ? block + depth_ * packed(width) : nullptr};
            multiply(left, right, out + first, columns_, width, count, add);
        }
    }

private:
    Int block_floats() const { return (depth_ + 1) * most_columns; }

    Int depth_, columns_;
    bool has_bias_;
    Floats values_;
};

// Calls work(first, count) for blocks of rows.
template <typename Work>
void for_blocks(Int begin, Int end, const Work& work) {
    for (; begin < end; begin += rows_at_once) work(begin, std::min(rows_at_once, end - begin));
}

// Pixels as the rows of a product's left factor.
struct Pixels {
    const float* values;
    Int stride;

    static constexpr Int scratch = 1;         // floats that a block needs; none would be no memory for some calloc
    static constexpr bool is_padded = false;  // whether floats after the end of a row can be read

    Left block(Int first, Int, float*) const { return {values + first * stride, stride, 1}; }
};

// y = the product of all rows and a matrix (columns, depth); out = its normalization.
template <typename Rows>
void multiply_and_normalize(const Rows& x, Int depth, const float* matrix, const float* bias, const Shape& shape,
                            float* y, const Norm& norm, const Statistics& statistics, bool relu, float* out,
                            Int threads) {
    const Int rows = shape.images * shape.places(), columns = shape.channels;
    const Int blocks = (rows + rows_at_once - 1) / rows_at_once;
    const PackedMatrix packed_matrix(matrix, depth, 1, columns, depth, bias);
    const Doubles sums(blocks * columns), squares(blocks * columns);
    for_images(blocks, threads, [&](Int begin, Int end) {
        const Floats scratch(x.scratch);
        ChannelSums moments(columns);
        for_blocks(begin * rows_at_once, std::min(rows, end * rows_at_once), [&](Int first, Int count) {
            const Int at = first / rows_at_once * columns;
            float* block = y + first * columns;
            packed_matrix.multiply_rows(x.block(first, count, scratch), count, block);
            add_all_moments(block, count * columns, moments, sums + at, squares + at);
        });
    });
    statistics_from(sums, squares, blocks, columns, rows, norm, statistics);
    if (out) normalize(shape, y, norm, statistics, relu, out, threads);
}

void product_norm_forward(const Shape& shape, const float* x, Int x_stride, const float* matrix, const float* bias,
                          Int columns, float* y, const Norm& norm, const Statistics& statistics, bool relu, float* out,
                          Int threads) {
    multiply_and_normalize(Pixels{x, x_stride}, shape.channels, matrix, bias,
                           {shape.images, shape.height, shape.width, columns}, y, norm, statistics, relu, out, threads);
}

// Rows whose part of the gradient of a matrix is summed separately, so that sums do not depend on the number of
// threads.
constexpr Int rows_per_part = 8 * rows_at_once;

// Adds (columns, depth): dy (count, columns) transposed, times the rows x (count, depth).
inline void add_matrix_gradient(const float* dy, Int columns, const Left& x, bool is_padded, Int depth, Int count,
                                float* some, float* sum) {
    for (Int k = 0; k < depth; k += most_columns) {
        const Int width = std::min(most_columns, depth - k);
        Right right{x.values + k, count, x.row_step};
        if (packed(width) != width && !is_padded) {
            pack(right.values, x.row_step, 1, count, width, some);
            right = {some, count, packed(width)};
        }
        multiply({dy, 1, columns}, right, sum + k, depth, width, columns, true);
    }
}

// The gradients of the matrix (columns, depth) and, by finish(first row, count, gradient of y), of the rows.
template <typename Rows, typename Finish>
void multiply_backward(const Rows& x, Int depth, const Shape& shape, const float* y, const Norm& norm,
                       const Statistics& statistics, bool relu, const float* dout, float* dmatrix,
                       const NormGradient& dnorm, Int threads, const Finish& finish) {
    const Int rows = shape.images * shape.places(), columns = shape.channels;
    const Int parts = (rows + rows_per_part - 1) / rows_per_part, size = columns * depth;
    const NormBackward through(shape, y, norm, statistics, relu, dout, dnorm, threads);
    const Floats sums(parts * size);
    for_images(parts, threads, [&](Int begin, Int end) {
        const Floats dy(rows_at_once * columns), some(rows_at_once * most_columns), scratch(x.scratch);
        for_blocks(begin * rows_per_part, std::min(rows, end * rows_per_part), [&](Int first, Int count) {
            through.write(y + first * columns, dout + first * columns, count * columns, dy);
            finish(first, count, +dy);
            add_matrix_gradient(dy, columns, x.block(first, count, scratch), x.is_padded, depth, count, some,
                                sums + first / rows_per_part * size);
        });
    });
    for (Int i = 0; i < size; ++i) dmatrix[i] = static_cast<float>(total(+sums, parts, size, i));
}

void product_norm_backward(const Shape& shape, const float* x, Int x_stride, const float* matrix, Int columns,
                           const float* y, const Norm& norm, const Statistics& statistics, bool relu,
                           const float* dout, float* dx, bool add, float* dmatrix, const NormGradient& dnorm,
                           Int threads) {
    const Int depth = shape.channels;
    const PackedMatrix packed_matrix(matrix, columns, depth, depth, 1, nullptr);
    multiply_backward(Pixels{x, x_stride}, depth, {shape.images, shape.height, shape.width, columns}, y, norm,
                      statistics, relu, dout, dmatrix, dnorm, threads, [&](Int first, Int count, const float* dy) {
                          packed_matrix.multiply_rows({dy, columns, 1}, count, dx + first * depth, add);
                      });
}

}  // namespace
}  // namespace litehrnet::training
