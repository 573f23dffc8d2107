// What the weighted filters of all instruction sets share. Everything is static: each source file
// gets its own copy, compiled for its own instruction set.
#pragma once

#include <cstring>

#include "weighted_filter.hpp"

namespace hashlearn {
namespace {

// The factors of the codes of a stride, and the bits of the largest absolute values.
struct StrideFactors {
    const float* gains;
    const float* offsets;
    std::uint32_t largest_gain;
    std::uint32_t largest_offset;
    float padded[2][stride];
};

inline std::uint32_t bits_of(float x) {
    std::uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits;
}

inline float float_of(std::uint32_t bits) {
    float x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

// Absolute values are ordered as the integers that their bits make; NaN is above all.
inline std::uint32_t largest_of(const float* values) {
    std::uint32_t largest = 0;
    for (std::size_t i = 0; i < stride; ++i) {
        const std::uint32_t bits = bits_of(values[i]) & 0x7FFFFFFF;
        largest = bits > largest ? bits : largest;
    }
    return largest;
}

inline void set_factors(StrideFactors& some, Factors all, std::uint64_t position, std::size_t n) {
    some.gains = all.gains + position;
    some.offsets = all.offsets + position;
    if (n < stride) {  // what is behind the last one may not be read
        for (std::size_t i = 0; i < stride; ++i) {
            some.padded[0][i] = i < n ? some.gains[i] : 0;
            some.padded[1][i] = i < n ? some.offsets[i] : 0;
        }
        some.gains = some.padded[0];
        some.offsets = some.padded[1];
    }
    some.largest_gain = largest_of(some.gains);
    some.largest_offset = largest_of(some.offsets);
}

// Which codes of a stride have a rough sum that is small enough.
template <typename Sum>
inline std::uint64_t near_by_sum(const Sum* sums, const WeightedSelection& selection) {
    const std::int32_t most = selection.most;
    std::uint32_t any = 0;
    for (std::size_t i = 0; i < stride; ++i) {
        any |= static_cast<std::int32_t>(sums[i]) <= most;
    }
    std::uint64_t near = 0;
    for (std::size_t i = 0; any && i < stride; ++i) {
        near |= std::uint64_t{static_cast<std::int32_t>(sums[i]) <= most} << i;
    }
    return near;
}

// Which codes of a stride may be nearer than the bound, by their factors and rough sums.
template <typename Sum>
inline std::uint64_t near_by_factors(const Sum* sums, const StrideFactors& factors,
                                     const WeightedSelection& selection) {
    const double gain = float_of(factors.largest_gain);
    const double size = float_of(factors.largest_offset) + gain * selection.reach;
    if (!(size < 1e37)) {  // floats may overflow, or something is NaN
        return ~std::uint64_t{0};
    }
    // Rounding errors, and what is lost below the smallest floats.
    const double slack = size * 0x1p-19 + (1 + gain) * 1e-30;
    const auto limit = static_cast<float>(selection.bound + slack);
    const float scale = selection.scale, shift = selection.shift, half = selection.half;
    const float* gains = factors.gains;
    const float* offsets = factors.offsets;
    float lowest[stride];
    std::uint32_t any = 0;
    for (std::size_t i = 0; i < stride; ++i) {
        const float sum = scale * static_cast<float>(static_cast<std::int32_t>(sums[i])) + shift;
        lowest[i] = offsets[i] + gains[i] * sum - float_of(bits_of(gains[i]) & 0x7FFFFFFF) * half;
        any |= !(lowest[i] > limit);
    }
    std::uint64_t near = 0;
    for (std::size_t i = 0; any && i < stride; ++i) {
        near |= std::uint64_t{!(lowest[i] > limit)} << i;
    }
    return near;
}

// Go through a tile. `measure(codes, n_words, selections, n_queries, sums)` writes the rough sums
// of the codes of a stride, `stride` of them a query.
template <typename Sum, typename Measure>
inline void filter_weighted(const std::uint64_t* tile, std::size_t n_codes, std::size_t n_words,
                            std::uint64_t first, Factors factors, std::size_t n_queries,
                            WeightedSelection* selections, const Measure& measure) {
    alignas(64) Sum sums[max_queries * stride];
    StrideFactors some;
    for (std::size_t start = 0; start < n_codes; start += stride) {
        const std::uint64_t* codes = tile + start * n_words;
        const std::size_t n = n_codes - start < stride ? n_codes - start : stride;
        const std::uint64_t position = first + start;
        measure(codes, n_words, selections, n_queries, sums);
        if (factors.gains) {
            set_factors(some, factors, position, n);
        }
        for (std::size_t q = 0; q < n_queries; ++q) {
            WeightedSelection& selection = selections[q];
            const Sum* own = sums + q * stride;
            std::uint64_t near =
                factors.gains ? near_by_factors(own, some, selection) : near_by_sum(own, selection);
            if (!near) {
                continue;
            }
            if (n < stride) {
                near &= (std::uint64_t{1} << n) - 1;  // the rest is padding
            }
            if (selection.allowed) {  // strides begin at whole words
                near &= selection.allowed[position / stride];
            }
            if (near) {
                selection.offer(selection, near, codes, position);
            }
        }
    }
}

}  // namespace
}  // namespace hashlearn
