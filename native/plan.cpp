#include "plan.hpp"

#include <algorithm>

#include "filter.hpp"
#include "thread_pool.hpp"

namespace hashlearn {

std::vector<Task> plan(std::size_t n_queries, Codes database, std::size_t n_threads, Grain grain) {
    const std::size_t n_words = database.n * words_of(database);
    if (n_queries * n_words < grain.min_words) {
        n_threads = 1;
    }
    std::size_t n_ranges = 1;
    if (n_queries < 2 * n_threads && n_words >= grain.min_words) {
        n_ranges = n_threads;
    }
    const std::size_t n_blocks =
        std::max(ceil_divide(n_queries, grain.queries_a_task),
                 n_ranges > 1 ? 1 : std::min(n_threads, ceil_divide(n_queries, max_queries)));
    const std::size_t block = ceil_divide(n_queries, n_blocks);
    const std::size_t range = ceil_divide(ceil_divide(database.n, n_ranges), stride) * stride;
    std::vector<Task> tasks;
    for (std::size_t q = 0; q < n_queries; q += block) {
        for (std::size_t c = 0; c < database.n; c += range) {
            tasks.push_back(
                {q, std::min(q + block, n_queries), c, std::min(c + range, database.n)});
        }
    }
    return tasks;
}

std::size_t count_ranges(const std::vector<Task>& tasks) {
    return static_cast<std::size_t>(std::count_if(
        tasks.begin(), tasks.end(), [](const Task& task) { return task.first_query == 0; }));
}

}  // namespace hashlearn
