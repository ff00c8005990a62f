// How the pairs of query rows and key rows are cut into strips, diagonal bands and tiles.
//
// A strip is some query rows and columns, the work of one thread at a time. In a band, query row y meets the
// key rows from y + start on; both advance together, along a diagonal. A tile is what one query row of a
// band meets: a line of keys for each of the strip's columns.
#pragma once

#include "patch_sample.h"

namespace {

struct Strip {
    int sample, top, bottom, left, right;
};

// Strips of samples [first, first + count): enough for all threads, at most 64 columns wide.
inline std::vector<Strip> cut(const Problem& p, int first, int count) {
    const int H = p.height, W = p.width, across = (W + 63) / 64;
    const int wanted = int(p.threads + count * across - 1) / (count * across);
    const int down = std::min(std::max(1, H / 8), std::max(1, wanted));
    std::vector<Strip> strips;
    for (int i = 0; i < count; ++i)
        for (int d = 0; d < down; ++d)
            for (int a = 0; a < across; ++a)
                strips.push_back({first + i, H * d / down, H * (d + 1) / down, W * a / across, W * (a + 1) / across});
    return strips;
}

// The part of a tile's lines that is not all guard rows, in whole vectors; empty when low == high.
struct Span {
    int low, high;
    int length() const { return high - low; }
};

template <class T> struct Band {
    const Level<T>& level;
    const int index, start;  // of the level; key row minus query row of the tiles' first rows
    const int first, last;   // query rows that meet at least one key row

    int width() const { return int(up(level.tile(), Lanes<T>::N)); }  // of a tile's lines, in whole vectors
    long offset(int y) const { return level.row(y + start); }  // where the tile of query row y begins
    Span span(int y) const {
        constexpr int L = Lanes<T>::N;
        const int above = std::max(0, -(y + start)), below = std::min(level.rows, level.height - (y + start));
        if (above >= below) return {0, 0};
        return {above * level.stride / L * L, int(up(below * level.stride, L))};
    }
};

// Call work(band) so that the bands cover all pairs of query rows [from, to) and key rows once. Where bands
// begin does not depend on the rows, so neither does the order in which a query's keys are summed.
template <class T, class Work> void for_each_band(const Sample<T>& sample, int from, int to, Work work) {
    for (size_t l = 0; l < sample.levels.size(); ++l) {
        const Level<T>& level = *sample.levels[l];
        const int lowest = 1 - level.rows - (to - 1), rows = level.rows;
        const int aligned = (lowest >= 0 ? (lowest + rows - 1) / rows : -(-lowest / rows)) * rows;
        for (int start = aligned; start <= level.height - 1 - from; start += rows) {
            const int first = std::max(from, 1 - start - rows), last = std::min(to - 1, level.height - 1 - start);
            if (first <= last) work(Band<T>{level, int(l), start, first, last});
        }
    }
}

template <class T> long longest_line(const Sample<T>& sample) {
    long n = 0;
    for (const auto& level : sample.levels) n = std::max(n, up(level->tile(), Lanes<T>::N));
    return n;
}

}  // namespace
