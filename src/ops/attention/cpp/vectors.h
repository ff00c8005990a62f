// Vectors of float or double, as wide as the processor has them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

template <class T> struct Lanes {
    static constexpr int N = kVectorBytes / sizeof(T);
    typedef T V __attribute__((vector_size(kVectorBytes)));
    typedef T U __attribute__((vector_size(kVectorBytes), aligned(sizeof(T)), may_alias));
};
template <class T> using Vec = typename Lanes<T>::V;

template <class T> inline Vec<T> load(const T* p) { return *reinterpret_cast<const typename Lanes<T>::U*>(p); }
template <class T> inline void store(T* p, Vec<T> v) { *reinterpret_cast<typename Lanes<T>::U*>(p) = v; }
template <class T> inline Vec<T> splat(T x) { return x - Vec<T>{}; }  // not 0 + x, which would turn -0 to 0
template <class T> inline Vec<T> larger(Vec<T> a, Vec<T> b) { return a > b ? a : b; }

template <class T> inline T total(Vec<T> v) {
    T sum = 0;
    for (int i = 0; i < Lanes<T>::N; ++i) sum += v[i];
    return sum;
}
template <class T> inline T largest(Vec<T> v) {
    T most = v[0];
    for (int i = 1; i < Lanes<T>::N; ++i) most = std::max(most, T(v[i]));
    return most;
}

template <class T> inline bool any_above(Vec<T> v, T limit) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4) return _mm512_cmp_ps_mask((__m512)v, _mm512_set1_ps(limit), _CMP_GT_OQ);
#endif
    return largest<T>(v) > limit;
}

inline long up(long n, long multiple) { return (n + multiple - 1) / multiple * multiple; }

// 2^x to 2 ulp, x below 128; 0 below -126. 2^n times a polynomial on [-1/2, 1/2] (Cephes' exp2f).
inline Vec<float> exp2(Vec<float> x) {
#if defined(__AVX512F__)
    const Vec<float> n = (Vec<float>)_mm512_roundscale_ps((__m512)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#else
    const Vec<float> low = splat(-127.0f);
    x = x < low ? low : x;  // what is no number stays so
    // 1.5 * 2^23 rounds to an integer, the last digits of a number; with 127 it is an exponent
    const Vec<float> rounded = x + (12582912.0f + 127), n = rounded - (12582912.0f + 127);
#endif
    const Vec<float> r = x - n;
    Vec<float> p = splat(1.535336188e-4f);
    p = p * r + 1.339887440e-3f;
    p = p * r + 9.618437358e-3f;
    p = p * r + 5.550332471e-2f;
    p = p * r + 2.402264791e-1f;
    p = p * r + 6.931472029e-1f;
    p = p * r + 1.0f;
#if defined(__AVX512F__)
    return (Vec<float>)_mm512_scalef_ps((__m512)p, (__m512)n);
#else
    typedef int32_t Bits __attribute__((vector_size(kVectorBytes)));
    const Bits power = (Bits)rounded << 23;  // 0 for n = -127
    return p * (Vec<float>)power;
#endif
}
inline Vec<double> exp2(Vec<double> x) {
    for (int i = 0; i < Lanes<double>::N; ++i) x[i] = std::exp2(x[i]);
    return x;
}

}  // namespace
