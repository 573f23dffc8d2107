// How the work of a search is divided among threads.
#pragma once

#include <cstddef>
#include <vector>

#include "codes.hpp"

namespace hashlearn {

// Some of the queries against a range of the database.
struct Task {
    std::size_t first_query, last_query, first_code, last_code;
};

// What a search should not be divided below.
struct Grain {
    std::size_t queries_a_task;  // at the most
    std::size_t min_words;  // with fewer to look at, one thread is done before another is awake
};

// Divide the work: by queries if there are enough of them, otherwise by ranges of the database.
// The tasks of a block of queries follow one another, in the order of their ranges.
std::vector<Task> plan(std::size_t n_queries, Codes database, std::size_t n_threads, Grain grain);

// Ranges that the database is divided into.
std::size_t count_ranges(const std::vector<Task>& tasks);

}  // namespace hashlearn
