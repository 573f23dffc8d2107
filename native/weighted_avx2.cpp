// For AVX2 (compiled with -mavx2).
#include <immintrin.h>

#include "weighted_common.hpp"

namespace hashlearn {
namespace {

// Codes whose bytes fill a register.
constexpr std::size_t part_codes = 32;
constexpr std::size_t n_parts = stride / part_codes;

// Bring the same byte of 32 codes together: planes[b] becomes byte b of each.
//
// Interleaving the bytes of registers j and j + 4 rotates the number of a byte, which is that of
// its register and its place in a lane, by one binary digit; after four times, the number of the
// byte in its code has become that of the register. A lane l holds the codes 4 i + 2 l and
// 4 i + 2 l + 1 at the places 2 i and 2 i + 1.
inline void to_planes(const std::uint64_t* codes, std::size_t n_words, __m256i* planes) {
    __m256i x[8];
    for (std::size_t g = 0; g < part_codes / group_size; ++g) {
        const std::uint64_t* words = codes + g * n_words * group_size;
        x[2 * g] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words));
        x[2 * g + 1] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words + 4));
    }
    for (int round = 0; round < 4; ++round) {
        for (std::size_t j = 0; j < 4; ++j) {
            planes[2 * j] = _mm256_unpacklo_epi8(x[j], x[j + 4]);
            planes[2 * j + 1] = _mm256_unpackhi_epi8(x[j], x[j + 4]);
        }
        for (std::size_t j = 0; j < 8; ++j) {
            x[j] = planes[j];
        }
    }
}

inline __m256i load_table(const std::uint8_t* table) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
}

// The sums of codes at even and at odd places, of 16 bits each. `all` counts both: those at odd
// places 256 times.
struct Totals {
    __m256i all, odd;
};

// Add the sums of the eight bytes of a word. The two entries of a byte are 127 at the most, so that
// they add up within a byte.
inline Totals add_word(const __m256i* planes, const std::uint8_t* tables, Totals totals) {
    const __m256i low_bits = _mm256_set1_epi8(15);
    for (std::size_t b = 0; b < 8; ++b) {
        const std::uint8_t* table = tables + b / 4 * 128 + b % 4 * 16;
        const __m256i low = _mm256_and_si256(planes[b], low_bits);
        const __m256i high = _mm256_and_si256(_mm256_srli_epi16(planes[b], 4), low_bits);
        const __m256i sum = _mm256_add_epi8(_mm256_shuffle_epi8(load_table(table), low),
                                            _mm256_shuffle_epi8(load_table(table + 64), high));
        totals.all = _mm256_add_epi16(totals.all, sum);
        totals.odd = _mm256_add_epi16(totals.odd, _mm256_srli_epi16(sum, 8));
    }
    return totals;
}

// Write the sums in the order of the codes.
inline void store(Totals totals, std::uint16_t* sums) {
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const __m256i even = _mm256_sub_epi16(totals.all, _mm256_slli_epi16(totals.odd, 8));
    const __m256i first = _mm256_unpacklo_epi16(even, totals.odd);
    const __m256i last = _mm256_unpackhi_epi16(even, totals.odd);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums),
                        _mm256_permutevar8x32_epi32(first, order));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + 16),
                        _mm256_permutevar8x32_epi32(last, order));
}

void measure(const std::uint64_t* codes, std::size_t n_words, const WeightedSelection* selections,
             std::size_t n_queries, std::uint16_t* sums) {
    for (std::size_t part = 0; part < n_parts; ++part) {
        Totals totals[max_queries];
        for (std::size_t q = 0; q < n_queries; ++q) {
            totals[q] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
        }
        const std::uint64_t* some = codes + part * part_codes * n_words;
        for (std::size_t w = 0; w < n_words; ++w) {
            __m256i planes[8];
            to_planes(some + w * group_size, n_words, planes);
            for (std::size_t q = 0; q < n_queries; ++q) {
                totals[q] = add_word(planes, selections[q].rough + w * 256, totals[q]);
            }
        }
        for (std::size_t q = 0; q < n_queries; ++q) {
            store(totals[q], sums + q * stride + part * part_codes);
        }
    }
}

void filter(const std::uint64_t* tile, std::size_t n_codes, std::size_t n_words,
            std::uint64_t first, Factors factors, std::size_t n_queries,
            WeightedSelection* selections) {
    filter_weighted<std::uint16_t>(tile, n_codes, n_words, first, factors, n_queries, selections,
                                   measure);
}

}  // namespace

const WeightedKernel avx2_weighted = {127, 0xFFFF, filter};

}  // namespace hashlearn
