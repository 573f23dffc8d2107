// Compiled without contraction of floating-point operations: distances with factors are rounded
// after each of them, on every machine.
#include "weighted.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "plan.hpp"
#include "thread_pool.hpp"
#include "tiles.hpp"

namespace hashlearn {

namespace {

// Queries that one task takes over the database.
constexpr std::size_t block_queries = 256;

// Tables that one task holds, roughly, and hits.
constexpr std::size_t task_bytes = 1 << 24;
constexpr std::size_t task_hits = 1 << 21;

// Below this many words to look at, one thread is done before another is awake.
constexpr std::size_t min_words_for_threads = 1 << 19;

constexpr double infinity = std::numeric_limits<double>::infinity();

struct Hit {
    double distance;
    std::int64_t position;

    friend bool operator<(const Hit& a, const Hit& b) {
        return a.distance < b.distance || (a.distance == b.distance && a.position < b.position);
    }
};

// Keep the k first of some hits, in no order.
void keep_first(std::vector<Hit>& hits, std::size_t k) {
    if (hits.size() > k) {
        const auto kth = hits.begin() + static_cast<std::ptrdiff_t>(k);
        std::nth_element(hits.begin(), kth, hits.end());
        hits.erase(kth, hits.end());
    }
}

// One query: its tables, and the k nearest of the codes that it was offered in the order of their
// positions. Without factors distances are sums, not yet multiplied by the power of two.
class Search {
   public:
    Search(const WeightedKernel& kernel, const std::int32_t* values, std::size_t n_bits,
           std::int32_t exponent, std::size_t n_words, Factors factors,
           const std::uint64_t* allowed, std::size_t k)
        : n_words_(n_words),
          exponent_(exponent),
          factors_(factors),
          allowed_(allowed),
          k_(k),
          exact_(n_words * 256),
          rough_(kernel.most_entry ? n_words * 256 : 0) {
        set_exact(values, n_bits);
        if (kernel.most_entry) {
            set_rough(kernel);
        }
    }

    Search(const Search&) = delete;
    Search& operator=(const Search&) = delete;

    // What the filter is to know; `this` must outlive it.
    WeightedSelection selection() {
        // t = 2^-exponent * (weight - 2 * sum), and the distance offset - 2 * gain * t.
        const double range = std::ldexp(2 * static_cast<double>(weight_), -exponent_);
        const double n_nibbles = rough_.empty() ? 0 : 16 * static_cast<double>(n_words_);
        const double half = std::ldexp(2 * unit() * n_nibbles, -exponent_);
        WeightedSelection selection = {};
        selection.rough = rough_.data();
        selection.exact = exact_.data();
        selection.allowed = allowed_;
        selection.scale = static_cast<float>(std::ldexp(4 * unit(), -exponent_));
        selection.shift = static_cast<float>(half - range);
        selection.half = static_cast<float>(half);
        selection.reach = range + 2 * half;
        selection.offer = offer;
        selection.owner = this;
        set_bound(selection, infinity);
        return selection;
    }

    // The k nearest, in no order.
    std::vector<Hit> take_hits() {
        keep_first(hits_, k_);
        return std::move(hits_);
    }

   private:
    // What the weights of a nibble's bits add up to that differ from the query's.
    void set_exact(const std::int32_t* values, std::size_t n_bits) {
        for (std::size_t bit = 0; bit < n_bits; ++bit) {
            const std::int32_t value = values[bit];
            const auto weight = static_cast<std::uint32_t>(value < 0 ? -value : value);
            std::uint32_t* table = exact_.data() + bit / 4 * 16;
            for (std::size_t x = 0; x < 16; ++x) {
                const bool is_one = x >> bit % 4 & 1;
                table[x] += is_one != (value >= 0) ? weight : 0;
            }
            weight_ += weight;
        }
    }

    void set_rough(const WeightedKernel& kernel) {
        const std::uint64_t largest = *std::max_element(exact_.begin(), exact_.end());
        entry_ = kernel.most_entry;
        // Large enough for every entry, and for the sum of them.
        divisor_ = std::max(
            {std::uint64_t{1}, largest, ceil_divide(weight_ * kernel.most_entry, kernel.most_sum)});
        for (std::size_t i = 0; i < exact_.size(); ++i) {
            const std::size_t byte = i / 32, half = i / 16 % 2;
            rough_[((byte / 4 * 2 + half) * 4 + byte % 4) * 16 + i % 16] =
                static_cast<std::uint8_t>(exact_[i] * entry_ / divisor_);
        }
    }

    double unit() const { return static_cast<double>(divisor_) / static_cast<double>(entry_); }

    void set_bound(WeightedSelection& selection, double bound) const {
        selection.bound = bound;
        selection.most = std::numeric_limits<std::int32_t>::max();
        if (bound != infinity && factors_.gains == nullptr) {
            // rough sum * divisor <= entry * sum < entry * bound
            const std::int64_t below =
                static_cast<std::int64_t>(bound) * static_cast<std::int64_t>(entry_);
            selection.most =
                below == 0
                    ? -1
                    : static_cast<std::int32_t>((below - 1) / static_cast<std::int64_t>(divisor_));
        }
    }

    double distance_of(const std::uint64_t* code, std::uint64_t position) const {
        const std::uint32_t* table = exact_.data();
        std::uint32_t sum = 0;
        for (std::size_t w = 0; w < n_words_; ++w) {
            std::uint64_t word = code[w * group_size];
            for (std::size_t j = 0; j < 16; ++j, word >>= 4, table += 16) {
                sum += table[word & 15];
            }
        }
        if (factors_.gains == nullptr) {
            return sum;
        }
        const double t = std::ldexp(
            static_cast<double>(static_cast<std::int64_t>(weight_) - 2 * std::int64_t{sum}),
            -exponent_);
        return factors_.offsets[position] - 2.0 * factors_.gains[position] * t;
    }

    static void offer(WeightedSelection& selection, std::uint64_t near, const std::uint64_t* codes,
                      std::uint64_t position) {
        Search& self = *static_cast<Search*>(selection.owner);
        for (; near; near &= near - 1) {
            const auto i = static_cast<std::size_t>(std::countr_zero(near));
            const std::uint64_t* code = codes + i / group_size * group_size * self.n_words_;
            const double distance = self.distance_of(code + i % group_size, position + i);
            // A later code at the bound loses its tie by position. NaN is below nothing.
            if (distance < selection.bound && distance > -infinity) {
                self.hits_.push_back({distance, static_cast<std::int64_t>(position + i)});
                if (self.hits_.size() == 2 * self.k_ + 16) {
                    keep_first(self.hits_, self.k_);
                    self.set_bound(
                        selection,
                        std::max_element(self.hits_.begin(), self.hits_.end())->distance);
                }
            }
        }
    }

    std::size_t n_words_;
    std::int32_t exponent_;
    Factors factors_;
    const std::uint64_t* allowed_;
    std::size_t k_;
    std::vector<std::uint32_t> exact_;
    std::vector<std::uint8_t> rough_;
    std::uint64_t weight_ = 0;  // all weights added up
    std::uint64_t divisor_ = 1, entry_ = 1;
    std::vector<Hit> hits_;
};

const WeightedKernel& find_weighted(const Kernel& kernel) {
#ifdef HASHLEARN_X86
    if (&kernel == &avx512_kernel && __builtin_cpu_supports("avx512vbmi") &&
        __builtin_cpu_supports("avx512vnni")) {
        return avx512_weighted;
    }
    if ((&kernel == &avx512_kernel || &kernel == &avx2_kernel) && __builtin_cpu_supports("avx2")) {
        return avx2_weighted;
    }
#endif
    static_cast<void>(kernel);
    return portable_weighted;
}

// Write the first k of some hits in their order.
void write(std::vector<Hit>& hits, std::size_t k, const std::int32_t* exponent,
           std::int64_t* positions, double* distances) {
    keep_first(hits, k);
    std::sort(hits.begin(), hits.end());
    for (const Hit& hit : hits) {
        *positions++ = hit.position;
        *distances++ = exponent ? std::ldexp(hit.distance, -*exponent) : hit.distance;
    }
}

}  // namespace

void nearest_weighted(const Kernel& kernel, Values queries, Codes database, Factors factors,
                      const std::uint64_t* allowed, std::size_t k, std::size_t n_threads,
                      std::int64_t* positions, double* distances) {
    std::fill_n(positions, queries.n * k, -1);
    std::fill_n(distances, queries.n * k, infinity);
    if (queries.n == 0 || k == 0 || database.n == 0) {
        return;
    }
    const WeightedKernel& weighted = find_weighted(kernel);
    const std::size_t n_words = words_of(database);
    const std::size_t n_kept = std::min(k, database.n);
    const std::size_t queries_a_task = std::clamp<std::size_t>(
        std::min(task_bytes / (n_words * 1280), task_hits / (2 * n_kept + 16)), 1, block_queries);
    const std::vector<Task> tasks =
        plan(queries.n, database, n_threads, {queries_a_task, min_words_for_threads});
    const std::size_t n_ranges = count_ranges(tasks);
    std::vector<std::vector<Hit>> parts(n_ranges > 1 ? queries.n * n_ranges : 0);
    const auto write_hits = [&](std::size_t query, std::vector<Hit>& hits) {
        const std::int32_t* exponent = factors.gains ? nullptr : queries.exponents + query;
        write(hits, k, exponent, positions + query * k, distances + query * k);
    };
    ThreadPool::instance().run(tasks.size(), n_threads, [&](std::size_t number) {
        const Task& task = tasks[number];
        const std::size_t n = task.last_query - task.first_query;
        std::vector<std::unique_ptr<Search>> searches;
        std::vector<WeightedSelection> selections;
        for (std::size_t query = task.first_query; query < task.last_query; ++query) {
            searches.push_back(std::make_unique<Search>(
                weighted, queries.values + query * queries.n_bits, queries.n_bits,
                queries.exponents[query], n_words, factors, allowed, n_kept));
            selections.push_back(searches.back()->selection());
        }
        for_each_tile(kernel, database, task.first_code, task.last_code, false,
                      [&](const std::uint64_t* tile, std::size_t n_codes, std::size_t start, bool) {
                          for (std::size_t q = 0; q < n; q += max_queries) {
                              weighted.filter(tile, n_codes, n_words, start, factors,
                                              std::min(max_queries, n - q), selections.data() + q);
                          }
                      });
        for (std::size_t q = 0; q < n; ++q) {
            std::vector<Hit> hits = searches[q]->take_hits();
            if (n_ranges == 1) {
                write_hits(task.first_query + q, hits);
            } else {
                parts[(task.first_query + q) * n_ranges + number % n_ranges] = std::move(hits);
            }
        }
    });
    for (std::size_t query = 0; query < queries.n && n_ranges > 1; ++query) {
        std::vector<Hit> all;
        for (std::size_t range = 0; range < n_ranges; ++range) {
            const auto& part = parts[query * n_ranges + range];
            all.insert(all.end(), part.begin(), part.end());
        }
        write_hits(query, all);
    }
}

}  // namespace hashlearn
