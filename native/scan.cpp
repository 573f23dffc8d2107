#include "scan.hpp"

#include <algorithm>
#include <memory>
#include <numeric>
#include <span>

#include "plan.hpp"
#include "thread_pool.hpp"
#include "tiles.hpp"

namespace hashlearn {

namespace {

// Queries that one task takes over the database: their hits stay in the caches too.
constexpr std::size_t block_queries = 256;

// Below this many words to look at, the fastest kernel is done before another thread is awake.
constexpr std::size_t min_words_for_threads = 1 << 21;

// Selection and the memory it points into.
class Hits {
   public:
    // The k nearest of the allowed codes that are nearer than `bound`.
    Hits(Allowed allowed, std::uint32_t bound, std::uint64_t k, std::size_t capacity,
         void (*make_room)(Selection&))
        : counts_(std::max<std::uint32_t>(bound, 1)), hits_(capacity) {
        selection_ = {allowed,      bound, k,        0,         counts_.data(),
                      hits_.data(), 0,     capacity, make_room, this};
    }

    Hits(const Hits&) = delete;
    Hits& operator=(const Hits&) = delete;

    Selection& selection() { return selection_; }
    std::span<const std::uint64_t> hits() const { return {hits_.data(), selection_.n_hits}; }

    // Drop hits that are no longer among the k nearest. What stays is at most k hits: those below
    // the bound, and of those at the bound the first ones.
    static void compact(Selection& selection) {
        std::uint64_t n_at_bound = selection.k - selection.n_below;
        std::size_t kept = 0;
        for (std::size_t i = 0; i < selection.n_hits; ++i) {
            const std::uint64_t distance = selection.hits[i] & 0xFFFF;
            const bool stays = distance < selection.bound ||
                               (distance == selection.bound && n_at_bound > 0 && n_at_bound--);
            if (stays) {
                selection.hits[kept++] = selection.hits[i];
            }
        }
        selection.n_hits = kept;
    }

    // Make the list longer.
    static void grow(Selection& selection) {
        Hits& self = *static_cast<Hits*>(selection.owner);
        self.hits_.resize(2 * self.hits_.size());
        selection.hits = self.hits_.data();
        selection.capacity = self.hits_.size();
    }

   private:
    std::vector<std::uint32_t> counts_;
    std::vector<std::uint64_t> hits_;
    Selection selection_;
};

// Offer a range of the database to the selections of some queries.
void scan(const Kernel& kernel, std::span<const std::uint64_t* const> queries, Codes database,
          std::size_t first_code, std::size_t last_code, Selection* selections) {
    for_each_tile(kernel, database, first_code, last_code,
                  queries.size() <= kernel.max_queries_in_rows,
                  [&](const std::uint64_t* tile, std::size_t n, std::size_t start, bool in_place) {
                      const Filter filter = in_place ? kernel.filter_rows : kernel.filter;
                      for (std::size_t q = 0; q < queries.size(); q += max_queries) {
                          filter(tile, n, words_of(database), start, queries.data() + q,
                                 std::min(max_queries, queries.size() - q), selections + q);
                      }
                  });
}

// Sort hits by distance; equal distances keep their order.
template <typename Use>
void sort_hits(std::span<const std::uint64_t> hits, std::size_t n_distances, const Use& use) {
    std::vector<std::size_t> places(n_distances + 1);
    for (const std::uint64_t hit : hits) {
        ++places[(hit & 0xFFFF) + 1];
    }
    std::partial_sum(places.begin(), places.end(), places.begin());
    for (const std::uint64_t hit : hits) {
        use(places[hit & 0xFFFF]++, static_cast<std::int64_t>(hit >> 16),
            static_cast<std::int32_t>(hit & 0xFFFF));
    }
}

// Search, and call use(query, hits) with all hits of each query, in the order of their positions.
template <typename MakeHits, typename Use>
void run(const Kernel& kernel, Codes queries, Codes database, std::size_t n_threads,
         std::size_t queries_a_task, const MakeHits& make_hits, const Use& use) {
    const std::vector<Task> tasks =
        plan(queries.n, database, n_threads, {queries_a_task, min_words_for_threads});
    const std::size_t n_ranges = count_ranges(tasks);
    // With several ranges a query's hits wait here for those of the others.
    std::vector<std::vector<std::uint64_t>> parts(n_ranges > 1 ? queries.n * n_ranges : 0);
    const std::size_t n_words = words_of(queries);
    const std::vector<std::uint64_t> words = to_words(queries);
    ThreadPool::instance().run(tasks.size(), n_threads, [&](std::size_t number) {
        const Task& task = tasks[number];
        const std::size_t n = task.last_query - task.first_query;
        std::vector<std::unique_ptr<Hits>> hits(n);
        std::vector<Selection> selections(n);
        std::vector<const std::uint64_t*> pointers(n);
        for (std::size_t q = 0; q < n; ++q) {
            hits[q] = make_hits();
            selections[q] = hits[q]->selection();
            pointers[q] = words.data() + (task.first_query + q) * n_words;
        }
        scan(kernel, pointers, database, task.first_code, task.last_code, selections.data());
        for (std::size_t q = 0; q < n; ++q) {
            hits[q]->selection() = selections[q];
            const std::span<const std::uint64_t> found = hits[q]->hits();
            if (n_ranges == 1) {
                use(task.first_query + q, found);
            } else {
                parts[(task.first_query + q) * n_ranges + number % n_ranges].assign(found.begin(),
                                                                                    found.end());
            }
        }
    });
    for (std::size_t query = 0; query < queries.n && n_ranges > 1; ++query) {
        std::vector<std::uint64_t> all;
        for (std::size_t range = 0; range < n_ranges; ++range) {
            const auto& part = parts[query * n_ranges + range];
            all.insert(all.end(), part.begin(), part.end());
        }
        use(query, std::span<const std::uint64_t>(all));
    }
}

// Rank most of the database: write all distances down and sort them by counting.
void rank(const Kernel& kernel, Codes queries, Codes database, Allowed allowed, std::size_t k,
          std::size_t n_threads, std::int64_t* positions, std::int32_t* distances) {
    const std::size_t n_words = words_of(queries);
    const std::vector<std::uint64_t> words = to_words(queries);
    const std::size_t row = ceil_divide(database.n, stride) * stride;
    const std::size_t block = std::clamp<std::size_t>((1 << 21) / row, 1, block_queries);
    const auto work = [&](std::size_t task) {
        const std::size_t first = task * block;
        const std::size_t n_queries = std::min(block, queries.n - first);
        const auto found = std::make_unique_for_overwrite<std::uint16_t[]>(n_queries * row);
        for_each_tile(kernel, database, 0, database.n, false,
                      [&](const std::uint64_t* tile, std::size_t n, std::size_t start, bool) {
                          for (std::size_t q = 0; q < n_queries; ++q) {
                              kernel.measure(tile, ceil_divide(n, group_size), n_words,
                                             words.data() + (first + q) * n_words,
                                             found.get() + q * row + start);
                          }
                      });
        const std::size_t beyond = 8 * database.n_bytes + 1;  // where forbidden codes are put
        std::vector<std::size_t> places(beyond + 2);
        for (std::size_t q = 0; q < n_queries; ++q) {
            const std::span<std::uint16_t> all(found.get() + q * row, database.n);
            for (std::size_t i = 0; allowed != nullptr && i < all.size(); ++i) {
                all[i] =
                    allowed[i / 64] >> i % 64 & 1 ? all[i] : static_cast<std::uint16_t>(beyond);
            }
            std::fill(places.begin(), places.end(), 0);
            for (const std::uint16_t distance : all) {
                ++places[distance + std::size_t{1}];
            }
            std::partial_sum(places.begin(), places.end(), places.begin());
            const std::size_t to = (first + q) * k;
            for (std::size_t i = 0; i < all.size(); ++i) {
                if (const std::size_t place = places[all[i]]++; place < k && all[i] < beyond) {
                    positions[to + place] = static_cast<std::int64_t>(i);
                    distances[to + place] = all[i];
                }
            }
        }
    };
    ThreadPool::instance().run(ceil_divide(queries.n, block), n_threads, work);
}

}  // namespace

std::vector<const Kernel*> available_kernels() {
    std::vector<const Kernel*> kernels;
#ifdef HASHLEARN_X86
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vpopcntdq")) {
        kernels.push_back(&avx512_kernel);
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt")) {
        kernels.push_back(&avx2_kernel);
    }
    if (__builtin_cpu_supports("popcnt")) {
        kernels.push_back(&popcnt_kernel);
    }
#endif
#ifdef HASHLEARN_ARM
    kernels.push_back(&neon_kernel);
#endif
    kernels.push_back(&portable_kernel);
    return kernels;
}

void scan_nearest(const Kernel& kernel, Codes queries, Codes database, Allowed allowed,
                  std::size_t k, std::size_t n_threads, std::int64_t* positions,
                  std::int32_t* distances) {
    if (queries.n == 0 || k == 0) {
        return;
    }
    if (allowed != nullptr) {  // there may be fewer than k
        std::fill_n(positions, queries.n * k, -1);
        std::fill_n(distances, queries.n * k, static_cast<std::int32_t>(8 * database.n_bytes + 1));
    }
    if (k > database.n / 8) {  // so many hits that filtering them costs more than it saves
        return rank(kernel, queries, database, allowed, k, n_threads, positions, distances);
    }
    const auto n_distances = static_cast<std::uint32_t>(8 * database.n_bytes + 1);
    const std::size_t capacity = std::min(database.n, 2 * k + 1024) + 1;
    // As many queries at a time as keep their hits within some megabytes.
    const std::size_t queries_a_task =
        std::clamp<std::size_t>((1 << 21) / capacity, 1, block_queries);
    run(
        kernel, queries, database, n_threads, queries_a_task,
        [&] { return std::make_unique<Hits>(allowed, n_distances, k, capacity, Hits::compact); },
        [&](std::size_t query, std::span<const std::uint64_t> hits) {
            sort_hits(hits, n_distances,
                      [&](std::size_t place, std::int64_t position, std::int32_t distance) {
                          if (place < k) {
                              positions[query * k + place] = position;
                              distances[query * k + place] = distance;
                          }
                      });
        });
}

std::vector<Found> scan_radius(const Kernel& kernel, Codes queries, Codes database, Allowed allowed,
                               std::uint32_t radius, std::size_t n_threads) {
    std::vector<Found> found(queries.n);
    if (queries.n == 0 || database.n == 0) {
        return found;
    }
    const std::uint32_t bound =
        std::min(radius, static_cast<std::uint32_t>(8 * database.n_bytes)) + 1;
    run(
        kernel, queries, database, n_threads, block_queries,
        [&] { return std::make_unique<Hits>(allowed, bound, database.n + 1, 64, Hits::grow); },
        [&](std::size_t query, std::span<const std::uint64_t> hits) {
            Found& result = found[query];
            result.positions.resize(hits.size());
            result.distances.resize(hits.size());
            sort_hits(hits, bound,
                      [&](std::size_t place, std::int64_t position, std::int32_t distance) {
                          result.positions[place] = position;
                          result.distances[place] = distance;
                      });
        });
    return found;
}

}  // namespace hashlearn
