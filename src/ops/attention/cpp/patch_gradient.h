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

// Add up what the threads have, and the norms' share: d|K_j| reaches each pixel of patch j in proportion to it.
template <class T>
void collect(const Problem& p, const Sample<T>& sample, int l,
             const std::vector<std::vector<LevelGradient<T>>>& parts) {
    const Level<T>& level = *sample.levels[l];
    const int K = p.match, C = p.channels, Kp = padded<T>(K), Cp = padded<T>(C);
    const long pixels = long(level.height) * level.width;
    Buffer<T> pull(level.size);
    for (int y = 0; y < level.height; ++y)
        for (int x = 0; x < level.width; ++x) {
            const long at = level.at(y, x);
            T change = 0;
            for (const auto& part : parts) change += part[l].change.data[at];
            const T inverse = level.factor.data[at] / T(p.softmax_scale * M_LOG2E);
            pull.data[at] = 1 / inverse > T(p.min_norm) ? -change * inverse * inverse : T(0);
        }
    T* grad_key = static_cast<T*>(p.grad_keys[l]) + sample.index * K * pixels;
    T* grad_value = static_cast<T*>(p.grad_values[l]) + sample.index * C * pixels;
    for (int y = 0; y < level.height; ++y)
        for (int x = 0; x < level.width; ++x) {
            const long at = level.at(y, x), to = long(y) * level.width + x;
            T near = 0;
            for (int dy = -1; dy <= 1; ++dy)
                for (int dx = -1; dx <= 1; ++dx) near += pull.data[at + long(dy) * level.stride + dx];
            for (int k = 0; k < K; ++k) {
                T sum = near * level.key.data[k * level.size + at];
                for (const auto& part : parts) sum += part[l].key.data[at * Kp + k];
                grad_key[k * pixels + to] = sum;
            }
            for (int c = 0; c < C; ++c) {
                T sum = 0;
                for (const auto& part : parts) sum += part[l].value.data[at * Cp + c];
                grad_value[c * pixels + to] = sum;
            }
        }
}

}  // namespace
