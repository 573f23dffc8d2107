// Counts of distances against brute force, and many at a time; built with sanitizers by
// `make sanitize`. Prints how many checks passed and fails if one did not.
#include <random>
#include <thread>
#include <vector>

#include "brute_force.hpp"
#include "counts.hpp"
#include "scan.hpp"

namespace {

// Codes, their marks, and what the counts must be: 3 numbers a query and distance.
struct Question {
    Question(std::mt19937& random, std::size_t n_queries, std::size_t n, std::size_t width)
        : n_bytes(width),
          n_codes(n),
          queries(make_codes(random, n_queries, width)),
          database(make_codes(random, n, width)),
          relevant(n_queries * n),
          gains(n_queries * n) {
        for (std::size_t i = 0; i < relevant.size(); ++i) {
            relevant[i] = random() % 3 == 0;
            gains[i] = static_cast<std::uint16_t>(random() % 4 == 0 ? 0xFFFF : random());
        }
        const std::size_t n_levels = 8 * width + 1;
        expected.resize(3 * n_queries * n_levels);
        for (std::size_t q = 0; q < n_queries; ++q) {
            for (const auto& [distance, position] :
                 brute_force(queries.data() + q * width, database, width)) {
                const std::size_t to = q * n_levels + static_cast<std::size_t>(distance);
                const std::size_t mark = q * n + static_cast<std::size_t>(position);
                ++expected[to];
                expected[to + n_queries * n_levels] += relevant[mark];
                expected[to + 2 * n_queries * n_levels] += gains[mark];
            }
        }
    }

    // Counts of `kernel`, or those of the first two kinds, as long as the expected ones.
    std::vector<std::int64_t> ask(const hashlearn::Kernel& kernel, bool graded,
                                  std::size_t threads) const {
        const Guarded left(queries), right(database), marks(relevant);
        const Guarded worth(gains);
        std::vector<std::int64_t> counts(expected.size());
        const std::size_t third = counts.size() / 3;
        hashlearn::count_distances(
            kernel, {left.data(), queries.size() / n_bytes, n_bytes},
            {right.data(), n_codes, n_bytes}, {marks.data(), graded ? worth.data() : nullptr},
            threads,
            {counts.data(), counts.data() + third, graded ? counts.data() + 2 * third : nullptr});
        return counts;
    }

    bool holds(const hashlearn::Kernel& kernel, bool graded, std::size_t threads) const {
        std::vector<std::int64_t> wanted = expected;
        if (!graded) {
            std::fill(wanted.end() - static_cast<std::ptrdiff_t>(wanted.size() / 3), wanted.end(),
                      0);
        }
        return ask(kernel, graded, threads) == wanted;
    }

    std::size_t n_bytes, n_codes;
    Bytes queries, database, relevant;
    std::vector<std::uint16_t> gains;
    std::vector<std::int64_t> expected;
};

void test_every_kernel_equals_brute_force() {
    std::mt19937 random(0);
    for (const hashlearn::Kernel* kernel : hashlearn::available_kernels()) {
        for (int round = 0; round < 100; ++round) {
            const std::size_t n_bytes =
                round % 2 == 0 ? 1 + random() % 40 : 8 * (1 + random() % 18);
            const Question question(random, random() % 14, random() % 400, n_bytes);
            check(question.holds(*kernel, round % 3 == 0, 1 + random() % 3), kernel->name);
        }
    }
}

void test_many_codes_with_the_largest_gains_do_not_overflow() {
    std::mt19937 random(1);
    Question question(random, 2, 70000, 1);  // beyond 2^16, several tiles
    std::fill(question.queries.begin(), question.queries.end(), std::uint8_t{0xFF});
    std::fill(question.database.begin(), question.database.end(), std::uint8_t{0});
    std::fill(question.relevant.begin(), question.relevant.end(), std::uint8_t{1});
    std::fill(question.gains.begin(), question.gains.end(), std::uint16_t{0xFFFF});
    std::fill(question.expected.begin(), question.expected.end(), 0);
    for (std::size_t q = 0; q < 2; ++q) {
        question.expected[9 * q + 8] = question.expected[18 + 9 * q + 8] = 70000;
        question.expected[36 + 9 * q + 8] = 70000LL * 0xFFFF;
    }
    for (const hashlearn::Kernel* kernel : hashlearn::available_kernels()) {
        check(question.holds(*kernel, true, 1), "largest gains");
        check(question.holds(*kernel, false, 1), "largest counts");
    }
}

void test_codes_of_the_greatest_length() {
    std::mt19937 random(2);
    Question question(random, 3, 130, 8191);
    for (const hashlearn::Kernel* kernel : hashlearn::available_kernels()) {
        check(question.holds(*kernel, true, 2), "8191 bytes");
    }
}

void test_threads_count_the_same_and_many_may_ask_at_a_time() {
    std::mt19937 random(3);
    const Question question(random, 150, 3000, 8);  // enough for more than one thread
    const hashlearn::Kernel& kernel = *hashlearn::available_kernels().front();
    for (const std::size_t n_threads : {1, 2, 5}) {
        check(question.holds(kernel, true, n_threads), "threads");
    }
    std::vector<int> held(6, 0);
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < held.size(); ++t) {
        threads.emplace_back([&, t] {
            for (int round = 0; round < 10; ++round) {
                held[t] += question.holds(kernel, round % 2 == 0, 2);
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    for (const int count : held) {
        check(count == 10, "concurrent counts");
    }
}

}  // namespace

int main() {
    test_every_kernel_equals_brute_force();
    test_many_codes_with_the_largest_gains_do_not_overflow();
    test_codes_of_the_greatest_length();
    test_threads_count_the_same_and_many_may_ask_at_a_time();
    return report();
}
