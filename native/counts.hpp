// How many codes lie at each distance from a query, and what they are worth to it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "codes.hpp"
#include "filter.hpp"

namespace hashlearn {

// What each code of the database is to each query, one query after the other.
struct Marks {
    const std::uint8_t* relevant;  // 0 or 1
    const std::uint16_t* gains;    // null: not asked for
};

// For each query 8 * n_bytes + 1 numbers, one a distance.
struct Counts {
    std::int64_t* retrieved;
    std::int64_t* hits;
    std::int64_t* gains;  // null where those of the marks are
};

// Add to the counts of each query the codes of the database at each distance, the relevant ones
// among them, and the sum of their gains.
void count_distances(const Kernel& kernel, Codes queries, Codes database, Marks marks,
                     std::size_t n_threads, Counts counts);

}  // namespace hashlearn
