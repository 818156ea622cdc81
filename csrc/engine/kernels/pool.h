// Means over blocks of pixels.
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

// One vector of results in every row, from `count` vectors of input rows.
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

// Columns from right to left: the excess of the last vector is overwritten.
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

}  // namespace
}  // namespace litehrnet
