// What keys and values get back: summed by each thread for itself, then added up.
#pragma once

#include "patch_sample.h"

namespace {

// Gradients of one level's keys and values as one thread has summed them.
template <class T> struct LevelGradient {
    Buffer<T> key, value;  // (size, match padded), (size, channels padded)
    Buffer<T> change;      // sum_i dS[i,j] S[i,j]: what the norm of key patch j takes back
    LevelGradient(const Problem& p, const Level<T>& level)
        : key(level.size * padded<T>(p.match)), value(level.size * padded<T>(p.channels)), change(level.size) {}
};

// Add up what the threads have, and the norms' share: d|K_j| reaches each pixel of patch j in proportion to it. All of
// that is linear, so within windows each strip's own part is added to the sum.
template <class T>
void collect(const Problem& p, const Sample<T>& sample, int l,
             const std::vector<std::vector<LevelGradient<T>>>& parts) {
    const Level<T>& level = *sample.levels[l];
    const Area& area = level.area;
    const int K = p.match, C = p.channels, Kp = sample.match, Cp = sample.channels;
    const long pixels = long(level.height) * level.width;
    const bool keep = p.windows;  // what is there already
    Buffer<T> pull(p.reach ? level.size : 0);
    for (int y = area.top; p.reach && y < area.bottom; ++y)
        for (int x = area.left; x < area.right; ++x) {
            const long at = level.at(y, x);
            T change = 0;
            for (const auto& part : parts) change += part[l].change.data[at];
            const T inverse = level.factor.data[at] / T(p.softmax_scale * M_LOG2E);
            pull.data[at] = 1 / inverse > T(p.min_norm) ? -change * inverse * inverse : T(0);
        }
    T* grad_key = static_cast<T*>(p.grad_keys[l]) + sample.index * K * pixels;
    T* grad_value = static_cast<T*>(p.grad_values[l]) + sample.index * C * pixels;
    for (int y = area.top; y < area.bottom; ++y)
        for (int x = area.left; x < area.right; ++x) {
            const long at = level.at(y, x), to = long(y) * level.width + x;
            T near = 0;
            for (int dy = -1; p.reach && dy <= 1; ++dy)
                for (int dx = -1; dx <= 1; ++dx) near += pull.data[at + long(dy) * level.stride + dx];
            for (int k = 0; k < K; ++k) {
                T sum = near * level.key.data[k * level.size + at];
                for (const auto& part : parts) sum += part[l].key.data[at * Kp + k];
                T& total = grad_key[k * pixels + to];
                total = keep ? total + sum : sum;
            }
            for (int c = 0; c < C; ++c) {
                T sum = 0;
                for (const auto& part : parts) sum += part[l].value.data[at * Cp + c];
                T& total = grad_value[c * pixels + to];
                total = keep ? total + sum : sum;
            }
        }
}

}  // namespace
