// The box sum along the diagonals: of tiles that come in row by row, and within a row line by line.
#pragma once

#include "matrix_product.h"
#include "patch_bands.h"

namespace {

inline int third(int y) { return (y + 3) % 3; }

// Holds the last three tiles, each summed along x already; sum() adds them along y.
template <class T> class Ring {
    static constexpr int L = Lanes<T>::N;

  public:
    Ring(int columns, long line)
        : columns(columns), lead(line + 2 * L), tiles_{tile(), tile(), tile()}, fresh_((2 + kRows) * lead) {}

    // Row y begins; its lines, of `width` numbers, are zero outside the span.
    void begin(int y, Span span, int width) {
        span_ = span;
        slot_ = tiles_[third(y)].data + L;
        done_ = 0;
        std::memset(fresh_.data, 0, 2 * lead * sizeof(T));
        for (int x = 0; x < columns && span.length() < width; ++x) {
            T* line = slot_ + x * lead;
            std::memset(line, 0, span.low * sizeof(T));
            std::memset(line + span.high, 0, (width - span.high) * sizeof(T));
        }
    }
    // Where the next lines belong, at most kRows of them, `lead` apart.
    T* next() { return fresh_.data + 2 * lead + L; }
    // So many lines are there: sums of the columns before the last of them are known now,
    // sum[x][j] = line[x-1][j-1] + line[x][j] + line[x+1][j+1].
    void take(int lines) {
        for (int i = 0; i < lines; ++i) next()[i * lead + span_.low - 1] = next()[i * lead + span_.high] = 0;
        for (int i = 0; i < lines; ++i)
            if (done_ + i > 0) add_three(fresh_.data + L + i * lead, slot_ + (done_ + i - 1) * lead);
        for (int i = 0; i < 2; ++i)
            std::memcpy(fresh_.data + i * lead, fresh_.data + (lines + i) * lead, lead * sizeof(T));
        done_ += lines;
    }
    void end() {
        std::memset(next() - L, 0, lead * sizeof(T));
        take(1);
    }
    // There is no row y.
    void skip(int y) { std::memset(tiles_[third(y)].data, 0, columns * lead * sizeof(T)); }

    Vec<T> sum(long at) const {
        const long i = at + L;
        return load<T>(tiles_[0].data + i) + load<T>(tiles_[1].data + i) + load<T>(tiles_[2].data + i);
    }

    const int columns;
    const long lead;  // numbers from one line to the next

  private:
    Buffer<T> tile() const { return Buffer<T>(columns * lead); }
    void add_three(const T* before, T* sum) const {
        const T *here = before + lead, *after = before + 2 * lead;
        for (int j = span_.low; j < span_.high; j += L)
            store<T>(sum + j, load<T>(before + j - 1) + load<T>(here + j) + load<T>(after + j + 1));
    }
    Buffer<T> tiles_[3], fresh_;  // fresh_: the last two lines, and those that come in
    T* slot_ = nullptr;
    Span span_{0, 0};
    int done_ = 0;
};

// Dot products of patches: the box sum of features . plane, for the rows of a band one after another.
template <class T> class PatchProducts {
  public:
    PatchProducts(const Problem& p, int low, int columns, long line, const T* features, int depth)
        : ring(columns, line), height_(p.height), width_(p.width), low_(low), depth_(depth), features_(features) {}

    // Let ring.sum() be the products of row y; rows come in order, a band begins at its first one.
    void advance(const Band<T>& band, const T* plane, int y) {
        for (int row = y == band.first ? y - 1 : y + 1; row <= y + 1; ++row) add_row(band, plane, row);
    }
    Ring<T> ring;

  private:
    void add_row(const Band<T>& band, const T* plane, int y) {
        const Span span = y < 0 || y >= height_ ? Span{0, 0} : band.span(y);
        if (span.length() == 0) return ring.skip(y);
        const int lead = padded<T>(depth_);
        const Left<T> rows{features_ + (long(y) * width_ + low_) * lead, lead, 1};
        ring.begin(y, span, band.width());
        for (int x = 0, take; x < ring.columns; x += take) {
            take = piece(ring.columns - x, kRows);
            product_few<T, false>(take, span.length(), depth_, rows.from(x), plane + band.offset(y) + span.low,
                                  band.level.size, ring.next() + span.low, ring.lead);
            ring.take(take);
        }
        ring.end();
    }
    const int height_, width_, low_, depth_;
    const T* features_;
};

}  // namespace
