// Sums of pixels, weighted by the softmax of logits.
#pragma once

#include "pool.h"

namespace litehrnet {
namespace {

// Stores exp(logit - largest logit) of all pixels; returns their sum.
inline float store_exponentials(const float* logits, float* shares, int pixels) {
    const int rest = pixels % W, whole = pixels - rest;
    V largest = all(logits[0]);
    for (int i = 0; i < whole; i += W) largest = greater(load(logits + i), largest);
    float most = largest[0];
    for (int i = 1; i < W; ++i) most = largest[i] > most ? largest[i] : most;
    for (int i = whole; i < pixels; ++i) most = logits[i] > most ? logits[i] : most;
    V total{};
    for (int i = 0; i < pixels; i += W) {
        const V x = exponential(load(logits + i) - most);
        store(shares + i, x);
        total += i < whole ? x : select(lanes() < rest, x, V{});
    }
    return sum(total);
}

inline float product_sum(const float* a, const float* b, int count) {
    V totals[4] = {};
    int i = 0;
    for (; i + 4 * W <= count; i += 4 * W)
#pragma GCC unroll 4
        for (int v = 0; v < 4; ++v) totals[v] += load(a + i + v * W) * load(b + i + v * W);
    for (; i + W <= count; i += W) totals[0] += load(a + i) * load(b + i);
    if (i < count) totals[1] += select(lanes() < count - i, load(a + i) * load(b + i), V{});
    return sum((totals[0] + totals[1]) + (totals[2] + totals[3]));
}

// W results of runs of at least W pixels, from run number t on; `in` is the first of them.
inline V sums_of_runs(const Context& s, const float* in, const float* shares, int t) {
    V sums[W];
    for (int i = 0; i < W; ++i, in += s.length) {
        const float* weight = shares + (t + i) / s.channels * s.length;
        sums[i] = load(in) * load(weight);
        for (int k = W; k < s.length; k += W) sums[i] += load(in + k) * load(weight + k);
    }
    return sum_neighbors(sums, __builtin_ctz(W));
}

// W results of runs of 4 pixels. The runs of a vector have the same weights: the number of channels is divisible by 4.
inline V sums_of_short_runs(const Context& s, const float* in, const float* shares, int t) {
    constexpr int short_run = 4;
    V sums[short_run];
    for (int i = 0; i < short_run; ++i)
        sums[i] = load(in + i * W) *
                  shuffle(load(shares + (t + i * W / short_run) / s.channels * short_run), lanes() & (short_run - 1));
    return sum_neighbors(sums, 2);
}

void context(const Context& s, float* arena) {
    float* shares = arena + s.scratch;
    const float share = 1.0f / store_exponentials(arena + s.logits, shares, s.runs * s.length);
    const bool long_runs = s.length % W == 0, short_runs = s.length == 4 && s.channels % 4 == 0 && s.runs % 4 == 0;
    for (int c = s.begin; c < s.end; ++c) {
        const float* in = arena + s.in[c];
        int run = 0;
        for (; (long_runs || short_runs) && run + W <= s.runs; run += W) {
            const int t = c * s.runs + run;
            const float* first = in + run * s.length;
            const V sums =
                share * (long_runs ? sums_of_runs(s, first, shares, t) : sums_of_short_runs(s, first, shares, t));
            int channel = t % s.channels, pixel = t / s.channels;
            for (int i = 0; i < W; ++i) {
                arena[s.out[channel] + pixel] = sums[i];
                if (++channel == s.channels) channel = 0, ++pixel;
            }
        }
        for (; run < s.runs; ++run) {
            const int t = c * s.runs + run, pixel = t / s.channels;
            arena[s.out[t % s.channels] + pixel] =
                share * product_sum(in + run * s.length, shares + pixel * s.length, s.length);
        }
    }
}

}  // namespace
}  // namespace litehrnet
