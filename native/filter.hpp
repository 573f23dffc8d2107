// The inner loop of every scan: find the codes of a tile that are nearer to a query than a bound.
//
// Each instruction set has a source file of its own (filter_*.cpp), compiled for it and chosen at
// run time. Those files include nothing of the standard library but plain types: an inline function
// that they shared with other files could be compiled for an instruction set that the machine lacks
// and then be taken by the linker for all.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hashlearn {

// Codes lie in a tile in groups of eight, word by word: word 0 of eight codes, then word 1, ...
// So one vector register holds the same word of eight codes, and nothing is shuffled. With one
// word a code that is the order of an ordinary array.
inline constexpr std::size_t group_size = 8;

// The inner loop looks at 64 codes before it asks whether any is near enough.
inline constexpr std::size_t stride = 64;

// Queries that share each load of a tile.
inline constexpr std::size_t max_queries = 8;

// What one query has found so far: hits nearer than `bound`, in the order of their positions.
//
// `bound` falls while hits come in: once k of them are known, the k-th smallest distance is the
// bound, exactly, because the distances are counted in `counts`. A later code at that distance
// loses its tie by position. Distances are whole numbers, so there is no heap.
struct Selection {
    const std::uint64_t* allowed;  // bit i of word i / 64: may position i be taken? null: all may
    std::uint32_t bound;           // codes at this distance or beyond are of no use
    std::uint64_t k;               // hits wanted; more than there are codes for a search by radius
    std::uint64_t n_below;         // hits nearer than `bound`
    std::uint32_t* counts;         // hits at each distance, n_bits + 1 of them
    std::uint64_t* hits;           // position << 16 | distance
    std::size_t n_hits;
    std::size_t capacity;
    void (*make_room)(Selection&);  // called when `hits` is full
    void* owner;                    // for `make_room`
};

// Offer the codes of a tile to the selections of n_queries queries (1 to max_queries).
// `queries[q]` are the words of a query; the tile holds n_codes codes, padded to whole strides;
// the first is at position `first`.
using Filter = void (*)(const std::uint64_t* tile, std::size_t n_codes, std::size_t n_words,
                        std::uint64_t first, const std::uint64_t* const* queries,
                        std::size_t n_queries, Selection* selections);

// Lay whole groups of codes of n_words words out as a tile; false if there is no fast way.
using Pack = bool (*)(const std::uint8_t* codes, std::size_t n_groups, std::size_t n_words,
                      std::uint64_t* tile);

// Write the distances of one query to all codes of a tile, whole groups of them.
using Measure = void (*)(const std::uint64_t* tile, std::size_t n_groups, std::size_t n_words,
                         const std::uint64_t* query, std::uint16_t* distances);

// Write the places (0 to n - 1) of the codes that are nearer to a query than `bound`, and their
// distances, and return how many there are; both arrays have n places. The codes lie one after the
// other, n_words words each, as in the buckets of a table. n is at most `stride`.
using Near = std::size_t (*)(const std::uint64_t* codes, std::size_t n, std::size_t n_words,
                             const std::uint64_t* query, std::uint32_t bound, std::uint32_t* places,
                             std::uint32_t* distances);

struct Kernel {
    const char* name;
    Filter filter;
    // The same for codes that lie one after the other, as in an ordinary array: whole strides of
    // them. For few queries it costs less than laying out a tile first.
    Filter filter_rows;
    std::size_t max_queries_in_rows;  // up to how many queries
    Measure measure;
    Near near;
    Pack pack;  // may be null
};

extern const Kernel portable_kernel;
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define HASHLEARN_X86 1
extern const Kernel popcnt_kernel;
extern const Kernel avx2_kernel;
extern const Kernel avx512_kernel;
#elif defined(__aarch64__) && (defined(__GNUC__) || defined(__clang__))
#define HASHLEARN_ARM 1
extern const Kernel neon_kernel;
#endif

}  // namespace hashlearn
