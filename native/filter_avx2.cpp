// For AVX2 (compiled with -mavx2 -mpopcnt): ones are counted by looking up half bytes.
#include <immintrin.h>

#include "filter_common.hpp"

namespace hashlearn {
namespace {

// Ones in each byte.
inline __m256i byte_counts(__m256i x) {
    const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1,
                                           2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i low = _mm256_set1_epi8(0x0F);
    return _mm256_add_epi8(
        _mm256_shuffle_epi8(table, _mm256_and_si256(x, low)),
        _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(x, 4), low)));
}

inline __m256i load(const std::uint64_t* words) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words));
}

// Distances of one query to half a group: four codes.
template <std::size_t FixedWords>
inline __m256i distances(const std::uint64_t* half, std::size_t n_words,
                         const std::uint64_t* query) {
    const std::size_t words = FixedWords ? FixedWords : n_words;
    __m256i sum = _mm256_setzero_si256();
    for (std::size_t w = 0; w < words;) {
        // A byte holds the counts of up to 31 words; adding up its lane once serves them all.
        __m256i bytes = _mm256_setzero_si256();
        for (const std::size_t end = w + 31 < words ? w + 31 : words; w < end; ++w) {
            const __m256i query_word = _mm256_set1_epi64x(static_cast<long long>(query[w]));
            bytes = _mm256_add_epi8(
                bytes, byte_counts(_mm256_xor_si256(load(half + w * group_size), query_word)));
        }
        sum = _mm256_add_epi64(sum, _mm256_sad_epu8(bytes, _mm256_setzero_si256()));
    }
    return sum;
}

template <std::size_t FixedWords>
void filter_words(const std::uint64_t* tile, std::size_t n_codes, std::size_t n_words,
                  std::uint64_t first, const std::uint64_t* query, Selection& selection) {
    const std::size_t words = FixedWords ? FixedWords : n_words;
    for (std::size_t start = 0; start < n_codes; start += stride) {
        const std::uint64_t* groups = tile + start * words;
        __m256i nearest = _mm256_set1_epi64x(0xFFFF);
        for (std::size_t g = 0; g < stride / group_size; ++g) {
            const std::uint64_t* group = groups + g * group_size * words;
            // Distances are below 2^16, and the rest of each lane is 0 in both.
            nearest = _mm256_min_epu16(nearest, distances<FixedWords>(group, words, query));
            nearest = _mm256_min_epu16(nearest, distances<FixedWords>(group + 4, words, query));
        }
        const __m256i bound = _mm256_set1_epi64x(static_cast<long long>(selection.bound));
        if (!_mm256_movemask_epi8(_mm256_cmpgt_epi64(bound, nearest))) {
            continue;
        }
        for (std::size_t i = 0; i < stride && start + i < n_codes; i += 4) {
            const std::uint64_t* half =
                groups + i / group_size * group_size * words + i % group_size;
            alignas(32) std::uint64_t found[4];
            _mm256_store_si256(reinterpret_cast<__m256i*>(found),
                               distances<FixedWords>(half, words, query));
            for (std::size_t j = 0; j < 4 && start + i + j < n_codes; ++j) {
                if (found[j] < selection.bound) {
                    accept(selection, first + start + i + j, static_cast<std::uint32_t>(found[j]));
                }
            }
        }
    }
}

}  // namespace

static void filter(const std::uint64_t* tile, std::size_t n_codes, std::size_t n_words,
                   std::uint64_t first, const std::uint64_t* const* queries, std::size_t n_queries,
                   Selection* selections) {
    for (std::size_t q = 0; q < n_queries; ++q) {
        switch (n_words) {
            case 1:
                filter_words<1>(tile, n_codes, 1, first, queries[q], selections[q]);
                break;
            case 2:
                filter_words<2>(tile, n_codes, 2, first, queries[q], selections[q]);
                break;
            case 4:
                filter_words<4>(tile, n_codes, 4, first, queries[q], selections[q]);
                break;
            default:
                filter_words<0>(tile, n_codes, n_words, first, queries[q], selections[q]);
        }
    }
}

static void filter_rows(const std::uint64_t* rows, std::size_t n_codes, std::size_t n_words,
                        std::uint64_t first, const std::uint64_t* const* queries,
                        std::size_t n_queries, Selection* selections) {
    if (n_words == 1) {
        return filter(rows, n_codes, 1, first, queries, n_queries, selections);
    }
    filter_one_by_one<InRows>(
        rows, n_codes, n_words, first, queries, n_queries, selections,
        [](std::uint64_t x) { return static_cast<std::uint32_t>(__builtin_popcountll(x)); });
}

// AVX2 implies popcnt, which is as fast where every distance must be written.
static void measure(const std::uint64_t* tile, std::size_t n_groups, std::size_t n_words,
                    const std::uint64_t* query, std::uint16_t* distances) {
    measure_one_by_one(tile, n_groups, n_words, query, distances, [](std::uint64_t x) {
        return static_cast<std::uint32_t>(__builtin_popcountll(x));
    });
}

static std::size_t near(const std::uint64_t* codes, std::size_t n, std::size_t n_words,
                        const std::uint64_t* query, std::uint32_t bound, std::uint32_t* places,
                        std::uint32_t* distances) {
    return near_any(codes, n, n_words, query, bound, places, distances, [](std::uint64_t x) {
        return static_cast<std::uint32_t>(__builtin_popcountll(x));
    });
}

const Kernel avx2_kernel = {"avx2", filter, filter_rows, 3, measure, near, nullptr};

}  // namespace hashlearn
