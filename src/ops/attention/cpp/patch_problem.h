// What the caller hands over; every array is contiguous, of float or of double throughout.
#pragma once

#include <cstdint>

extern "C" struct PatchAttention {
    int64_t batch, match, channels, height, width, levels, threads;
    int64_t reach;  // 1: 3x3 patches are compared and pasted; 0: pixels, and no key is divided by its norm
    const int64_t* level_height;
    const int64_t* level_width;
    const int64_t* windows;  // side of each level's search window in pixels of the query; null: all keys are seen
    double softmax_scale, min_norm;
    const void* query;         // (batch, match, height, width)
    const void* const* keys;   // levels of (batch, match, h, w)
    const void* const* values; // levels of (batch, channels, h, w)
    void* output;              // (batch, channels, height, width): overlapping patches summed
    void* peak;                // (batch, height, width): subtracted from a query's scores, which are to base 2
    void* denominator;         // (batch, height, width): of its softmax
    const void* grad_output;   // as output; the rest is for backward only
    void* grad_query;          // as query
    void* const* grad_keys;    // as keys
    void* const* grad_values;  // as values
};

namespace {
using Problem = PatchAttention;
}
