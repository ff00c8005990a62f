// Which keys of a level a query sees, and how a strip's columns are taken a few at a time.
#pragma once

#include "matrix_product.h"
#include "patch_problem.h"

#include <vector>

namespace {

// The windows of all queries along one axis of a level: `side` keys each, moved inwards at the border.
struct Window {
    int size, level, side;  // queries, keys, keys in a window
    Window(long size, long level, const int64_t* window)
        : size(size), level(level),
          side(window ? std::min<long>(level, (*window * level + size - 1) / size) : level) {}

    int first(long at) const {
        const long centre = (2 * at + 1) * level / (2L * size);  // the pixel of the level at the query's centre
        return int(std::min<long>(std::max(centre - side / 2, 0L), level - side));
    }
    // What the pixel of a query is multiplied with: keys [low, high), of its own window and of its neighbours',
    // which see it as a part of their patches.
    int low(int at) const {
        int key = first(at);
        if (at > 0) key = std::min(key, first(at - 1) + 1);
        if (at + 1 < size) key = std::min(key, first(at + 1) - 1);
        return key;
    }
    int high(int at) const {
        int key = first(at);
        if (at > 0) key = std::max(key, first(at - 1) + 1);
        if (at + 1 < size) key = std::max(key, first(at + 1) - 1);
        return key + side;
    }
    // By how much the windows of neighbouring pieces of columns are apart, at most.
    int shift() const { return kRows * ((level + size - 1) / size) + 4; }
};

struct Strip {
    int sample, top, bottom, left, right;
};

// A rectangle of pixels.
struct Area {
    int top, bottom, left, right;
    int height() const { return bottom - top; }
    int width() const { return right - left; }
};

// Key columns of a level.
struct Range {
    int low, high;
};

// Columns of queries that meet the same keys.
struct Piece {
    int x, count;
    std::vector<Range> keys;  // one range a level; empty where every key is seen
    Range of(int level) const { return keys.empty() ? Range{0, 0} : keys[level]; }
};

// Cut `count` columns from `low` on into pieces of at most kRows; within windows the columns of a strip itself are cut
// alike in every sweep, so that their keys are the same.
inline std::vector<Piece> cut_columns(const Problem& p, const Strip& s, int low, int count) {
    std::vector<Piece> pieces;
    const auto add = [&](int from, int to) {
        for (int x = from, take; x < to; x += take) pieces.push_back({x, take = piece(to - x, kRows), {}});
    };
    const int end = low + count;
    if (!p.windows) return add(low, end), pieces;
    add(low, s.left);
    add(s.left, s.right);
    add(s.right, end);
    for (int l = 0; l < p.levels; ++l) {
        const Window window(p.width, p.level_width[l], p.windows + l);
        for (Piece& piece : pieces)  // neither falls from a column to the next
            piece.keys.push_back({window.low(piece.x), window.high(piece.x + piece.count - 1)});
    }
    return pieces;
}

}  // namespace
