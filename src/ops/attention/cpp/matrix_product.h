// Products of small matrices that are in the cache already.
#pragma once

#include "vectors.h"

namespace {

constexpr int kRows = 6, kVectors = kVectorBytes == 64 ? 4 : 2;  // 24 sums in 32 registers with AVX-512, else 12 in 16

// How long the next of the fewest and most even pieces of `left` is, none longer than `most`.
inline int piece(int left, int most) {
    const int pieces = (left + most - 1) / most;
    return (left + pieces - 1) / pieces;
}

// A(m,k) = data[m * row + k * column].
template <class T> struct Left {
    const T* data;
    long row, column;
    Left from(long m) const { return {data + m * row, row, column}; }
};

// C[m,n] (+)= sum_k A(m,k) B[k,n] for M rows and NV vectors. The sum is made from zero and then added: with half a
// million keys a number that grew key by key would round away much of each.
template <class T, int M, int NV, bool Add>
inline void product_block(int depth, Left<T> a, const T* b, long ldb, T* c, long ldc) {
    constexpr int L = Lanes<T>::N;
    Vec<T> sums[M][NV];  // in registers throughout: a loop that was not unrolled would have it in memory
#pragma GCC unroll 6
    for (int m = 0; m < M; ++m)
#pragma GCC unroll 4
        for (int n = 0; n < NV; ++n) sums[m][n] = Vec<T>{};
#pragma GCC unroll 4
    for (int k = 0; k < depth; ++k) {
        Vec<T> row[NV];
#pragma GCC unroll 4
        for (int n = 0; n < NV; ++n) row[n] = load<T>(b + k * ldb + n * L);
#pragma GCC unroll 6
        for (int m = 0; m < M; ++m) {
            const Vec<T> x = splat<T>(a.data[m * a.row + k * a.column]);
#pragma GCC unroll 4
            for (int n = 0; n < NV; ++n) sums[m][n] += x * row[n];
        }
    }
#pragma GCC unroll 6
    for (int m = 0; m < M; ++m)
#pragma GCC unroll 4
        for (int n = 0; n < NV; ++n) {
            T* to = c + m * ldc + n * L;
            store<T>(to, Add ? load<T>(to) + sums[m][n] : sums[m][n]);
        }
}

// Not inlined: within a larger function the compiler has too few registers left for the sums.
template <class T, int M, bool Add>
__attribute__((noinline)) void product_rows(int n, int depth, Left<T> a, const T* b, long ldb, T* c, long ldc) {
    constexpr int L = Lanes<T>::N;
    for (int left = n / L; left > 0;) {
        const int take = piece(left, kVectors);
        if (take == 1) product_block<T, M, 1, Add>(depth, a, b, ldb, c, ldc);
        else if (take == 2) product_block<T, M, 2, Add>(depth, a, b, ldb, c, ldc);
        else if (kVectors > 2 && take == 3) product_block<T, M, 3, Add>(depth, a, b, ldb, c, ldc);
        else if (kVectors > 2) product_block<T, M, 4, Add>(depth, a, b, ldb, c, ldc);
        left -= take;
        b += take * L;
        c += take * L;
    }
}

// The product of at most kRows rows; n in whole vectors.
template <class T, bool Add>
void product_few(int m, int n, int depth, Left<T> a, const T* b, long ldb, T* c, long ldc) {
    if (m == 6) product_rows<T, 6, Add>(n, depth, a, b, ldb, c, ldc);
    else if (m == 5) product_rows<T, 5, Add>(n, depth, a, b, ldb, c, ldc);
    else if (m == 4) product_rows<T, 4, Add>(n, depth, a, b, ldb, c, ldc);
    else if (m == 3) product_rows<T, 3, Add>(n, depth, a, b, ldb, c, ldc);
    else if (m == 2) product_rows<T, 2, Add>(n, depth, a, b, ldb, c, ldc);
    else product_rows<T, 1, Add>(n, depth, a, b, ldb, c, ldc);
}

template <class T, bool Add>
void product(int m, int n, int depth, Left<T> a, const T* b, long ldb, T* c, long ldc) {
    for (int i = 0, take; i < m; i += take) {
        take = piece(m - i, kRows);
        product_few<T, Add>(take, n, depth, a.from(i), b, ldb, c + i * ldc, ldc);
    }
}

}  // namespace
