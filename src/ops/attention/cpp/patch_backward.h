// Backward: one sweep for what the softmax takes back from each query, one for all gradients.
#pragma once

#include "parallel.h"
#include "patch_gradient.h"
#include "patch_keys.h"

namespace {

// Products of patches and of their gradients for some columns of a strip.
template <class T> struct BackwardRows {
    const std::vector<Piece> pieces;
    PatchProducts<T> products, gradients;
    KeyLine<T> keys;
    BackwardRows(const Problem& p, const Sample<T>& sample, const Strip& s, int low, int columns, long line)
        : pieces(cut_columns(p, s, low, columns)),
          products(p, sample, pieces, columns, line, sample.query.data, p.match),
          gradients(p, sample, pieces, columns, line, sample.gradient.data, p.channels), keys(sample, line) {}
    void advance(const Band<T>& band, int y) {
        products.advance(band, band.level.key.data, y);
        gradients.advance(band, band.level.value.data, y);
        keys.set(band, y);
    }
};

// First sweep: sum_j A[i,j] dA[i,j] of each query of a strip.
template <class T> void weighted_gradient(const Problem& p, const Sample<T>& sample, const Strip& s) {
    const int low = std::max<int>(0, s.left - p.reach), columns = std::min<int>(p.width, s.right + p.reach) - low;
    BackwardRows<T> rows(p, sample, s, low, columns, longest_line(sample));
    for_each_band(p, sample, s.top, s.bottom, [&](const Band<T>& band) {
        rows.keys.begin(band);
        for (int y = band.first; y <= band.last; ++y) {
            rows.advance(band, y);
            for (int x = s.left; x < s.right; ++x) {
                const Range range = rows.keys.seen(band, x);
                const long query = long(y) * p.width + x, at = (x - low) * rows.products.ring.lead;
                const Softmax<T> softmax(sample, query);
                Vec<T> sum{};
                band.window(y, range).each([&](int from, int to) {
                    const Keys<T> keys = rows.keys.at(band, x, from, range.low);
                    for (int j = from; j < to; j += Lanes<T>::N) {
                        const Vec<T> score = keys.score(rows.products.ring.sum(at + j), j);
                        sum += softmax.weight(score) * rows.gradients.ring.sum(at + j);
                    }
                });
                sample.dot[query] += total<T>(sum);
            }
        }
    });
}

// Second sweep: gradients of the strip's queries, and what its pixels give to all keys and values.
template <class T> class Gradients {
    static constexpr int L = Lanes<T>::N;

  public:
    Gradients(const Problem& p, const Sample<T>& sample, const Strip& s, std::vector<LevelGradient<T>>& sums)
        : p_(p), sample_(sample), s_(s), sums_(sums), match_(sample.match), channels_(sample.channels),
          reach_(p.reach), own_(s.right - s.left), low_(std::max(0, s.left - 2 * reach_)),
          low2_(std::max(0, s.left - reach_)), columns2_(std::min<int>(p.width, s.right + reach_) - low2_),
          line_(longest_line(sample)), near_(cut_columns(p, s, low2_, columns2_)),
          mine_(cut_columns(p, s, s.left, own_)),
          rows_(p, sample, s, low_, std::min<int>(p.width, s.right + 2 * reach_) - low_, line_),
          scores_(reach_, columns2_, line_), weights_(reach_, columns2_, line_), tile_(own_ * line_),
          result_(long(s.bottom - s.top) * own_ * match_) {}

    void run() {
        const int from = std::max(0, s_.top - reach_), to = std::min<int>(p_.height, s_.bottom + reach_);
        for_each_band(p_, sample_, from, to, [&](const Band<T>& band) {
            rows_.keys.begin(band);
            // keys that a column does not see stay zero in its line of the tile
            if (band.windowed) std::memset(tile_.data, 0, own_ * line_ * sizeof(T));
            skip(band.first - 1);
            for (int y = band.first; y <= band.last + reach_; ++y) {
                if (y <= band.last) add_row(band, y);
                else skip(y);
                const int pixel = y - reach_;  // its three rows of weights are there now
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
        rows_.advance(band, y);
        scores_.begin(y, band, near_[0].of(band.index));
        weights_.begin(y, band, near_[0].of(band.index));
        for (const Piece& piece : near_) {
            const Span span = band.all(y, piece.of(band.index));
            for (int i = 0; i < piece.count; ++i)
                differentiate(band, y, piece.x + i, piece.of(band.index), scores_.next() + i * scores_.lead,
                              weights_.next() + i * weights_.lead);
            scores_.take(piece.count, span, band.level.margin);
            weights_.take(piece.count, span, band.level.margin);
        }
        scores_.end();
        weights_.end();
    }
    // The weights of a query, and the gradients of the products that they come from.
    void differentiate(const Band<T>& band, int y, int x, Range range, T* scores, T* weights) {
        const long query = long(y) * p_.width + x, at = (x - low_) * rows_.products.ring.lead;
        const bool own = y >= s_.top && y < s_.bottom && x >= s_.left && x < s_.right;
        const Softmax<T> softmax(sample_, query);
        const T dot = sample_.dot[query], ln2 = T(M_LN2);
        const Span seen = band.window(y, range);
        T* change = sums_[band.index].change.data + band.offset(y);
        band.all(y, range).each([&](int from, int to) {
            if (!seen.includes(from)) {
                std::fill(scores + from, scores + to, T(0));
                return std::fill(weights + from, weights + to, T(0));
            }
            const Keys<T> keys = rows_.keys.at(band, x, from, range.low);
            for (int j = from; j < to; j += L) {
                const Vec<T> product = rows_.products.ring.sum(at + j);
                const Vec<T> weight = softmax.weight(keys.score(product, j));
                const Vec<T> slope = weight * (rows_.gradients.ring.sum(at + j) - dot) * (keys.slope(j) * ln2);
                if (own) store<T>(change + j, load<T>(change + j) + slope * product);
                store<T>(weights + j, weight);
                store<T>(scores + j, slope);
            }
        });
    }
    // What the patches around a pixel row give to its queries, and to keys and values.
    void give(const Band<T>& band, int pixel) {
        const long first = band.offset(pixel);
        LevelGradient<T>& sum = sums_[band.index];
        gather(band, pixel, scores_);
        const T* keys = band.level.key_last.data;
        T* result = result_.data + (long(pixel - s_.top) * own_ - s_.left) * match_;
        for (const Piece& piece : mine_) {
            const Span span = band.span(pixel, piece.of(band.index));
            span.each([&](int from, int) {
                product_few<T, true>(piece.count, match_, span.depth, Left<T>{line_of(piece.x) + from, line_, 1},
                                     keys + (first + from) * match_, match_, result + piece.x * match_, match_);
            });
        }
        give_keys(band, pixel, sample_.query.data, match_, sum.key.data);
        gather(band, pixel, weights_);
        give_keys(band, pixel, sample_.gradient.data, channels_, sum.value.data);
    }
    // Add to what keys get what the tile's columns give to them.
    void give_keys(const Band<T>& band, int pixel, const T* features, int numbers, T* sums) const {
        const Range left = mine_.front().of(band.index), right = mine_.back().of(band.index);
        const Span span = band.span(pixel, {left.low, right.high});
        const long first = band.offset(pixel);
        span.each([&](int from, int) {
            for (int i = 0, take; i < span.depth; i += take) {
                take = piece(span.depth - i, kRows);
                int low = 0, high = int(mine_.size());
                while (band.windowed && mine_[low].of(band.index).high <= left.low + i) ++low;
                while (band.windowed && mine_[high - 1].of(band.index).low >= left.low + i + take) --high;
                const int x = mine_[low].x, columns = mine_[high - 1].x + mine_[high - 1].count - x;
                product_few<T, true>(take, numbers, columns, Left<T>{line_of(x) + from + i, 1, line_},
                                     features + sample_.at(pixel, x) * numbers, numbers,
                                     sums + (first + from + i) * numbers, numbers);
            }
        });
    }
    const T* line_of(int x) const { return tile_.data + (x - s_.left) * line_; }
    void gather(const Band<T>& band, int pixel, const Ring<T>& ring) {
        for (const Piece& piece : mine_)
            band.all(pixel, piece.of(band.index)).each([&](int from, int to) {
                for (int x = piece.x; x < piece.x + piece.count; ++x)
                    for (int j = from; j < to; j += L)
                        store<T>(tile_.data + (x - s_.left) * line_ + j, ring.sum((x - low2_) * ring.lead + j));
            });
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
    const int reach_;
    const int own_;               // the strip's columns; those around them feed them, and those around these in turn
    const int low_, low2_, columns2_;
    const long line_;
    const std::vector<Piece> near_, mine_;
    BackwardRows<T> rows_;
    Ring<T> scores_, weights_;
    Buffer<T> tile_, result_;
};

// As many strips at a time as there are threads; their parts of the gradients are added in the strips' order.
template <class T> void backward_in_windows(const Problem& p, T* dots) {
    const std::vector<Strip> strips = cut(p, 0, p.batch);
    const auto opened = [&](const Strip& s) {
        auto sample = std::make_unique<Sample<T>>(p, s.sample, true, &s);
        sample->dot = dots + s.sample * p.height * p.width;
        return sample;
    };
    in_parallel(p.threads, strips.size(),
                [&](size_t i, int) { weighted_gradient(p, *opened(strips[i]), strips[i]); });
    for (int l = 0; l < p.levels; ++l) {
        const long pixels = p.batch * p.level_height[l] * p.level_width[l];
        std::fill_n(static_cast<T*>(p.grad_keys[l]), pixels * p.match, T(0));
        std::fill_n(static_cast<T*>(p.grad_values[l]), pixels * p.channels, T(0));
    }
    for (size_t first = 0; first < strips.size(); first += p.threads) {
        const size_t count = std::min<size_t>(p.threads, strips.size() - first);
        std::vector<std::unique_ptr<Sample<T>>> samples(count);
        std::vector<std::vector<std::vector<LevelGradient<T>>>> parts(count);
        in_parallel(p.threads, count, [&](size_t i, int) {
            samples[i] = opened(strips[first + i]);
            parts[i].resize(1);
            for (const auto& level : samples[i]->levels) parts[i][0].emplace_back(p, *level);
            Gradients<T>(p, *samples[i], strips[first + i], parts[i][0]).run();
        });
        in_parallel(p.threads, p.levels, [&](size_t l, int) {
            for (size_t i = 0; i < count; ++i) collect(p, *samples[i], int(l), parts[i]);
        });
    }
}

template <class T> void backward(const Problem& p) {
    Buffer<T> dots(p.batch * p.height * p.width);
    if (p.windows) return backward_in_windows(p, dots.data);
    for (int first = 0; first < p.batch; first += p.threads) {
        const int count = std::min<int>(p.threads, p.batch - first);
        std::vector<Sample<T>> samples = open<T>(p, first, count, true);
        for (auto& sample : samples) sample.dot = dots.data + sample.index * p.height * p.width;
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
