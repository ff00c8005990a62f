// One sample of the batch, repacked: queries pixel by pixel, each level of keys and values in a frame.
//
// Rows of a level are `stride` = width + 1 numbers apart and begin with a zero; guard rows of zeros stand
// above and below. So every shift of a pixel by one is a shift by one, or by a row, of one long line.
#pragma once

#include "buffer.h"
#include "parallel.h"
#include "patch_problem.h"
#include "vectors.h"

#include <memory>
#include <vector>

namespace {

template <class T> int padded(int channels) { return int(up(channels, Lanes<T>::N)); }

// (channels, pixels) to (pixels, padded channels)
template <class T> void to_last(const T* planes, T* last, long pixels, int channels) {
    const int lead = padded<T>(channels), few = Lanes<T>::N;  // a cache line of each pixel at a time
    for (int first = 0; first < channels; first += few)
        for (long i = 0; i < pixels; ++i)
            for (int c = first; c < std::min(first + few, channels); ++c) last[i * lead + c] = planes[c * pixels + i];
}

template <class T> struct Level {
    static constexpr int kTile = 256;      // keys in a tile, about: eight tiles stay within 1 MB of cache
    static constexpr T kNowhere = T(-1e30);  // the score of a place that is no pixel
    const int height, width, stride, rows, guard;
    const long size;
    Buffer<T> key, value;            // (match, size), and for backward (channels, size)
    Buffer<T> key_last, value_last;  // for backward (size, match padded), forward (size, channels padded)
    Buffer<T> factor, bias;          // score to base 2 = dot product of patches * factor + bias

    Level(const Problem& p, int sample, int l, bool backward)
        : height(p.level_height[l]), width(p.level_width[l]), stride(width + 1), rows(std::max(1, kTile / stride)),
          guard(rows + 3), size(long(stride) * (height + 2 * guard) + 8 * Lanes<T>::N),
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
    long row(int y) const { return long(y + guard) * stride; }  // where row y begins, with its zero
    long at(int y, int x) const { return row(y) + x + 1; }

  private:
    void frame_planes(const T* planes, int channels, T* framed) const {
        for (int c = 0; c < channels; ++c)
            for (int y = 0; y < height; ++y)
                std::memcpy(framed + c * size + at(y, 0), planes + (long(c) * height + y) * width, width * sizeof(T));
    }
    void frame_last(const T* planes, int channels, T* framed) const {
        const int lead = padded<T>(channels), few = Lanes<T>::N;
        const long pixels = long(height) * width;
        for (int first = 0; first < channels; first += few)
            for (int y = 0; y < height; ++y)
                for (int x = 0; x < width; ++x)
                    for (int c = first; c < std::min(first + few, channels); ++c)
                        framed[at(y, x) * lead + c] = planes[c * pixels + long(y) * width + x];
    }
    void find_factors(const Problem& p) {
        Buffer<T> square(size);
        for (int c = 0; c < p.match; ++c)
            for (long i = 0; i < size; ++i) square.data[i] += key.data[c * size + i] * key.data[c * size + i];
        std::fill(bias.data, bias.data + size, kNowhere);
        for (int y = 0; y < height; ++y)
            for (int x = 0; x < width; ++x) {
                T sum = 0;
                for (int dy = -1; dy <= 1; ++dy)
                    for (int dx = -1; dx <= 1; ++dx) sum += square.data[at(y, x) + long(dy) * stride + dx];
                factor.data[at(y, x)] = T(p.softmax_scale * M_LOG2E) / std::max(std::sqrt(sum), T(p.min_norm));
                bias.data[at(y, x)] = 0;
            }
    }
};

template <class T> struct Sample {
    const int index;
    Buffer<T> query, gradient;  // (height·width, match padded), (height·width, channels padded)
    Buffer<T> dot;              // sum_j A[i,j] dA[i,j] of each query, for backward
    std::vector<std::unique_ptr<const Level<T>>> levels;
    T *peak, *denominator;

    Sample(const Problem& p, int index, bool backward)
        : index(index), query(p.height * p.width * padded<T>(p.match)),
          gradient(backward ? p.height * p.width * padded<T>(p.channels) : 0),
          dot(backward ? p.height * p.width : 0), levels(p.levels) {
        const long pixels = p.height * p.width;
        to_last(static_cast<const T*>(p.query) + index * p.match * pixels, query.data, pixels, p.match);
        if (backward)
            to_last(static_cast<const T*>(p.grad_output) + index * p.channels * pixels, gradient.data, pixels,
                    p.channels);
        peak = static_cast<T*>(p.peak) + index * pixels;
        denominator = static_cast<T*>(p.denominator) + index * pixels;
    }
};

// Repack some samples, each level of each by itself.
template <class T> std::vector<Sample<T>> open(const Problem& p, int first, int count, bool backward) {
    std::vector<Sample<T>> samples;
    samples.reserve(count);
    for (int i = 0; i < count; ++i) samples.emplace_back(p, first + i, backward);
    in_parallel(p.threads, count * p.levels, [&](size_t i, int) {
        const int l = int(i / count), sample = int(i % count);
        samples[sample].levels[l] = std::make_unique<const Level<T>>(p, first + sample, l, backward);
    });
    return samples;
}

}  // namespace
