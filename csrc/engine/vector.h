// A vector of floats, by the vector extensions of GCC and Clang. Its length depends on the instruction set that the
// file is compiled for.
//
// Everything here and in kernels/ has internal linkage: the same source is compiled for several instruction sets, and
// no function of one may be linked into another.
#pragma once

#include <cstdint>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

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

// For functions with arrays of vectors as arguments: these stay in registers only if the function is inlined.
#define LITEHRNET_INLINE [[gnu::always_inline]] inline

namespace litehrnet {
namespace {

constexpr int W = LITEHRNET_VECTOR_FLOATS;
constexpr int registers = LITEHRNET_REGISTERS;

typedef float V __attribute__((vector_size(W * 4)));
using I = decltype(V{} < V{});

// Templates over T work for vectors of other lengths too.
template <typename T>
constexpr int floats_in = sizeof(T) / sizeof(float);
template <typename T>
using Integers = decltype(T{} < T{});
#if defined(__wasm_simd128__)
typedef signed char Bytes __attribute__((vector_size(16)));
#endif

template <typename T>
inline T load_as(const void* p) {
    T v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}
inline V load(const float* p) { return load_as<V>(p); }
inline V load(const std::uint8_t* p) { return load_as<V>(p); }
inline I load(const std::int32_t* p) { return load_as<I>(p); }
template <typename T>
inline void store(float* p, T v) {
    __builtin_memcpy(p, &v, sizeof v);
}
template <typename T = V>
inline T all(float x) {
    return x - T{};
}

// Keeps a value in a register: compilers would load it again in every instruction that uses it.
inline void keep([[maybe_unused]] V& v) {
#if defined(__x86_64__)
    asm("" : "+v"(v));
#elif defined(__aarch64__)
    asm("" : "+w"(v));
#endif
}

template <typename T = V>
inline Integers<T> lanes() {
    Integers<T> result{};
    for (int i = 0; i < floats_in<T>; ++i) result[i] = i;
    return result;
}

template <typename T>
inline T select(Integers<T> mask, T yes, T no) {
    return mask ? yes : no;
}

// Maximum and minimum of each pair; b if one is not a number. Compilers do not see that this is one instruction.
#if defined(__AVX512F__)
inline V greater(V a, V b) { return _mm512_maskz_max_ps(0xffff, a, b); }
inline V lesser(V a, V b) { return _mm512_maskz_min_ps(0xffff, a, b); }
#elif defined(__AVX2__)
inline V greater(V a, V b) { return _mm256_max_ps(a, b); }
inline V lesser(V a, V b) { return _mm256_min_ps(a, b); }
#elif defined(__SSE2__)
inline V greater(V a, V b) { return _mm_max_ps(a, b); }
inline V lesser(V a, V b) { return _mm_min_ps(a, b); }
#elif defined(__wasm_simd128__)
inline V greater(V a, V b) { return __builtin_wasm_pmax_f32x4(b, a); }
inline V lesser(V a, V b) { return __builtin_wasm_pmin_f32x4(b, a); }
#else
inline V greater(V a, V b) { return a > b ? a : b; }
inline V lesser(V a, V b) { return a < b ? a : b; }
#endif

inline V relu(V v) { return greater(v, V{}); }

// Elements of v, by index.
template <typename T>
inline T shuffle(T v, Integers<T> index) {
#if defined(__wasm_simd128__)
    if constexpr (sizeof(T) == sizeof(Bytes)) {  // clang would take the elements out one by one
        const Integers<T> bytes = index * 0x04040404 + 0x03020100;
        return reinterpret_cast<T>(
            __builtin_wasm_swizzle_i8x16(reinterpret_cast<Bytes>(v), reinterpret_cast<Bytes>(bytes)));
    }
#endif
#if defined(__clang__)
    T result{};
    for (int i = 0; i < floats_in<T>; ++i) result[i] = v[index[i]];
    return result;
#else
    return __builtin_shuffle(v, index);
#endif
}

// Elements of a followed by b, by index.
template <typename T>
inline T shuffle(T a, T b, Integers<T> index) {
#if defined(__clang__)
    constexpr int n = floats_in<T>;
    T result{};
    for (int i = 0; i < n; ++i) result[i] = index[i] % (2 * n) < n ? a[index[i] % n] : b[index[i] % n];
    return result;
#else
    return __builtin_shuffle(a, b, index);
#endif
}

// v moved by one lane: preceded by the last element of `left`, or followed by the first element of `right`.
template <typename T>
inline T after(T left, T v) {
    return shuffle(left, v, lanes<T>() + (floats_in<T> - 1));
}
template <typename T>
inline T before(T v, T right) {
    return shuffle(v, right, lanes<T>() + 1);
}

// The even and the odd elements of 2 W floats. Compilers need three instructions for two.
inline V evens(V a, V b) {
#if defined(__AVX2__) && !defined(__AVX512F__)
    return _mm256_castpd_ps(
        _mm256_permute4x64_pd(_mm256_castps_pd(_mm256_shuffle_ps(a, b, 0b10'00'10'00)), 0b11'01'10'00));
#elif defined(__clang__)
    V result{};
    for (int i = 0; i < W; ++i) result[i] = 2 * i < W ? a[2 * i] : b[2 * i - W];
    return result;
#else
    return __builtin_shuffle(a, b, 2 * lanes());
#endif
}
inline V odds(V a, V b) {
#if defined(__AVX2__) && !defined(__AVX512F__)
    return _mm256_castpd_ps(
        _mm256_permute4x64_pd(_mm256_castps_pd(_mm256_shuffle_ps(a, b, 0b11'01'11'01)), 0b11'01'10'00));
#elif defined(__clang__)
    V result{};
    for (int i = 0; i < W; ++i) result[i] = 2 * i + 1 < W ? a[2 * i + 1] : b[2 * i + 1 - W];
    return result;
#else
    return __builtin_shuffle(a, b, 2 * lanes() + 1);
#endif
}

// Sums by halves: in sequence, every addition would wait for the one before.
template <typename T>
inline float sum(T v) {
#pragma GCC unroll 4
    for (int half = floats_in<T> / 2; half > 0; half /= 2) v += shuffle(v, lanes<T>() ^ half);
    return v[0];
}

// 1 / v for normal numbers, within 2 units in the last place.
inline V reciprocal(V v) {
#if defined(__AVX512F__)
    const V estimate = _mm512_maskz_rcp14_ps(0xffff, v);
    return estimate * (2.0f - v * estimate);
#else
    return 1.0f / v;
#endif
}

// exp(x), of x between -87 and 87: exp(x) = 2^(n + r), where n is the integer nearest to x / ln 2. A polynomial computes
// 2^r with a relative error below 1e-7.
LITEHRNET_INLINE V exponential(V x) {
    x = greater(all(-87.0f), lesser(all(87.0f), x));  // NaN stays NaN
    const float shift = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer, which is then in the low bits
    const V power = x * 1.44269504f, rounded = power + shift, r = power - (rounded - shift);
    V p = all(0.00132764444f);
    p = p * r + 0.0096755377f;
    p = p * r + 0.0555071332f;
    p = p * r + 0.240221198f;
    p = p * r + 0.693146967f;
    p = p * r + 1.00000007f;
    return reinterpret_cast<V>(reinterpret_cast<I>(p) + (reinterpret_cast<I>(rounded) << 23));
}

LITEHRNET_INLINE V sigmoid(V x) { return reciprocal(1.0f + exponential(-x)); }

inline V clamped(V v, float least, float most) { return lesser(all(most), greater(all(least), v)); }

inline V hard_swish(V v) { return v * clamped(v + 3.0f, 0.0f, 6.0f) * (1.0f / 6); }
inline V hard_sigmoid(V v) { return clamped(0.5f * v + 0.5f, 0.0f, 1.0f); }

}  // namespace
}  // namespace litehrnet
