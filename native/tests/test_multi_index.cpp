// Searches by tables against brute force, and what damaged tables may not do; built with sanitizers
// by `make sanitize`. Prints how many checks passed and fails if one did not.
#include <cstring>
#include <limits>
#include <memory>
#include <numeric>
#include <thread>

#include "brute_force.hpp"
#include "multi_index.hpp"

namespace {

constexpr double unlimited = std::numeric_limits<double>::infinity();

// Tables and the memory they point into. Every array is exactly as long as it must be, so that
// reading beyond is found out.
struct Tables {
    std::vector<std::unique_ptr<std::vector<std::uint32_t>>> starts, positions;
    std::vector<std::unique_ptr<std::vector<std::uint64_t>>> words;
    std::vector<hashlearn::Table> tables;
};

enum class Kind { inline_codes, lean, any };

Tables make_tables(std::mt19937& random, hashlearn::Codes codes, unsigned n_bits, unsigned n_tables,
                   std::size_t threads, Kind kind) {
    Tables made;
    unsigned end = n_bits;
    for (unsigned t = 0; t < n_tables; ++t) {
        const unsigned length = n_bits / n_tables + (t < n_bits % n_tables);
        end -= length;
        const bool in_order = codes.n_bytes % 8 == 0 && hashlearn::values_rise(codes, end, length);
        const bool lean = kind == Kind::lean || (kind == Kind::any && random() % 2 == 0);
        auto& starts = made.starts.emplace_back(
            std::make_unique<std::vector<std::uint32_t>>((std::size_t{1} << length) + 1));
        auto& positions = made.positions.emplace_back(
            std::make_unique<std::vector<std::uint32_t>>(in_order ? 0 : codes.n));
        auto& words = made.words.emplace_back(std::make_unique<std::vector<std::uint64_t>>(
            in_order || lean ? 0 : codes.n * ((codes.n_bytes + 7) / 8)));
        std::uint32_t* const at = in_order ? nullptr : positions->data();
        std::uint64_t* const copies = in_order || lean ? nullptr : words->data();
        hashlearn::build_table(codes, end, length, threads, starts->data(), at, copies);
        const auto* const own = reinterpret_cast<const std::uint64_t*>(codes.bytes);
        made.tables.push_back({end, length, starts->data(), at, in_order ? own : copies});
    }
    return made;
}

// Cut off the bits beyond the length of a code.
void cut(Bytes& codes, std::size_t n_bytes, unsigned n_bits) {
    for (std::size_t i = n_bytes - 1; i < codes.size() && n_bits % 8 != 0; i += n_bytes) {
        codes[i] = static_cast<std::uint8_t>(codes[i] & ((1U << n_bits % 8) - 1));
    }
}

// Sort codes as little-endian numbers.
Bytes sorted(const Bytes& codes, std::size_t n_bytes) {
    std::vector<Bytes> rows;
    for (std::size_t i = 0; i < codes.size(); i += n_bytes) {
        rows.emplace_back(codes.rend() - static_cast<std::ptrdiff_t>(i + n_bytes),
                          codes.rend() - static_cast<std::ptrdiff_t>(i));
    }
    std::sort(rows.begin(), rows.end());
    Bytes all;
    for (const Bytes& row : rows) {
        all.insert(all.end(), row.rbegin(), row.rend());
    }
    return all;
}

bool is_allowed(const std::uint64_t* bits, std::int64_t position) {
    const auto i = static_cast<std::uint64_t>(position);
    return bits == nullptr || (bits[i / 64] >> i % 64 & 1);
}

// A database and queries of any length, some of them sorted, and at any address.
struct Case {
    explicit Case(std::mt19937& random, std::size_t most = 400) {
        n_bytes = random() % 2 == 0 ? 1 + random() % 40 : 8 * (1 + random() % 4);
        n_bits = static_cast<unsigned>(8 * n_bytes - random() % 8);
        n = 1 + random() % most;
        n_queries = random() % 6;
        threads = 1 + random() % 3;
        codes = make_codes(random, n, n_bytes);
        queries = make_codes(random, n_queries, n_bytes);
        cut(codes, n_bytes, n_bits);
        cut(queries, n_bytes, n_bits);
        if (random() % 2 == 0) {
            codes = sorted(codes, n_bytes);
        }
        offset = random() % 3 * 4;  // a mapped file's codes may begin at such an address
        moved.resize(offset + codes.size());
        std::copy(codes.begin(), codes.end(), moved.begin() + static_cast<std::ptrdiff_t>(offset));
        fewest = (n_bits + 9) / 10;  // so that all values can be gone through
        n_tables = fewest + static_cast<unsigned>(random() % (n_bits - fewest + 1));
        allowed.resize((n + 63) / 64);
        const auto share = random() % 4;  // all positions, none, some, and all without saying so
        for (std::uint64_t& word : allowed) {
            const std::uint64_t some = std::uint64_t{random()} << 32 | random();
            word = share == 0 || random() % 3 == 0 ? 0 : some;
            word = share == 1 ? ~std::uint64_t{0} : word;
        }
        bits = share == 3 ? nullptr : allowed.data();
    }

    hashlearn::Codes left() const { return {queries.data(), n_queries, n_bytes}; }
    hashlearn::Codes right() const { return {moved.data() + offset, n, n_bytes}; }

    // All allowed codes in the order (distance, position).
    Pairs expected(std::size_t query) const {
        Pairs pairs = brute_force(queries.data() + query * n_bytes, codes, n_bytes);
        std::erase_if(pairs, [&](const auto& pair) { return !is_allowed(bits, pair.second); });
        return pairs;
    }

    std::size_t n_allowed() const {
        std::size_t count = 0;
        for (std::size_t i = 0; i < n; ++i) {
            count += is_allowed(bits, static_cast<std::int64_t>(i));
        }
        return count;
    }

    std::size_t n_bytes, n, n_queries, threads, offset;
    unsigned n_bits, fewest, n_tables;
    Bytes codes, queries, moved;
    std::vector<std::uint64_t> allowed;
    const std::uint64_t* bits;
};

struct Nearest {
    Nearest(const hashlearn::Kernel& kernel, const Case& c, const Tables& made, std::size_t k,
            double budget = unlimited)
        : positions(c.n_queries * k, -7), distances(c.n_queries * k, -7), spent(c.n_queries) {
        hashlearn::find_nearest(kernel, c.left(), c.right(), made.tables, c.bits, k,
                                {30, 0.5, budget}, c.threads, positions.data(), distances.data(),
                                spent.data());
    }

    std::vector<std::int64_t> positions;
    std::vector<std::int32_t> distances;
    std::vector<double> spent;
};

void test_every_kernel_equals_brute_force() {
    std::mt19937 random(0);
    for (const hashlearn::Kernel* kernel : hashlearn::available_kernels()) {
        for (int round = 0; round < 150; ++round) {
            const Case c(random);
            const Tables made =
                make_tables(random, c.right(), c.n_bits, c.n_tables, c.threads, Kind::any);
            const auto radius = static_cast<std::uint32_t>(random() % (8 * c.n_bytes + 2));
            const auto within = hashlearn::find_radius(*kernel, c.left(), c.right(), made.tables,
                                                       c.bits, radius, c.threads);
            for (std::size_t q = 0; q < c.n_queries; ++q) {
                Pairs inside = c.expected(q);
                std::erase_if(inside, [radius](const auto& pair) {
                    return pair.first > static_cast<std::int32_t>(radius);
                });
                check(pairs_of(within[q].positions, within[q].distances, 0,
                               within[q].positions.size()) == inside,
                      "radius");
            }
            const std::size_t n_allowed = c.n_allowed();
            if (n_allowed == 0) {
                continue;
            }
            const std::size_t k = 1 + random() % n_allowed;
            const Nearest found(*kernel, c, made, k);
            for (std::size_t q = 0; q < c.n_queries; ++q) {
                Pairs expected = c.expected(q);
                expected.resize(k);
                check(pairs_of(found.positions, found.distances, q * k, k) == expected, "nearest");
                check(found.spent[q] >= 0, "an unlimited budget");
            }
        }
    }
}

void test_a_query_keeps_to_its_budget_or_gives_up() {
    std::mt19937 random(1);
    const hashlearn::Kernel& kernel = *hashlearn::available_kernels().front();
    int n_gave_up = 0, n_found = 0;
    for (int round = 0; round < 200; ++round) {
        const Case c(random);
        const Tables made =
            make_tables(random, c.right(), c.n_bits, c.n_tables, c.threads, Kind::any);
        const std::size_t n_allowed = c.n_allowed();
        const std::size_t k = 1 + random() % 20;
        const double budget = round % 10 == 0 ? 0 : static_cast<double>(random() % 20'000);
        if (k > c.n) {
            continue;
        }
        const Nearest found(kernel, c, made, k, budget);
        for (std::size_t q = 0; q < c.n_queries; ++q) {
            if (found.spent[q] < 0) {
                ++n_gave_up;
                const auto first = found.positions.begin() + static_cast<std::ptrdiff_t>(q * k);
                check(std::all_of(first, first + static_cast<std::ptrdiff_t>(k),
                                  [](std::int64_t position) { return position == -7; }),
                      "nothing is written by a query that gives up");
            } else {
                ++n_found;
                Pairs expected = c.expected(q);
                check(n_allowed >= k, "a query with fewer codes than places gives up");
                expected.resize(k);
                check(pairs_of(found.positions, found.distances, q * k, k) == expected, "budget");
                check(budget > 0, "no budget");
            }
        }
    }
    check(n_gave_up > 50 && n_found > 50, "some give up, and some do not");
}

// The value of a substring, bit by bit.
std::size_t value_at(const Bytes& codes, std::size_t n_bytes, std::size_t i, unsigned first_bit,
                     unsigned n_bits) {
    std::size_t value = 0;
    for (unsigned b = 0; b < n_bits; ++b) {
        const unsigned bit = first_bit + b;
        value |= std::size_t{codes[i * n_bytes + bit / 8]} >> bit % 8 & 1 ? std::size_t{1} << b : 0;
    }
    return value;
}

void test_a_table_is_a_stable_sort() {
    std::mt19937 random(2);
    for (int round = 0; round < 60; ++round) {
        const std::size_t n_bytes = 1 + random() % 20;
        const std::size_t n = round % 6 == 0 ? random() % 4 : random() % 20'000;
        const auto n_bits =
            static_cast<unsigned>(1 + random() % std::min<std::size_t>(16, 8 * n_bytes));
        const auto first_bit = static_cast<unsigned>(random() % (8 * n_bytes - n_bits + 1));
        const std::size_t n_words = (n_bytes + 7) / 8;
        Bytes codes = make_codes(random, n, n_bytes);
        std::vector<std::size_t> values;
        for (std::size_t i = 0; i < n; ++i) {
            values.push_back(value_at(codes, n_bytes, i, first_bit, n_bits));
        }
        std::vector<std::uint32_t> order(n);
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(),
                         [&](std::uint32_t a, std::uint32_t b) { return values[a] < values[b]; });
        const hashlearn::Codes all{codes.data(), n, n_bytes};
        std::vector<std::uint32_t> starts((std::size_t{1} << n_bits) + 1, 77), positions(n);
        std::vector<std::uint64_t> words(n * n_words);
        hashlearn::build_table(all, first_bit, n_bits, 1 + random() % 3, starts.data(),
                               positions.data(), words.data());
        check(positions == order, "positions");
        bool starts_fit = true, words_fit = true;
        for (std::size_t v = 0, place = 0; v < starts.size(); ++v) {
            while (place < n && values[order[place]] < v) {
                ++place;
            }
            starts_fit = starts_fit && starts[v] == place;
        }
        for (std::size_t place = 0; place < n; ++place) {
            std::vector<std::uint64_t> code(n_words);
            std::memcpy(code.data(), codes.data() + order[place] * n_bytes, n_bytes);
            words_fit = words_fit &&
                        std::equal(code.begin(), code.end(),
                                   words.begin() + static_cast<std::ptrdiff_t>(place * n_words));
        }
        check(starts_fit, "starts");
        check(words_fit, "words");
        check(hashlearn::values_rise(all, first_bit, n_bits) ==
                  std::is_sorted(values.begin(), values.end()),
              "values rise");
        // Codes in order need starts alone.
        Bytes in_order;
        for (const std::uint32_t i : order) {
            const auto code = codes.begin() + static_cast<std::ptrdiff_t>(i * n_bytes);
            in_order.insert(in_order.end(), code, code + static_cast<std::ptrdiff_t>(n_bytes));
        }
        std::vector<std::uint32_t> counted(starts.size(), 77);
        const hashlearn::Codes rising{in_order.data(), n, n_bytes};
        check(hashlearn::values_rise(rising, first_bit, n_bits), "values rise in order");
        hashlearn::build_table(rising, first_bit, n_bits, 2, counted.data(), nullptr, nullptr);
        check(counted == starts, "starts of codes in order");
    }
}

void test_damaged_tables_lead_nowhere_else() {
    std::mt19937 random(3);
    for (const hashlearn::Kernel* kernel : hashlearn::available_kernels()) {
        for (int round = 0; round < 150; ++round) {
            Case c(random, 100);
            c.n_tables = std::max(c.n_tables, (c.n_bits + 4) / 5);  // few values, each of all codes
            Tables made = make_tables(random, c.right(), c.n_bits, c.n_tables, 1, Kind::any);
            const std::uint32_t most =
                round % 2 == 0 ? 0xFFFFFFFF : static_cast<std::uint32_t>(c.n);
            const auto garbage = [&] {
                return most == 0xFFFFFFFF ? static_cast<std::uint32_t>(random())
                                          : static_cast<std::uint32_t>(random() % (most + 2));
            };
            for (std::size_t t = 0; t < c.n_tables; ++t) {
                const auto what = random() % 8;
                for (std::uint32_t& start : *made.starts[t]) {
                    start = what & 1 ? garbage() : start;
                }
                for (std::uint32_t& position : *made.positions[t]) {
                    position = what & 2 ? garbage() : position;
                }
                for (std::uint64_t& word : *made.words[t]) {
                    word = what & 4 ? std::uint64_t{random()} << 32 | random() : word;
                }
            }
            const auto n = static_cast<std::int64_t>(c.n);
            const auto fits = [&](std::int64_t position, std::int32_t distance) {
                return 0 <= position && position < n && is_allowed(c.bits, position) &&
                       0 <= distance && distance <= static_cast<std::int32_t>(8 * c.n_bytes);
            };
            const auto radius = static_cast<std::uint32_t>(random() % (8 * c.n_bytes + 2));
            const auto within = hashlearn::find_radius(*kernel, c.left(), c.right(), made.tables,
                                                       c.bits, radius, c.threads);
            for (const hashlearn::Found& found : within) {
                bool all_fit = true;
                for (std::size_t i = 0; i < found.positions.size(); ++i) {
                    all_fit = all_fit && fits(found.positions[i], found.distances[i]) &&
                              found.distances[i] <= static_cast<std::int32_t>(radius);
                }
                check(all_fit, "radius in damaged tables");
            }
            const std::size_t k = 1 + random() % c.n;
            const Nearest found(*kernel, c, made, k);
            for (std::size_t q = 0; q < c.n_queries; ++q) {
                bool all_fit = true;
                for (std::size_t i = q * k; i < (q + 1) * k; ++i) {
                    all_fit = all_fit &&
                              (found.spent[q] < 0 ? found.positions[i] == -7
                                                  : fits(found.positions[i], found.distances[i]));
                }
                check(all_fit, "nearest in damaged tables");
            }
        }
    }
}

void test_many_ties_are_told_apart_by_position() {
    // More hits than are kept at a time, all at one of two distances, and not in the order of their
    // positions: no substring is the query's, and each value of one bit has a bucket of its own.
    const std::size_t n = 30'000;
    Bytes codes(2 * n);
    for (std::size_t i = 0; i < n; ++i) {
        codes[2 * i] = static_cast<std::uint8_t>(1 << i % 3 | (i % 7 == 0 ? 0x80 : 0));
        codes[2 * i + 1] = static_cast<std::uint8_t>(1 << i % 5);
    }
    const Bytes query(2);
    const Pairs expected = brute_force(query.data(), codes, 2);
    std::mt19937 random(4);
    const hashlearn::Codes left{query.data(), 1, 2}, right{codes.data(), n, 2};
    for (const hashlearn::Kernel* kernel : hashlearn::available_kernels()) {
        for (const Kind kind : {Kind::inline_codes, Kind::lean}) {
            const Tables made = make_tables(random, right, 16, 2, 2, kind);
            for (const std::size_t k : {std::size_t{1}, std::size_t{700}, std::size_t{26'000}, n}) {
                std::vector<std::int64_t> positions(k);
                std::vector<std::int32_t> distances(k);
                double spent = 0;
                hashlearn::find_nearest(*kernel, left, right, made.tables, nullptr, k,
                                        {30, 0.5, unlimited}, 1, positions.data(), distances.data(),
                                        &spent);
                check(
                    std::equal(expected.begin(), expected.begin() + static_cast<std::ptrdiff_t>(k),
                               pairs_of(positions, distances, 0, k).begin()),
                    "ties");
            }
        }
    }
}

void test_many_searches_at_a_time() {
    std::mt19937 random(5);
    const Bytes database = make_codes(random, 6000, 8);
    const Bytes queries = make_codes(random, 40, 8);
    const hashlearn::Codes left{queries.data(), 40, 8};
    const hashlearn::Codes right{database.data(), 6000, 8};
    const hashlearn::Kernel& kernel = *hashlearn::available_kernels().front();
    const Tables made = make_tables(random, right, 64, 8, 3, Kind::any);
    const auto search = [&](std::size_t n_threads) {
        std::vector<std::int64_t> positions(40 * 10);
        std::vector<std::int32_t> distances(40 * 10);
        std::vector<double> spent(40);
        hashlearn::find_nearest(kernel, left, right, made.tables, nullptr, 10, {30, 0.5, unlimited},
                                n_threads, positions.data(), distances.data(), spent.data());
        for (const hashlearn::Found& found :
             hashlearn::find_radius(kernel, left, right, made.tables, nullptr, 3, n_threads)) {
            positions.insert(positions.end(), found.positions.begin(), found.positions.end());
        }
        return positions;
    };
    const auto expected = search(1);
    std::vector<int> same(6, 0);
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < same.size(); ++t) {
        threads.emplace_back([&, t] {
            for (int round = 0; round < 10; ++round) {
                same[t] += search(2) == expected;
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    for (const int count : same) {
        check(count == 10, "concurrent searches");
    }
}

}  // namespace

int main() {
    test_every_kernel_equals_brute_force();
    test_a_query_keeps_to_its_budget_or_gives_up();
    test_a_table_is_a_stable_sort();
    test_damaged_tables_lead_nowhere_else();
    test_many_ties_are_told_apart_by_position();
    test_many_searches_at_a_time();
    return report();
}
