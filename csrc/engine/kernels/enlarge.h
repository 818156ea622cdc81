// Planes repeated to twice their sides, added to others.
#pragma once

#include "../kernels.h"
#include "../vector.h"

namespace litehrnet {
namespace {

// Stores both output rows of an input row at once. Columns from right to left: the excess of the last vector is
// overwritten.
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

}  // namespace
}  // namespace litehrnet
