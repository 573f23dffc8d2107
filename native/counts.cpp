#include "counts.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

#include "thread_pool.hpp"
#include "tiles.hpp"

namespace hashlearn {

namespace {

// Queries that share each tile, at the most.
constexpr std::size_t block_queries = 64;

// Distances that are written down before they are counted: they stay in the first-level cache.
constexpr std::size_t chunk_codes = 1024;

// Below this many distances, one thread is faster than waking another.
constexpr std::size_t min_distances_for_threads = 1 << 18;

// Codes lie at few distances, and adding twice to one place means waiting for the first sum: so
// eight codes in turn add to a lane each.
constexpr std::size_t n_lanes = 8;

// Longer codes have so many distances that adding up the lanes after every tile would not pay.
constexpr std::size_t max_words_in_lanes = 4;

// One addition counts a code, whether it is relevant, and its gain: 16, 16 and 32 bits of a number
// hold them for all codes of a tile.
static_assert(tile_words < (1 << 16));

Marks marks_from(Marks marks, std::size_t place) {
    return {marks.relevant + place, marks.gains == nullptr ? nullptr : marks.gains + place};
}

Counts counts_from(Counts counts, std::size_t place) {
    return {counts.retrieved + place, counts.hits + place,
            counts.gains == nullptr ? nullptr : counts.gains + place};
}

// Count codes whose distances are written down.
void count_in_lanes(const std::uint16_t* distances, Marks marks, std::size_t n,
                    std::uint64_t* lanes) {
    const auto count = [&](std::size_t i, std::size_t lane) {
        std::uint64_t code = 1 | std::uint64_t{marks.relevant[i]} << 16;
        if (marks.gains != nullptr) {
            code |= std::uint64_t{marks.gains[i]} << 32;
        }
        lanes[distances[i] * n_lanes + lane] += code;
    };
    std::size_t i = 0;
    for (; i + n_lanes <= n; i += n_lanes) {
        for (std::size_t lane = 0; lane < n_lanes; ++lane) {
            count(i + lane, lane);
        }
    }
    for (; i < n; ++i) {
        count(i, 0);
    }
}

void count_one_by_one(const std::uint16_t* distances, Marks marks, std::size_t n, Counts counts) {
    for (std::size_t i = 0; i < n; ++i) {
        ++counts.retrieved[distances[i]];
        counts.hits[distances[i]] += marks.relevant[i];
        if (marks.gains != nullptr) {
            counts.gains[distances[i]] += marks.gains[i];
        }
    }
}

// Add what the lanes hold to the counts and empty them.
void empty_lanes(std::vector<std::uint64_t>& lanes, Counts counts) {
    for (std::size_t distance = 0; distance < lanes.size() / n_lanes; ++distance) {
        std::uint64_t* some = lanes.data() + distance * n_lanes;
        const std::uint64_t sum = std::accumulate(some, some + n_lanes, std::uint64_t{0});
        std::fill_n(some, n_lanes, 0);
        counts.retrieved[distance] += static_cast<std::int64_t>(sum & 0xFFFF);
        counts.hits[distance] += static_cast<std::int64_t>(sum >> 16 & 0xFFFF);
        if (counts.gains != nullptr) {
            counts.gains[distance] += static_cast<std::int64_t>(sum >> 32);
        }
    }
}

// Count the codes of a tile for one query; `lanes` is empty, or holds eight zeros a distance.
void count_tile(const Kernel& kernel, const std::uint64_t* tile, std::size_t n, std::size_t n_words,
                const std::uint64_t* query, Marks marks, std::vector<std::uint64_t>& lanes,
                Counts counts) {
    std::uint16_t distances[chunk_codes];
    for (std::size_t start = 0; start < n; start += chunk_codes) {
        const std::size_t n_chunk = std::min(chunk_codes, n - start);
        kernel.measure(tile + start * n_words, ceil_divide(n_chunk, group_size), n_words, query,
                       distances);
        if (lanes.empty()) {
            count_one_by_one(distances, marks_from(marks, start), n_chunk, counts);
        } else {
            count_in_lanes(distances, marks_from(marks, start), n_chunk, lanes.data());
        }
    }
    empty_lanes(lanes, counts);
}

}  // namespace

void count_distances(const Kernel& kernel, Codes queries, Codes database, Marks marks,
                     std::size_t n_threads, Counts counts) {
    const std::size_t n_words = words_of(queries);
    const std::size_t n_levels = 8 * queries.n_bytes + 1;
    const std::vector<std::uint64_t> words = to_words(queries);
    if (queries.n * database.n < min_distances_for_threads) {
        n_threads = 1;
    }
    const std::size_t block =
        std::clamp<std::size_t>(ceil_divide(queries.n, 2 * n_threads), 1, block_queries);
    const auto work = [&](std::size_t task) {
        const std::size_t first = task * block;
        const std::size_t last = std::min(first + block, queries.n);
        std::vector<std::uint64_t> lanes(n_words <= max_words_in_lanes ? n_levels * n_lanes : 0);
        for_each_tile(kernel, database, 0, database.n, false,
                      [&](const std::uint64_t* tile, std::size_t n, std::size_t start, bool) {
                          for (std::size_t q = first; q < last; ++q) {
                              count_tile(kernel, tile, n, n_words, words.data() + q * n_words,
                                         marks_from(marks, q * database.n + start), lanes,
                                         counts_from(counts, q * n_levels));
                          }
                      });
    };
    ThreadPool::instance().run(ceil_divide(queries.n, block), n_threads, work);
}

}  // namespace hashlearn
