// The stem, row by row. Only three rows of the image and three rows of half size are kept, so that nothing leaves the
// caches.
//
// Columns of the image are split into 4 phases, those of half size into even and odd ones. Both convolutions of stride
// 2 then read consecutive values, a quarter of the image's width each.
#pragma once

#include "pointwise.h"

namespace litehrnet {
namespace {

struct StemState {
    const Stem& s;
    float* arena;
    Place first;  // start of the scratch rows
    int pitch, width, half_width, half_height, quarter;

    Place row(int index) const { return first + index * pitch; }
    Place image_row(int y, int channel, int phase) const {
        return y < 0 || y >= s.height ? row(0) : row(StemRows::image + (y % 3 * 3 + channel) * 4 + phase);
    }
    Place ring_row(int y, int odd, int channel) const {
        return y < 0 || y >= half_height ? row(0) : row(StemRows::ring + (y % 3 * 2 + odd) * 48 + channel);
    }
};

// Elements `first`, `first` + 3, ... of the 3 W in a, b and c.
inline V thirds(V a, V b, V c, int first) {
    const I index = 3 * lanes() + first;
    return shuffle(shuffle(a, b, index), c, index < 2 * W ? lanes() : index - W);
}

// Reads 4 W pixels: W normalized values of every phase and channel, from column `u` on. 4 pixels are 12 bytes, 3
// elements.
inline void read_pixels(const StemState& t, const std::uint8_t* pixels, float* const (&rows)[12], int u) {
    const std::uint8_t* bytes = pixels + 12 * u;
    const V a = load(bytes), b = load(bytes + 4 * W), c = load(bytes + 8 * W);
    for (int word = 0; word < 3; ++word) {
        const I four = reinterpret_cast<I>(thirds(a, b, c, word));
        for (int byte = 0; byte < 4; ++byte) {
            const int phase = (4 * word + byte) / 3, channel = (4 * word + byte) % 3;
            const V level = __builtin_convertvector(four >> 8 * byte & 255, V);
            store(rows[4 * channel + phase] + u, level * t.s.scale[channel] + t.s.offset[channel]);
        }
    }
}

inline void read_image_row(const StemState& t, const std::uint8_t* image, int y) {
    const std::uint8_t* pixels = image + static_cast<std::int64_t>(y) * t.width * 3;
    float* rows[12];
    for (int c = 0; c < 3; ++c)
        for (int phase = 0; phase < 4; ++phase) rows[4 * c + phase] = t.arena + t.image_row(y, c, phase);
    const int whole = t.width / 4, by_vectors = whole < W ? 0 : whole;
    for (int u = 0; u < by_vectors; u += W) read_pixels(t, pixels, rows, u + W <= whole ? u : whole - W);
    for (int x = 4 * by_vectors; x < 4 * t.quarter; ++x)
        for (int c = 0; c < 3; ++c)
            rows[4 * c + x % 4][x / 4] = x < t.width ? pixels[3 * x + c] * t.s.scale[c] + t.s.offset[c] : 0.0f;
}

// One row of half size, its even or its odd columns: the 3x3 convolution, and path B expanded.
inline void compute_half_row(const StemState& t, int y, int odd) {
    Place in[Stem::taps], out[32], expanded[32];
    for (int c = 0; c < 3; ++c)
        for (int row = 0; row < 3; ++row) {
            Place* taps = in + 9 * c + 3 * row;
            const int image_y = 2 * y - 1 + row;
            taps[0] = odd ? t.image_row(image_y, c, 1) : t.image_row(image_y, c, 3) - 1;
            taps[1] = t.image_row(image_y, c, odd ? 2 : 0);
            taps[2] = t.image_row(image_y, c, odd ? 3 : 1);
        }
    for (int i = 0; i < 16; ++i) out[i] = t.ring_row(y, odd, i);
    for (int i = 0; i < 16; ++i) out[16 + i] = t.row(StemRows::entry + i);
    for (int i = 0; i < 32; ++i) expanded[i] = t.ring_row(y, odd, 16 + i);
    pointwise({in, nullptr, out, Stem::taps, 32, 0, t.quarter, t.s.conv, t.s.conv_bias, Activation::relu}, t.arena);
    pointwise({out + 16, nullptr, expanded, 16, 32, 0, t.quarter, t.s.expand, t.s.expand_bias, Activation::relu},
              t.arena);
    if (odd && t.half_width % 2)  // there is no such column: the next convolution must read a zero
        for (int i = 0; i < 48; ++i) t.arena[t.ring_row(y, 1, i) + t.quarter - 1] = 0.0f;
}

// Both halves of a row of half size, from two more rows of the image.
inline void compute_half_rows(const StemState& t, const std::uint8_t* image, int y) {
    for (int image_y = 2 * y; image_y < 2 * y + 2 && image_y < t.s.height; ++image_y) read_image_row(t, image, image_y);
    compute_half_row(t, y, 0);
    compute_half_row(t, y, 1);
}

// Three rows of half size around row 2 y.
struct HalfRows {
    const float *even[3], *odd[3];
    int pitch[3];  // to the row of the next channel; 0 for the row of zeros outside the image

    HalfRows(const StemState& t, int y) {
        for (int i = 0; i < 3; ++i) {
            even[i] = t.arena + t.ring_row(2 * y - 1 + i, 0, 0);
            odd[i] = t.arena + t.ring_row(2 * y - 1 + i, 1, 0);
            pitch[i] = t.ring_row(2 * y - 1 + i, 0, 1) - t.ring_row(2 * y - 1 + i, 0, 0);
        }
    }
};

inline void filter_row(const HalfRows& rows, int channel, int width, const float* k, float bias, float* out) {
    V w[9];
    for (int i = 0; i < 9; ++i) w[i] = all(k[i]);
    V previous[3] = {};
    for (int x = 0; x < width; x += W) {
        V total = all(bias);
#pragma GCC unroll 3
        for (int i = 0; i < 3; ++i) {
            const int begin = channel * rows.pitch[i] + x;
            const V even = load(rows.even[i] + begin), odd = load(rows.odd[i] + begin);
            total += w[3 * i] * after(previous[i], odd) + w[3 * i + 1] * even + w[3 * i + 2] * odd;
            previous[i] = odd;
        }
        store(out + x, total);
    }
}

inline void compute_out_row(const StemState& t, int y) {
    const Stem& s = t.s;
    const HalfRows rows(t, y);
    Place filtered[48], out_a[16], out_b[16];
    for (int c = 0; c < 48; ++c) {
        const bool a = c < 16;
        filtered[c] = t.row(StemRows::filtered + c);
        filter_row(rows, c, t.quarter, a ? s.depthwise_a + 9 * c : s.depthwise_b + 9 * (c - 16),
                   a ? s.depthwise_a_bias[c] : s.depthwise_b_bias[c - 16], t.arena + filtered[c]);
    }
    for (int i = 0; i < 16; ++i) {
        out_a[i] = s.out[2 * i] + y * t.quarter;
        out_b[i] = s.out[2 * i + 1] + y * t.quarter;
    }
    pointwise({filtered, nullptr, out_a, 16, 16, 0, t.quarter, s.pointwise_a, s.pointwise_a_bias, Activation::relu},
              t.arena);
    pointwise({filtered + 16, nullptr, out_b, 32, 16, 0, t.quarter, s.linear, s.linear_bias, Activation::relu},
              t.arena);
}

void stem(const Stem& s, const std::uint8_t* image, float* arena) {
    const int half_width = (s.width + 1) / 2, half_height = (s.height + 1) / 2;
    const StemState t{s, arena, s.scratch + slack_floats, stem_pitch(s.width), s.width, half_width, half_height,
                      (half_width + 1) / 2};
    for (int x = -slack_floats; x < t.pitch; x += W) store(arena + t.row(0) + x, V{});
    for (int i = 0; i < StemRows::count; ++i)  // zeros to the left of the next row
        for (int x = t.pitch - slack_floats; x < t.pitch; x += W) store(arena + t.row(i) + x, V{});
    if (s.begin > 0) {  // fills the rings as the rows before would have done
        read_image_row(t, image, 4 * s.begin - 3);
        compute_half_rows(t, image, 2 * s.begin - 1);
    }
    for (int y = s.begin; y < s.end; ++y) {
        for (int half_y = 2 * y; half_y < 2 * y + 2 && half_y < half_height; ++half_y)
            compute_half_rows(t, image, half_y);
        compute_out_row(t, y);
    }
}

}  // namespace
}  // namespace litehrnet
