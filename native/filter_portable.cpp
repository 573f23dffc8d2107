// For any processor: ones are counted in parallel within the word.
#include "filter_common.hpp"

namespace hashlearn {

static const auto popcount = [](std::uint64_t x) {
    x -= x >> 1 & 0x5555555555555555U;
    x = (x & 0x3333333333333333U) + (x >> 2 & 0x3333333333333333U);
    x = (x + (x >> 4)) & 0x0F0F0F0F0F0F0F0FU;
    return static_cast<std::uint32_t>(x * 0x0101010101010101U >> 56);
};

static void filter(const std::uint64_t* tile, std::size_t n_codes, std::size_t n_words,
                   std::uint64_t first, const std::uint64_t* const* queries, std::size_t n_queries,
                   Selection* selections) {
    filter_one_by_one<InTile>(tile, n_codes, n_words, first, queries, n_queries, selections,
                              popcount);
}

static void filter_rows(const std::uint64_t* rows, std::size_t n_codes, std::size_t n_words,
                        std::uint64_t first, const std::uint64_t* const* queries,
                        std::size_t n_queries, Selection* selections) {
    filter_one_by_one<InRows>(rows, n_codes, n_words, first, queries, n_queries, selections,
                              popcount);
}

static void measure(const std::uint64_t* tile, std::size_t n_groups, std::size_t n_words,
                    const std::uint64_t* query, std::uint16_t* distances) {
    measure_one_by_one(tile, n_groups, n_words, query, distances, popcount);
}

static std::size_t near(const std::uint64_t* codes, std::size_t n, std::size_t n_words,
                        const std::uint64_t* query, std::uint32_t bound, std::uint32_t* places,
                        std::uint32_t* distances) {
    return near_any(codes, n, n_words, query, bound, places, distances, popcount);
}

const Kernel portable_kernel = {"portable", filter, filter_rows, any_number,
                                measure,    near,   nullptr};

}  // namespace hashlearn
