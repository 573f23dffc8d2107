// For AVX-512 with VPOPCNTDQ: eight codes a register, several queries for each load.
#include <immintrin.h>

#include "filter_common.hpp"

namespace hashlearn {
namespace {

struct PopCount {
    std::uint32_t operator()(std::uint64_t x) const {
        return static_cast<std::uint32_t>(__builtin_popcountll(x));
    }
};

inline __m512i broadcast(std::uint64_t word) {
    return _mm512_set1_epi64(static_cast<long long>(word));
}

// A bit for each of the first n lanes; none below 0.
inline __mmask8 lanes(std::ptrdiff_t n) {
    return static_cast<__mmask8>(n <= 0 ? 0 : n < 8 ? (1U << n) - 1 : 0xFF);
}

inline __m512i ones(__m512i code, __m512i query) {
    return _mm512_popcnt_epi64(_mm512_xor_si512(code, query));
}

// Codes in groups of eight, word by word.
template <std::size_t FixedWords>
struct Tile {
    static constexpr bool prefetch = false;  // it is in the cache

    // Distances of one query to a group of eight codes.
    static __m512i distances(const std::uint64_t* group, std::size_t n_words,
                             const std::uint64_t* query) {
        const std::size_t words = FixedWords ? FixedWords : n_words;
        __m512i sum = ones(_mm512_loadu_si512(group), broadcast(query[0]));
        for (std::size_t w = 1; w < words; ++w) {
            const __m512i code = _mm512_loadu_si512(group + w * group_size);
            sum = _mm512_add_epi64(sum, ones(code, broadcast(query[w])));
        }
        return sum;
    }
};

// Add up neighbours: x0 + x1, x2 + x3, ..., y0 + y1, ...
inline __m512i fold(__m512i x, __m512i y) {
    const __m512i even = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
    const __m512i odd = _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15);
    return _mm512_add_epi64(_mm512_permutex2var_epi64(x, even, y),
                            _mm512_permutex2var_epi64(x, odd, y));
}

// Codes one after the other: a register holds several words of a code, which are folded.
template <std::size_t FixedWords>
struct Rows {
    static constexpr bool prefetch = true;

    // With fewer than eight codes (only where FixedWords is given) the rest is not read.
    static __m512i distances(const std::uint64_t* group, std::size_t n_words,
                             const std::uint64_t* query, std::ptrdiff_t n_codes = 8) {
        if constexpr (FixedWords == 1) {
            return part(group, broadcast(query[0]), n_codes);
        } else if constexpr (FixedWords == 2) {
            const __m512i words = _mm512_maskz_broadcast_i32x4(
                0xFFFF, _mm_loadu_si128(reinterpret_cast<const __m128i*>(query)));
            return fold(part(group, words, 2 * n_codes), part(group + 8, words, 2 * n_codes - 8));
        } else if constexpr (FixedWords == 4) {
            const __m512i words = _mm512_maskz_broadcast_i64x4(
                0xFF, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(query)));
            return fold(
                fold(part(group, words, 4 * n_codes), part(group + 8, words, 4 * n_codes - 8)),
                fold(part(group + 16, words, 4 * n_codes - 16),
                     part(group + 24, words, 4 * n_codes - 24)));
        } else {
            __m512i sums[group_size] = {};
            std::size_t w = 0;
            for (; w + 8 <= n_words; w += 8) {
                const __m512i words = _mm512_loadu_si512(query + w);
#pragma GCC unroll 8
                for (std::size_t i = 0; i < group_size; ++i) {
                    sums[i] = _mm512_add_epi64(sums[i], part(group + i * n_words + w, words));
                }
            }
            if (w < n_words) {
                const auto rest = static_cast<std::ptrdiff_t>(n_words - w);
                const __m512i words = _mm512_maskz_loadu_epi64(lanes(rest), query + w);
#pragma GCC unroll 8
                for (std::size_t i = 0; i < group_size; ++i) {
                    sums[i] = _mm512_add_epi64(sums[i], part(group + i * n_words + w, words, rest));
                }
            }
            return fold(fold(fold(sums[0], sums[1]), fold(sums[2], sums[3])),
                        fold(fold(sums[4], sums[5]), fold(sums[6], sums[7])));
        }
    }

   private:
    // Eight words, or the first of them.
    static __m512i part(const std::uint64_t* words, __m512i query, std::ptrdiff_t n_words = 8) {
        const __mmask8 some = lanes(n_words);
        return _mm512_maskz_popcnt_epi64(
            some, _mm512_xor_si512(_mm512_maskz_loadu_epi64(some, words), query));
    }
};

// Go once more through a stride in which some code is near enough.
template <typename Layout>
__attribute__((noinline)) void take_hits(const std::uint64_t* codes, std::size_t n_left,
                                         std::size_t n_words, std::uint64_t position,
                                         const std::uint64_t* query, Selection& selection) {
    if (!allowed_in(selection, position)) {
        return;
    }
    const __m512i bound = broadcast(selection.bound);
    std::uint64_t near = 0;  // one bit a code: gathered first, so that no branch depends on a group
    std::uint16_t found[stride];
    for (std::size_t i = 0; i < stride; i += group_size) {
        const __m512i group = Layout::distances(codes + i * n_words, n_words, query);
        near |= static_cast<std::uint64_t>(_mm512_cmplt_epu64_mask(group, bound)) << i;
        _mm512_mask_cvtepi64_storeu_epi16(found + i, 0xFF, group);
    }
    take(near, found, n_left, position, selection);
}

// Queries at a time, so that each loaded code serves all of them.
template <typename Layout, std::size_t FixedWords, std::size_t Queries>
void filter_queries(const std::uint64_t* codes, std::size_t n_codes, std::size_t n_words,
                    std::uint64_t first, const std::uint64_t* const* queries,
                    Selection* selections) {
    const std::size_t words = FixedWords ? FixedWords : n_words;
    for (std::size_t start = 0; start < n_codes; start += stride) {
        const std::uint64_t* groups = codes + start * words;
        for (std::size_t w = 0; Layout::prefetch && w < stride * words; w += 8) {
            __builtin_prefetch(groups + w + prefetch_words);
        }
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
                    _mm512_min_epu16(nearest[q], Layout::distances(group, words, queries[q]));
            }
        }
        for (std::size_t q = 0; q < Queries; ++q) {
            if (_mm512_cmplt_epu64_mask(nearest[q], broadcast(selections[q].bound))) {
                take_hits<Layout>(groups, n_codes - start, words, first + start, queries[q],
                                  selections[q]);
            }
        }
    }
}

template <template <std::size_t> typename Layout, std::size_t FixedWords, std::size_t Queries>
void filter_all(const std::uint64_t* tile, std::size_t n_codes, std::size_t n_words,
                std::uint64_t first, const std::uint64_t* const* queries, std::size_t n_queries,
                Selection* selections) {
    std::size_t q = 0;
    for (; q + Queries <= n_queries; q += Queries) {
        filter_queries<Layout<FixedWords>, FixedWords, Queries>(tile, n_codes, n_words, first,
                                                                queries + q, selections + q);
    }
    for (; q + 2 <= n_queries; q += 2) {
        filter_queries<Layout<FixedWords>, FixedWords, 2>(tile, n_codes, n_words, first,
                                                          queries + q, selections + q);
    }
    for (; q < n_queries; ++q) {
        filter_queries<Layout<FixedWords>, FixedWords, 1>(tile, n_codes, n_words, first,
                                                          queries + q, selections + q);
    }
}

}  // namespace

static void filter(const std::uint64_t* tile, std::size_t n_codes, std::size_t n_words,
                   std::uint64_t first, const std::uint64_t* const* queries, std::size_t n_queries,
                   Selection* selections) {
    switch (n_words) {
        case 1:
            return filter_all<Tile, 1, 8>(tile, n_codes, 1, first, queries, n_queries, selections);
        case 2:
            return filter_all<Tile, 2, 4>(tile, n_codes, 2, first, queries, n_queries, selections);
        case 4:
            return filter_all<Tile, 4, 4>(tile, n_codes, 4, first, queries, n_queries, selections);
        default:
            return filter_all<Tile, 0, 4>(tile, n_codes, n_words, first, queries, n_queries,
                                          selections);
    }
}

static void filter_rows(const std::uint64_t* rows, std::size_t n_codes, std::size_t n_words,
                        std::uint64_t first, const std::uint64_t* const* queries,
                        std::size_t n_queries, Selection* selections) {
    switch (n_words) {
        case 1:
            if (n_queries > 1) {  // after the first ones the codes are in the cache
                return filter(rows, n_codes, 1, first, queries, n_queries, selections);
            }
            return filter_queries<Rows<1>, 1, 1>(rows, n_codes, 1, first, queries, selections);
        case 2:
            return filter_all<Rows, 2, 4>(rows, n_codes, 2, first, queries, n_queries, selections);
        case 4:
            return filter_all<Rows, 4, 4>(rows, n_codes, 4, first, queries, n_queries, selections);
        default:
            return filter_all<Rows, 0, 1>(rows, n_codes, n_words, first, queries, n_queries,
                                          selections);
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

template <std::size_t FixedWords>
static void measure_tile(const std::uint64_t* tile, std::size_t n_groups, std::size_t n_words,
                         const std::uint64_t* query, std::uint16_t* distances_out) {
    const std::size_t words = FixedWords ? FixedWords : n_words;
    for (std::size_t g = 0; g < n_groups; ++g) {
        const __m512i found =
            Tile<FixedWords>::distances(tile + g * group_size * words, words, query);
        _mm512_mask_cvtepi64_storeu_epi16(distances_out + g * group_size, 0xFF, found);
    }
}

static void measure(const std::uint64_t* tile, std::size_t n_groups, std::size_t n_words,
                    const std::uint64_t* query, std::uint16_t* distances_out) {
    switch (n_words) {
        case 1:
            return measure_tile<1>(tile, n_groups, 1, query, distances_out);
        case 2:
            return measure_tile<2>(tile, n_groups, 2, query, distances_out);
        case 4:
            return measure_tile<4>(tile, n_groups, 4, query, distances_out);
        default:
            return measure_tile<0>(tile, n_groups, n_words, query, distances_out);
    }
}

template <std::size_t Words>
static std::size_t near_rows(const std::uint64_t* codes, std::size_t n, const std::uint64_t* query,
                             std::uint32_t bound, std::uint32_t* places,
                             std::uint32_t* distances_out) {
    const __m512i limit = broadcast(bound);
    std::size_t n_found = 0;
    for (std::size_t start = 0; start < n; start += group_size) {
        const auto left = static_cast<std::ptrdiff_t>(n - start);
        const __m512i found = Rows<Words>::distances(codes + start * Words, Words, query, left);
        std::uint64_t distances[group_size];
        _mm512_storeu_si512(distances, found);
        unsigned hits = _mm512_mask_cmplt_epu64_mask(lanes(left), found, limit);
        for (; hits; hits &= hits - 1) {
            const auto i = static_cast<unsigned>(__builtin_ctz(hits));
            places[n_found] = static_cast<std::uint32_t>(start + i);
            distances_out[n_found++] = static_cast<std::uint32_t>(distances[i]);
        }
    }
    return n_found;
}

// Codes of one word: all are compared before any is taken, as few are near.
static std::size_t near_words(const std::uint64_t* codes, std::size_t n, std::uint64_t query,
                              std::uint32_t bound, std::uint32_t* places,
                              std::uint32_t* distances) {
    const __m512i word = broadcast(query);
    const __m512i limit = broadcast(bound);
    std::uint64_t hits = 0;
    std::size_t start = 0;
    for (; start + group_size <= n; start += group_size) {
        const __m512i found = ones(_mm512_loadu_si512(codes + start), word);
        hits |= static_cast<std::uint64_t>(_mm512_cmplt_epu64_mask(found, limit)) << start;
    }
    if (start < n) {
        const __mmask8 rest = lanes(static_cast<std::ptrdiff_t>(n - start));
        const __m512i found = ones(_mm512_maskz_loadu_epi64(rest, codes + start), word);
        const __mmask8 near = _mm512_mask_cmplt_epu64_mask(rest, found, limit);
        hits |= static_cast<std::uint64_t>(near) << start;
    }
    std::size_t n_found = 0;
    for (; hits; hits &= hits - 1) {
        const auto i = static_cast<std::uint32_t>(__builtin_ctzll(hits));
        places[n_found] = i;
        distances[n_found++] = static_cast<std::uint32_t>(__builtin_popcountll(codes[i] ^ query));
    }
    return n_found;
}

static std::size_t near(const std::uint64_t* codes, std::size_t n, std::size_t n_words,
                        const std::uint64_t* query, std::uint32_t bound, std::uint32_t* places,
                        std::uint32_t* distances) {
    switch (n_words) {
        case 1:
            return near_words(codes, n, *query, bound, places, distances);
        case 2:
            return near_rows<2>(codes, n, query, bound, places, distances);
        case 4:
            return near_rows<4>(codes, n, query, bound, places, distances);
        default:
            return near_any(codes, n, n_words, query, bound, places, distances, PopCount{});
    }
}

const Kernel avx512_kernel = {"avx512", filter, filter_rows, max_queries, measure, near, pack};

}  // namespace hashlearn
