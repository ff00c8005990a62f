// What strips work on, repacked: queries pixel by pixel, each level of keys and values in a frame. It is one sample of
// the batch, or within windows only what one strip of it looks at.
//
// Rows of a level are `stride` numbers apart and begin with `margin` zeros, at least one; guard rows of zeros stand
// above and below. So every shift of a pixel by one is a shift by one, or by a row, of one long line.
#pragma once

#include "buffer.h"
#include "parallel.h"
#include "patch_window.h"

#include <memory>

namespace {

template <class T> int padded(int channels) { return int(up(channels, Lanes<T>::N)); }

// (channels, pixels) of an area to (pixels, padded channels)
template <class T> void to_last(const T* planes, T* last, const Area& area, long height, long width, int channels) {
    const int lead = padded<T>(channels), few = Lanes<T>::N;  // a cache line of each pixel at a time
    for (int first = 0; first < channels; first += few)
        for (int y = area.top; y < area.bottom; ++y)
            for (int x = area.left; x < area.right; ++x) {
                T* to = last + (long(y - area.top) * area.width() + x - area.left) * lead;
                for (int c = first; c < std::min(first + few, channels); ++c) to[c] = planes[(c * height + y) * width + x];
            }
}

template <class T> struct Level {
    static constexpr int L = Lanes<T>::N;
    static constexpr int kTile = 256;      // keys in a tile, about: eight tiles stay within 1 MB of cache
    static constexpr T kNowhere = T(-1e30);  // the score of a place that is no pixel
    const Window vertical, horizontal;
    const Area area;  // what is here of the level
    const int height, width, margin, stride, rows, guard;
    const long size;
    Buffer<T> key, value;            // (match, size), and for backward (channels, size)
    Buffer<T> key_last, value_last;  // for backward (size, match padded), forward (size, channels padded)
    Buffer<T> factor, bias;          // score to base 2 = dot product of patches * factor + bias

    Level(const Problem& p, int sample, int l, bool backward, const Strip* strip)
        : vertical(p.height, p.level_height[l], p.windows ? p.windows + l : nullptr),
          horizontal(p.width, p.level_width[l], p.windows ? p.windows + l : nullptr), area(seen(p, strip)),
          height(p.level_height[l]), width(p.level_width[l]),
          margin(strip ? int(up(horizontal.shift(), L)) : 1),
          stride(area.width() + margin + (strip ? 2 * L + 1 : 0)),
          rows(std::max(1, kTile / (strip ? int(up(horizontal.side + kRows * width / p.width + 2, L)) : stride))),
          guard(strip ? 2 : rows + 3), size(long(stride) * (area.height() + 2 * guard) + 8 * L),
          key(p.match * size), value(backward ? p.channels * size : 0),
          key_last(backward ? padded<T>(p.match) * size : 0), value_last(backward ? 0 : padded<T>(p.channels) * size),
          factor(size), bias(size) {
        const long pixels = long(height) * width;
        const T* k = static_cast<const T*>(p.keys[l]) + sample * p.match * pixels;
        const T* v = static_cast<const T*>(p.values[l]) + sample * p.channels * pixels;
        frame_planes(k, p.match, key.data);
        if (backward) {
            frame_planes(v, p.channels, value.data);
            frame_last(k, p.match, key_last.data);
        } else {
            frame_last(v, p.channels, value_last.data);
        }
        find_factors(p);
    }
    int tile() const { return rows * stride; }
    long row(int y) const { return long(y - area.top + guard) * stride; }  // where row y begins, with its zeros
    int column(int x) const { return x - area.left + margin; }
    long at(int y, int x) const { return row(y) + column(x); }

  private:
    // The windows of the strip's queries and of two more on each side, and one pixel around them for their patches.
    Area seen(const Problem& p, const Strip* s) const {
        if (!s) return {0, vertical.level, 0, horizontal.level};
        const auto low = [](const Window& w, int from) { return std::max(0, w.low(std::max(0, from - 2)) - 1); };
        const auto high = [](const Window& w, int to) {
            return std::min(w.level, w.high(std::min(w.size, to + 2) - 1) + 1);
        };
        return {low(vertical, s->top), high(vertical, s->bottom), low(horizontal, s->left), high(horizontal, s->right)};
    }
    void frame_planes(const T* planes, int channels, T* framed) const {
        for (int c = 0; c < channels; ++c)
            for (int y = area.top; y < area.bottom; ++y)
                std::memcpy(framed + c * size + at(y, area.left), planes + (long(c) * height + y) * width + area.left,
                            area.width() * sizeof(T));
    }
    void frame_last(const T* planes, int channels, T* framed) const {
        const int lead = padded<T>(channels), few = L;
        const long pixels = long(height) * width;
        for (int first = 0; first < channels; first += few)
            for (int y = area.top; y < area.bottom; ++y)
                for (int x = area.left; x < area.right; ++x)
                    for (int c = first; c < std::min(first + few, channels); ++c)
                        framed[at(y, x) * lead + c] = planes[c * pixels + long(y) * width + x];
    }
    void find_factors(const Problem& p) {
        Buffer<T> square(size);
        for (int c = 0; c < p.match; ++c)
            for (long i = 0; i < size; ++i) square.data[i] += key.data[c * size + i] * key.data[c * size + i];
        std::fill(bias.data, bias.data + size, kNowhere);
        for (int y = area.top; y < area.bottom; ++y)
            for (int x = area.left; x < area.right; ++x) {
                T sum = 0;
                for (int dy = -1; dy <= 1; ++dy)
                    for (int dx = -1; dx <= 1; ++dx) sum += square.data[at(y, x) + long(dy) * stride + dx];
                const T norm = p.reach ? std::max(std::sqrt(sum), T(p.min_norm)) : T(1);
                factor.data[at(y, x)] = T(p.softmax_scale * M_LOG2E) / norm;
                bias.data[at(y, x)] = 0;
            }
    }
};

template <class T> struct Sample {
    const int index;
    const Area area;            // of the queries that are here
    const int match, channels;  // padded
    Buffer<T> query, gradient;  // (pixels, match), (pixels, channels)
    std::vector<std::unique_ptr<const Level<T>>> levels;
    T *peak, *denominator;
    T* dot = nullptr;  // sum_j A[i,j] dA[i,j] of each query, for backward

    // `strip`: what is looked at within windows; null: everything, and the levels are still to be made.
    Sample(const Problem& p, int index, bool backward, const Strip* strip)
        : index(index), area(around(p, strip)), match(padded<T>(p.match)), channels(padded<T>(p.channels)),
          query(long(area.height()) * area.width() * match),
          gradient(backward ? long(area.height()) * area.width() * channels : 0), levels(p.levels) {
        const long pixels = p.height * p.width;
        to_last(static_cast<const T*>(p.query) + index * p.match * pixels, query.data, area, p.height, p.width, p.match);
        if (backward)
            to_last(static_cast<const T*>(p.grad_output) + index * p.channels * pixels, gradient.data, area, p.height,
                    p.width, p.channels);
        peak = static_cast<T*>(p.peak) + index * pixels;
        denominator = static_cast<T*>(p.denominator) + index * pixels;
        for (int l = 0; strip && l < p.levels; ++l)
            levels[l] = std::make_unique<const Level<T>>(p, index, l, backward, strip);
    }
    long at(int y, int x) const { return long(y - area.top) * area.width() + x - area.left; }

  private:
    static Area around(const Problem& p, const Strip* s) {
        if (!s) return {0, int(p.height), 0, int(p.width)};
        return {std::max(0, s->top - 2), std::min<int>(p.height, s->bottom + 2), std::max(0, s->left - 2),
                std::min<int>(p.width, s->right + 2)};
    }
};

// Repack some samples, each level of each by itself.
template <class T> std::vector<Sample<T>> open(const Problem& p, int first, int count, bool backward) {
    std::vector<Sample<T>> samples;
    samples.reserve(count);
    for (int i = 0; i < count; ++i) samples.emplace_back(p, first + i, backward, nullptr);
    in_parallel(p.threads, count * p.levels, [&](size_t i, int) {
        const int l = int(i / count), sample = int(i % count);
        samples[sample].levels[l] = std::make_unique<const Level<T>>(p, first + sample, l, backward, nullptr);
    });
    return samples;
}

}  // namespace
