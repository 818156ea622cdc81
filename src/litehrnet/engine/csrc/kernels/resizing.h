// Pooling, and enlarging to twice the sides.
#pragma once

#include "../kernels.h"
#include "../vector.h"

namespace litehrnet {
namespace {

void pool(const Pool& s, float* arena) {
    const int factor = 1 << s.shift, width = s.width << s.shift;
    const float share = 1.0f / static_cast<float>(factor * factor);
    float* sums = arena + s.scratch;
    for (int c = 0; c < s.channels; ++c) {
        for (int y = 0; y < s.height; ++y) {
            const float* in = arena + s.in[c] + y * factor * width;
            for (int x = 0; x < width; x += W) {
                V total = load(in + x);
                for (int row = 1; row < factor; ++row) total += load(in + row * width + x);
                store(sums + x, total);
            }
            for (int columns = width / 2; columns >= s.width; columns /= 2)
                for (int x = 0; x < columns; x += W) {
                    const V a = load(sums + 2 * x), b = load(sums + 2 * x + W);
                    store(sums + x, evens(a, b) + odds(a, b));
                }
            float* out = arena + s.out[c] + y * s.width;
            for (int x = 0; x < s.width; x += W) store(out + x, load(sums + x) * share);
        }
    }
}

void enlarge(const Enlarge& s, float* arena) {
    const I twice = lanes() >> 1;
    const int width = 2 * s.width;
    for (int c = 0; c < s.channels; ++c) {
        for (int y = 0; y < 2 * s.height; ++y) {
            const float* in = arena + s.in[c] + y / 2 * s.width;
            const float* addend = s.addend ? arena + s.addend[c] + y * width : nullptr;
            float* out = arena + s.out[c] + y * width;
            for (int x = 0; x < width; x += W) {
                const V v = shuffle(load(in + x / 2), twice);
                store(out + x, addend ? v + load(addend + x) : v);
            }
        }
    }
}

void enlarge_bilinear(const EnlargeBilinear& s, float* arena) {
    const int width = 2 * s.width, height = 2 * s.height;
    float* mixed = arena + s.scratch;
    for (int c = 0; c < s.channels; ++c) {
        for (int y = 0; y < height; ++y) {
            // y (h - 1) / (2 h - 1), in whole numbers: exact up to one division.
            const int scaled = y * (s.height - 1), above = scaled / (height - 1);
            const float share = static_cast<float>(scaled % (height - 1)) / static_cast<float>(height - 1);
            const float* upper = arena + s.in[c] + above * s.width;
            const float* lower = upper + (scaled % (height - 1) ? s.width : 0);
            for (int x = 0; x < s.width; x += W) {
                const V u = load(upper + x);
                store(mixed + x, u + share * (load(lower + x) - u));
            }
            if (s.width == 1) mixed[1] = 0;  // to the right of the only column; otherwise none is looked for there
            const float* addend = arena + s.addend[c] + y * width;
            float* out = arena + s.out[c] + y * width;
            for (int x = 0; x < width; x += W) {
                const V near = load(mixed + s.first[x / W]);
                const I column = load(s.column + x);
                const V left = shuffle(near, column), right = shuffle(near, column + 1);
                store(out + x, load(addend + x) + left + load(s.share + x) * (right - left));
            }
        }
    }
}

}  // namespace
}  // namespace litehrnet
