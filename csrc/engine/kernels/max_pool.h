// Maxima of 3x3 neighbors, with stride 2.
#pragma once

#include <limits>

#include "../kernels.h"
#include "../vector.h"

namespace litehrnet {
namespace {

// One row of results from `count` rows of the plane. The excess of the last vector is overwritten by the next row, or
// falls into the slack after the plane.
inline void max_pool_row(const float* rows, int count, int width, float* out) {
    const V least = all(-std::numeric_limits<float>::infinity());
    V before = least;
    for (int x = 0; x < width; x += 2 * W, out += W) {
        V even = least, odd = least;
        for (int row = 0; row < count; ++row) {
            const V a = load(rows + row * width + x), b = load(rows + row * width + x + W);
            even = greater(even, evens(a, b));
            odd = greater(odd, odds(a, b));
        }
        odd = select(x + 2 * lanes() + 1 < width, odd, least);
        store(out, greater(greater(even, odd), after(before, odd)));
        before = odd;
    }
}

void max_pool(const MaxPool& s, float* arena) {
    const int out_height = (s.height + 1) / 2, out_width = (s.width + 1) / 2;
    for (int c = 0; c < s.channels; ++c)
        for (int y = 0; y < out_height; ++y) {
            const int first = y > 0 ? 2 * y - 1 : 0, end = 2 * y + 2 < s.height ? 2 * y + 2 : s.height;
            max_pool_row(arena + s.in[c] + first * s.width, end - first, s.width, arena + s.out[c] + y * out_width);
        }
}

}  // namespace
}  // namespace litehrnet
