// One vector of floats, on the vector extensions of GCC and Clang; how long it is depends on what the file is compiled
// for.
//
// Everything here and in kernels/ has internal linkage: the same source is compiled for several instruction sets, and
// no function of one may be linked into another.
#pragma once

#include <cstdint>

#if defined(__AVX512F__)
#define LITEHRNET_VECTOR_FLOATS 16
#define LITEHRNET_REGISTERS 32
#elif defined(__AVX2__)
#define LITEHRNET_VECTOR_FLOATS 8
#define LITEHRNET_REGISTERS 16
#else
#define LITEHRNET_VECTOR_FLOATS 4
#if defined(__aarch64__)
#define LITEHRNET_REGISTERS 32
#else
#define LITEHRNET_REGISTERS 16
#endif
#endif

namespace litehrnet {
namespace {

constexpr int W = LITEHRNET_VECTOR_FLOATS;
constexpr int registers = LITEHRNET_REGISTERS;

typedef float V __attribute__((vector_size(W * 4)));
typedef std::int32_t I __attribute__((vector_size(W * 4)));
typedef float Unaligned __attribute__((vector_size(W * 4), aligned(4), may_alias));

inline V load(const float* p) { return *reinterpret_cast<const Unaligned*>(p); }
inline void store(float* p, V v) { *reinterpret_cast<Unaligned*>(p) = v; }
inline I load(const std::int32_t* p) { return reinterpret_cast<I>(load(reinterpret_cast<const float*>(p))); }
inline V all(float x) { return x - V{}; }

// Keeps a value in a register: compilers like to load it again in every instruction that uses it.
inline void keep(V& v) {
#if defined(__x86_64__)
    asm("" : "+v"(v));
#elif defined(__aarch64__)
    asm("" : "+w"(v));
#endif
}

inline I lanes() {
    I result{};
    for (int i = 0; i < W; ++i) result[i] = i;
    return result;
}

inline V select(I mask, V yes, V no) { return mask ? yes : no; }
inline V relu(V v) { return v > 0.0f ? v : V{}; }

// The elements of v that index names.
inline V shuffle(V v, I index) {
#if defined(__clang__)
    V result{};
    for (int i = 0; i < W; ++i) result[i] = v[index[i]];
    return result;
#else
    return __builtin_shuffle(v, index);
#endif
}

// Of the 2 W elements of a and b.
inline V shuffle(V a, V b, I index) {
#if defined(__clang__)
    V result{};
    for (int i = 0; i < W; ++i) result[i] = index[i] % (2 * W) < W ? a[index[i] % W] : b[index[i] % W];
    return result;
#else
    return __builtin_shuffle(a, b, index);
#endif
}

// v moved by one lane, with the last element of `left` before it or the first one of `right` behind it.
inline V after(V left, V v) { return shuffle(left, v, lanes() + (W - 1)); }
inline V before(V v, V right) { return shuffle(v, right, lanes() + 1); }

// The even and the odd elements of 2 W floats.
inline V evens(V a, V b) {
#if defined(__clang__)
    V result{};
    for (int i = 0; i < W; ++i) result[i] = 2 * i < W ? a[2 * i] : b[2 * i - W];
    return result;
#else
    return __builtin_shuffle(a, b, 2 * lanes());
#endif
}
inline V odds(V a, V b) {
#if defined(__clang__)
    V result{};
    for (int i = 0; i < W; ++i) result[i] = 2 * i + 1 < W ? a[2 * i + 1] : b[2 * i + 1 - W];
    return result;
#else
    return __builtin_shuffle(a, b, 2 * lanes() + 1);
#endif
}

inline float sum(V v) {
    float total = 0;
    for (int i = 0; i < W; ++i) total += v[i];
    return total;
}

// exp(x) for |x| <= 87, within 2 units in the last place: 2^n times a polynomial in the rest of x / ln 2.
inline V exp(V x) {
    const float shift = 12582912.0f;  // 1.5 * 2^23: adding it rounds to a whole number
    const V rounded = x * 1.44269504f + shift;
    const V n = rounded - shift;
    V r = x - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;
    V p = all(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    const I power = (reinterpret_cast<I>(rounded) + 127) << 23;  // the low bits of `rounded` are n
    return p * reinterpret_cast<V>(power);
}

inline V sigmoid(V x) {
    x = x > 87.0f ? all(87.0f) : x;
    x = x < -87.0f ? all(-87.0f) : x;
    return 1.0f / (1.0f + exp(-x));
}

}  // namespace
}  // namespace litehrnet
