// Asymmetric search against brute force, and many at a time; built with sanitizers by
// `make sanitize`. Prints how many checks passed and fails if one did not.
#include <cmath>
#include <limits>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include "brute_force.hpp"
#include "scan.hpp"
#include "weighted.hpp"

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

struct Answer {
    std::vector<std::int64_t> positions;
    std::vector<double> distances;

    bool operator==(const Answer&) const = default;
};

// Codes with ties, values of which some are equal or 0, factors, and what must be found.
struct Question {
    Question(std::mt19937& random, std::size_t n_queries_, std::size_t n, std::size_t n_bits_,
             std::size_t k_, bool has_factors_, bool is_masked_)
        : n_queries(n_queries_),
          n_codes(n),
          n_bits(n_bits_),
          n_bytes((n_bits_ + 7) / 8),
          k(k_),
          has_factors(has_factors_),
          is_masked(is_masked_),
          database(make_codes(random, n, n_bytes)),
          values(n_queries * n_bits),
          exponents(n_queries),
          gains(n),
          offsets(n),
          allowed((n + 63) / 64) {
        const auto most = static_cast<std::int32_t>(0x7FFFFFFF / n_bits);
        for (std::int32_t& value : values) {
            const auto kind = random() % 4;
            const auto any = static_cast<std::int32_t>(random() % static_cast<unsigned>(most));
            value = kind == 0 ? 0 : kind == 1 ? most : kind == 2 ? -any : any;
        }
        for (std::int32_t& exponent : exponents) {
            exponent = static_cast<std::int32_t>(random() % 60);
        }
        for (std::size_t i = 0; i < n; ++i) {
            gains[i] = static_cast<float>(random() % 8) - 3.3F;
            offsets[i] = static_cast<float>(random() % 8) * 1e3F;
        }
        for (std::uint64_t& word : allowed) {
            word = random() | std::uint64_t{random()} << 32;
        }
    }

    double distance_of(std::size_t query, std::size_t position) const {
        std::int64_t t = 0, weight = 0;
        for (std::size_t j = 0; j < n_bits; ++j) {
            const std::int64_t value = values[query * n_bits + j];
            t += database[position * n_bytes + j / 8] >> j % 8 & 1 ? value : -value;
            weight += std::abs(value);
        }
        if (!has_factors) {
            return std::ldexp(static_cast<double>((weight - t) / 2), -exponents[query]);
        }
        // Kept in memory, so that no compiler fuses them.
        volatile double product = 2.0 * static_cast<double>(gains[position]);
        product = product * std::ldexp(static_cast<double>(t), -exponents[query]);
        return static_cast<double>(offsets[position]) - product;
    }

    Answer expected() const {
        Answer answer;
        for (std::size_t q = 0; q < n_queries; ++q) {
            std::vector<std::pair<double, std::int64_t>> pairs;
            for (std::size_t i = 0; i < n_codes; ++i) {
                const double distance = distance_of(q, i);
                if ((!is_masked || (allowed[i / 64] >> i % 64 & 1)) && std::isfinite(distance)) {
                    pairs.emplace_back(distance, i);
                }
            }
            std::sort(pairs.begin(), pairs.end());
            pairs.resize(std::max(k, pairs.size()), {infinity, -1});
            for (std::size_t place = 0; place < k; ++place) {
                answer.positions.push_back(pairs[place].second);
                answer.distances.push_back(pairs[place].first);
            }
        }
        return answer;
    }

    Answer ask(const hashlearn::Kernel& kernel, std::size_t threads) const {
        const Guarded codes(database);
        const Guarded queries(values);
        const Guarded left(gains), right(offsets);
        const Guarded marks(allowed);
        Answer answer{std::vector<std::int64_t>(n_queries * k, 7),
                      std::vector<double>(n_queries * k, 7)};
        hashlearn::Factors factors{};
        if (has_factors) {
            factors = {left.data(), right.data()};
        }
        hashlearn::nearest_weighted(kernel, {queries.data(), exponents.data(), n_queries, n_bits},
                                    {codes.data(), n_codes, n_bytes}, factors,
                                    is_masked ? marks.data() : nullptr, k, threads,
                                    answer.positions.data(), answer.distances.data());
        return answer;
    }

    std::size_t n_queries, n_codes, n_bits, n_bytes, k;
    bool has_factors, is_masked;
    Bytes database;
    std::vector<std::int32_t> values, exponents;
    std::vector<float> gains, offsets;
    std::vector<std::uint64_t> allowed;
};

void check_all(const Question& question, std::size_t threads, const char* what) {
    const Answer expected = question.expected();
    for (const hashlearn::Kernel* kernel : hashlearn::available_kernels()) {
        check(question.ask(*kernel, threads) == expected, what);
    }
}

void test_every_kernel_equals_brute_force() {
    std::mt19937 random(0);
    for (int round = 0; round < 200; ++round) {
        const std::size_t n_bits = round % 2 == 0 ? 1 + random() % 300 : 64 * (1 + random() % 9);
        const Question question(random, random() % 14, random() % 400, n_bits, 1 + random() % 50,
                                round % 3 == 0, round % 5 < 2);
        check_all(question, 1 + random() % 3, "brute force");
    }
}

void test_more_wanted_than_there_are() {
    std::mt19937 random(1);
    for (const bool has_factors : {false, true}) {
        check_all(Question(random, 3, 130, 40, 500, has_factors, true), 2, "many wanted");
    }
}

void test_codes_of_the_greatest_length() {
    std::mt19937 random(2);
    for (const bool has_factors : {false, true}) {
        check_all(Question(random, 3, 130, 65528, 5, has_factors, false), 2, "65528 bits");
    }
}

void test_values_that_are_all_zero_tie_all_codes() {
    std::mt19937 random(3);
    for (const bool has_factors : {false, true}) {
        Question question(random, 2, 300, 64, 20, has_factors, false);
        std::fill(question.values.begin(), question.values.end(), 0);
        check_all(question, 1, "zeros");
    }
}

void test_what_is_not_finite_is_not_found() {
    std::mt19937 random(4);
    Question question(random, 9, 300, 64, 250, true, false);
    const float strange[] = {
        std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        std::numeric_limits<float>::max(), std::numeric_limits<float>::denorm_min()};
    for (std::size_t i = 0; i < 300; i += 3) {
        question.gains[i] = strange[random() % 4];
        question.offsets[300 - 1 - i] = strange[random() % 4];
    }
    for (const std::int32_t exponent : {0, 30, -900, 1000}) {
        std::fill(question.exponents.begin(), question.exponents.end(), exponent);
        for (const std::size_t k : {5, 250}) {
            question.k = k;
            check_all(question, 1, "not finite");
        }
    }
}

void test_threads_find_the_same_and_many_may_ask_at_a_time() {
    std::mt19937 random(5);
    const hashlearn::Kernel& kernel = *hashlearn::available_kernels().front();
    for (const std::size_t n_queries : {1, 3, 40}) {  // by ranges of the database, or by queries
        const Question question(random, n_queries, 20000 + 70000 / n_queries * 9, 64, 30,
                                n_queries == 3, n_queries == 1);
        const Answer expected = question.expected();
        for (const std::size_t n_threads : {1, 2, 5}) {
            check(question.ask(kernel, n_threads) == expected, "threads");
        }
        std::vector<int> held(4, 0);
        std::vector<std::thread> threads;
        for (std::size_t t = 0; t < held.size(); ++t) {
            threads.emplace_back([&, t] {
                for (int round = 0; round < 3; ++round) {
                    held[t] += question.ask(kernel, 2) == expected;
                }
            });
        }
        for (std::thread& thread : threads) {
            thread.join();
        }
        for (const int count : held) {
            check(count == 3, "concurrent searches");
        }
    }
}

}  // namespace

int main() {
    test_every_kernel_equals_brute_force();
    test_more_wanted_than_there_are();
    test_codes_of_the_greatest_length();
    test_values_that_are_all_zero_tie_all_codes();
    test_what_is_not_finite_is_not_found();
    test_threads_find_the_same_and_many_may_ask_at_a_time();
    return report();
}
