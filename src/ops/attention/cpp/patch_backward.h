// Backward: one sweep for what the softmax takes back from each query, one for all gradients.
#pragma once

#include "parallel.h"
#include "patch_gradient.h"
#include "patch_keys.h"

namespace {

// Products of patches and of their gradients for some columns of a strip.
template <class T> struct BackwardRows {
    PatchProducts<T> products, gradients;
    KeyLine<T> keys;
    BackwardRows(const Problem& p, const Sample<T>& sample, int low, int columns, long line)
        : products(p, low, columns, line, sample.query.data, p.match),
          gradients(p, low, columns, line, sample.gradient.data, p.channels), keys(line) {}
    void advance(const Band<T>& band, int y) {
        products.advance(band, band.level.key.data, y);
        gradients.advance(band, band.level.value.data, y);
        keys.set(band, y, band.span(y));
    }
};

// First sweep: sum_j A[i,j] dA[i,j] of each query of a strip.
template <class T> void weighted_gradient(const Problem& p, const Sample<T>& sample, const Strip& s) {
    const int low = std::max(0, s.left - 1), columns = std::min<int>(p.width, s.right + 1) - low;
    BackwardRows<T> rows(p, sample, low, columns, longest_line(sample));
    for_each_band(sample, s.top, s.bottom, [&](const Band<T>& band) {
        for (int y = band.first; y <= band.last; ++y) {
            rows.advance(band, y);
            const Span span = band.span(y);
            for (int x = s.left; x < s.right; ++x) {
                const long query = long(y) * p.width + x, at = (x - low) * rows.products.ring.lead;
                const Softmax<T> softmax(sample, query);
                Vec<T> sum{};
                for (int j = span.low; j < span.high; j += Lanes<T>::N) {
                    const Vec<T> score = rows.keys.score(rows.products.ring.sum(at + j), j);
                    sum += softmax.weight(score) * rows.gradients.ring.sum(at + j);
                }
                sample.dot.data[query] += total<T>(sum);
            }
        }
    });
}

// Second sweep: gradients of the strip's queries, and what its pixels give to all keys and values.
template <class T> class Gradients {
    static constexpr int L = Lanes<T>::N;

  public:
    Gradients(const Problem& p, const Sample<T>& sample, const Strip& s, std::vector<LevelGradient<T>>& sums)
        : p_(p), sample_(sample), s_(s), sums_(sums), match_(padded<T>(p.match)), channels_(padded<T>(p.channels)),
          own_(s.right - s.left), low_(std::max(0, s.left - 2)), low2_(std::max(0, s.left - 1)),
          columns2_(std::min<int>(p.width, s.right + 1) - low2_), line_(longest_line(sample)),
          rows_(p, sample, low_, std::min<int>(p.width, s.right + 2) - low_, line_), scores_(columns2_, line_),
          weights_(columns2_, line_), tile_(own_ * line_), result_(long(s.bottom - s.top) * own_ * match_) {}

    void run() {
        const int from = std::max(0, s_.top - 1), to = std::min<int>(p_.height, s_.bottom + 1);
        for_each_band(sample_, from, to, [&](const Band<T>& band) {
            skip(band.first - 1);
            for (int y = band.first; y <= band.last + 1; ++y) {
                if (y <= band.last) add_row(band, y);
                else skip(y);
                const int pixel = y - 1;  // its three rows of weights are there now
                if (pixel >= std::max(band.first, s_.top) && pixel < s_.bottom) give(band, pixel);
            }
        });
        write();
    }

  private:
    void skip(int y) {
        scores_.skip(y);
        weights_.skip(y);
    }
    void add_row(const Band<T>& band, int y) {
        const Span span = band.span(y);
        rows_.advance(band, y);
        scores_.begin(y, span, band.width());
        weights_.begin(y, span, band.width());
        for (int x = 0, take; x < columns2_; x += take) {
            take = piece(columns2_ - x, kRows);
            for (int i = 0; i < take; ++i)
                differentiate(band, y, low2_ + x + i, span, scores_.next() + i * scores_.lead,
                              weights_.next() + i * weights_.lead);
            scores_.take(take);
            weights_.take(take);
        }
        scores_.end();
        weights_.end();
    }
    // The weights of a query, and the gradients of the products that they come from.
    void differentiate(const Band<T>& band, int y, int x, Span span, T* scores, T* weights) {
        const long query = long(y) * p_.width + x, at = (x - low_) * rows_.products.ring.lead;
        const bool own = y >= s_.top && y < s_.bottom && x >= s_.left && x < s_.right;
        const Softmax<T> softmax(sample_, query);
        const T dot = sample_.dot.data[query], ln2 = T(M_LN2);
        T* change = sums_[band.index].change.data + band.offset(y);
        for (int j = span.low; j < span.high; j += L) {
            const Vec<T> product = rows_.products.ring.sum(at + j);
            const Vec<T> weight = softmax.weight(rows_.keys.score(product, j));
            const Vec<T> slope = weight * (rows_.gradients.ring.sum(at + j) - dot) * (rows_.keys.slope(j) * ln2);
            if (own) store<T>(change + j, load<T>(change + j) + slope * product);
            store<T>(weights + j, weight);
            store<T>(scores + j, slope);
        }
    }
    // What the patches around a pixel row give to its queries, and to keys and values.
    void give(const Band<T>& band, int pixel) {
        const Span span = band.span(pixel);
        const int keys = std::min(span.high, band.level.tile()) - span.low;
        const long first = band.offset(pixel) + span.low, here = long(pixel) * p_.width + s_.left;
        LevelGradient<T>& sum = sums_[band.index];
        const T* tile = tile_.data + span.low;
        const Left<T> by_query{tile, line_, 1}, by_key{tile, 1, line_};
        gather(scores_, span);
        product<T, true>(own_, match_, keys, by_query, band.level.key_last.data + first * match_, match_,
                         result_.data + long(pixel - s_.top) * own_ * match_, match_);
        product<T, true>(keys, match_, own_, by_key, sample_.query.data + here * match_, match_,
                         sum.key.data + first * match_, match_);
        gather(weights_, span);
        product<T, true>(keys, channels_, own_, by_key, sample_.gradient.data + here * channels_, channels_,
                         sum.value.data + first * channels_, channels_);
    }
    void gather(const Ring<T>& ring, Span span) {
        for (int x = 0; x < own_; ++x)
            for (int j = span.low; j < span.high; j += L)
                store<T>(tile_.data + x * line_ + j, ring.sum((s_.left - low2_ + x) * ring.lead + j));
    }
    void write() const {
        T* grad = static_cast<T*>(p_.grad_query) + sample_.index * p_.match * p_.height * p_.width;
        for (int k = 0; k < p_.match; ++k)
            for (int y = s_.top; y < s_.bottom; ++y)
                for (int x = 0; x < own_; ++x)
                    grad[(long(k) * p_.height + y) * p_.width + s_.left + x] =
                        result_.data[(long(y - s_.top) * own_ + x) * match_ + k];
    }

    const Problem& p_;
    const Sample<T>& sample_;
    const Strip s_;
    std::vector<LevelGradient<T>>& sums_;
    const int match_, channels_;  // padded
    const int own_;               // the strip's columns; those around them feed them, and those around these in turn
    const int low_, low2_, columns2_;
    const long line_;
    BackwardRows<T> rows_;
    Ring<T> scores_, weights_;
    Buffer<T> tile_, result_;
};

template <class T> void backward(const Problem& p) {
    for (int first = 0; first < p.batch; first += p.threads) {
        const int count = std::min<int>(p.threads, p.batch - first);
        const std::vector<Sample<T>> samples = open<T>(p, first, count, true);
        const std::vector<Strip> strips = cut(p, first, count);
        const auto each = [&](auto work) {
            in_parallel(p.threads, strips.size(),
                        [&](size_t i, int thread) { work(strips[i], strips[i].sample - first, thread); });
        };
        each([&](const Strip& s, int i, int) { weighted_gradient(p, samples[i], s); });
        // What each thread has summed for each sample; most threads see one sample only.
        std::vector<std::vector<std::vector<LevelGradient<T>>>> parts(count);
        for (auto& part : parts) part.resize(p.threads);
        each([&](const Strip& s, int i, int thread) {
            std::vector<LevelGradient<T>>& sums = parts[i][thread];
            if (sums.empty())
                for (const auto& level : samples[i].levels) sums.emplace_back(p, *level);
            Gradients<T>(p, samples[i], s, sums).run();
        });
        for (auto& part : parts) {
            const auto unused = std::remove_if(part.begin(), part.end(), [](const auto& sums) { return sums.empty(); });
            part.erase(unused, part.end());
        }
        in_parallel(p.threads, count * p.levels,
                    [&](size_t i, int) { collect(p, samples[i % count], int(i / count), parts[i % count]); });
    }
}

}  // namespace
