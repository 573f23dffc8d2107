// Exact search by scanning all codes, nearest first, ties by position.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "codes.hpp"
#include "filter.hpp"

namespace hashlearn {

// Kernels that this processor can run, fastest first.
std::vector<const Kernel*> available_kernels();

// Which positions of the database may be found: bit i % 64 of word i / 64. Null: all.
using Allowed = const std::uint64_t*;

// Write the positions and distances of the k nearest allowed codes of each query, in the order
// (distance, position); k is at most the number of codes. The arrays hold k places a query; those
// for which there is no allowed code hold the position -1 and the distance 8 * n_bytes + 1.
void scan_nearest(const Kernel& kernel, Codes queries, Codes database, Allowed allowed,
                  std::size_t k, std::size_t n_threads, std::int64_t* positions,
                  std::int32_t* distances);

// Find all allowed codes within a radius, for each query in the order (distance, position).
struct Found {
    std::vector<std::int64_t> positions;
    std::vector<std::int32_t> distances;
};
std::vector<Found> scan_radius(const Kernel& kernel, Codes queries, Codes database, Allowed allowed,
                               std::uint32_t radius, std::size_t n_threads);

}  // namespace hashlearn
