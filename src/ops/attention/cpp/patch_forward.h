// Forward: one sweep over all pairs for the softmax's denominators, one that pastes.
#pragma once

#include "parallel.h"
#include "patch_keys.h"

namespace {

// Scores to base 2 above a query's peak by more than this would come near the end of float's range.
constexpr double kHeadroom = 80;

// Where a query's peak may start: its scores are at most scale * |patch| (Cauchy and Schwarz). Within the
// headroom nothing has to be subtracted, else the first line met sets a better one.
template <class T> void first_peaks(const Problem& p, const Sample<T>& sample, const Strip& s) {
    const int H = p.height, W = p.width, lead = padded<T>(p.match);
    const auto square = [&](int y, int x) {
        const T* q = sample.query.data + (long(y) * W + x) * lead;
        Vec<T> sum{};
        for (int k = 0; k < lead; k += Lanes<T>::N) sum += load<T>(q + k) * load<T>(q + k);
        return total<T>(sum);
    };
    for (int y = s.top; y < s.bottom; ++y)
        for (int x = s.left; x < s.right; ++x) {
            T sum = 0;
            for (int v = std::max(0, y - 1); v <= std::min(H - 1, y + 1); ++v)
                for (int u = std::max(0, x - 1); u <= std::min(W - 1, x + 1); ++u) sum += square(v, u);
            const T bound = T(std::abs(p.softmax_scale) * M_LOG2E * 1.001) * std::sqrt(sum);
            sample.peak[long(y) * W + x] = bound < T(kHeadroom) ? T(0) : -bound;
        }
}

// First sweep: peak and denominator of each query of a strip.
template <class T> void find_denominators(const Problem& p, const Sample<T>& sample, const Strip& s) {
    constexpr int L = Lanes<T>::N;
    const int low = std::max(0, s.left - 1), columns = std::min<int>(p.width, s.right + 1) - low;
    const int own = s.right - s.left;
    const long line = longest_line(sample);
    PatchProducts<T> products(p, low, columns, line, sample.query.data, p.match);
    KeyLine<T> keys(line);
    Buffer<T> sums(long(s.bottom - s.top) * own * L);
    first_peaks(p, sample, s);
    for_each_band(sample, s.top, s.bottom, [&](const Band<T>& band) {
        for (int y = band.first; y <= band.last; ++y) {
            products.advance(band, band.level.key.data, y);
            const Span span = band.span(y);
            keys.set(band, y, span);
            for (int x = 0; x < own; ++x) {
                T& peak = sample.peak[long(y) * p.width + s.left + x];
                T* held = sums.data + (long(y - s.top) * own + x) * L;
                const long at = (s.left - low + x) * products.ring.lead;
                for (;;) {
                    Vec<T> sum{}, most = splat(T(0));
                    for (int j = span.low; j < span.high; j += L) {
                        const Vec<T> score = keys.score(products.ring.sum(at + j), j) - peak;
                        most = larger<T>(score, most);
                        sum += exp2(score);
                    }
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

// Second sweep: the pasted values of a strip's pixels.
template <class T> void paste(const Problem& p, const Sample<T>& sample, const Strip& s) {
    constexpr int L = Lanes<T>::N;
    const int C = p.channels, lead = padded<T>(C), own = s.right - s.left;
    // Pixels take from the queries around them, and those from the pixels around them in turn.
    const int low = std::max(0, s.left - 2), columns = std::min<int>(p.width, s.right + 2) - low;
    const int low2 = std::max(0, s.left - 1), columns2 = std::min<int>(p.width, s.right + 1) - low2;
    const int from = std::max(0, s.top - 1), to = std::min<int>(p.height, s.bottom + 1);
    const long line = longest_line(sample);
    PatchProducts<T> products(p, low, columns, line, sample.query.data, p.match);
    Ring<T> weights(columns2, line);
    KeyLine<T> keys(line);
    Buffer<T> result(long(s.bottom - s.top) * own * lead), sums(kRows * line);
    for_each_band(sample, from, to, [&](const Band<T>& band) {
        weights.skip(band.first - 1);
        for (int y = band.first; y <= band.last + 1; ++y) {
            if (y <= band.last) {
                products.advance(band, band.level.key.data, y);
                const Span span = band.span(y);
                keys.set(band, y, span);
                weights.begin(y, span, band.width());
                for (int x = 0, take; x < columns2; x += take) {
                    take = piece(columns2 - x, kRows);
                    for (int i = 0; i < take; ++i) {
                        const int column = low2 + x + i;
                        const long at = (column - low) * products.ring.lead;
                        const Softmax<T> softmax(sample, long(y) * p.width + column);
                        T* line = weights.next() + i * weights.lead;
                        for (int j = span.low; j < span.high; j += L)
                            store<T>(line + j, softmax.weight(keys.score(products.ring.sum(at + j), j)));
                    }
                    weights.take(take);
                }
                weights.end();
            } else {
                weights.skip(y);
            }
            const int pixel = y - 1;  // its three rows of weights are there now
            if (pixel < std::max(band.first, s.top) || pixel >= s.bottom) continue;
            const Span span = band.span(pixel);
            const int depth = std::min(span.high, band.level.tile()) - span.low;
            const T* values = band.level.value_last.data + (band.offset(pixel) + span.low) * lead;
            for (int x = 0, take; x < own; x += take) {
                take = piece(own - x, kRows);
                for (int i = 0; i < take; ++i)
                    for (int j = span.low; j < span.high; j += L)
                        store<T>(sums.data + i * line + j, weights.sum((s.left - low2 + x + i) * weights.lead + j));
                product_few<T, true>(take, lead, depth, Left<T>{sums.data + span.low, line, 1}, values, lead,
                                     result.data + (long(pixel - s.top) * own + x) * lead, lead);
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

template <class T> void forward(const Problem& p) {
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
