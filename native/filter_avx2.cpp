// For AVX2 (compiled with -mavx2 -mpopcnt): ones are counted by looking up half bytes.
#include <immintrin.h>

#include "filter_common.hpp"

namespace hashlearn {
namespace {

struct PopCount {
    std::uint32_t operator()(std::uint64_t x) const {
        return static_cast<std::uint32_t>(__builtin_popcountll(x));
    }
};

using Words = WordByWord<PopCount>;

inline __m256i load(const std::uint64_t* words) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words));
}

inline __m256i broadcast(std::uint64_t word) {
    return _mm256_set1_epi64x(static_cast<long long>(word));
}

// Ones in each half byte that holds 0 to 15, added to `start`.
inline __m256i counts(__m256i halves, char start = 0) {
    const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1,
                                           2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    return _mm256_shuffle_epi8(_mm256_add_epi8(table, _mm256_set1_epi8(start)), halves);
}

// The same, subtracted from `start`.
inline __m256i counts_down(__m256i halves, char start) {
    const __m256i table =
        _mm256_setr_epi8(0, -1, -1, -2, -1, -2, -2, -3, -1, -2, -2, -3, -2, -3, -3, -4, 0, -1, -1,
                         -2, -1, -2, -2, -3, -1, -2, -2, -3, -2, -3, -3, -4);
    return _mm256_shuffle_epi8(_mm256_add_epi8(table, _mm256_set1_epi8(start)), halves);
}

// The half bytes of some words, one in each byte.
struct Halves {
    __m256i low, high;

    static Halves of(__m256i words) {
        const __m256i ones = _mm256_set1_epi8(0x0F);
        return {_mm256_and_si256(words, ones), _mm256_and_si256(_mm256_srli_epi16(words, 4), ones)};
    }
};

inline Halves operator^(Halves a, Halves b) {
    return {_mm256_xor_si256(a.low, b.low), _mm256_xor_si256(a.high, b.high)};
}

// The ones of several words, byte by byte: those of low halves upwards from the middle of a byte's
// range, those of high halves downwards. One instruction then both joins the two and adds up the
// bytes of each lane, as the sum of their differences. A byte has room for 31 words.
class Counter {
   public:
    explicit Counter(Halves first)
        : low_(counts(first.low, -128)), high_(counts_down(first.high, -128)) {}
    void add(Halves more) {
        low_ = _mm256_add_epi8(low_, counts(more.low));
        high_ = _mm256_sub_epi8(high_, counts(more.high));
    }
    __m256i sum() const { return _mm256_sad_epu8(low_, high_); }

   private:
    __m256i low_, high_;
};

// A query that gives its distances to four codes at a time, from place i of a stride on, a multiple
// of 4. Here of codes in a tile, whose number of words is known.
template <std::size_t Words>
struct Tile {
    // The halves of a difference are the differences of the halves, so that a query is taken apart
    // once for all codes, and a code once for all queries that share it.
    Halves query[Words];

    void prepare(const std::uint64_t* words, std::size_t) {
        for (std::size_t w = 0; w < Words; ++w) {
            query[w] = Halves::of(broadcast(words[w]));
            // Else GCC makes (code & ones) ^ (word & ones) into (code ^ word) & ones, for each
            // query.
            __asm__("" : "+x"(query[w].low), "+x"(query[w].high));
        }
    }

    __m256i distances(const std::uint64_t* codes, std::size_t i) const {
        codes += i / group_size * group_size * Words + i % group_size;
        Counter ones(Halves::of(load(codes)) ^ query[0]);
        for (std::size_t w = 1; w < Words; ++w) {
            ones.add(Halves::of(load(codes + w * group_size)) ^ query[w]);
        }
        return ones.sum();
    }
};

// The same for any number of words.
struct AnyTile {
    const std::uint64_t* query;
    std::size_t n_words;

    void prepare(const std::uint64_t* words, std::size_t n) {
        query = words;
        n_words = n;
    }

    __m256i distances(const std::uint64_t* codes, std::size_t i) const {
        codes += i / group_size * group_size * n_words + i % group_size;
        __m256i sum = _mm256_setzero_si256();
        for (std::size_t w = 0; w < n_words;) {
            Counter ones(halves(codes, w));
            const std::size_t end = w + 31 < n_words ? w + 31 : n_words;
            for (++w; w < end; ++w) {
                ones.add(halves(codes, w));
            }
            sum = _mm256_add_epi64(sum, ones.sum());
        }
        return sum;
    }

    Halves halves(const std::uint64_t* codes, std::size_t w) const {
        return Halves::of(_mm256_xor_si256(load(codes + w * group_size), broadcast(query[w])));
    }
};

// Codes one after the other, of two words or a multiple of four, at most max_words_in_rows: a
// register holds two codes, or four words of one.
template <std::size_t FixedWords>
struct Rows {
    const std::uint64_t* query;
    std::size_t n_words;

    void prepare(const std::uint64_t* words, std::size_t n) {
        query = words;
        n_words = FixedWords ? FixedWords : n;
    }

    __m256i distances(const std::uint64_t* codes, std::size_t i) const {
        codes += i * n_words;
        __m256i sum;
        if constexpr (FixedWords == 2) {
            const __m256i words = _mm256_broadcastsi128_si256(
                _mm_loadu_si128(reinterpret_cast<const __m128i*>(query)));
            sum = fold(ones(codes, words), ones(codes + 4, words));
            sum = _mm256_permute4x64_epi64(sum, 0xD8);  // from the codes 0, 2, 1, 3
        } else {
            __m256i sums[4] = {};
            for (std::size_t w = 0; w < n_words; w += 4) {
                const __m256i words = load(query + w);
#pragma GCC unroll 4
                for (std::size_t j = 0; j < 4; ++j) {
                    sums[j] = _mm256_add_epi8(sums[j], ones(codes + j * n_words + w, words));
                }
            }
            const __m256i first = fold(sums[0], sums[1]);
            const __m256i second = fold(sums[2], sums[3]);
            sum = _mm256_add_epi8(_mm256_permute2x128_si256(first, second, 0x20),
                                  _mm256_permute2x128_si256(first, second, 0x31));
        }
        return _mm256_sad_epu8(sum, _mm256_setzero_si256());
    }

    // Ones in each byte of a difference.
    static __m256i ones(const std::uint64_t* words, __m256i query_words) {
        const Halves halves = Halves::of(_mm256_xor_si256(load(words), query_words));
        return _mm256_add_epi8(counts(halves.low), counts(halves.high));
    }

    // Add up neighbouring words: x0 + x1, y0 + y1, x2 + x3, y2 + y3.
    static __m256i fold(__m256i x, __m256i y) {
        return _mm256_add_epi8(_mm256_unpacklo_epi64(x, y), _mm256_unpackhi_epi64(x, y));
    }
};

constexpr std::size_t max_words_in_rows = 28;  // for a byte to hold the ones of a byte of each

// Go once more through a stride in which some code is near enough.
template <typename Query>
__attribute__((noinline)) void take_hits(const Query& query, const std::uint64_t* codes,
                                         std::size_t n_left, std::uint64_t position,
                                         Selection& selection) {
    if (!allowed_in(selection, position)) {
        return;
    }
    const __m256i bound = broadcast(selection.bound);
    alignas(32) std::uint64_t found[stride];
    std::uint64_t near = 0;  // one bit a code
    for (std::size_t i = 0; i < stride; i += 4) {
        const __m256i four = query.distances(codes, i);
        _mm256_store_si256(reinterpret_cast<__m256i*>(found + i), four);
        const int bits = _mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpgt_epi64(bound, four)));
        near |= static_cast<std::uint64_t>(bits) << i;
    }
    take(near, found, n_left, position, selection);
}

template <typename Query, std::size_t Queries>
void filter_queries(const std::uint64_t* codes, std::size_t n_codes, std::size_t n_words,
                    std::uint64_t first, const std::uint64_t* const* queries,
                    Selection* selections) {
    Query prepared[Queries];
    for (std::size_t q = 0; q < Queries; ++q) {
        prepared[q].prepare(queries[q], n_words);
    }
    for (std::size_t start = 0; start < n_codes; start += stride, codes += stride * n_words) {
        for (std::size_t w = 0; Queries == 1 && w < stride * n_words; w += 8) {
            __builtin_prefetch(codes + w + prefetch_words);
        }
        __m256i nearest[Queries];
        for (std::size_t q = 0; q < Queries; ++q) {
            nearest[q] = _mm256_set1_epi64x(0xFFFF);
        }
        for (std::size_t i = 0; i < stride; i += 4) {
            for (std::size_t q = 0; q < Queries; ++q) {
                // Distances are below 2^16, and the rest of each lane is 0 in both.
                nearest[q] = _mm256_min_epu16(nearest[q], prepared[q].distances(codes, i));
            }
        }
        for (std::size_t q = 0; q < Queries; ++q) {
            const __m256i bound = broadcast(selections[q].bound);
            if (_mm256_movemask_epi8(_mm256_cmpgt_epi64(bound, nearest[q]))) {
                take_hits(prepared[q], codes, n_codes - start, first + start, selections[q]);
            }
        }
    }
}

template <typename Query, std::size_t Queries>
void filter_all(const std::uint64_t* codes, std::size_t n_codes, std::size_t n_words,
                std::uint64_t first, const std::uint64_t* const* queries, std::size_t n_queries,
                Selection* selections) {
    std::size_t q = 0;
    for (; q + Queries <= n_queries; q += Queries) {
        filter_queries<Query, Queries>(codes, n_codes, n_words, first, queries + q, selections + q);
    }
    for (; q < n_queries; ++q) {
        filter_queries<Query, 1>(codes, n_codes, n_words, first, queries + q, selections + q);
    }
}

}  // namespace

static void filter(const std::uint64_t* tile, std::size_t n_codes, std::size_t n_words,
                   std::uint64_t first, const std::uint64_t* const* queries, std::size_t n_queries,
                   Selection* selections) {
    switch (n_words) {
        case 1:
            return filter_all<Tile<1>, 4>(tile, n_codes, 1, first, queries, n_queries, selections);
        case 2:
            return filter_all<Tile<2>, 4>(tile, n_codes, 2, first, queries, n_queries, selections);
        case 4:
            return filter_all<Tile<4>, 4>(tile, n_codes, 4, first, queries, n_queries, selections);
        default:
            return filter_all<AnyTile, 1>(tile, n_codes, n_words, first, queries, n_queries,
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
            return filter_all<Rows<2>, 1>(rows, n_codes, 2, first, queries, n_queries, selections);
        case 4:
            return filter_all<Rows<4>, 1>(rows, n_codes, 4, first, queries, n_queries, selections);
        default:
            if (n_words % 4 == 0 && n_words <= max_words_in_rows) {
                return filter_all<Rows<0>, 1>(rows, n_codes, n_words, first, queries, n_queries,
                                              selections);
            }
            return Words::filter_rows(rows, n_codes, n_words, first, queries, n_queries,
                                      selections);
    }
}

// AVX2 implies popcnt, which is as fast where every distance must be written.
const Kernel avx2_kernel = {"avx2", filter, filter_rows, 6, Words::measure, Words::near, nullptr};

}  // namespace hashlearn
