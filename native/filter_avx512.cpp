// For AVX-512 with VPOPCNTDQ: eight codes a register, several queries for each load.
#include <immintrin.h>

#include "filter_common.hpp"

namespace hashlearn {
namespace {

inline __m512i broadcast(std::uint64_t word) {
    return _mm512_set1_epi64(static_cast<long long>(word));
}

// Distances of one query to a group of eight codes.
template <std::size_t FixedWords>
inline __m512i distances(const std::uint64_t* group, std::size_t n_words,
                         const std::uint64_t* query) {
    const std::size_t words = FixedWords ? FixedWords : n_words;
    __m512i sum =
        _mm512_popcnt_epi64(_mm512_xor_si512(_mm512_loadu_si512(group), broadcast(query[0])));
    for (std::size_t w = 1; w < words; ++w) {
        const __m512i code = _mm512_loadu_si512(group + w * group_size);
        sum =
            _mm512_add_epi64(sum, _mm512_popcnt_epi64(_mm512_xor_si512(code, broadcast(query[w]))));
    }
    return sum;
}

// Go once more through a stride in which some code is near enough.
template <std::size_t FixedWords>
__attribute__((noinline)) void take_hits(const std::uint64_t* groups, std::size_t n_left,
                                         std::size_t n_words, std::uint64_t position,
                                         const std::uint64_t* query, Selection& selection) {
    const std::size_t words = FixedWords ? FixedWords : n_words;
    const __m512i bound = broadcast(selection.bound);
    std::uint64_t near = 0;  // one bit a code: gathered first, so that no branch depends on a group
    for (std::size_t i = 0; i < stride; i += group_size) {
        const __m512i found = distances<FixedWords>(groups + i * words, words, query);
        near |= static_cast<std::uint64_t>(_mm512_cmplt_epu64_mask(found, bound)) << i;
    }
    if (n_left < stride) {
        near &= (std::uint64_t{1} << n_left) - 1;  // the rest is padding
    }
    for (; near; near &= near - 1) {
        const auto i = static_cast<std::size_t>(__builtin_ctzll(near));
        const std::uint64_t* code = groups + i / group_size * group_size * words + i % group_size;
        std::uint32_t distance = 0;
        for (std::size_t w = 0; w < words; ++w) {
            distance +=
                static_cast<std::uint32_t>(__builtin_popcountll(code[w * group_size] ^ query[w]));
        }
        if (distance < selection.bound) {  // it may have fallen since
            accept(selection, position + i, distance);
        }
    }
}

// Queries at a time, so that each loaded code serves all of them.
template <std::size_t FixedWords, std::size_t Queries>
void filter_queries(const std::uint64_t* tile, std::size_t n_codes, std::size_t n_words,
                    std::uint64_t first, const std::uint64_t* const* queries,
                    Selection* selections) {
    const std::size_t words = FixedWords ? FixedWords : n_words;
    for (std::size_t start = 0; start < n_codes; start += stride) {
        const std::uint64_t* groups = tile + start * words;
        // The least distance in each lane. The distances are below 2^16 and the rest of a lane is
        // 0, so a minimum of 16-bit parts, which is cheaper, is one of 64-bit lanes.
        __m512i nearest[Queries];
        for (std::size_t q = 0; q < Queries; ++q) {
            nearest[q] = _mm512_set1_epi64(0xFFFF);
        }
        for (std::size_t g = 0; g < stride / group_size; ++g) {
            const std::uint64_t* group = groups + g * group_size * words;
            for (std::size_t q = 0; q < Queries; ++q) {
                nearest[q] =
                    _mm512_min_epu16(nearest[q], distances<FixedWords>(group, words, queries[q]));
            }
        }
        for (std::size_t q = 0; q < Queries; ++q) {
            if (_mm512_cmplt_epu64_mask(nearest[q], broadcast(selections[q].bound))) {
                take_hits<FixedWords>(groups, n_codes - start, words, first + start, queries[q],
                                      selections[q]);
            }
        }
    }
}

template <std::size_t FixedWords, std::size_t Queries>
void filter_all(const std::uint64_t* tile, std::size_t n_codes, std::size_t n_words,
                std::uint64_t first, const std::uint64_t* const* queries, std::size_t n_queries,
                Selection* selections) {
    std::size_t q = 0;
    for (; q + Queries <= n_queries; q += Queries) {
        filter_queries<FixedWords, Queries>(tile, n_codes, n_words, first, queries + q,
                                            selections + q);
    }
    for (; q < n_queries; ++q) {
        filter_queries<FixedWords, 1>(tile, n_codes, n_words, first, queries + q, selections + q);
    }
}

}  // namespace

static void filter(const std::uint64_t* tile, std::size_t n_codes, std::size_t n_words,
                   std::uint64_t first, const std::uint64_t* const* queries, std::size_t n_queries,
                   Selection* selections) {
    switch (n_words) {
        case 1:
            return filter_all<1, 8>(tile, n_codes, 1, first, queries, n_queries, selections);
        case 2:
            return filter_all<2, 4>(tile, n_codes, 2, first, queries, n_queries, selections);
        case 4:
            return filter_all<4, 4>(tile, n_codes, 4, first, queries, n_queries, selections);
        default:
            return filter_all<0, 4>(tile, n_codes, n_words, first, queries, n_queries, selections);
    }
}

// Eight codes of two words, one after the other, to word 0 of all and word 1 of all.
static void pack_pairs(const std::uint64_t* codes, std::size_t n_groups, std::uint64_t* tile) {
    const __m512i first = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
    const __m512i second = _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15);
    for (std::size_t g = 0; g < n_groups; ++g, codes += 16, tile += 16) {
        const __m512i a = _mm512_loadu_si512(codes);
        const __m512i b = _mm512_loadu_si512(codes + 8);
        _mm512_storeu_si512(tile, _mm512_permutex2var_epi64(a, first, b));
        _mm512_storeu_si512(tile + 8, _mm512_permutex2var_epi64(a, second, b));
    }
}

// The same for four words: pairs of words first, then the pairs of those.
static void pack_fours(const std::uint64_t* codes, std::size_t n_groups, std::uint64_t* tile) {
    const __m512i low = _mm512_setr_epi64(0, 4, 8, 12, 1, 5, 9, 13);
    const __m512i high = _mm512_setr_epi64(2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i left = _mm512_setr_epi64(0, 1, 2, 3, 8, 9, 10, 11);
    const __m512i right = _mm512_setr_epi64(4, 5, 6, 7, 12, 13, 14, 15);
    for (std::size_t g = 0; g < n_groups; ++g, codes += 32, tile += 32) {
        const __m512i a = _mm512_loadu_si512(codes);
        const __m512i b = _mm512_loadu_si512(codes + 8);
        const __m512i c = _mm512_loadu_si512(codes + 16);
        const __m512i d = _mm512_loadu_si512(codes + 24);
        const __m512i ab01 = _mm512_permutex2var_epi64(a, low, b);
        const __m512i cd01 = _mm512_permutex2var_epi64(c, low, d);
        const __m512i ab23 = _mm512_permutex2var_epi64(a, high, b);
        const __m512i cd23 = _mm512_permutex2var_epi64(c, high, d);
        _mm512_storeu_si512(tile, _mm512_permutex2var_epi64(ab01, left, cd01));
        _mm512_storeu_si512(tile + 8, _mm512_permutex2var_epi64(ab01, right, cd01));
        _mm512_storeu_si512(tile + 16, _mm512_permutex2var_epi64(ab23, left, cd23));
        _mm512_storeu_si512(tile + 24, _mm512_permutex2var_epi64(ab23, right, cd23));
    }
}

static bool pack(const std::uint8_t* codes, std::size_t n_groups, std::size_t n_words,
                 std::uint64_t* tile) {
    const auto* words = reinterpret_cast<const std::uint64_t*>(codes);
    if (n_words == 2) {
        pack_pairs(words, n_groups, tile);
    } else if (n_words == 4) {
        pack_fours(words, n_groups, tile);
    } else {
        return false;
    }
    return true;
}

static void measure(const std::uint64_t* tile, std::size_t n_groups, std::size_t n_words,
                    const std::uint64_t* query, std::uint16_t* distances_out) {
    for (std::size_t g = 0; g < n_groups; ++g) {
        const __m512i found = distances<0>(tile + g * group_size * n_words, n_words, query);
        _mm512_mask_cvtepi64_storeu_epi16(distances_out + g * group_size, 0xFF, found);
    }
}

static std::size_t near(const std::uint64_t* codes, std::size_t n, std::size_t n_words,
                        const std::uint64_t* query, std::uint32_t bound, std::uint32_t* places,
                        std::uint32_t* distances_out) {
    if (n_words != 1) {
        return near_any(
            codes, n, n_words, query, bound, places, distances_out,
            [](std::uint64_t x) { return static_cast<std::uint32_t>(__builtin_popcountll(x)); });
    }
    const __m512i word = broadcast(query[0]);
    const __m512i limit = broadcast(bound);
    std::size_t n_found = 0;
    for (std::size_t start = 0; start < n; start += 8) {
        const auto lanes = static_cast<__mmask8>(n - start >= 8 ? 0xFF : (1U << (n - start)) - 1);
        const __m512i code = _mm512_maskz_loadu_epi64(lanes, codes + start);
        const __m512i found = _mm512_popcnt_epi64(_mm512_xor_si512(code, word));
        unsigned hits = _mm512_mask_cmplt_epu64_mask(lanes, found, limit);
        for (; hits; hits &= hits - 1) {
            const auto i = start + static_cast<unsigned>(__builtin_ctz(hits));
            places[n_found] = static_cast<std::uint32_t>(i);
            distances_out[n_found++] =
                static_cast<std::uint32_t>(__builtin_popcountll(codes[i] ^ query[0]));
        }
    }
    return n_found;
}

const Kernel avx512_kernel = {"avx512", filter, measure, near, pack};

}  // namespace hashlearn
