// For any processor: plain C++, whose sums are exact at once.
#include "weighted_common.hpp"

namespace hashlearn {
namespace {

void sum_exactly(const std::uint64_t* codes, std::size_t n_words,
                 const WeightedSelection* selections, std::size_t n_queries, std::int32_t* sums) {
    for (std::size_t q = 0; q < n_queries; ++q) {
        for (std::size_t i = 0; i < stride; ++i) {
            const std::uint64_t* code = codes + i / group_size * group_size * n_words;
            const std::uint32_t* table = selections[q].exact;
            std::uint32_t sum = 0;
            for (std::size_t w = 0; w < n_words; ++w) {
                std::uint64_t word = code[w * group_size + i % group_size];
                for (std::size_t j = 0; j < 16; ++j, word >>= 4, table += 16) {
                    sum += table[word & 15];
                }
            }
            *sums++ = static_cast<std::int32_t>(sum);
        }
    }
}

void filter(const std::uint64_t* tile, std::size_t n_codes, std::size_t n_words,
            std::uint64_t first, Factors factors, std::size_t n_queries,
            WeightedSelection* selections) {
    filter_weighted<std::int32_t>(tile, n_codes, n_words, first, factors, n_queries, selections,
                                  sum_exactly);
}

}  // namespace

const WeightedKernel portable_weighted = {0, 0, filter};

}  // namespace hashlearn
