// Planes copied to scratch with zeros around them, and 3x3 convolutions from there.
//
// Outputs may be stored over the inputs. Rows of outputs are stored in whole vectors: the excess is overwritten by the
// next row, or falls into the slack after the plane.
#pragma once


#include "../kernels.h"
#include "../vector.h"

namespace litehrnet {
namespace {

// Rows `pitch` floats apart, each followed by at least one zero.
struct Rows {
    float* first;
    int pitch;
    float* row(int y) const { return first + y * pitch; }
};

inline void zero_row(const Rows& rows, int y) {
    for (int x = 0; x < rows.pitch; x += W) store(rows.row(y) + x, V{});
}

// Stores `width` values into a row of `rows`, followed by zeros.
template <typename Value>
inline void fill_row(const Rows& rows, int y, int width, I in_last, Value value) {
    float* row = rows.row(y);
    int x = 0;
    for (; x + W <= width; x += W) store(row + x, value(x));
    if (x < width) {
        store(row + x, select(in_last, value(x), V{}));
        x += W;
    }
    for (; x < rows.pitch; x += W) store(row + x, V{});
}

// Row y of channel c, times its enlarged channel weight, as row `to` of `rows`.
inline void fill_weighted_row(const Depthwise& s, const float* arena, int c, int y, const Rows& rows, int to,
                              I in_last) {
    const float* row = arena + s.in[c] + y * s.width;
    if (s.channel_weight) {
        const I spread = lanes() >> s.shift;
        const float* weight = arena + s.channel_weight[c] + (y >> s.shift) * (s.width >> s.shift);
        fill_row(rows, to, s.width, in_last,
                 [=](int x) { return load(row + x) * shuffle(load(weight + (x >> s.shift)), spread); });
    } else {
        fill_row(rows, to, s.width, in_last, [=](int x) { return load(row + x); });
    }
}

// One plane, 3x3, stride 1, `strips` vectors of columns at once. Three rows of results are in progress at any time.
template <int strips>
inline V convolve_strips(const Rows& in, float* out, int height, int width, int column, const float* k, float bias,
                         I in_last, bool has_last) {
    V w[9];
    for (int i = 0; i < 9; ++i) w[i] = all(k[i]);
    V upper[strips], lower[strips], total{};
    for (int s = 0; s < strips; ++s) upper[s] = lower[s] = all(bias);
    for (int y = 0; y <= height; ++y) {
        for (int s = 0; s < strips; ++s) {
            const float* p = in.row(y) + column + s * W;
            V left = load(p - 1), middle = load(p), right = load(p + 1);
            keep(left), keep(middle), keep(right);
            const V done = upper[s] + w[6] * left + w[7] * middle + w[8] * right;
            upper[s] = lower[s] + w[3] * left + w[4] * middle + w[5] * right;
            lower[s] = bias + w[0] * left + w[1] * middle + w[2] * right;
            if (y > 0) {
                store(out + (y - 1) * width + column + s * W, done);
                total += has_last && s == strips - 1 ? select(in_last, done, V{}) : done;
            }
        }
    }
    return total;
}

// 3x3, stride 1; returns the sum of the results. Columns from right to left: the excess of the last vector in a row
// falls into the first columns of the next row.
inline float convolve(const Rows& in, float* out, int height, int width, const float* k, float bias) {
    constexpr int most = registers == 32 ? 3 : 1;
    const int rest = width % W;
    const I in_last = lanes() < (rest ? rest : W);
    V total{};
    int left = (width + W - 1) / W;
    bool has_last = rest != 0;
    while (left > 0) {
        const int strips = left < most ? left : most;
        const int column = (left - strips) * W;
        if (most == 3 && strips == 3)
            total += convolve_strips<3>(in, out, height, width, column, k, bias, in_last, has_last);
        else if (most == 3 && strips == 2)
            total += convolve_strips<2>(in, out, height, width, column, k, bias, in_last, has_last);
        else
            total += convolve_strips<1>(in, out, height, width, column, k, bias, in_last, has_last);
        left -= strips;
        has_last = false;
    }
    return sum(total);
}

}  // namespace
}  // namespace litehrnet
