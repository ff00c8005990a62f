// Forward: one sweep over all pairs for the softmax's denominators, one that pastes.
#pragma once

#include "parallel.h"
#include "patch_keys.h"

namespace {

// Scores to base 2 above a query's peak by more than this would come near the end of float's range.
constexpr double kHeadroom = 80;
// Below this a sum of exponentials has lost its digits, or all: every score was that far below the peak.
constexpr double kLost = 0x1p-100;
// Below any score that has digits after the point, and itself without them: the first line met sets a better peak, to
// within the few bits that are lost in subtracting this.
constexpr double kBelowAll = -0x1p28;

// Where a query's peak may start: its scores are at most scale * |patch| (Cauchy and Schwarz). Within the
// headroom nothing has to be subtracted, else the first line met sets a better one.
template <class T> void first_peaks(const Problem& p, const Sample<T>& sample, const Strip& s) {
    const int H = p.height, W = p.width, reach = p.reach;
    const auto square = [&](int y, int x) {
        const T* q = sample.query.data + sample.at(y, x) * sample.match;
        Vec<T> sum{};
        for (int k = 0; k < sample.match; k += Lanes<T>::N) sum += load<T>(q + k) * load<T>(q + k);
        return total<T>(sum);
    };
    for (int y = s.top; y < s.bottom; ++y)
        for (int x = s.left; x < s.right; ++x) {
            T sum = 0;
            for (int v = std::max(0, y - reach); v <= std::min(H - 1, y + reach); ++v)
                for (int u = std::max(0, x - reach); u <= std::min(W - 1, x + reach); ++u) sum += square(v, u);
            // a key's pixel has no norm of its own to be divided by
            const T bound = T(std::abs(p.softmax_scale) * M_LOG2E * 1.001) * std::sqrt(sum);
            sample.peak[long(y) * W + x] = bound < T(kHeadroom) || !reach ? T(0) : -bound;
        }
}

// Peak and denominator of each query of a strip, from the peak that it has.
template <class T> void sum_exponentials(const Problem& p, const Sample<T>& sample, const Strip& s) {
    constexpr int L = Lanes<T>::N;
    const int low = std::max<int>(0, s.left - p.reach), columns = std::min<int>(p.width, s.right + p.reach) - low;
    const int own = s.right - s.left;
    const long line = longest_line(sample);
    const std::vector<Piece> around = cut_columns(p, s, low, columns), mine = cut_columns(p, s, s.left, own);
    PatchProducts<T> products(p, sample, around, columns, line, sample.query.data, p.match);
    KeyLine<T> keys(sample, line);
    Buffer<T> sums(long(s.bottom - s.top) * own * L);
    for_each_band(p, sample, s.top, s.bottom, [&](const Band<T>& band) {
        keys.begin(band);
        for (int y = band.first; y <= band.last; ++y) {
            products.advance(band, band.level.key.data, y);
            keys.set(band, y);
            for (int x = s.left; x < s.right; ++x) {
                const Range mine = keys.seen(band, x);
                const Span span = band.window(y, mine);
                T& peak = sample.peak[long(y) * p.width + x];
                T* held = sums.data + (long(y - s.top) * own + x - s.left) * L;
                const long at = (x - low) * products.ring.lead;
                for (;;) {
                    Vec<T> sum{}, most = splat(T(0));
                    span.each([&](int from, int to) {
                        const Keys<T> line = keys.at(band, x, from, mine.low);
                        for (int j = from; j < to; j += L) {
                            const Vec<T> score = line.score(products.ring.sum(at + j), j) - peak;
                            most = larger<T>(score, most);
                            sum += exp2(score);
                        }
                    });
                    if (!any_above<T>(most, T(kHeadroom))) {
                        store<T>(held, load<T>(held) + sum);
                        break;
                    }
                    const T above = largest<T>(most);
                    store<T>(held, load<T>(held) * exp2(splat(-above)));
                    peak += above;
                }
            }
        }
    });
    for (int y = s.top; y < s.bottom; ++y)
        for (int x = 0; x < own; ++x)
            sample.denominator[long(y) * p.width + s.left + x] =
                total<T>(load<T>(sums.data + (long(y - s.top) * own + x) * L));
}

// First sweep: peak and denominator of each query of a strip. Of pixels nothing bounds the scores from below: where all
// of a query's vanish beside its first peak, 0, the sweep is done again, its peaks from below.
template <class T> void find_denominators(const Problem& p, const Sample<T>& sample, const Strip& s) {
    first_peaks(p, sample, s);
    sum_exponentials(p, sample, s);
    bool again = false;
    for (int y = s.top; y < s.bottom; ++y)
        for (long at = long(y) * p.width + s.left; at < long(y) * p.width + s.right; ++at)
            if (sample.denominator[at] < T(kLost)) {
                sample.peak[at] = T(kBelowAll);
                again = true;
            }
    if (again) sum_exponentials(p, sample, s);
}

// Second sweep: the pasted values of a strip's pixels.
template <class T> void paste(const Problem& p, const Sample<T>& sample, const Strip& s) {
    constexpr int L = Lanes<T>::N;
    const int C = p.channels, lead = sample.channels, own = s.right - s.left, reach = p.reach;
    // Pixels take from the queries around them, and those from the pixels around them in turn.
    const int low = std::max(0, s.left - 2 * reach), columns = std::min<int>(p.width, s.right + 2 * reach) - low;
    const int low2 = std::max(0, s.left - reach), columns2 = std::min<int>(p.width, s.right + reach) - low2;
    const int from = std::max(0, s.top - reach), to = std::min<int>(p.height, s.bottom + reach);
    const long line = longest_line(sample);
    const std::vector<Piece> around = cut_columns(p, s, low, columns), near = cut_columns(p, s, low2, columns2);
    const std::vector<Piece> mine = cut_columns(p, s, s.left, own);
    PatchProducts<T> products(p, sample, around, columns, line, sample.query.data, p.match);
    Ring<T> weights(reach, columns2, line);
    KeyLine<T> keys(sample, line);
    Buffer<T> result(long(s.bottom - s.top) * own * lead), sums(kRows * line);
    for_each_band(p, sample, from, to, [&](const Band<T>& band) {
        keys.begin(band);
        weights.skip(band.first - 1);
        for (int y = band.first; y <= band.last + reach; ++y) {
            if (y <= band.last) {
                products.advance(band, band.level.key.data, y);
                keys.set(band, y);
                weights.begin(y, band, near[0].of(band.index));
                for (const Piece& piece : near) {
                    const Range range = piece.of(band.index);
                    const Span span = band.all(y, range), seen = band.window(y, range);
                    for (int i = 0; i < piece.count; ++i) {
                        const int column = piece.x + i;
                        const long at = (column - low) * products.ring.lead;
                        const Softmax<T> softmax(sample, long(y) * p.width + column);
                        T* line = weights.next() + i * weights.lead;
                        span.each([&](int first, int end) {
                            if (!seen.includes(first)) return std::fill(line + first, line + end, T(0));
                            const Keys<T> some = keys.at(band, column, first, range.low);
                            for (int j = first; j < end; j += L)
                                store<T>(line + j, softmax.weight(some.score(products.ring.sum(at + j), j)));
                        });
                    }
                    weights.take(piece.count, span, band.level.margin);
                }
                weights.end();
            } else {
                weights.skip(y);
            }
            const int pixel = y - reach;  // its three rows of weights are there now
            if (pixel < std::max(band.first, s.top) || pixel >= s.bottom) continue;
            const T* values = band.level.value_last.data + band.offset(pixel) * lead;
            // key row by key row, so that the values of a row stay in the cache for all pieces
            for (int row = 0; row < band.span(pixel, mine[0].of(band.index)).count; ++row)
                for (const Piece& piece : mine) {
                    const Span span = band.span(pixel, piece.of(band.index));
                    const int first = span.low + row * span.step;
                    for (int i = 0; i < piece.count; ++i)
                        for (int j = 0; j < span.length(); j += L)
                            store<T>(sums.data + i * line + j,
                                     weights.sum((piece.x - low2 + i) * weights.lead + first + j));
                    product_few<T, true>(piece.count, lead, span.depth, Left<T>{sums.data, line, 1},
                                         values + long(first) * lead, lead,
                                         result.data + (long(pixel - s.top) * own + piece.x - s.left) * lead, lead);
                }
        }
    });
    T* output = static_cast<T*>(p.output) + sample.index * C * p.height * p.width;
    for (int c = 0; c < C; ++c)
        for (int y = s.top; y < s.bottom; ++y)
            for (int x = 0; x < own; ++x)
                output[(long(c) * p.height + y) * p.width + s.left + x] =
                    result.data[(long(y - s.top) * own + x) * lead + c];
}

// Call work(sample, strip) for each strip, with what it looks at: all strips of a sample share its copy, and within
// windows each has its own.
template <class T> void forward(const Problem& p) {
    if (p.windows) {
        const std::vector<Strip> strips = cut(p, 0, p.batch);
        const auto each = [&](auto work) {
            in_parallel(p.threads, strips.size(), [&](size_t i, int) {
                work(p, Sample<T>(p, strips[i].sample, false, &strips[i]), strips[i]);
            });
        };
        each(find_denominators<T>);
        each(paste<T>);
        return;
    }
    for (int first = 0; first < p.batch; first += p.threads) {
        const int count = std::min<int>(p.threads, p.batch - first);
        const std::vector<Sample<T>> samples = open<T>(p, first, count, false);
        const std::vector<Strip> strips = cut(p, first, count);
        const auto each = [&](auto work) {
            in_parallel(p.threads, strips.size(),
                        [&](size_t i, int) { work(p, samples[strips[i].sample - first], strips[i]); });
        };
        each(find_denominators<T>);
        each(paste<T>);
    }
}

}  // namespace
