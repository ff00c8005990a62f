// Exact patch attention without a score matrix: forward and backward, any CPU, float and double.
//
// The score of two 3x3 patches is a sum over nine aligned shifts of a dot product of pixels,
//   S[i,j] = scale / |K_j| * sum_d q(i+d).k(j+d),
// so S is a box filter along the diagonals of P[p,r] = q_p.k_r, and pasting is the transpose of that:
//   O[p] = sum_r v_r * D[p,r],   D = diagonal box filter of the attention weights.
//
// A query row y meets `rows` key rows at a time; y and the key rows advance together, along a diagonal.
// Then the box filter along y is a sum of the last three tiles, and every tile (one query row by a few
// key rows) lives in the second-level cache. Nothing of the size queries x keys is ever stored: a first
// sweep finds each query's maximum (only where the scores could overflow) and its softmax
// denominator, a second one pastes; backward sweeps the same way.
//
// Key maps are stored with a frame of zeros one pixel wide, so that shifts need no border cases; the
// frame's own weights are masked out. Guard rows above and below let tiles hang over the ends.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <cstdlib>
#include <exception>
#include <limits>
#include <new>
#include <omp.h>
#include <vector>

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
template <class T> inline Vec<T> splat(T x) { return Vec<T>{} + x; }
template <class T> inline T total(Vec<T> v) {
    T sum = 0;
    for (int i = 0; i < Lanes<T>::N; ++i) sum += v[i];
    return sum;
}
inline int up(int n, int multiple) { return (n + multiple - 1) / multiple * multiple; }

// exp, to 2 ulp: 2^n times a polynomial on [-ln2/2, ln2/2] (Cephes' coefficients); 0 below -87.
inline Vec<float> vexp(Vec<float> x) {
    typedef int32_t I __attribute__((vector_size(kVectorBytes)));
    const Vec<float> low = splat<float>(-87.0f), high = splat<float>(88.0f);
    I under = x < low;
    x = x < low ? low : x;
    x = x > high ? high : x;
    Vec<float> n = x * 1.44269504f + 12582912.0f;  // 1.5 * 2^23: rounds to an integer
    n = n - 12582912.0f;
    Vec<float> r = x - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;
    Vec<float> p = splat<float>(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    I bits = (__builtin_convertvector(n, I) + 127) << 23;
    Vec<float> two_n;
    std::memcpy(&two_n, &bits, sizeof bits);
    Vec<float> y = p * two_n;
    return under ? Vec<float>{} : y;
}
inline Vec<double> vexp(Vec<double> x) {
    for (int i = 0; i < Lanes<double>::N; ++i) x[i] = std::exp(x[i]);
    return x;
}

// C[m,n] (+)= sum_k A(m,k) B[k,n], n in whole vectors. A(m,k) = a[m*sm + k*sk].
template <class T, int M, int NV>
inline void gemm_block(int depth, const T* a, long sm, long sk, const T* b, long ldb, T* c, long ldc, bool add) {
    constexpr int L = Lanes<T>::N;
    Vec<T> acc[M][NV];
    for (int m = 0; m < M; ++m)
        for (int n = 0; n < NV; ++n) acc[m][n] = add ? load<T>(c + m * ldc + n * L) : Vec<T>{};
    for (int k = 0; k < depth; ++k) {
        Vec<T> row[NV];
        for (int n = 0; n < NV; ++n) row[n] = load<T>(b + k * ldb + n * L);
        for (int m = 0; m < M; ++m) {
            const Vec<T> x = splat<T>(a[m * sm + k * sk]);
            for (int n = 0; n < NV; ++n) acc[m][n] += x * row[n];
        }
    }
    for (int m = 0; m < M; ++m)
        for (int n = 0; n < NV; ++n) store<T>(c + m * ldc + n * L, acc[m][n]);
}
template <class T, int M>
inline void gemm_rows(int n, int depth, const T* a, long sm, long sk, const T* b, long ldb, T* c, long ldc, bool add) {
    constexpr int L = Lanes<T>::N;
    // A block of one vector takes nearly as long as one of four: 5 = 3 + 2 and 6 = 3 + 3 vectors.
    for (int j = 0, left = n / L; left > 0;) {
        const int take = left == 5 || left == 6 ? 3 : std::min(left, 4);
        if (take == 4) gemm_block<T, M, 4>(depth, a, sm, sk, b + j, ldb, c + j, ldc, add);
        else if (take == 3) gemm_block<T, M, 3>(depth, a, sm, sk, b + j, ldb, c + j, ldc, add);
        else if (take == 2) gemm_block<T, M, 2>(depth, a, sm, sk, b + j, ldb, c + j, ldc, add);
        else gemm_block<T, M, 1>(depth, a, sm, sk, b + j, ldb, c + j, ldc, add);
        left -= take;
        j += take * L;
    }
}
template <class T>
void gemm(int m, int n, int depth, const T* a, long sm, long sk, const T* b, long ldb, T* c, long ldc, bool add) {
    int i = 0;
    for (; i + 6 <= m; i += 6) gemm_rows<T, 6>(n, depth, a + i * sm, sm, sk, b, ldb, c + i * ldc, ldc, add);
    for (; i + 3 <= m; i += 3) gemm_rows<T, 3>(n, depth, a + i * sm, sm, sk, b, ldb, c + i * ldc, ldc, add);
    for (; i < m; ++i) gemm_rows<T, 1>(n, depth, a + i * sm, sm, sk, b, ldb, c + i * ldc, ldc, add);
}

template <class T> struct Buffer {  // zeroed, aligned to a vector
    T* data = nullptr;
    explicit Buffer(size_t n) {
        const size_t bytes = (n * sizeof(T) + 127) / 64 * 64;
        data = static_cast<T*>(std::aligned_alloc(64, bytes));
        if (!data) throw std::bad_alloc();
        std::memset(data, 0, bytes);
    }
    Buffer(Buffer&& other) noexcept : data(other.data) { other.data = nullptr; }
    Buffer(const Buffer&) = delete;
    ~Buffer() { std::free(data); }
};

}  // namespace

// What the caller hands over; every array is contiguous, of float or of double throughout.
extern "C" struct PatchAttention {
    int64_t batch, match, channels, height, width, levels, threads;
    const int64_t* level_height;
    const int64_t* level_width;
    double softmax_scale, min_norm;
    const void* query;         // (batch, match, height, width)
    const void* const* keys;   // levels of (batch, match, h, w)
    const void* const* values; // levels of (batch, channels, h, w)
    void* output;              // (batch, channels, height, width): overlapping patches summed
    void* peak;                // (batch, height, width): subtracted from a query's scores
    void* denominator;         // (batch, height, width): of its softmax
    const void* grad_output;   // as output; the rest is for backward only
    void* grad_query;          // as query
    void* const* grad_keys;    // as keys
    void* const* grad_values;  // as values
};

namespace {

using Problem = PatchAttention;

template <class T> int padded(int channels) { return up(channels, Lanes<T>::N); }

// (channels, pixels) to (pixels, lead)
template <class T> void to_last(const T* planes, T* last, long pixels, int channels, int lead) {
    for (int c = 0; c < channels; ++c)
        for (long i = 0; i < pixels; ++i) last[i * lead + c] = planes[c * pixels + i];
}

// One level of one sample in a frame of zeros. "Framed row" r is pixel row r - 1.
template <class T> struct Level {
    static constexpr int kTile = 208;  // keys in a tile, about: nine tiles stay within 1 MB of cache
    const int height, width, stride, rows, guard;
    const long size;
    Buffer<T> key, value;            // (match, size), and for backward (channels, size)
    Buffer<T> key_last, value_last;  // for backward (size, match padded), forward (size, channels padded)
    Buffer<T> factor, mask;          // scale / norm of each key patch; 1 on pixels, 0 on the frame

    Level(const Problem& p, int sample, int l, bool backward)
        : height(p.level_height[l]), width(p.level_width[l]), stride(width + 2), rows(std::max(1, kTile / stride)),
          guard(rows + 2), size(long(stride) * (height + 2 + 2 * guard) + 8 * Lanes<T>::N),
          key(p.match * size), value(backward ? p.channels * size : 0),
          key_last(backward ? padded<T>(p.match) * size : 0), value_last(backward ? 0 : padded<T>(p.channels) * size),
          factor(size), mask(size) {
        const long pixels = long(height) * width;
        const T* k = static_cast<const T*>(p.keys[l]) + sample * p.match * pixels;
        const T* v = static_cast<const T*>(p.values[l]) + sample * p.channels * pixels;
        frame_planes(k, p.match, key.data);
        if (backward) {
            frame_planes(v, p.channels, value.data);
            frame_last(k, p.match, key_last.data);
        } else {
            frame_last(v, p.channels, value_last.data);
        }
        find_factors(p);
    }
    int tile() const { return rows * stride; }
    long at(int y, int x) const { return row(y + 1) + x + 1; }
    long row(int framed) const { return long(framed + guard) * stride; }

  private:
    void frame_planes(const T* planes, int channels, T* framed) const {
        for (int c = 0; c < channels; ++c)
            for (int y = 0; y < height; ++y)
                std::memcpy(framed + c * size + at(y, 0), planes + (long(c) * height + y) * width, width * sizeof(T));
    }
    void frame_last(const T* planes, int channels, T* framed) const {
        const int lead = padded<T>(channels);
        for (int c = 0; c < channels; ++c)
            for (int y = 0; y < height; ++y)
                for (int x = 0; x < width; ++x) framed[at(y, x) * lead + c] = planes[(long(c) * height + y) * width + x];
    }
    void find_factors(const Problem& p) {
        Buffer<T> square(size);
        for (int c = 0; c < p.match; ++c)
            for (long i = 0; i < size; ++i) square.data[i] += key.data[c * size + i] * key.data[c * size + i];
        for (int y = 0; y < height; ++y)
            for (int x = 0; x < width; ++x) {
                T sum = 0;
                for (int dy = -1; dy <= 1; ++dy)
                    for (int dx = -1; dx <= 1; ++dx) sum += square.data[at(y, x) + long(dy) * stride + dx];
                factor.data[at(y, x)] = T(p.softmax_scale) / std::max(std::sqrt(sum), T(p.min_norm));
                mask.data[at(y, x)] = 1;
            }
    }
};

// Query rows [top, bottom) and columns [left, right) of a sample: the work of one thread at a time.
struct Strip {
    int sample, top, bottom, left, right;
};

// One sample, repacked.
template <class T> struct Sample {
    const int index;
    Buffer<T> query, gradient;  // (height·width, match padded), (height·width, channels padded)
    Buffer<T> dot;              // sum_j A[i,j] dA[i,j] of each query, for backward
    std::vector<Level<T>> levels;
    T *peak, *denominator;

    Sample(const Problem& p, int index, bool backward)
        : index(index), query(p.height * p.width * padded<T>(p.match)),
          gradient(backward ? p.height * p.width * padded<T>(p.channels) : 0), dot(backward ? p.height * p.width : 0) {
        const long pixels = p.height * p.width;
        to_last(static_cast<const T*>(p.query) + index * p.match * pixels, query.data, pixels, p.match, padded<T>(p.match));
        if (backward)
            to_last(static_cast<const T*>(p.grad_output) + index * p.channels * pixels, gradient.data, pixels, p.channels,
                    padded<T>(p.channels));
        levels.reserve(p.levels);
        for (int l = 0; l < p.levels; ++l) levels.emplace_back(p, index, l, backward);
        peak = static_cast<T*>(p.peak) + index * pixels;
        denominator = static_cast<T*>(p.denominator) + index * pixels;
    }
};

// Tiles of a strip: a line of keys for each of its columns and two more on each side, zeros around each line.
template <class T> class Tiles {
  public:
    Tiles(const Problem& p, const Strip& s, const Sample<T>& sample, int count)
        : low(std::max(0, s.left - 2)), columns(std::min<int>(p.width, s.right + 2) - low), lead(longest(sample) + 2 * L) {
        for (int i = 0; i < count; ++i) tiles_.emplace_back(long(columns) * lead);
    }
    T* operator[](int i) { return tiles_[i].data + L; }
    void clear(int i) { std::memset(tiles_[i].data, 0, sizeof(T) * columns * lead); }
    const int low, columns;  // first column; their number
    const long lead;         // numbers from one line to the next

  private:
    static constexpr int L = Lanes<T>::N;
    static int longest(const Sample<T>& sample) {
        int n = 0;
        for (const auto& level : sample.levels) n = std::max(n, up(level.tile(), L));
        return n;
    }
    std::vector<Buffer<T>> tiles_;
};

inline int third(int y) { return (y + 3) % 3; }

// Everything that is done to tiles; `n` keys a line.
template <class T> struct Step {
    static constexpr int L = Lanes<T>::N;
    const Problem& p;
    const Sample<T>& sample;
    Tiles<T>& tiles;

    // tile = features of query row y times plane, with zeros from n on; zeros where there is no such row
    void products(int tile, const T* features, int depth, int lead, int y, const T* plane, long ld, int n) {
        const T* first = features + (long(y) * p.width + tiles.low) * lead;
        gemm<T>(tiles.columns, up(n, L), depth, first, lead, 1, plane, ld, tiles[tile], tiles.lead, false);
        for (int x = 0; x < tiles.columns; ++x)
            for (int j = n; j < up(n, L); ++j) tiles[tile][x * tiles.lead + j] = 0;
    }
    // to[x][j] = from[x-1][j-1] + from[x][j] + from[x+1][j+1]
    void sum_along_x(int from, int to, int n) {
        for (int x = 0; x < tiles.columns; ++x) {
            const T* here = tiles[from] + x * tiles.lead;
            T* sum = tiles[to] + x * tiles.lead;
            const bool before = x > 0, after = x + 1 < tiles.columns;
            for (int j = 0; j < n; j += L) {
                Vec<T> v = load<T>(here + j);
                if (before) v += load<T>(here + j - tiles.lead - 1);
                if (after) v += load<T>(here + j + tiles.lead + 1);
                store<T>(sum + j, v);
            }
        }
    }
    // to = sum of the three tiles from ring on: those of query rows y - 1, y and y + 1
    void sum_along_y(int ring, int to, int n) {
        const T *a = tiles[ring], *b = tiles[ring + 1], *c = tiles[ring + 2];
        for (int x = 0; x < tiles.columns; ++x)
            for (long j = x * tiles.lead; j < x * tiles.lead + n; j += L)
                store<T>(tiles[to] + j, load<T>(a + j) + load<T>(b + j) + load<T>(c + j));
    }
    // Weights of query row y in place of its scores; zero where a column has no place in [left, right).
    void softmax(int tile, const Level<T>& level, long offset, int y, int left, int right, int n) {
        for (int x = 0; x < tiles.columns; ++x) {
            T* line = tiles[tile] + x * tiles.lead;
            const int column = x + tiles.low;
            if (column < left || column >= right) {
                std::memset(line, 0, up(n, L) * sizeof(T));
                continue;
            }
            const Vec<T> peak = splat<T>(sample.peak[long(y) * p.width + column]);
            const Vec<T> share = splat<T>(1 / sample.denominator[long(y) * p.width + column]);
            for (int j = 0; j < n; j += L) {
                const Vec<T> score = load<T>(line + j) * load<T>(level.factor.data + offset + j) - peak;
                store<T>(line + j, vexp(score) * (share * load<T>(level.mask.data + offset + j)));
            }
            for (int j = n; j < up(n, L); ++j) line[j] = 0;
        }
    }
};

// Call step(level number, level, start, y, last) for the rows y of each diagonal band of tiles: tile row r of query
// row y holds framed key row y + start + r. Bands cover all pairs of query rows [from, to) and key rows once.
template <class T, class Band> void for_each_band(const Sample<T>& sample, int from, int to, Band band) {
    for (size_t l = 0; l < sample.levels.size(); ++l) {
        const Level<T>& level = sample.levels[l];
        for (int start = 2 - to - (level.rows - 1); start <= level.height - from; start += level.rows) {
            const int first = std::max(from, 2 - start - level.rows), last = std::min(to - 1, level.height - start);
            if (first <= last) band(level, int(l), start, first, last);
        }
    }
}

// The box filter of features . plane for query row y, in tile `result`, whose ring are the three tiles after it;
// rows come in order, and `fresh` starts a band.
template <class T>
void filtered(Step<T>& step, int result, const T* features, int64_t depth, const Level<T>& level, const T* plane, int start, int y, bool fresh) {
    const int n = level.tile();
    for (int row = fresh ? y - 1 : y + 1; row <= y + 1; ++row) {
        const int slot = result + 1 + third(row);
        if (row < 0 || row >= step.p.height) {
            step.tiles.clear(slot);
            continue;
        }
        step.products(result, features, depth, padded<T>(depth), row, plane + level.row(row + start), level.size, n);
        step.sum_along_x(result, slot, n);
    }
    step.sum_along_y(result + 1, result, n);
}

// S of query row y, without the factors, in tile 0.
template <class T> void scores(Step<T>& step, const Level<T>& level, int start, int y, bool fresh) {
    filtered(step, 0, step.sample.query.data, step.p.match, level, level.key.data, start, y, fresh);
}

enum class Find { peak, denominator };

// First sweep: the greatest score of each query of a strip, or the denominator of its softmax.
template <class T> void statistics(const Problem& p, Sample<T>& sample, const Strip& s, Find find) {
    constexpr int L = Lanes<T>::N;
    Tiles<T> tiles(p, s, sample, 4);
    Step<T> step{p, sample, tiles};
    T* result = find == Find::peak ? sample.peak : sample.denominator;
    for (int y = s.top; y < s.bottom; ++y)
        for (int x = s.left; x < s.right; ++x)
            result[long(y) * p.width + x] = find == Find::peak ? -std::numeric_limits<T>::infinity() : T(0);
    for_each_band(sample, s.top, s.bottom, [&](const Level<T>& level, int, int start, int first, int last) {
        const int n = level.tile();
        for (int y = first; y <= last; ++y) {
            scores(step, level, start, y, y == first);
            const T* factor = level.factor.data + level.row(y + start);
            const T* mask = level.mask.data + level.row(y + start);
            for (int x = s.left; x < s.right; ++x) {
                const T* line = tiles[0] + (x - tiles.low) * tiles.lead;
                T& held = result[long(y) * p.width + x];
                if (find == Find::peak) {
                    Vec<T> most = splat<T>(held);
                    int j = 0;
                    for (; j + L <= n; j += L) {
                        Vec<T> score = load<T>(line + j) * load<T>(factor + j);
                        score = load<T>(mask + j) > Vec<T>{} ? score : most;
                        most = score > most ? score : most;
                    }
                    for (int i = 0; i < L; ++i) held = std::max(held, T(most[i]));
                    for (; j < n; ++j)
                        if (mask[j] != 0) held = std::max(held, line[j] * factor[j]);
                    continue;
                }
                const Vec<T> peak = splat<T>(sample.peak[long(y) * p.width + x]);
                Vec<T> sum{};
                int j = 0;
                for (; j + L <= n; j += L)
                    sum += vexp(load<T>(line + j) * load<T>(factor + j) - peak) * load<T>(mask + j);
                Vec<T> rest{};
                if (j < n) rest = vexp(load<T>(line + j) * load<T>(factor + j) - peak) * load<T>(mask + j);
                for (int i = 0; i < n - j; ++i) sum[0] += rest[i];
                held += total<T>(sum);
            }
        }
    });
}

// Second sweep: the pasted values of a strip's pixels.
template <class T> void paste(const Problem& p, const Sample<T>& sample, const Strip& s) {
    const int C = p.channels, lead = padded<T>(C), columns = s.right - s.left;
    Tiles<T> tiles(p, s, sample, 8);  // 0 scratch, 1-3 sums of products, 4-6 sums of weights, 7 their sum
    Step<T> step{p, sample, tiles};
    Buffer<T> result(long(s.bottom - s.top) * columns * lead);
    const int from = std::max(0, s.top - 1), to = std::min<int>(p.height, s.bottom + 1);
    for_each_band(sample, from, to, [&](const Level<T>& level, int, int start, int first, int last) {
        const int n = level.tile();
        tiles.clear(4 + third(first - 1));
        for (int y = first; y <= last + 1; ++y) {
            if (y <= last) {
                scores(step, level, start, y, y == first);
                step.softmax(0, level, level.row(y + start), y, s.left - 1, s.right + 1, n);
                step.sum_along_x(0, 4 + third(y), n);
            } else {
                tiles.clear(4 + third(y));
            }
            const int pixel = y - 1;  // its three rows of weights are there now
            if (pixel < std::max(first, s.top) || pixel >= s.bottom) continue;
            step.sum_along_y(4, 7, n);
            gemm<T>(columns, lead, n, tiles[7] + (s.left - tiles.low) * tiles.lead, tiles.lead, 1,
                    level.value_last.data + level.row(pixel + start) * lead, lead,
                    result.data + long(pixel - s.top) * columns * lead, lead, true);
        }
    });
    T* output = static_cast<T*>(p.output) + sample.index * C * p.height * p.width;
    for (int c = 0; c < C; ++c)
        for (int y = s.top; y < s.bottom; ++y)
            for (int x = s.left; x < s.right; ++x)
                output[(long(c) * p.height + y) * p.width + x] = result.data[(long(y - s.top) * columns + x - s.left) * lead + c];
}

// Gradients of one level's keys and values as one thread has summed them.
template <class T> struct LevelGradient {
    Buffer<T> key, value;  // (size, match padded), (size, channels padded)
    Buffer<T> change;      // sum_i dS[i,j] S[i,j]: what the norm of key patch j takes back
    LevelGradient(const Problem& p, const Level<T>& level)
        : key(level.size * padded<T>(p.match)), value(level.size * padded<T>(p.channels)), change(level.size) {}
};

// dA of query row y in tile 4, by the same filter over gradient and values.
template <class T> void weight_gradient(Step<T>& step, const Level<T>& level, int start, int y, bool fresh) {
    filtered(step, 4, step.sample.gradient.data, step.p.channels, level, level.value.data, start, y, fresh);
}

// sum_j A[i,j] dA[i,j] of each query of a strip.
template <class T> void weighted_gradient(const Problem& p, Sample<T>& sample, const Strip& s) {
    constexpr int L = Lanes<T>::N;
    Tiles<T> tiles(p, s, sample, 8);
    Step<T> step{p, sample, tiles};
    for_each_band(sample, s.top, s.bottom, [&](const Level<T>& level, int, int start, int first, int last) {
        const int n = level.tile();
        for (int y = first; y <= last; ++y) {
            scores(step, level, start, y, y == first);
            weight_gradient(step, level, start, y, y == first);
            step.softmax(0, level, level.row(y + start), y, s.left, s.right, n);
            for (int x = s.left; x < s.right; ++x) {
                const long line = (x - tiles.low) * tiles.lead;
                Vec<T> sum{};
                for (int j = 0; j < n; j += L) sum += load<T>(tiles[0] + line + j) * load<T>(tiles[4] + line + j);
                sample.dot.data[long(y) * p.width + x] += total<T>(sum);
            }
        }
    });
}

// Last sweep: gradients of the strip's queries, and what its pixels give to all keys and values.
template <class T>
void gradients(const Problem& p, const Sample<T>& sample, const Strip& s, std::vector<LevelGradient<T>>& sums) {
    constexpr int L = Lanes<T>::N;
    const int K = p.match, Kp = padded<T>(K), Cp = padded<T>(p.channels), columns = s.right - s.left;
    // 0 scores, 1-3 their ring, 4 dA, 5-7 its ring, 8-10 ring of dS, 11-13 ring of A, 14 a sum, 15 dS
    Tiles<T> tiles(p, s, sample, 16);
    Step<T> step{p, sample, tiles};
    Buffer<T> result(long(s.bottom - s.top) * columns * Kp);
    const int from = std::max(0, s.top - 1), to = std::min<int>(p.height, s.bottom + 1);
    const long shift = (s.left - tiles.low) * tiles.lead;
    for_each_band(sample, from, to, [&](const Level<T>& level, int l, int start, int first, int last) {
        const int n = level.tile();
        LevelGradient<T>& sum = sums[l];
        for (int ring : {8, 11}) tiles.clear(ring + third(first - 1));
        for (int y = first; y <= last + 1; ++y) {
            if (y <= last) {
                const long offset = level.row(y + start);
                scores(step, level, start, y, y == first);
                weight_gradient(step, level, start, y, y == first);
                std::memcpy(tiles[15], tiles[0], sizeof(T) * tiles.columns * tiles.lead - sizeof(T) * 2 * L);
                step.softmax(0, level, offset, y, s.left - 1, s.right + 1, n);
                const bool own_row = y >= s.top && y < s.bottom;
                for (int x = 0; x < tiles.columns; ++x) {
                    const int column = x + tiles.low;
                    const bool own = own_row && column >= s.left && column < s.right;
                    const Vec<T> dot = splat<T>(sample.dot.data[long(y) * p.width + column]);
                    for (long j = 0; j < n; j += L) {
                        const long at = x * tiles.lead + j;
                        const Vec<T> change = load<T>(tiles[0] + at) * (load<T>(tiles[4] + at) - dot);
                        const Vec<T> scaled = change * load<T>(level.factor.data + offset + j);
                        if (own) {
                            T* held = sum.change.data + offset + j;
                            store<T>(held, load<T>(held) + scaled * load<T>(tiles[15] + at));
                        }
                        store<T>(tiles[15] + at, scaled);
                    }
                }
                step.sum_along_x(15, 8 + third(y), n);
                step.sum_along_x(0, 11 + third(y), n);
            } else {
                for (int ring : {8, 11}) tiles.clear(ring + third(y));
            }
            const int pixel = y - 1;
            if (pixel < std::max(first, s.top) || pixel >= s.bottom) continue;
            const long offset = level.row(pixel + start), here = long(pixel) * p.width + s.left;
            step.sum_along_y(8, 14, n);
            gemm<T>(columns, Kp, n, tiles[14] + shift, tiles.lead, 1, level.key_last.data + offset * Kp, Kp,
                    result.data + long(pixel - s.top) * columns * Kp, Kp, true);
            gemm<T>(n, Kp, columns, tiles[14] + shift, 1, tiles.lead, sample.query.data + here * Kp, Kp,
                    sum.key.data + offset * Kp, Kp, true);
            step.sum_along_y(11, 14, n);
            gemm<T>(n, Cp, columns, tiles[14] + shift, 1, tiles.lead, sample.gradient.data + here * Cp, Cp,
                    sum.value.data + offset * Cp, Cp, true);
        }
    });
    T* grad = static_cast<T*>(p.grad_query) + sample.index * K * p.height * p.width;
    for (int k = 0; k < K; ++k)
        for (int y = s.top; y < s.bottom; ++y)
            for (int x = s.left; x < s.right; ++x)
                grad[(long(k) * p.height + y) * p.width + x] = result.data[(long(y - s.top) * columns + x - s.left) * Kp + k];
}

// Add up what the threads have, and the norms' share: d|K_j| reaches each pixel of patch j in proportion to it.
template <class T>
void collect(const Problem& p, const Sample<T>& sample, int l, const std::vector<std::vector<LevelGradient<T>>>& parts) {
    const Level<T>& level = sample.levels[l];
    const int K = p.match, C = p.channels, Kp = padded<T>(K), Cp = padded<T>(C);
    const long pixels = long(level.height) * level.width;
    Buffer<T> pull(level.size);
    for (int y = 0; y < level.height; ++y)
        for (int x = 0; x < level.width; ++x) {
            const long at = level.at(y, x);
            T change = 0;
            for (const auto& part : parts) change += part[l].change.data[at];
            const T inverse = level.factor.data[at] / T(p.softmax_scale);
            pull.data[at] = 1 / inverse > T(p.min_norm) ? -change * inverse * inverse : T(0);
        }
    T* grad_key = static_cast<T*>(p.grad_keys[l]) + sample.index * K * pixels;
    T* grad_value = static_cast<T*>(p.grad_values[l]) + sample.index * C * pixels;
    for (int y = 0; y < level.height; ++y)
        for (int x = 0; x < level.width; ++x) {
            const long at = level.at(y, x), to = long(y) * level.width + x;
            T near = 0;
            for (int dy = -1; dy <= 1; ++dy)
                for (int dx = -1; dx <= 1; ++dx) near += pull.data[at + long(dy) * level.stride + dx];
            for (int k = 0; k < K; ++k) {
                T sum = near * level.key.data[k * level.size + at];
                for (const auto& part : parts) sum += part[l].key.data[at * Kp + k];
                grad_key[k * pixels + to] = sum;
            }
            for (int c = 0; c < C; ++c) {
                T sum = 0;
                for (const auto& part : parts) sum += part[l].value.data[at * Cp + c];
                grad_value[c * pixels + to] = sum;
            }
        }
}

// The scores of a query are at most its patch's norm times the scale (Cauchy and Schwarz). Where that
// cannot overflow the exponential, even summed over a million keys, no maximum has to be found.
template <class T> bool may_overflow(const Problem& p, const Sample<T>& sample) {
    const int H = p.height, W = p.width, Kp = padded<T>(p.match);
    std::vector<T> square(long(H) * W, T(0));
    for (long i = 0; i < long(H) * W; ++i)
        for (int k = 0; k < p.match; ++k) square[i] += sample.query.data[i * Kp + k] * sample.query.data[i * Kp + k];
    T largest = 0;
    for (int y = 0; y < H; ++y)
        for (int x = 0; x < W; ++x) {
            T sum = 0;
            for (int v = std::max(0, y - 1); v <= std::min(H - 1, y + 1); ++v)
                for (int u = std::max(0, x - 1); u <= std::min(W - 1, x + 1); ++u) sum += square[long(v) * W + u];
            largest = std::max(largest, sum);
        }
    return !(std::abs(T(p.softmax_scale)) * std::sqrt(largest) < T(70));
}

// Strips of samples [first, first + count): enough for all threads, at most 64 columns wide.
inline std::vector<Strip> cut(const Problem& p, int first, int count) {
    const int H = p.height, W = p.width, across = (W + 63) / 64;
    const int down = std::min<int>(std::max(1, H / 8), std::max<int>(1, (p.threads + count * across - 1) / (count * across)));
    std::vector<Strip> strips;
    for (int i = 0; i < count; ++i)
        for (int d = 0; d < down; ++d)
            for (int a = 0; a < across; ++a)
                strips.push_back({first + i, H * d / down, H * (d + 1) / down, W * a / across, W * (a + 1) / across});
    return strips;
}

template <class Work> void in_parallel(const Problem& p, const std::vector<Strip>& strips, Work work) {
    std::exception_ptr failure;
#pragma omp parallel for schedule(static, 1) num_threads(int(p.threads))
    for (size_t i = 0; i < strips.size(); ++i) {
        try {
            work(strips[i], omp_get_thread_num());
        } catch (...) {
#pragma omp critical
            failure = std::current_exception();
        }
    }
    if (failure) std::rethrow_exception(failure);
}

template <class T> std::vector<Sample<T>> open(const Problem& p, int first, int count, bool backward) {
    std::vector<Sample<T>> samples;
    samples.reserve(count);
    for (int i = 0; i < count; ++i) samples.emplace_back(p, first + i, backward);
    return samples;
}

template <class T> void forward(const Problem& p) {
    for (int first = 0; first < p.batch; first += p.threads) {
        const int count = std::min<int>(p.threads, p.batch - first);
        std::vector<Sample<T>> samples = open<T>(p, first, count, false);
        const std::vector<Strip> strips = cut(p, first, count);
        bool overflow = false;
        for (auto& sample : samples) {
            std::fill(sample.peak, sample.peak + p.height * p.width, T(0));
            overflow = overflow || may_overflow(p, sample);
        }
        if (overflow)
            in_parallel(p, strips, [&](const Strip& s, int) { statistics(p, samples[s.sample - first], s, Find::peak); });
        in_parallel(p, strips, [&](const Strip& s, int) { statistics(p, samples[s.sample - first], s, Find::denominator); });
        in_parallel(p, strips, [&](const Strip& s, int) { paste(p, samples[s.sample - first], s); });
    }
}

template <class T> void backward(const Problem& p) {
    for (int first = 0; first < p.batch; first += p.threads) {
        const int count = std::min<int>(p.threads, p.batch - first);
        std::vector<Sample<T>> samples = open<T>(p, first, count, true);
        const std::vector<Strip> strips = cut(p, first, count);
        in_parallel(p, strips, [&](const Strip& s, int) { weighted_gradient(p, samples[s.sample - first], s); });
        // What each thread has summed for each sample; most threads see one sample only.
        std::vector<std::vector<std::vector<LevelGradient<T>>>> parts(count);
        for (auto& part : parts) part.resize(p.threads);
        in_parallel(p, strips, [&](const Strip& s, int thread) {
            const Sample<T>& sample = samples[s.sample - first];
            std::vector<LevelGradient<T>>& sums = parts[s.sample - first][thread];
            if (sums.empty())
                for (const auto& level : sample.levels) sums.emplace_back(p, level);
            gradients(p, sample, s, sums);
        });
        for (int i = 0; i < count; ++i) {
            auto& part = parts[i];
            part.erase(std::remove_if(part.begin(), part.end(), [](const auto& sums) { return sums.empty(); }), part.end());
            for (int l = 0; l < p.levels; ++l) collect(p, samples[i], l, part);
        }
    }
}

template <class Work> int guarded(Work work) {
    try {
        work();
        return 0;
    } catch (const std::bad_alloc&) {
        return 1;
    } catch (...) {
        return 2;
    }
}

}  // namespace

// Each returns 0, or 1 when memory ran out, or 2.
extern "C" int patch_attention_forward_float(const PatchAttention* p) { return guarded([&] { forward<float>(*p); }); }
extern "C" int patch_attention_forward_double(const PatchAttention* p) { return guarded([&] { forward<double>(*p); }); }
extern "C" int patch_attention_backward_float(const PatchAttention* p) { return guarded([&] { backward<float>(*p); }); }
extern "C" int patch_attention_backward_double(const PatchAttention* p) { return guarded([&] { backward<double>(*p); }); }
