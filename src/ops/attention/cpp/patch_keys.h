// What turns the sums of products of one tile into weights.
#pragma once

#include "patch_ring.h"

namespace {

// Factors and biases of a tile's keys; whatever a vector holds beyond the tile counts as no pixel.
template <class T> class KeyLine {
    static constexpr int L = Lanes<T>::N;

  public:
    explicit KeyLine(long line) : factor_(line + L), bias_(line + L) {}
    void set(const Band<T>& band, int y, Span span) {
        std::memcpy(factor_.data, band.level.factor.data + band.offset(y), span.high * sizeof(T));
        std::memcpy(bias_.data, band.level.bias.data + band.offset(y), span.high * sizeof(T));
        for (int j = band.level.tile(); j < span.high; ++j) bias_.data[j] = Level<T>::kNowhere;
    }
    // The score, to base 2, of patches whose dot product this is; and what it grows by with that.
    Vec<T> score(Vec<T> product, int j) const {
        return product * load<T>(factor_.data + j) + load<T>(bias_.data + j);
    }
    Vec<T> slope(int j) const { return load<T>(factor_.data + j); }

  private:
    Buffer<T> factor_, bias_;
};

// One query's peak and denominator, as the first sweep has found them.
template <class T> struct Softmax {
    T peak, share;
    Softmax(const Sample<T>& sample, long query) : peak(sample.peak[query]), share(1 / sample.denominator[query]) {}
    Vec<T> weight(Vec<T> score) const { return exp2(score - peak) * share; }
};

}  // namespace
