// For 64-bit ARM, where every processor has NEON: ones are counted byte by byte (vcnt), two words a
// register. Its tests have passed under emulation (qemu); its speed has never been measured.
#include <arm_neon.h>

#include "filter_common.hpp"

namespace hashlearn {
namespace {

struct PopCount {
    std::uint32_t operator()(std::uint64_t x) const {
        return static_cast<std::uint32_t>(__builtin_popcountll(x));
    }
};

using Words = WordByWord<PopCount>;

inline uint64x2_t sum(uint8x16_t bytes) { return vpaddlq_u32(vpaddlq_u16(vpaddlq_u8(bytes))); }

// Ones in each byte of the difference of two words and two words.
inline uint8x16_t ones(const std::uint64_t* words, uint64x2_t query) {
    return vcntq_u8(vreinterpretq_u8_u64(veorq_u64(vld1q_u64(words), query)));
}

// A query that gives its distances to two codes at a time, from place i of a stride on, an even
// number. Here of codes in a tile.
template <std::size_t FixedWords>
struct Tile {
    const std::uint64_t* query;
    std::size_t n_words;

    Tile(const std::uint64_t* words, std::size_t n)
        : query(words), n_words(FixedWords ? FixedWords : n) {}

    uint64x2_t distances(const std::uint64_t* codes, std::size_t i) const {
        codes += i / group_size * group_size * n_words + i % group_size;
        uint64x2_t total = vdupq_n_u64(0);
        for (std::size_t w = 0; w < n_words;) {
            // A byte holds the counts of up to 31 words; adding up its lane once serves them all.
            uint8x16_t bytes = vdupq_n_u8(0);
            for (const std::size_t end = w + 31 < n_words ? w + 31 : n_words; w < end; ++w) {
                bytes = vaddq_u8(bytes, ones(codes + w * group_size, vdupq_n_u64(query[w])));
            }
            total = vaddq_u64(total, sum(bytes));
        }
        return total;
    }
};

// Codes one after the other, of two or four words.
template <std::size_t FixedWords>
struct Rows {
    const std::uint64_t* query;

    Rows(const std::uint64_t* words, std::size_t) : query(words) {}

    uint64x2_t distances(const std::uint64_t* codes, std::size_t i) const {
        codes += i * FixedWords;
        uint8x16_t first = vdupq_n_u8(0);
        uint8x16_t second = vdupq_n_u8(0);
        for (std::size_t w = 0; w < FixedWords; w += 2) {
            const uint64x2_t words = vld1q_u64(query + w);
            first = vaddq_u8(first, ones(codes + w, words));
            second = vaddq_u8(second, ones(codes + FixedWords + w, words));
        }
        return vpaddq_u64(sum(first), sum(second));
    }
};

// Go once more through a stride in which some code is near enough.
template <typename Query>
__attribute__((noinline)) void take_hits(const Query& query, const std::uint64_t* codes,
                                         std::size_t n_left, std::uint64_t position,
                                         Selection& selection) {
    if (!allowed_in(selection, position)) {
        return;
    }
    std::uint64_t found[stride];
    std::uint64_t near = 0;  // one bit a code
    for (std::size_t i = 0; i < stride; i += 2) {
        vst1q_u64(found + i, query.distances(codes, i));
        near |= std::uint64_t{found[i] < selection.bound} << i;
        near |= std::uint64_t{found[i + 1] < selection.bound} << (i + 1);
    }
    take(near, found, n_left, position, selection);
}

template <typename Query>
void filter_all(const std::uint64_t* codes, std::size_t n_codes, std::size_t n_words,
                std::uint64_t first, const std::uint64_t* const* queries, std::size_t n_queries,
                Selection* selections) {
    for (std::size_t q = 0; q < n_queries; ++q) {
        const Query query(queries[q], n_words);
        for (std::size_t start = 0; start < n_codes; start += stride) {
            const std::uint64_t* groups = codes + start * n_words;
            uint32x4_t nearest = vdupq_n_u32(~std::uint32_t{0});
            for (std::size_t i = 0; i < stride; i += 4) {
                // Distances are below 2^16: four of them, each narrowed to 32 bits.
                nearest =
                    vminq_u32(nearest, vcombine_u32(vmovn_u64(query.distances(groups, i)),
                                                    vmovn_u64(query.distances(groups, i + 2))));
            }
            if (vminvq_u32(nearest) < selections[q].bound) {
                take_hits(query, groups, n_codes - start, first + start, selections[q]);
            }
        }
    }
}

}  // namespace

static void filter(const std::uint64_t* tile, std::size_t n_codes, std::size_t n_words,
                   std::uint64_t first, const std::uint64_t* const* queries, std::size_t n_queries,
                   Selection* selections) {
    switch (n_words) {
        case 1:
            return filter_all<Tile<1>>(tile, n_codes, 1, first, queries, n_queries, selections);
        case 2:
            return filter_all<Tile<2>>(tile, n_codes, 2, first, queries, n_queries, selections);
        case 4:
            return filter_all<Tile<4>>(tile, n_codes, 4, first, queries, n_queries, selections);
        default:
            return filter_all<Tile<0>>(tile, n_codes, n_words, first, queries, n_queries,
                                       selections);
    }
}

static void filter_rows(const std::uint64_t* rows, std::size_t n_codes, std::size_t n_words,
                        std::uint64_t first, const std::uint64_t* const* queries,
                        std::size_t n_queries, Selection* selections) {
    switch (n_words) {
        case 1:
            return filter(rows, n_codes, 1, first, queries, n_queries, selections);
        case 2:
            return filter_all<Rows<2>>(rows, n_codes, 2, first, queries, n_queries, selections);
        case 4:
            return filter_all<Rows<4>>(rows, n_codes, 4, first, queries, n_queries, selections);
        default:
            return Words::filter_rows(rows, n_codes, n_words, first, queries, n_queries,
                                      selections);
    }
}

const Kernel neon_kernel = {"neon", filter, filter_rows, 4, Words::measure, Words::near, nullptr};

}  // namespace hashlearn
