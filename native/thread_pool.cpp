#include "thread_pool.hpp"

#include <algorithm>
#include <thread>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace hashlearn {

static ThreadPool* pool = nullptr;
static std::mutex pool_mutex;

ThreadPool& ThreadPool::instance() {
    const std::lock_guard lock(pool_mutex);
    if (pool == nullptr) {
        pool = new ThreadPool();
#if defined(__unix__) || defined(__APPLE__)
        // A forked child has no workers and must not wait for its parent's.
        static const int registered =
            pthread_atfork([] { pool_mutex.lock(); }, [] { pool_mutex.unlock(); },
                           [] {
                               pool = nullptr;
                               pool_mutex.unlock();
                           });
        static_cast<void>(registered);
#endif
    }
    return *pool;
}

void ThreadPool::run(std::size_t n_tasks, std::size_t n_threads,
                     const std::function<void(std::size_t)>& work) {
    const std::size_t n_helpers = std::min(n_threads, n_tasks) - (n_tasks > 0 ? 1 : 0);
    if (n_helpers == 0) {
        for (std::size_t i = 0; i < n_tasks; ++i) {
            work(i);
        }
        return;
    }
    Job job{&work, n_tasks, n_helpers};
    {
        const std::lock_guard lock(mutex_);
        for (; n_workers_ < n_helpers; ++n_workers_) {
            std::thread([this] { wait_for_jobs(); }).detach();
        }
        jobs_.push_back(&job);
    }
    has_jobs_.notify_all();
    help(job);
    std::unique_lock lock(mutex_);
    std::erase(jobs_, &job);
    left_job_.wait(lock, [&job] { return job.n_inside == 0; });
    if (job.error) {
        std::rethrow_exception(job.error);
    }
}

void ThreadPool::help(Job& job) {
    try {
        for (std::size_t i = job.next++; i < job.n_tasks; i = job.next++) {
            (*job.work)(i);
        }
    } catch (...) {
        job.next = job.n_tasks;  // nobody begins another task
        const std::lock_guard lock(mutex_);
        if (!job.error) {
            job.error = std::current_exception();
        }
    }
}

void ThreadPool::wait_for_jobs() {
    std::unique_lock lock(mutex_);
    for (;;) {
        const auto open = std::find_if(jobs_.begin(), jobs_.end(),
                                       [](const Job* job) { return job->helpers_left > 0; });
        if (open == jobs_.end()) {
            has_jobs_.wait(lock);
            continue;
        }
        Job& job = **open;
        --job.helpers_left;
        ++job.n_inside;
        lock.unlock();
        help(job);
        lock.lock();
        --job.n_inside;
        left_job_.notify_all();
    }
}

}  // namespace hashlearn
