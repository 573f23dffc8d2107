// For AVX-512 with byte permutations and dot products of bytes (compiled with -mavx512f -mavx512bw
// -mavx512vbmi -mavx512vnni).
#include <immintrin.h>

#include "weighted_common.hpp"

namespace hashlearn {
namespace {

// GCC 12 warns of plain intrinsics that start from an undefined register; those with a mask of
// everything are the same instruction.
__m512i look_up(__m512i table, __m512i places) {
    return _mm512_maskz_permutexvar_epi8(~__mmask64{0}, places, table);
}

// A register holds four bytes of sixteen codes, and another one the tables of the low or high
// nibbles of these four bytes: one permutation looks up 64 nibbles, and one dot product with ones
// adds up the four that belong to a code.
template <std::size_t n_queries>
void sum_roughly(const std::uint64_t* codes, std::size_t n_words,
                 const WeightedSelection* selections, std::int32_t* sums) {
    constexpr std::size_t n_parts = stride / 16;
    const __m512i low_bits = _mm512_set1_epi8(15);
    const __m512i tables = _mm512_set1_epi32(0x30201000);  // of bytes 0 to 3: where they begin
    const __m512i ones = _mm512_set1_epi8(1);
    constexpr __mmask16 all = 0xFFFF;
    const __m512i first = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2,
                                           0);  // dwords of even numbers, of two groups
    __m512i total[n_queries][n_parts];
    for (std::size_t q = 0; q < n_queries; ++q) {
        for (std::size_t part = 0; part < n_parts; ++part) {
            total[q][part] = _mm512_setzero_si512();
        }
    }
    for (std::size_t dword = 0; dword < 2 * n_words; ++dword) {
        const __m512i wanted =
            _mm512_add_epi32(first, _mm512_set1_epi32(static_cast<int>(dword % 2)));
        __m512i low_table[n_queries], high_table[n_queries];
        for (std::size_t q = 0; q < n_queries; ++q) {
            low_table[q] = _mm512_loadu_si512(selections[q].rough + dword * 128);
            high_table[q] = _mm512_loadu_si512(selections[q].rough + dword * 128 + 64);
        }
        for (std::size_t part = 0; part < n_parts; ++part) {
            const std::uint64_t* words = codes + (2 * part * n_words + dword / 2) * group_size;
            const __m512i bytes =
                _mm512_permutex2var_epi32(_mm512_loadu_si512(words), wanted,
                                          _mm512_loadu_si512(words + n_words * group_size));
            // (a & b) | c
            const __m512i low = _mm512_ternarylogic_epi32(bytes, low_bits, tables, 0xEA);
            const __m512i high = _mm512_ternarylogic_epi32(_mm512_maskz_srli_epi32(all, bytes, 4),
                                                           low_bits, tables, 0xEA);
            for (std::size_t q = 0; q < n_queries; ++q) {
                total[q][part] =
                    _mm512_dpbusd_epi32(total[q][part], look_up(low_table[q], low), ones);
                total[q][part] =
                    _mm512_dpbusd_epi32(total[q][part], look_up(high_table[q], high), ones);
            }
        }
    }
    for (std::size_t q = 0; q < n_queries; ++q) {
        for (std::size_t part = 0; part < n_parts; ++part) {
            _mm512_store_si512(sums + q * stride + part * 16, total[q][part]);
        }
    }
}

void measure(const std::uint64_t* codes, std::size_t n_words, const WeightedSelection* selections,
             std::size_t n_queries, std::int32_t* sums) {
    std::size_t q = 0;
    for (; q + 4 <= n_queries; q += 4) {
        sum_roughly<4>(codes, n_words, selections + q, sums + q * stride);
    }
    for (; q + 2 <= n_queries; q += 2) {
        sum_roughly<2>(codes, n_words, selections + q, sums + q * stride);
    }
    if (q < n_queries) {
        sum_roughly<1>(codes, n_words, selections + q, sums + q * stride);
    }
}

void filter(const std::uint64_t* tile, std::size_t n_codes, std::size_t n_words,
            std::uint64_t first, Factors factors, std::size_t n_queries,
            WeightedSelection* selections) {
    filter_weighted<std::int32_t>(tile, n_codes, n_words, first, factors, n_queries, selections,
                                  measure);
}

}  // namespace

// Sums of 32 bits: 255 for each of 2 * 8191 nibbles fits by far.
const WeightedKernel avx512_weighted = {255, 0x7FFFFFFF, filter};

}  // namespace hashlearn
