// Threads that are started once and wait for work: starting one for each search costs more than
// a small search does.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <vector>

namespace hashlearn {

// How many parts of b, the last one perhaps smaller, make a.
inline std::size_t ceil_divide(std::size_t a, std::size_t b) { return (a + b - 1) / b; }

class ThreadPool {
   public:
    // One pool for the process. It is never destroyed: at exit its threads may still wait.
    static ThreadPool& instance();

    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    // Call work(0), ..., work(n_tasks - 1) on up to n_threads threads, the calling one among them,
    // and return when all are done. The first exception is thrown again. Several threads may call
    // at a time; their tasks share the workers.
    void run(std::size_t n_tasks, std::size_t n_threads,
             const std::function<void(std::size_t)>& work);

   private:
    struct Job {
        const std::function<void(std::size_t)>* work;
        std::size_t n_tasks;
        std::size_t helpers_left;  // workers that may still join; guarded by mutex_
        std::size_t n_inside = 0;  // workers inside; guarded by mutex_
        std::atomic<std::size_t> next{0};
        std::exception_ptr error{};  // guarded by mutex_
    };

    ThreadPool() = default;
    void help(Job& job);
    void wait_for_jobs();

    std::mutex mutex_;
    std::condition_variable has_jobs_;
    std::condition_variable left_job_;
    std::vector<Job*> jobs_;
    std::size_t n_workers_ = 0;
};

}  // namespace hashlearn
