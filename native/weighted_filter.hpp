// The inner loop of asymmetric search: find the codes of a tile that may be nearer to a query than
// a bound. As in filter.hpp, each instruction set has a source file of its own (weighted_*.cpp),
// and nothing of the standard library is included but plain types and memcpy.
#pragma once

#include <cstddef>
#include <cstdint>

#include "filter.hpp"

namespace hashlearn {

// Factors of each code of the database; null: none.
struct Factors {
    const float* gains;
    const float* offsets;
};

// What one query has found so far. The sum of a code is looked up by its nibbles, four bits each;
// the tables say what the weights of those bits add up to that differ from the query's.
//
// Exact sums are taken for codes only that may be nearer than the bound. Whether they may is told
// by rough sums, whose tables hold bytes: an entry is the exact one divided by `unit`, rounded
// down. So sum >= unit * rough sum, and sum <= unit * (rough sum + number of nibbles).
struct WeightedSelection {
    const std::uint8_t* rough;     // [dword][low or high nibbles][byte of the dword][nibble]
    const std::uint32_t* exact;    // [byte][low or high nibble][nibble]
    const std::uint64_t* allowed;  // bit i of word i / 64: may position i be taken? null: all may
    std::int32_t most;             // without factors: codes with larger rough sums are of no use
    // With factors: the distance of a code is at least
    // offset + gain * (scale * sum + shift) - |gain| * half, but for rounding errors, which are far
    // below 2^-19 * (|offset| + |gain| * reach).
    float scale, shift, half;
    double reach;
    double bound;  // codes at this distance or beyond are of no use
    // Called with codes of the stride at a position that may be nearer, one bit a code.
    void (*offer)(WeightedSelection&, std::uint64_t near, const std::uint64_t* codes,
                  std::uint64_t position);
    void* owner;  // for `offer`
};

// Offer the codes of a tile to the selections of n_queries queries (1 to max_queries).
// The tile holds n_codes codes, padded to whole strides; the first is at position `first`.
using WeightedFilter = void (*)(const std::uint64_t* tile, std::size_t n_codes, std::size_t n_words,
                                std::uint64_t first, Factors factors, std::size_t n_queries,
                                WeightedSelection* selections);

struct WeightedKernel {
    // The largest entry of a rough table, and the largest sum; 0: sums are taken of exact entries.
    std::uint32_t most_entry;
    std::uint32_t most_sum;
    WeightedFilter filter;
};

extern const WeightedKernel portable_weighted;
#ifdef HASHLEARN_X86
extern const WeightedKernel avx2_weighted;
extern const WeightedKernel avx512_weighted;
#endif

}  // namespace hashlearn
