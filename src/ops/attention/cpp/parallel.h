// Work shared among threads; what a thread throws is thrown again by the caller's.
#pragma once

#include "buffer.h"

#include <cstddef>
#include <exception>
#include <new>
#include <omp.h>

namespace {

// Call work(i, thread) for i in [0, count); which thread does what is fixed.
template <class Work> void in_parallel(int threads, size_t count, Work work) {
    std::exception_ptr failure;
    Pool* const pool = Pool::current();
#pragma omp parallel num_threads(threads)
    {
        const Taking taking(pool);
#pragma omp for schedule(static, 1)
        for (size_t i = 0; i < count; ++i) {
            try {
                work(i, omp_get_thread_num());
            } catch (...) {
#pragma omp critical
                failure = std::current_exception();
            }
        }
    }
    if (failure) std::rethrow_exception(failure);
}

// What C may return: 0, or 1 when memory ran out, or 2. All buffers of the call are taken from one pool.
template <class Work> int guarded(Work work) {
    Pool pool;
    const Taking taking(&pool);
    try {
        work();
        return 0;
    } catch (const std::bad_alloc&) {
        return 1;
    } catch (...) {
        return 2;
    }
}

}  // namespace
