// Exact search in sub-linear time: multi-index hashing (Norouzi, Punjani and Fleet, "Fast search in
// Hamming space with multi-index hashing", CVPR 2012).
//
// A code is cut into m substrings, and each has a table from its value to the codes that hold it.
// If two codes differ in at most r = m * p + a bits (a < m), then they differ in at most p bits of
// one of the substrings 0..a, or in at most p - 1 bits of one of the others. So step r looks up,
// in table r mod m, the values that differ in exactly r / m bits from the query's: after step r all
// codes within r bits have been seen, and nothing else needs to be.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "filter.hpp"
#include "scan.hpp"

namespace hashlearn {

// Codes by the value of one substring. Those with the value v are entries starts[v] to
// starts[v + 1] of `positions` and `codes`.
struct Table {
    unsigned first_bit;
    unsigned n_bits;                 // 1 to 32
    const std::uint32_t* starts;     // 2^n_bits + 1 of them
    const std::uint32_t* positions;  // null: the codes lie in this order themselves
    const std::uint64_t* codes;      // words of the entries, at any address; null: look them up by
                                     // position
};

// Do the values of a substring rise over the codes? Then they need no order of their own.
bool values_rise(Codes codes, unsigned first_bit, unsigned n_bits);

// Sort the codes by the value of a substring, equal ones by position. Fills `starts` (2^n_bits + 1)
// and, unless null, `positions` (n) and `words` (n times the words of a code). At most 2^32 - 1
// codes.
void build_table(Codes codes, unsigned first_bit, unsigned n_bits, std::size_t n_threads,
                 std::uint32_t* starts, std::uint32_t* positions, std::uint64_t* words);

// What looking up one value and one code costs; a query gives up when the next step would bring
// its costs above `budget`.
struct Costs {
    double value;
    double code;
    double budget;
};

// Write the positions and distances of the k nearest codes of each query, in the order (distance,
// position), and what each query cost: below 0 if it gave up, with nothing written. `allowed` has
// one bit a code and may be null; k must not exceed the number of codes allowed for a query to end.
void find_nearest(const Kernel& kernel, Codes queries, Codes database,
                  std::span<const Table> tables, Allowed allowed, std::size_t k, Costs costs,
                  std::size_t n_threads, std::int64_t* positions, std::int32_t* distances,
                  double* spent);

// Find all codes within a radius, for each query in the order (distance, position).
std::vector<Found> find_radius(const Kernel& kernel, Codes queries, Codes database,
                               std::span<const Table> tables, Allowed allowed, std::uint32_t radius,
                               std::size_t n_threads);

}  // namespace hashlearn
