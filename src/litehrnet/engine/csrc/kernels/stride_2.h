// 3x3 convolutions of stride 2, of one plane.
//
// Inputs are split into even and odd columns in registers. A vector of n odd columns holds the left neighbours of n
// results and the right ones of n - 1: those are summed first and moved by one lane afterwards.
#pragma once

#include "../kernels.h"
#include "../vector.h"

namespace litehrnet {
namespace {

// Of a row of inputs, every second column from some column on, and the ones to the left of them.
struct SplitColumns {
    V even, odd;
};

// A strip of a plane: as many columns of results as a vector can hold, all rows.
class Strip {
public:
    Strip(const float* plane, int width, int out_column)
        : first_(plane + 2 * out_column - 1), width_(width) {
        const I column = lanes() + (2 * out_column - 1);
        inside_ = (column >= 0) & (column < width);
        next_inside_ = column < width - W;
    }

    SplitColumns row(int y) const {
        const float* p = first_ + y * width_;
        const V a = select(inside_, load(p), V{}), b = select(next_inside_, load(p + W), V{});
        return {odds(a, b), evens(a, b)};
    }

private:
    const float* first_;
    int width_;
    I inside_, next_inside_;
};

struct Convolution {
    float* out;
    const float* k;
    float bias;
};

inline V convolve_columns(const Convolution& c, const SplitColumns& above, const SplitColumns& row,
                          const SplitColumns& below) {
    const float* k = c.k;
    const V right = k[2] * above.odd + k[5] * row.odd + k[8] * below.odd;
    V total = all(c.bias) + k[1] * above.even + k[4] * row.even + k[7] * below.even;
    total += k[0] * above.odd;
    total += k[3] * row.odd;
    total += k[6] * below.odd;
    return total + shuffle(right, lanes() + 1);
}

// Strips from the right to the left: what is stored too much of the last one is overwritten by the next row, or lies in
// the slack behind the plane; that of the others is put back.
template <int count>
inline void convolve_stride_2(const float* plane, int height, int width, const Convolution (&convolutions)[count]) {
    const int out_height = (height + 1) / 2, out_width = (width + 1) / 2;
    const int strips = (out_width + W - 2) / (W - 1), columns = (out_width + strips - 1) / strips;
    const I kept = lanes() < columns;
    for (int x = (strips - 1) * columns; x >= 0; x -= columns) {
        const Strip strip(plane, width, x);
        const bool last = x + columns >= out_width;
        SplitColumns above{};
        for (int y = 0; y < out_height; ++y) {
            const SplitColumns row = strip.row(2 * y);
            const SplitColumns below = 2 * y + 1 < height ? strip.row(2 * y + 1) : SplitColumns{};
            for (const Convolution& c : convolutions) {
                float* out = c.out + y * out_width + x;
                const V result = convolve_columns(c, above, row, below);
                store(out, last ? result : select(kept, result, load(out)));
            }
            above = below;
        }
    }
}

}  // namespace
}  // namespace litehrnet
