#include "multi_index.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <iterator>
#include <limits>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "thread_pool.hpp"

namespace hashlearn {

namespace {

inline void prefetch(const void* address) {
#if defined(__GNUC__) || defined(__clang__)
    __builtin_prefetch(address);
    // Without this GCC finds that a function of nothing but prefetches has no effect, and drops it.
    asm volatile("" : : "r"(address));
#endif
}

// The value of a substring, which may lie in two words.
inline std::uint64_t value_of(const std::uint64_t* words, unsigned first_bit, unsigned n_bits) {
    const unsigned shift = first_bit % 64;
    const std::uint64_t* word = words + first_bit / 64;
    std::uint64_t value = *word >> shift;
    if (shift + n_bits > 64) {
        value |= word[1] << (64 - shift);
    }
    return value & ((std::uint64_t{1} << n_bits) - 1);
}

// Values of one substring, code by code.
class Values {
   public:
    Values(Codes codes, unsigned first_bit, unsigned n_bits)
        : codes_(codes), first_bit_(first_bit), n_bits_(n_bits), words_(words_of(codes)) {}

    std::size_t operator()(std::size_t position) {
        load_words(codes_, position, words_.data());
        return value_of(words_.data(), first_bit_, n_bits_);
    }

    void prefetch_code(std::size_t position) const {
        prefetch(codes_.bytes + position * codes_.n_bytes);
    }

   private:
    Codes codes_;
    unsigned first_bit_, n_bits_;
    std::vector<std::uint64_t> words_;
};

// A table is built in two levels, so that no write goes far: first the codes are parted by the high
// bits of their values, then each part, which fits a cache, is sorted by the low bits.
constexpr unsigned low_bits = 11;

// How far ahead memory is asked for when its addresses jump.
constexpr std::size_t distance_ahead = 24;

// Part positions by the high bits of their values, equal ones in rising order. Returns where each
// part starts.
std::vector<std::size_t> part(Codes codes, unsigned first_bit, unsigned n_bits,
                              std::size_t n_threads, std::uint32_t* positions) {
    const unsigned shift = std::min(n_bits, low_bits);
    const std::size_t n_parts = std::size_t{1} << (n_bits - shift);
    const std::size_t range = std::max<std::size_t>(1, ceil_divide(codes.n, n_threads));
    const std::size_t n_ranges = ceil_divide(codes.n, range);
    // places[r][p]: first the number of codes of range r in part p, then where the next one goes.
    std::vector<std::vector<std::size_t>> places(n_ranges, std::vector<std::size_t>(n_parts));
    const auto for_each_code = [&](std::size_t r, const auto& use) {
        Values values(codes, first_bit, n_bits);
        for (std::size_t i = r * range; i < std::min(codes.n, (r + 1) * range); ++i) {
            use(i, places[r][values(i) >> shift]);
        }
    };
    ThreadPool::instance().run(n_ranges, n_threads, [&](std::size_t r) {
        for_each_code(r, [](std::size_t, std::size_t& count) { ++count; });
    });
    std::vector<std::size_t> starts(n_parts + 1);
    std::size_t next = 0;
    for (std::size_t p = 0; p < n_parts; ++p) {
        starts[p] = next;
        for (std::size_t r = 0; r < n_ranges; ++r) {
            next += std::exchange(places[r][p], next);
        }
    }
    starts[n_parts] = next;
    ThreadPool::instance().run(n_ranges, n_threads, [&](std::size_t r) {
        for_each_code(r, [&](std::size_t i, std::size_t& place) {
            positions[place++] = static_cast<std::uint32_t>(i);
        });
    });
    return starts;
}

// Sort one part by the low bits of its values.
void sort_part(Codes codes, unsigned first_bit, unsigned n_bits, std::size_t first,
               std::size_t last, std::uint32_t* positions, std::uint32_t* starts,
               std::uint64_t* words) {
    const std::size_t n = last - first;
    const std::size_t n_values = std::size_t{1} << std::min(n_bits, low_bits);
    const auto old = std::make_unique_for_overwrite<std::uint32_t[]>(n);
    const auto low = std::make_unique_for_overwrite<std::uint16_t[]>(n);
    std::copy(positions + first, positions + last, old.get());
    std::vector<std::size_t> places(n_values + 1);
    Values values(codes, first_bit, n_bits);
    for (std::size_t i = 0; i < n; ++i) {
        values.prefetch_code(old[std::min(i + distance_ahead, n - 1)]);
        low[i] = static_cast<std::uint16_t>(values(old[i]) & (n_values - 1));
        ++places[low[i] + std::size_t{1}];
    }
    std::partial_sum(places.begin(), places.end(), places.begin());
    for (std::size_t v = 0; v < n_values; ++v) {
        starts[v] = static_cast<std::uint32_t>(first + places[v]);
    }
    const std::size_t n_words = words_of(codes);
    for (std::size_t i = 0; i < n; ++i) {
        values.prefetch_code(old[std::min(i + distance_ahead, n - 1)]);
        const std::size_t place = first + places[low[i]]++;
        positions[place] = old[i];
        if (words != nullptr) {
            load_words(codes, old[i], words + place * n_words);
        }
    }
}

// Sort numbers, many of them byte by byte: a search within a radius may have a hundred thousand.
void sort_numbers(std::vector<std::uint64_t>& numbers) {
    if (numbers.size() < 1024) {
        std::sort(numbers.begin(), numbers.end());
        return;
    }
    std::vector<std::uint64_t> sorted(numbers.size());
    for (unsigned shift = 0; shift < 64; shift += 8) {
        std::size_t places[257] = {};
        for (const std::uint64_t number : numbers) {
            ++places[(number >> shift & 0xFF) + 1];
        }
        if (places[(numbers[0] >> shift & 0xFF) + 1] == numbers.size()) {
            continue;  // all have the same byte
        }
        std::partial_sum(std::begin(places), std::end(places), std::begin(places));
        for (const std::uint64_t number : numbers) {
            sorted[places[number >> shift & 0xFF]++] = number;
        }
        numbers.swap(sorted);
    }
}

// Hits of one query, the k nearest kept; the order is (distance, position).
class Best {
   public:
    // Hits at `bound` or beyond are of no use.
    Best(std::uint32_t bound, std::size_t k)
        : bound_(bound),
          k_(k),
          capacity_(k < unlimited ? 2 * k + 1024 : unlimited),
          counts_(bound) {
        hits_.reserve(k < unlimited ? std::min<std::size_t>(capacity_, 1 << 16) : 64);
    }

    static constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();

    std::uint32_t bound() const { return bound_; }

    // Are fewer than k codes known, so that every one is a hit?
    bool takes_any() const { return k_ < unlimited && n_below_ < k_; }

    void add(std::uint32_t distance, std::uint32_t position) {
        hits_.push_back(std::uint64_t{distance} << 32 | position);
        ++counts_[distance];
        ++n_below_;
        lower_bound();
        if (hits_.size() == capacity_) {
            compact();
        }
    }

    std::size_t n_within(std::size_t distance) const {
        const std::size_t n = std::min(distance + 1, counts_.size());
        return std::accumulate(counts_.begin(), counts_.begin() + static_cast<std::ptrdiff_t>(n),
                               std::size_t{0});
    }

    // The hits, in order: at most k of them.
    const std::vector<std::uint64_t>& sorted() {
        if (hits_.size() > k_) {
            compact();
        }
        sort_numbers(hits_);
        return hits_;
    }

   private:
    // The bound stays just above the k-th smallest distance: a hit at that distance may still win
    // its tie, because positions do not come in order.
    void lower_bound() {
        while (bound_ > 0 && n_below_ - counts_[bound_ - 1] >= k_) {
            n_below_ -= counts_[--bound_];
        }
    }

    void compact() {
        const auto middle = hits_.begin() + static_cast<std::ptrdiff_t>(k_);
        std::nth_element(hits_.begin(), middle, hits_.end());
        hits_.resize(k_);
        std::fill(counts_.begin(), counts_.end(), 0);
        for (const std::uint64_t hit : hits_) {
            ++counts_[hit >> 32];
        }
        n_below_ = k_;
    }

    std::uint32_t bound_;
    std::size_t k_, capacity_;
    std::vector<std::size_t> counts_;  // hits at each distance
    std::size_t n_below_ = 0;          // hits nearer than the bound
    std::vector<std::uint64_t> hits_;  // distance << 32 | position
};

// What all queries of a call share.
struct Setting {
    const Kernel& kernel;
    Codes database;
    std::span<const Table> tables;
    Allowed allowed;
    std::size_t n_words;
};

// Every choice of n_set of n_bits bits, by Gosper's hack.
class Choices {
   public:
    Choices(unsigned n_bits, unsigned n_set)
        : end_(std::uint64_t{1} << n_bits), next_((std::uint64_t{1} << n_set) - 1) {}

    bool done() const { return next_ >= end_; }

    std::uint64_t take() {
        const std::uint64_t taken = next_;
        if (taken == 0) {
            next_ = end_;
        } else {
            const std::uint64_t lowest = taken & (~taken + 1);
            const std::uint64_t carried = taken + lowest;
            next_ = carried | ((taken ^ carried) >> 2) >> std::countr_zero(lowest);
        }
        return taken;
    }

   private:
    std::uint64_t end_, next_;
};

double n_choices(unsigned n_bits, unsigned n_set) {
    double n = 1;
    for (unsigned i = 0; i < n_set; ++i) {
        n *= static_cast<double>(n_bits - i) / (i + 1);
    }
    return n;
}

// The lookups of one query.
class Lookup {
   public:
    Lookup(const Setting& setting, const std::uint64_t* query, Best& best)
        : setting_(setting), query_(query), best_(best), rows_(stride * setting.n_words) {
        for (const Table& table : setting.tables) {
            values_.push_back(value_of(query, table.first_bit, table.n_bits));
            most_ = std::max(most_, table.n_bits);
        }
    }

    // Steps after which every code has been seen.
    std::size_t n_steps() const { return (most_ + 1) * values_.size(); }

    double n_values() const { return n_values_; }
    double n_codes() const { return n_codes_; }

    // Estimates for a step: values to look up, and codes in them.
    double next_values(std::size_t step) const {
        const Table& table = setting_.tables[step % values_.size()];
        const std::size_t n_set = step / values_.size();
        return n_set > table.n_bits ? 0 : n_choices(table.n_bits, static_cast<unsigned>(n_set));
    }
    double next_codes(std::size_t step) const {
        // As crowded as what was seen so far, and not less than the average.
        const Table& table = setting_.tables[step % values_.size()];
        const double average = static_cast<double>(setting_.database.n) /
                               static_cast<double>(std::uint64_t{1} << table.n_bits);
        return next_values(step) * std::max(average, last_crowd_);
    }

    void take_step(std::size_t step) {
        const std::size_t number = step % values_.size();
        const Table& table = setting_.tables[number];
        const std::size_t n_set = step / values_.size();
        if (n_set > table.n_bits) {
            return;
        }
        const double codes_before = n_codes_, values_before = n_values_;
        // Three stages run side by side, so that memory is asked for long before it is read, a
        // little at a time: where the entries of a value start, the entries, their codes if the
        // entries only refer to them.
        struct Place {
            std::uint64_t value;
            std::size_t begin, end;
        };
        Place ring[ring_size];
        Choices choices(table.n_bits, static_cast<unsigned>(n_set));
        std::size_t n = 0, n_started = 0, n_fetched = 0, n_looked = 0;
        for (std::size_t turn = 0; n_looked < n || turn == 0; ++turn) {
            if (!choices.done()) {
                const std::uint64_t value = values_[number] ^ choices.take();
                prefetch(table.starts + value);
                ring[n++ % ring_size].value = value;
            }
            if (turn >= start_lag && n_started < n) {
                Place& place = ring[n_started++ % ring_size];
                // A damaged file must not lead outside of the arrays.
                place.end =
                    std::min<std::size_t>(table.starts[place.value + 1], setting_.database.n);
                place.begin = std::min<std::size_t>(table.starts[place.value], place.end);
                n_codes_ += static_cast<double>(place.end - place.begin);
                prefetch_entries(table, place.begin, place.end);
            }
            if (turn >= fetch_lag && n_fetched < n) {
                const Place& place = ring[n_fetched++ % ring_size];
                prefetch_codes(table, place.begin, place.end);
            }
            if (turn >= look_lag) {
                const Place& place = ring[n_looked++ % ring_size];
                look_at(table, place.begin, place.end, step);
            }
        }
        n_values_ += static_cast<double>(n);
        last_crowd_ = (n_codes_ - codes_before) / (n_values_ - values_before);
    }

   private:
    // Turns between the stages.
    static constexpr std::size_t start_lag = 8;
    static constexpr std::size_t fetch_lag = 13;
    static constexpr std::size_t look_lag = 16;
    static constexpr std::size_t ring_size = 32;

    void prefetch_entries(const Table& table, std::size_t begin, std::size_t end) const {
        if (table.codes != nullptr) {
            prefetch_range(table.codes + begin * setting_.n_words,
                           table.codes + end * setting_.n_words);
            if (table.positions != nullptr && best_.takes_any()) {
                prefetch_range(table.positions + begin, table.positions + end);
            }
        } else {
            prefetch_range(table.positions + begin, table.positions + end);
        }
    }

    // Ask for the first lines of a range: the processor itself fetches what follows in a row.
    static void prefetch_range(const void* begin, const void* end) {
        constexpr std::uintptr_t line = 64;
        const auto first = reinterpret_cast<std::uintptr_t>(begin) / line * line;
        const auto last = reinterpret_cast<std::uintptr_t>(end);
        for (std::uintptr_t at = first; at < std::min(last, first + 40 * line); at += line) {
            prefetch(reinterpret_cast<const void*>(at));
        }
    }

    // Ask for the codes of entries that hold positions only.
    void prefetch_codes(const Table& table, std::size_t begin, std::size_t end) const {
        if (table.codes == nullptr) {
            for (std::size_t i = begin; i < std::min(end, begin + stride); ++i) {
                prefetch(code_at(table.positions[i]));
            }
        }
    }

    const std::uint8_t* code_at(std::size_t position) const {
        const Codes database = setting_.database;
        return database.bytes + std::min(position, database.n - 1) * database.n_bytes;
    }

    // Look at the entries of one value.
    void look_at(const Table& table, std::size_t begin, std::size_t end, std::size_t step) {
        for (std::size_t i = begin; i < end; i += stride) {
            const std::size_t n = std::min(stride, end - i);
            const std::uint64_t* codes = rows_.data();
            if (table.codes == nullptr) {
                prefetch_codes(table, i + n, end);
                for (std::size_t j = 0; j < n; ++j) {
                    const Codes one{code_at(table.positions[i + j]), 1, setting_.database.n_bytes};
                    load_words(one, 0, rows_.data() + j * setting_.n_words);
                }
            } else if (reinterpret_cast<std::uintptr_t>(table.codes) % 8 != 0) {  // mapped
                std::memcpy(rows_.data(), table.codes + i * setting_.n_words,
                            n * setting_.n_words * 8);
            } else {
                codes = table.codes + i * setting_.n_words;
            }
            std::uint32_t places[stride], distances[stride];
            const std::size_t n_found = setting_.kernel.near(codes, n, setting_.n_words, query_,
                                                             best_.bound(), places, distances);
            if (table.positions != nullptr) {
                for (std::size_t f = 0; f < n_found; ++f) {
                    prefetch(table.positions + i + places[f]);
                }
            }
            for (std::size_t f = 0; f < n_found; ++f) {
                const std::size_t entry = i + places[f];
                const std::size_t position =
                    table.positions != nullptr ? table.positions[entry] : entry;
                take(codes + places[f] * setting_.n_words, position, distances[f], step);
            }
        }
    }

    // Take a code that is near, unless another step found it before this one.
    void take(const std::uint64_t* code, std::size_t position, std::uint32_t distance,
              std::size_t step) {
        if (distance >= best_.bound() || position >= setting_.database.n) {
            return;
        }
        if (setting_.allowed != nullptr &&
            !(setting_.allowed[position / 64] >> (position % 64) & 1)) {
            return;
        }
        const std::size_t n_tables = values_.size();
        for (std::size_t t = 0; t < n_tables; ++t) {
            const Table& table = setting_.tables[t];
            const std::uint64_t differing =
                value_of(code, table.first_bit, table.n_bits) ^ values_[t];
            if (static_cast<std::size_t>(std::popcount(differing)) * n_tables + t < step) {
                return;
            }
        }
        best_.add(distance, static_cast<std::uint32_t>(position));
    }

    const Setting& setting_;
    const std::uint64_t* query_;
    Best& best_;
    std::vector<std::uint64_t> rows_;    // codes that were looked up, or moved to whole words
    std::vector<std::uint64_t> values_;  // of the query's substrings
    unsigned most_ = 0;                  // bits of the longest substring
    double n_values_ = 0, n_codes_ = 0, last_crowd_ = 0;
};

// Call use(query) for each, some of them on other threads.
template <typename Use>
void for_each_query(std::size_t n, std::size_t n_threads, const Use& use) {
    constexpr std::size_t block = 4;
    ThreadPool::instance().run(ceil_divide(n, block), n_threads, [&](std::size_t task) {
        for (std::size_t q = task * block; q < std::min(n, (task + 1) * block); ++q) {
            use(q);
        }
    });
}

}  // namespace

bool values_rise(Codes codes, unsigned first_bit, unsigned n_bits) {
    Values values(codes, first_bit, n_bits);
    std::size_t last = 0;
    for (std::size_t i = 0; i < codes.n; ++i) {
        const std::size_t value = values(i);
        if (value < last) {
            return false;
        }
        last = value;
    }
    return true;
}

void build_table(Codes codes, unsigned first_bit, unsigned n_bits, std::size_t n_threads,
                 std::uint32_t* starts, std::uint32_t* positions, std::uint64_t* words) {
    const std::size_t n_values = std::size_t{1} << n_bits;
    if (positions == nullptr) {  // the codes are in order: only count them
        std::fill(starts, starts + n_values + 1, 0);
        Values values(codes, first_bit, n_bits);
        for (std::size_t i = 0; i < codes.n; ++i) {
            ++starts[values(i) + 1];
        }
        std::partial_sum(starts, starts + n_values + 1, starts);
        return;
    }
    const std::vector<std::size_t> parts = part(codes, first_bit, n_bits, n_threads, positions);
    const std::size_t values_a_part = n_values / (parts.size() - 1);
    ThreadPool::instance().run(parts.size() - 1, n_threads, [&](std::size_t p) {
        sort_part(codes, first_bit, n_bits, parts[p], parts[p + 1], positions,
                  starts + p * values_a_part, words);
    });
    starts[n_values] = static_cast<std::uint32_t>(codes.n);
}

void find_nearest(const Kernel& kernel, Codes queries, Codes database,
                  std::span<const Table> tables, Allowed allowed, std::size_t k, Costs costs,
                  std::size_t n_threads, std::int64_t* positions, std::int32_t* distances,
                  double* spent) {
    const Setting setting{kernel, database, tables, allowed, words_of(database)};
    const std::vector<std::uint64_t> words = to_words(queries);
    const auto n_distances = static_cast<std::uint32_t>(8 * database.n_bytes + 1);
    for_each_query(queries.n, n_threads, [&](std::size_t q) {
        Best best(n_distances, k);
        Lookup lookup(setting, words.data() + q * setting.n_words, best);
        const auto cost = [&](double n_values, double n_codes) {
            return n_values * costs.value + n_codes * costs.code;
        };
        std::size_t step = 0;
        for (; step < lookup.n_steps() && (step == 0 || best.n_within(step - 1) < k); ++step) {
            if (cost(lookup.n_values() + lookup.next_values(step),
                     lookup.n_codes() + lookup.next_codes(step)) > costs.budget) {
                spent[q] = -1;
                return;
            }
            lookup.take_step(step);
        }
        spent[q] = cost(lookup.n_values(), lookup.n_codes());
        const std::vector<std::uint64_t>& hits = best.sorted();
        if (hits.size() < k) {
            spent[q] = -1;
            return;
        }
        for (std::size_t i = 0; i < k; ++i) {
            positions[q * k + i] = static_cast<std::int64_t>(hits[i] & 0xFFFFFFFF);
            distances[q * k + i] = static_cast<std::int32_t>(hits[i] >> 32);
        }
    });
}

std::vector<Found> find_radius(const Kernel& kernel, Codes queries, Codes database,
                               std::span<const Table> tables, Allowed allowed, std::uint32_t radius,
                               std::size_t n_threads) {
    const Setting setting{kernel, database, tables, allowed, words_of(database)};
    const std::vector<std::uint64_t> words = to_words(queries);
    radius = std::min(radius, static_cast<std::uint32_t>(8 * database.n_bytes));
    std::vector<Found> found(queries.n);
    for_each_query(queries.n, n_threads, [&](std::size_t q) {
        Best best(radius + 1, Best::unlimited);
        Lookup lookup(setting, words.data() + q * setting.n_words, best);
        for (std::size_t step = 0; step < lookup.n_steps() && step <= radius; ++step) {
            lookup.take_step(step);
        }
        const std::vector<std::uint64_t>& hits = best.sorted();
        found[q].positions.resize(hits.size());
        found[q].distances.resize(hits.size());
        for (std::size_t i = 0; i < hits.size(); ++i) {
            found[q].positions[i] = static_cast<std::int64_t>(hits[i] & 0xFFFFFFFF);
            found[q].distances[i] = static_cast<std::int32_t>(hits[i] >> 32);
        }
    });
    return found;
}

}  // namespace hashlearn
