// The nearest codes to queries that were not rounded to bits: asymmetric search.
//
// The values of a query before the sign are whole numbers times 2^-exponent (hashlearn.index
// .weighted makes them so), and the sum of their absolute values is below 2^31. So sums are exact
// in any order, and results depend neither on the kernel nor on the number of threads.
#pragma once

#include <cstddef>
#include <cstdint>

#include "codes.hpp"
#include "weighted_filter.hpp"

namespace hashlearn {

// Values of n queries, one query after the other, and the exponent of each.
struct Values {
    const std::int32_t* values;
    const std::int32_t* exponents;
    std::size_t n;
    std::size_t n_bits;
};

// Write the positions and distances of the k nearest allowed codes of each query, in the order
// (distance, position). With t the sum of a query's values, each with the sign of the code's bit,
// the distance is offset - (2 * gain) * t, rounded after each operation; without factors it is the
// sum of the absolute values over the bits that differ. What is NaN or infinity is not found.
// Places for which there is no code hold the position -1 and infinity.
void nearest_weighted(const Kernel& kernel, Values queries, Codes database, Factors factors,
                      const std::uint64_t* allowed, std::size_t k, std::size_t n_threads,
                      std::int64_t* positions, double* distances);

}  // namespace hashlearn
