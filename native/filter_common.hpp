// What the filters of all instruction sets share. Everything is static: each source file gets its
// own copy, compiled for its own instruction set.
#pragma once

#include "filter.hpp"

namespace hashlearn {
namespace {

// Take a code that is nearer than the bound, if it may be taken, and lower the bound if k nearer
// ones are known now.
inline void accept(Selection& selection, std::uint64_t position, std::uint32_t distance) {
    if (selection.allowed && !(selection.allowed[position / 64] >> position % 64 & 1)) {
        return;
    }
    if (selection.n_hits == selection.capacity) {
        selection.make_room(selection);
    }
    selection.hits[selection.n_hits++] = position << 16 | distance;
    ++selection.counts[distance];
    ++selection.n_below;
    while (selection.n_below >= selection.k) {
        --selection.bound;
        selection.n_below -= selection.counts[selection.bound];
    }
}

#if defined(HASHLEARN_X86) || defined(HASHLEARN_ARM)
// Which codes of the stride at a position may be taken. Strides begin at whole words.
inline std::uint64_t allowed_in(const Selection& selection, std::uint64_t position) {
    return selection.allowed ? selection.allowed[position / stride] : ~std::uint64_t{0};
}

// Take those codes of a stride that are marked in `near`, one bit a code.
template <typename Distance>
inline void take(std::uint64_t near, const Distance* distances, std::size_t n_codes,
                 std::uint64_t position, Selection& selection) {
    if (n_codes < stride) {
        near &= (std::uint64_t{1} << n_codes) - 1;  // the rest is padding
    }
    near &= allowed_in(selection, position);
    for (; near; near &= near - 1) {
        const auto i = static_cast<std::size_t>(__builtin_ctzll(near));
        if (distances[i] < selection.bound) {  // it may have fallen since
            accept(selection, position + i, static_cast<std::uint32_t>(distances[i]));
        }
    }
}
#endif

// How far to ask for memory ahead: the processor's own prefetching stops at the end of a page.
[[maybe_unused]] constexpr std::size_t prefetch_words = 8192 / sizeof(std::uint64_t);

// Nothing is gained by laying out a tile, however many queries there are.
[[maybe_unused]] constexpr std::size_t any_number = ~std::size_t{0};

// Where the words of a group of codes lie: word by word in a tile, code by code in rows.
struct InTile {
    static std::size_t index(std::size_t code, std::size_t word, std::size_t /*n_words*/) {
        return word * group_size + code;
    }
};
struct InRows {
    static std::size_t index(std::size_t code, std::size_t word, std::size_t n_words) {
        return code * n_words + word;
    }
};

// Scalar filter: one query after the other. PopCount counts the ones of a word.
template <typename Layout, std::size_t FixedWords, typename PopCount>
inline void filter_scalar(const std::uint64_t* tile, std::size_t n_codes, std::size_t n_words,
                          std::uint64_t first, const std::uint64_t* query, Selection& selection,
                          PopCount popcount) {
    const std::size_t words = FixedWords ? FixedWords : n_words;
    for (std::size_t start = 0; start < n_codes; start += group_size) {
        const std::uint64_t* group = tile + start * words;
        std::uint32_t distances[group_size];
        std::uint32_t nearest = ~std::uint32_t{0};
        for (std::size_t i = 0; i < group_size; ++i) {
            std::uint32_t distance = 0;
            for (std::size_t w = 0; w < words; ++w) {
                distance += popcount(group[Layout::index(i, w, words)] ^ query[w]);
            }
            distances[i] = distance;
            nearest = distance < nearest ? distance : nearest;
        }
        if (nearest >= selection.bound) {
            continue;
        }
        const std::size_t n = n_codes - start < group_size ? n_codes - start : group_size;
        for (std::size_t i = 0; i < n; ++i) {
            if (distances[i] < selection.bound) {
                accept(selection, first + start + i, distances[i]);
            }
        }
    }
}

template <typename Layout, typename PopCount>
inline void filter_one_by_one(const std::uint64_t* tile, std::size_t n_codes, std::size_t n_words,
                              std::uint64_t first, const std::uint64_t* const* queries,
                              std::size_t n_queries, Selection* selections, PopCount popcount) {
    for (std::size_t q = 0; q < n_queries; ++q) {
        switch (n_words) {
            case 1:
                filter_scalar<Layout, 1>(tile, n_codes, 1, first, queries[q], selections[q],
                                         popcount);
                break;
            case 2:
                filter_scalar<Layout, 2>(tile, n_codes, 2, first, queries[q], selections[q],
                                         popcount);
                break;
            case 4:
                filter_scalar<Layout, 4>(tile, n_codes, 4, first, queries[q], selections[q],
                                         popcount);
                break;
            default:
                filter_scalar<Layout, 0>(tile, n_codes, n_words, first, queries[q], selections[q],
                                         popcount);
        }
    }
}

template <std::size_t FixedWords, typename PopCount>
inline void measure_scalar(const std::uint64_t* tile, std::size_t n_groups, std::size_t n_words,
                           const std::uint64_t* query, std::uint16_t* distances,
                           PopCount popcount) {
    const std::size_t words = FixedWords ? FixedWords : n_words;
    for (std::size_t g = 0; g < n_groups; ++g, tile += words * group_size) {
        std::uint32_t sums[group_size] = {};  // eight chains, not one after the other
        for (std::size_t w = 0; w < words; ++w) {
            for (std::size_t i = 0; i < group_size; ++i) {
                sums[i] += popcount(tile[w * group_size + i] ^ query[w]);
            }
        }
        for (const std::uint32_t distance : sums) {
            *distances++ = static_cast<std::uint16_t>(distance);
        }
    }
}

template <typename PopCount>
inline void measure_one_by_one(const std::uint64_t* tile, std::size_t n_groups, std::size_t n_words,
                               const std::uint64_t* query, std::uint16_t* distances,
                               PopCount popcount) {
    switch (n_words) {
        case 1:
            return measure_scalar<1>(tile, n_groups, 1, query, distances, popcount);
        case 2:
            return measure_scalar<2>(tile, n_groups, 2, query, distances, popcount);
        case 4:
            return measure_scalar<4>(tile, n_groups, 4, query, distances, popcount);
        default:
            return measure_scalar<0>(tile, n_groups, n_words, query, distances, popcount);
    }
}

// Codes one after the other, few of them.
template <std::size_t FixedWords, typename PopCount>
inline std::size_t near_scalar(const std::uint64_t* codes, std::size_t n, std::size_t n_words,
                               const std::uint64_t* query, std::uint32_t bound,
                               std::uint32_t* places, std::uint32_t* distances, PopCount popcount) {
    const std::size_t words = FixedWords ? FixedWords : n_words;
    std::size_t n_found = 0;
    for (std::size_t i = 0; i < n; ++i, codes += words) {
        std::uint32_t distance = 0;
        for (std::size_t w = 0; w < words; ++w) {
            distance += popcount(codes[w] ^ query[w]);
        }
        places[n_found] = static_cast<std::uint32_t>(i);
        distances[n_found] = distance;
        n_found += distance < bound;
    }
    return n_found;
}

template <typename PopCount>
inline std::size_t near_any(const std::uint64_t* codes, std::size_t n, std::size_t n_words,
                            const std::uint64_t* query, std::uint32_t bound, std::uint32_t* places,
                            std::uint32_t* distances, PopCount popcount) {
    if (n_words == 1) {
        return near_scalar<1>(codes, n, 1, query, bound, places, distances, popcount);
    }
    if (n_words == 2) {
        return near_scalar<2>(codes, n, 2, query, bound, places, distances, popcount);
    }
    return near_scalar<0>(codes, n, n_words, query, bound, places, distances, popcount);
}

// A kernel that counts the ones of one word after the other, by a PopCount of the instruction set.
template <typename PopCount>
struct WordByWord {
    static void filter(const std::uint64_t* tile, std::size_t n_codes, std::size_t n_words,
                       std::uint64_t first, const std::uint64_t* const* queries,
                       std::size_t n_queries, Selection* selections) {
        filter_one_by_one<InTile>(tile, n_codes, n_words, first, queries, n_queries, selections,
                                  PopCount{});
    }

    static void filter_rows(const std::uint64_t* rows, std::size_t n_codes, std::size_t n_words,
                            std::uint64_t first, const std::uint64_t* const* queries,
                            std::size_t n_queries, Selection* selections) {
        filter_one_by_one<InRows>(rows, n_codes, n_words, first, queries, n_queries, selections,
                                  PopCount{});
    }

    static void measure(const std::uint64_t* tile, std::size_t n_groups, std::size_t n_words,
                        const std::uint64_t* query, std::uint16_t* distances) {
        measure_one_by_one(tile, n_groups, n_words, query, distances, PopCount{});
    }

    static std::size_t near(const std::uint64_t* codes, std::size_t n, std::size_t n_words,
                            const std::uint64_t* query, std::uint32_t bound, std::uint32_t* places,
                            std::uint32_t* distances) {
        return near_any(codes, n, n_words, query, bound, places, distances, PopCount{});
    }
};

}  // namespace
}  // namespace hashlearn
