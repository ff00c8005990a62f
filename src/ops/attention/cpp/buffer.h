// Zeroed memory, aligned to a cache line.
#pragma once

#include <cstdlib>
#include <cstring>
#include <new>

namespace {

template <class T> struct Buffer {
    T* data = nullptr;
    explicit Buffer(size_t n) {
        const size_t bytes = (n * sizeof(T) + 127) / 64 * 64;
        data = static_cast<T*>(std::aligned_alloc(64, bytes));
        if (!data) throw std::bad_alloc();
        std::memset(data, 0, bytes);
    }
    Buffer(Buffer&& other) noexcept : data(other.data) { other.data = nullptr; }
    Buffer(const Buffer&) = delete;
    ~Buffer() { std::free(data); }
};

}  // namespace
