// What turns the sums of products of one tile into weights.
#pragma once

#include "patch_ring.h"

namespace {

// What makes scores of the products of one query and the keys of a tile.
template <class T> struct Keys {
    const T *factor, *bias;
    // The score, to base 2, of patches whose dot product this is; and what it grows by with that.
    Vec<T> score(Vec<T> product, int j) const { return product * load<T>(factor + j) + load<T>(bias + j); }
    Vec<T> slope(int j) const { return load<T>(factor + j); }
};

// Factors and biases of a tile's keys; whatever a vector holds beyond the tile counts as no pixel, and so does, within
// windows, what a query does not see.
template <class T> class KeyLine {
    static constexpr int L = Lanes<T>::N;

  public:
    KeyLine(const Sample<T>& sample, long line) : sample_(sample), factor_(line + L), bias_(line + L) {}
    // A band begins.
    void begin(const Band<T>& band) {
        if (!band.windowed) return;
        const Window& window = band.level.horizontal;
        pad_ = up(band.level.stride, L);
        seen_.assign(2 * pad_ + up(window.side, L), Level<T>::kNowhere);
        std::fill_n(seen_.begin() + pad_, window.side, T(0));
        first_.clear();
        for (int x = sample_.area.left; x < sample_.area.right; ++x) first_.push_back(window.first(x));
    }
    void set(const Band<T>& band, int y) {
        factors_ = band.level.factor.data + band.offset(y);
        if (band.windowed) return;
        const Span span = band.window(y, {});
        std::memcpy(factor_.data, factors_, span.high * sizeof(T));
        std::memcpy(bias_.data, band.level.bias.data + band.offset(y), span.high * sizeof(T));
        for (int j = band.level.tile(); j < span.high; ++j) bias_.data[j] = Level<T>::kNowhere;
    }
    // Those that query column x meets in the part of a line that begins at `from`, which is key column `low`.
    Keys<T> at(const Band<T>& band, int x, int from, int low) const {
        if (!band.windowed) return {factor_.data, bias_.data};
        return {factors_, seen_.data() + pad_ + (low - first(x) - from)};
    }
    // The key columns that query column x sees.
    Range seen(const Band<T>& band, int x) const {
        if (!band.windowed) return {0, 0};
        return {first(x), first(x) + band.level.horizontal.side};
    }

  private:
    int first(int x) const { return first_[x - sample_.area.left]; }
    const Sample<T>& sample_;
    Buffer<T> factor_, bias_;
    const T* factors_ = nullptr;
    std::vector<T> seen_;  // the bias of a line's keys around a window
    std::vector<int> first_;  // the first key column of each query column's window
    long pad_ = 0;
};

// One query's peak and denominator, as the first sweep has found them.
template <class T> struct Softmax {
    T peak, share;
    Softmax(const Sample<T>& sample, long query) : peak(sample.peak[query]), share(1 / sample.denominator[query]) {}
    Vec<T> weight(Vec<T> score) const { return exp2(score - peak) * share; }
};

}  // namespace
