// Planes interpolated to twice their sides, added to others.
#pragma once

#include "../kernels.h"
#include "../vector.h"

namespace litehrnet {
namespace {

// Columns from right to left: the excess of the last vector is overwritten.
void enlarge_bilinear(const EnlargeBilinear& s, float* arena) {
    const int width = 2 * s.width, height = 2 * s.height;
    const int right = s.width > 1;  // a single column has no right neighbor
    for (int x = (width - 1) / W * W; x >= 0; x -= W) {
        const I column = load(s.column + x);
        const V column_share = load(s.share + x);
        for (int c = 0; c < s.channels; ++c) {
            const float *in = arena + s.in[c] + s.first[x / W], *addend = arena + s.addend[c] + x;
            float* out = arena + s.out[c] + x;
            for (int y = 0; y < height; ++y) {
                // y (h - 1) / (2 h - 1) in integers: exact except for one division.
                const int scaled = y * (s.height - 1), above = scaled / (height - 1), rest = scaled % (height - 1);
                const float share = static_cast<float>(rest) / static_cast<float>(height - 1);
                const float* row = in + above * s.width;
                const V upper = load(row), near = upper + share * (load(row + (rest ? s.width : 0)) - upper);
                const V left = shuffle(near, column), step = shuffle(near, column + right) - left;
                store(out + y * width, load(addend + y * width) + left + column_share * step);
            }
        }
    }
}

}  // namespace
}  // namespace litehrnet
