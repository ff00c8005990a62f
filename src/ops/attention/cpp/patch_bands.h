// How the pairs of query rows and key rows are cut into strips, diagonal bands and tiles.
//
// A strip is some query rows and columns, the work of one thread at a time. In a band, query row y meets the
// key rows from y + start on; both advance together, along a diagonal. A tile is what one query row of a
// band meets: a line of keys for each of the strip's columns.
#pragma once

#include "patch_sample.h"

namespace {

// Strips of samples [first, first + count): enough for all threads, at most 64 columns wide, and within windows,
// where a strip copies what it looks at, at most 128 rows high.
inline std::vector<Strip> cut(const Problem& p, int first, int count) {
    const int H = p.height, W = p.width, across = (W + 63) / 64;
    const int wanted = int(p.threads + count * across - 1) / (count * across);
    const int down = std::min(std::max(1, H / 8), std::max(p.windows ? (H + 127) / 128 : 1, wanted));
    std::vector<Strip> strips;
    for (int i = 0; i < count; ++i)
        for (int d = 0; d < down; ++d)
            for (int a = 0; a < across; ++a)
                strips.push_back({first + i, H * d / down, H * (d + 1) / down, W * a / across, W * (a + 1) / across});
    return strips;
}

// The part of a line that is of interest: `count` times [low, high), `step` apart, in whole vectors. Without windows it
// is all but guard rows, at once; within windows there is one for each key row. Of each, `depth` numbers count.
struct Span {
    int low, high, depth, count, step;
    int length() const { return high - low; }
    bool empty() const { return count == 0 || low == high; }
    bool includes(int from) const { return count > 0 && from >= low && from <= low + (count - 1) * step; }
    // Call work(from, to) for each.
    template <class Work> void each(Work work) const {
        for (int i = 0, from = low; i < count; ++i, from += step) work(from, from + length());
    }
};

template <class T> struct Band {
    static constexpr int L = Lanes<T>::N;
    const Level<T>& level;
    const bool windowed;
    const int index, start;  // of the level; key row minus query row of the tiles' first rows
    const int first, last;   // query rows that meet at least one key row

    int width() const { return int(up(level.tile(), L)); }  // of a tile's lines, in whole vectors
    long offset(int y) const { return level.row(y + start); }  // where the tile of query row y begins
    // What the pixels of row y are multiplied with, and what the patches around them weigh.
    Span span(int y, Range keys) const {
        if (!windowed) return whole(y);
        return rows(y, level.vertical.low(y), level.vertical.high(y), keys);
    }
    // What the patches of row y are compared with.
    Span window(int y, Range keys) const {
        if (!windowed) return whole(y);
        const int top = level.vertical.first(y);
        return rows(y, top, top + level.vertical.side, keys);
    }
    // Every row of the tile, for what has to be zero outside the window.
    Span all(int y, Range keys) const {
        if (!windowed) return whole(y);
        return rows(y, y + start, y + start + level.rows, keys);
    }

  private:
    Span whole(int y) const {
        const int above = std::max(0, -(y + start)), below = std::min(level.rows, level.height - (y + start));
        if (above >= below) return {0, 0, 0, 0, 0};
        const int low = above * level.stride / L * L, high = int(up(below * level.stride, L));
        return {low, high, std::min(high, level.tile()) - low, 1, 0};
    }
    Span rows(int y, int top, int bottom, Range keys) const {
        const int from = std::max(0, top - (y + start)), to = std::min(level.rows, bottom - (y + start));
        const int depth = keys.high - keys.low, at = from * level.stride + level.column(keys.low);
        return {at, at + int(up(depth, L)), depth, std::max(0, to - from), level.stride};
    }
};

// Call work(band) so that the bands cover all pairs of query rows [from, to) and key rows once. Where bands
// begin does not depend on the rows, so neither does the order in which a query's keys are summed.
template <class T, class Work> void for_each_band(const Problem& p, const Sample<T>& sample, int from, int to, Work work) {
    const bool windowed = p.windows;
    for (size_t l = 0; l < sample.levels.size(); ++l) {
        const Level<T>& level = *sample.levels[l];
        const Window& window = level.vertical;
        const int lowest = 1 - level.rows - (to - 1), rows = level.rows;
        const int aligned = (lowest >= 0 ? (lowest + rows - 1) / rows : -(-lowest / rows)) * rows;
        for (int start = aligned; start <= level.height - 1 - from; start += rows) {
            int first = std::max(from, 1 - start - rows), last = std::min(to - 1, level.height - 1 - start);
            const auto meets = [&](int y) { return y + start + rows > window.low(y) && y + start < window.high(y); };
            while (windowed && first <= last && !meets(first)) ++first;
            while (windowed && first <= last && !meets(last)) --last;
            if (first <= last) work(Band<T>{level, windowed, int(l), start, first, last});
        }
    }
}

template <class T> long longest_line(const Sample<T>& sample) {
    long n = 0;
    for (const auto& level : sample.levels) n = std::max(n, up(level->tile(), Lanes<T>::N));
    return n;
}

}  // namespace
