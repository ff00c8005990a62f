// The box sum along the diagonals: of tiles that come in row by row, and within a row line by line.
#pragma once

#include "patch_bands.h"

namespace {

inline int third(int y) { return (y + 3) % 3; }

// Holds the last three tiles, each summed along x already; sum() adds them along y. Where pixels are compared instead
// of patches (reach 0), it holds the lines of one row as they come, and two tiles of zeros.
template <class T> class Ring {
    static constexpr int L = Lanes<T>::N;

  public:
    Ring(int reach, int columns, long line)
        : columns(columns), lead(line + 8 * L), reach_(reach), tiles_{tile(), tile(), tile()},
          fresh_((3 * kRows + 1) * lead) {}

    // Row y begins; without windows its lines are zero outside the span.
    template <class Band> void begin(int y, const Band& band, Range keys) {
        slot_ = tiles_[reach_ ? third(y) : 0].data + kEdge;
        done_ = 0;
        last_ = last_but_one_ = nothing();
        before_ = band.span(y, keys);
        if (band.windowed) return;
        for (int x = 0; x < columns && before_.length() < band.width(); ++x) {
            T* line = slot_ + x * lead;
            std::memset(line, 0, before_.low * sizeof(T));
            std::memset(line + before_.high, 0, (band.width() - before_.high) * sizeof(T));
        }
    }
    // Where the next lines belong, at most kRows of them, `lead` apart.
    T* next() { return fresh_.data + block_ * kRows * lead + kEdge; }
    // So many lines are there, zero for `margin` numbers around their spans: sums of the columns before the last of
    // them are known now, sum[x][j] = line[x-1][j-1] + line[x][j] + line[x+1][j+1].
    void take(int lines, const Span& span, int margin) {
        for (int i = 0; i < lines; ++i) {
            T* line = next() + i * lead;
            clear_around(line, span, margin);
            add(line, i ? span : before_);
            if (!reach_) copy(line, slot_ + (done_ - 1) * lead, span);
        }
        block_ = (block_ + 1) % 3;  // the last two lines may be in two blocks
        before_ = span;
    }
    void end() { add(nothing(), before_); }
    // There is no row y.
    void skip(int y) { std::memset(tiles_[reach_ ? third(y) : 0].data, 0, columns * lead * sizeof(T)); }

    Vec<T> sum(long at) const {
        const long i = at + kEdge;
        return load<T>(tiles_[0].data + i) + load<T>(tiles_[1].data + i) + load<T>(tiles_[2].data + i);
    }

    const int columns;
    const long lead;  // numbers from one line to the next

  private:
    static constexpr int kEdge = 4 * L;  // room for margins before and behind a line
    Buffer<T> tile() const { return Buffer<T>(columns * lead); }
    void clear_around(T* line, const Span& span, int margin) const {
        if (margin == 1) line[span.low - 1] = line[span.high] = 0;
        else if (margin) span.each([&](int from, int to) {
            for (int j = 0; j < margin; j += L) {
                store<T>(line + from - margin + j, Vec<T>{});
                store<T>(line + to + j, Vec<T>{});
            }
        });
    }
    const T* nothing() const { return fresh_.data + 3 * kRows * lead + kEdge; }
    // `line` is the next one: the sum of the column before it is known now.
    void add(const T* line, const Span& span) {
        if (reach_ && done_ > 0) add_three(last_but_one_, last_, line, slot_ + (done_ - 1) * lead, span);
        last_but_one_ = last_;
        last_ = line;
        ++done_;
    }
    void add_three(const T* before, const T* here, const T* after, T* sum, const Span& span) const {
        span.each([&](int from, int to) {
            for (int j = from; j < to; j += L)
                store<T>(sum + j, load<T>(before + j - 1) + load<T>(here + j) + load<T>(after + j + 1));
        });
    }
    void copy(const T* line, T* to, const Span& span) const {
        span.each([&](int from, int end) {
            for (int j = from; j < end; j += L) store<T>(to + j, load<T>(line + j));
        });
    }
    const int reach_;
    Buffer<T> tiles_[3], fresh_;  // fresh_: three blocks of lines, in turn, and one of zeros
    T* slot_ = nullptr;
    const T *last_ = nullptr, *last_but_one_ = nullptr;
    Span before_{};
    int done_ = 0, block_ = 0;
};

// Dot products of patches: the box sum of features . plane, for the rows of a band one after another.
template <class T> class PatchProducts {
  public:
    PatchProducts(const Problem& p, const Sample<T>& sample, const std::vector<Piece>& pieces, int columns, long line,
                  const T* features, int depth)
        : ring(int(p.reach), columns, line), reach_(p.reach), height_(p.height), depth_(depth), sample_(sample),
          pieces_(pieces), features_(features) {}

    // Let ring.sum() be the products of row y; rows come in order, a band begins at its first one.
    void advance(const Band<T>& band, const T* plane, int y) {
        for (int row = y == band.first ? y - reach_ : y + reach_; row <= y + reach_; ++row) add_row(band, plane, row);
    }
    Ring<T> ring;

  private:
    void add_row(const Band<T>& band, const T* plane, int y) {
        if (y < 0 || y >= height_ || band.span(y, pieces_[0].of(band.index)).empty()) return ring.skip(y);
        const int lead = padded<T>(depth_);
        ring.begin(y, band, pieces_[0].of(band.index));
        for (const Piece& piece : pieces_) {
            const Span span = band.span(y, piece.of(band.index));
            const Left<T> rows{features_ + sample_.at(y, piece.x) * lead, lead, 1};
            span.each([&](int from, int) {
                product_few<T, false>(piece.count, span.length(), depth_, rows, plane + band.offset(y) + from,
                                      band.level.size, ring.next() + from, ring.lead);
            });
            ring.take(piece.count, span, band.windowed ? 0 : 1);
        }
        ring.end();
    }
    const int reach_, height_, depth_;
    const Sample<T>& sample_;
    const std::vector<Piece>& pieces_;
    const T* features_;
};

}  // namespace
