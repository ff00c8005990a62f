// Zeroed memory, aligned to a cache line; what one strip has freed the next one takes.
#pragma once

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <new>

namespace {

// Memory that a call has freed and may need again: from the system it would come in pages to be zeroed, which takes a
// tenth of the time within windows, where each strip copies what it looks at. All of it goes when the call ends.
class Pool {
  public:
    Pool() = default;
    Pool(const Pool&) = delete;
    ~Pool() { clear(); }
    // At least so many bytes; `bytes` becomes how many there are.
    void* take(size_t& bytes) {
        const std::lock_guard<std::mutex> lock(mutex_);
        auto fitting = free_.lower_bound(bytes);
        if (fitting != free_.end() && fitting->first <= 2 * bytes) {
            void* data = fitting->second;
            bytes = fitting->first;
            free_.erase(fitting);
            return data;
        }
        if (fitting != free_.begin()) {  // the next smaller one has been outgrown, or two would be kept for each use
            std::free((--fitting)->second);
            free_.erase(fitting);
        }
        void* data = std::aligned_alloc(64, bytes);
        if (data) return data;
        clear();  // what is free here may be what is missing
        return std::aligned_alloc(64, bytes);
    }
    void give(void* data, size_t bytes) noexcept {
        const std::lock_guard<std::mutex> lock(mutex_);
        try {
            free_.emplace(bytes, data);
        } catch (...) {
            std::free(data);
        }
    }
    // That of the call which this thread works for.
    static Pool*& current() {
        static thread_local Pool* pool = nullptr;
        return pool;
    }

  private:
    void clear() {
        for (const auto& [bytes, data] : free_) std::free(data);
        free_.clear();
    }
    std::mutex mutex_;
    std::multimap<size_t, void*> free_;
};

// While it lives, this thread takes from `pool`.
struct Taking {
    explicit Taking(Pool* pool) : before(Pool::current()) { Pool::current() = pool; }
    Taking(const Taking&) = delete;
    ~Taking() { Pool::current() = before; }
    Pool* const before;
};

template <class T> struct Buffer {
    T* data = nullptr;
    explicit Buffer(size_t n) : bytes_((n * sizeof(T) + 127) / 64 * 64) {
        const size_t zeroed = bytes_;
        data = static_cast<T*>(Pool::current()->take(bytes_));
        if (!data) throw std::bad_alloc();
        std::memset(data, 0, zeroed);
    }
    Buffer(Buffer&& other) noexcept : data(other.data), bytes_(other.bytes_) { other.data = nullptr; }
    Buffer(const Buffer&) = delete;
    ~Buffer() {
        if (data) Pool::current()->give(data, bytes_);
    }

  private:
    size_t bytes_;
};

}  // namespace
