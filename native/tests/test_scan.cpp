// The engine against brute force, and many searches at a time; built with sanitizers by
// `make sanitize`. Prints how many checks passed and fails if one did not.
#include <algorithm>
#include <bit>
#include <random>
#include <stdexcept>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "brute_force.hpp"
#include "project.hpp"
#include "scan.hpp"
#include "thread_pool.hpp"

namespace {

void test_every_kernel_equals_brute_force() {
    std::mt19937 random(0);
    for (const hashlearn::Kernel* kernel : hashlearn::available_kernels()) {
        for (int round = 0; round < 120; ++round) {
            // Every other length is one of whole words, which few queries filter in place.
            const std::size_t n_bytes =
                round % 2 == 0 ? 1 + random() % 40 : 8 * (1 + random() % 18);
            const std::size_t n = random() % 400;
            const std::size_t n_queries = random() % 14;
            const std::size_t threads = 1 + random() % 3;
            const Bytes database = make_codes(random, n, n_bytes);
            const Bytes queries = make_codes(random, n_queries, n_bytes);
            const Guarded guarded_queries(queries), guarded_database(database);
            const hashlearn::Codes left{guarded_queries.data(), n_queries, n_bytes};
            const hashlearn::Codes right{guarded_database.data(), n, n_bytes};
            const std::size_t k = n > 0 ? 1 + random() % n : 0;
            // All positions, none, some, and all without saying so.
            std::vector<std::uint64_t> allowed((n + 63) / 64);
            const auto kind = random() % 4;
            for (std::uint64_t& word : allowed) {
                const std::uint64_t some = std::uint64_t{random()} << 32 | random();
                word = kind == 0 || random() % 3 == 0 ? 0 : some;
                word = kind == 1 ? ~std::uint64_t{0} : word;
            }
            const std::uint64_t* const bits = kind == 3 ? nullptr : allowed.data();
            std::vector<std::int64_t> positions(n_queries * k);
            std::vector<std::int32_t> distances(n_queries * k);
            hashlearn::scan_nearest(*kernel, left, right, bits, k, threads, positions.data(),
                                    distances.data());
            const auto radius = static_cast<std::uint32_t>(random() % (8 * n_bytes + 2));
            const auto within = hashlearn::scan_radius(*kernel, left, right, bits, radius, threads);
            for (std::size_t q = 0; q < n_queries; ++q) {
                Pairs expected = brute_force(queries.data() + q * n_bytes, database, n_bytes);
                std::erase_if(expected, [bits](const auto& pair) {
                    const auto i = static_cast<std::uint64_t>(pair.second);
                    return bits != nullptr && !(bits[i / 64] >> i % 64 & 1);
                });
                Pairs inside = expected;
                std::erase_if(inside, [radius](const auto& pair) {
                    return pair.first > static_cast<std::int32_t>(radius);
                });
                expected.resize(k, {static_cast<std::int32_t>(8 * n_bytes + 1), -1});
                check(pairs_of(positions, distances, q * k, k) == expected, "nearest");
                check(pairs_of(within[q].positions, within[q].distances, 0,
                               within[q].positions.size()) == inside,
                      "radius");
            }
        }
    }
}

void test_opposite_codes_of_any_length_do_not_overflow() {
    for (const hashlearn::Kernel* kernel : hashlearn::available_kernels()) {
        for (std::size_t n_bytes = 8; n_bytes <= 8 * 70; n_bytes += 8) {
            const std::size_t n = 130;
            const Bytes database(n * n_bytes, 0xFF);
            const Bytes queries(9 * n_bytes, 0);
            for (const std::size_t n_queries : {1, 9}) {  // in rows and in tiles
                std::vector<std::int64_t> positions(n_queries * 2);
                std::vector<std::int32_t> distances(n_queries * 2);
                hashlearn::scan_nearest(*kernel, {queries.data(), n_queries, n_bytes},
                                        {database.data(), n, n_bytes}, nullptr, 2, 1,
                                        positions.data(), distances.data());
                const auto far = static_cast<std::int32_t>(8 * n_bytes);
                check(pairs_of(positions, distances, 2 * n_queries - 2, 2) ==
                          Pairs{{far, 0}, {far, 1}},
                      "opposite codes");
            }
        }
    }
}

void test_every_kernel_picks_the_near_ones_in_a_row() {
    std::mt19937 random(3);
    for (const hashlearn::Kernel* kernel : hashlearn::available_kernels()) {
        for (int round = 0; round < 200; ++round) {
            const std::size_t n_words = 1 + random() % 5;
            const std::size_t n = random() % (hashlearn::stride + 1);
            std::vector<std::uint64_t> codes(n * n_words), query(n_words);
            for (std::uint64_t& word : codes) {
                word = random() & random();
            }
            for (std::uint64_t& word : query) {
                word = random() & random();
            }
            const auto bound = static_cast<std::uint32_t>(random() % (24 * n_words));
            std::vector<std::uint32_t> places(n), distances(n);
            const Guarded guarded(codes), guarded_query(query);
            const std::size_t n_found =
                kernel->near(guarded.data(), n, n_words, guarded_query.data(), bound, places.data(),
                             distances.data());
            std::vector<std::uint32_t> expected_places, expected_distances;
            for (std::size_t i = 0; i < n; ++i) {
                std::uint32_t distance = 0;
                for (std::size_t w = 0; w < n_words; ++w) {
                    distance += static_cast<std::uint32_t>(
                        std::popcount(codes[i * n_words + w] ^ query[w]));
                }
                if (distance < bound) {
                    expected_places.push_back(static_cast<std::uint32_t>(i));
                    expected_distances.push_back(distance);
                }
            }
            places.resize(n_found);
            distances.resize(n_found);
            check(places == expected_places && distances == expected_distances, "near");
        }
    }
}

void test_a_large_database_is_divided_with_the_same_result() {
    std::mt19937 random(1);
    const std::size_t n = (4 << 20) + 77;  // beyond the size from which ranges are divided
    Bytes database(n * 8);
    for (std::size_t i = 0; i < database.size(); i += 4) {
        database[i] = static_cast<std::uint8_t>(random());
    }
    const Bytes query(8, 0x5A);
    const hashlearn::Codes left{query.data(), 1, 8};
    const hashlearn::Codes right{database.data(), n, 8};
    const hashlearn::Kernel& kernel = *hashlearn::available_kernels().front();
    const std::size_t k = 500;
    std::vector<std::int64_t> one(k), three(k);
    std::vector<std::int32_t> distances(k);
    std::vector<std::uint64_t> allowed(n / 64 + 1);
    for (std::uint64_t& word : allowed) {
        word = random();
    }
    for (const std::uint64_t* bits : {static_cast<const std::uint64_t*>(nullptr),
                                      static_cast<const std::uint64_t*>(allowed.data())}) {
        hashlearn::scan_nearest(kernel, left, right, bits, k, 1, one.data(), distances.data());
        hashlearn::scan_nearest(kernel, left, right, bits, k, 3, three.data(), distances.data());
        check(one == three, "ranges");
    }
    check(std::all_of(one.begin(), one.end(),
                      [&](std::int64_t i) {
                          const auto at = static_cast<std::uint64_t>(i);
                          return allowed[at / 64] >> at % 64 & 1;
                      }),
          "ranges of allowed codes");
    Bytes three_queries(24, 0x5A);
    three_queries[8] = 0x11;
    const hashlearn::Codes few{three_queries.data(), 3, 8};
    const auto alone = hashlearn::scan_radius(kernel, few, right, nullptr, 26, 1);
    const auto divided = hashlearn::scan_radius(kernel, few, right, nullptr, 26, 3);
    for (std::size_t q = 0; q < 3; ++q) {
        check(!alone[q].positions.empty() && alone[q].positions == divided[q].positions &&
                  alone[q].distances == divided[q].distances,
              "ranges within a radius");
    }
}

void test_many_searches_at_a_time() {
    std::mt19937 random(2);
    const Bytes database = make_codes(random, 40000, 8);
    const Bytes queries = make_codes(random, 64, 8);
    const hashlearn::Codes left{queries.data(), 64, 8};
    const hashlearn::Codes right{database.data(), 40000, 8};
    const hashlearn::Kernel& kernel = *hashlearn::available_kernels().front();
    const auto search = [&] {
        std::vector<std::int64_t> positions(64 * 10);
        std::vector<std::int32_t> distances(64 * 10);
        hashlearn::scan_nearest(kernel, left, right, nullptr, 10, 2, positions.data(),
                                distances.data());
        return positions;
    };
    const auto expected = search();
    std::vector<int> same(6, 0);
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < same.size(); ++t) {
        threads.emplace_back([&, t] {
            for (int round = 0; round < 20; ++round) {
                same[t] += search() == expected;
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    for (const int count : same) {
        check(count == 20, "concurrent searches");
    }
}

void test_an_exception_in_a_task_is_thrown_again() {
    bool thrown = false;
    try {
        hashlearn::ThreadPool::instance().run(50, 3, [](std::size_t i) {
            if (i == 17) {
                throw std::runtime_error("17");
            }
        });
    } catch (const std::runtime_error&) {
        thrown = true;
    }
    check(thrown, "exception");
}

// A value by its definition.
float value(const float* x, const float* w, std::size_t d, float bias) {
    double sum = 0;
    for (std::size_t k = 0; k < d; ++k) {
        sum += static_cast<double>(x[k]) * static_cast<double>(w[k]);
    }
    return static_cast<float>(sum + static_cast<double>(bias));
}

void test_every_kernel_projects_by_the_definition() {
    std::mt19937 random(3);
    std::normal_distribution<float> normal;
    const auto draw = [&](std::size_t n) {
        std::vector<float> numbers(n);
        for (float& number : numbers) {
            number = normal(random);
        }
        return numbers;
    };
    for (const auto& [n, d, n_bits] : {std::tuple<std::size_t, std::size_t, std::size_t>{0, 3, 5},
                                       {1, 1, 1},
                                       {13, 7, 17},
                                       {97, 33, 16},
                                       {331, 129, 40}}) {
        const auto X = draw(n * d), weights = draw(n_bits * d), bias = draw(n_bits);
        std::vector<float> expected(n * n_bits);
        for (std::size_t i = 0; i < n * n_bits; ++i) {
            const std::size_t row = i / n_bits, bit = i % n_bits;
            expected[i] = value(X.data() + row * d, weights.data() + bit * d, d, bias[bit]);
        }
        for (const hashlearn::Kernel* kernel : hashlearn::available_kernels()) {
            std::vector<float> values(n * n_bits);
            hashlearn::project(kernel->name, {X.data(), n, d}, {weights.data(), n_bits, d},
                               bias.data(), 3, values.data());
            check(values == expected, kernel->name);
        }
    }
}

}  // namespace

int main() {
    test_every_kernel_projects_by_the_definition();
    test_every_kernel_equals_brute_force();
    test_opposite_codes_of_any_length_do_not_overflow();
    test_every_kernel_picks_the_near_ones_in_a_row();
    test_a_large_database_is_divided_with_the_same_result();
    test_many_searches_at_a_time();
    test_an_exception_in_a_task_is_thrown_again();
    return report();
}
