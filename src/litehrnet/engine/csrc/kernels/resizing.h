// Pooling, and enlarging to twice the sides.
#pragma once

#include "../kernels.h"
#include "../vector.h"

namespace litehrnet {
namespace {

// Sums of 2^shift neighbors; `count` is at most 2^shift.
template <int count>
LITEHRNET_INLINE V sum_neighbors(const V (&v)[count], int shift) {
    if constexpr (count == 1) {
        V sums = v[0];
        for (; shift > 0; --shift) sums = evens(sums, V{}) + odds(sums, V{});
        return sums;
    } else {
        V pairs[(count + 1) / 2];
        for (int i = 0; i < count; i += 2) {
            const V next = i + 1 < count ? v[i + 1] : V{};
            pairs[i / 2] = evens(v[i], next) + odds(v[i], next);
        }
        return sum_neighbors(pairs, shift - 1);
    }
}

// One vector of results of every row, from `count` vectors of rows.
template <int count>
inline void pool_column(const Pool& s, float* arena, int x) {
    const int factor = 1 << s.shift, width = s.width << s.shift;
    const float share = 1.0f / static_cast<float>(factor * factor);
    for (int c = 0; c < s.channels; ++c) {
        const float* in = arena + s.in[c] + x * factor;
        float* out = arena + s.out[c] + x;
        for (int y = 0; y < s.height; ++y, out += s.width) {
            V sums[count] = {};
            for (int row = 0; row < factor; ++row, in += width)
#pragma GCC unroll 8
                for (int v = 0; v < count; ++v) sums[v] += load(in + v * W);
            store(out, share * sum_neighbors(sums, s.shift));
        }
    }
}

// Columns from the right to the left: what is stored too much of the last one is overwritten.
void pool(const Pool& s, float* arena) {
    const int factor = 1 << s.shift;
    for (int x = (s.width - 1) / W * W; x >= 0; x -= W) {
        const int left = ((s.width - x) * factor + W - 1) / W;
        switch (left < factor ? left : factor) {
            case 1: pool_column<1>(s, arena, x); break;
            case 2: pool_column<2>(s, arena, x); break;
            case 3: pool_column<3>(s, arena, x); break;
            case 4: pool_column<4>(s, arena, x); break;
            case 5: pool_column<5>(s, arena, x); break;
            case 6: pool_column<6>(s, arena, x); break;
            case 7: pool_column<7>(s, arena, x); break;
            default: pool_column<1 << most_shift>(s, arena, x); break;
        }
    }
}

// Both rows of results that a row gives at once. Columns from the right to the left: what is stored too much of the
// last one is overwritten.
template <bool has_addend>
inline void enlarge_rows(const Enlarge& s, float* arena) {
    const I twice = lanes() >> 1;
    const int width = 2 * s.width;
    for (int c = 0; c < s.channels; ++c) {
        const float* in = arena + s.in[c];
        const float* addend = has_addend ? arena + s.addend[c] : nullptr;
        float* out = arena + s.out[c];
        for (int y = 0; y < s.height; ++y, in += s.width, addend += has_addend ? 2 * width : 0, out += 2 * width)
            for (int x = (width - 1) / W * W; x >= 0; x -= W) {
                const V v = shuffle(load(in + x / 2), twice);
                const V upper = has_addend ? v + load(addend + x) : v;
                const V lower = has_addend ? v + load(addend + width + x) : v;
                store(out + x, upper);
                store(out + width + x, lower);
            }
    }
}

void enlarge(const Enlarge& s, float* arena) {
    s.addend ? enlarge_rows<true>(s, arena) : enlarge_rows<false>(s, arena);
}

// Columns from the right to the left: what is stored too much of the last one is overwritten.
void enlarge_bilinear(const EnlargeBilinear& s, float* arena) {
    const int width = 2 * s.width, height = 2 * s.height;
    const int right = s.width > 1;  // of an only column there is none
    for (int x = (width - 1) / W * W; x >= 0; x -= W) {
        const I column = load(s.column + x);
        const V column_share = load(s.share + x);
        for (int c = 0; c < s.channels; ++c) {
            const float *in = arena + s.in[c] + s.first[x / W], *addend = arena + s.addend[c] + x;
            float* out = arena + s.out[c] + x;
            for (int y = 0; y < height; ++y) {
                // y (h - 1) / (2 h - 1), in whole numbers: exact up to one division.
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
