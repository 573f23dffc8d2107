// What the tests of the engine share: a count of checks, codes with ties, and all distances,
// sorted.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <utility>
#include <vector>

namespace {

int n_passed = 0;
int n_failed = 0;

void check(bool holds, const char* what) {
    if (holds) {
        ++n_passed;
    } else {
        ++n_failed;
        std::printf("FAILED: %s\n", what);
    }
}

using Bytes = std::vector<std::uint8_t>;

// Codes of which many are equal or nearly so, so that there are ties.
Bytes make_codes(std::mt19937& random, std::size_t n, std::size_t n_bytes) {
    Bytes bytes(n * n_bytes);
    for (std::size_t i = 0; i < n; ++i) {
        const std::size_t kind = random() % 5;
        for (std::size_t j = 0; j < n_bytes; ++j) {
            const auto noise = random() % 8 == 0 ? 1U << random() % 8 : 0U;
            bytes[i * n_bytes + j] = static_cast<std::uint8_t>((kind * 37 + j * 11) ^ noise);
        }
    }
    return bytes;
}

using Pairs = std::vector<std::pair<std::int32_t, std::int64_t>>;  // distance, position

[[maybe_unused]] Pairs brute_force(const std::uint8_t* query, const Bytes& database,
                                   std::size_t n_bytes) {
    Pairs pairs;
    for (std::size_t i = 0; i * n_bytes < database.size(); ++i) {
        std::int32_t distance = 0;
        for (std::size_t j = 0; j < n_bytes; ++j) {
            distance +=
                std::popcount(static_cast<std::uint8_t>(query[j] ^ database[i * n_bytes + j]));
        }
        pairs.emplace_back(distance, i);
    }
    std::sort(pairs.begin(), pairs.end());
    return pairs;
}

inline Pairs pairs_of(const std::vector<std::int64_t>& positions,
                      const std::vector<std::int32_t>& distances, std::size_t start,
                      std::size_t n) {
    Pairs pairs;
    for (std::size_t i = start; i < start + n; ++i) {
        pairs.emplace_back(distances[i], positions[i]);
    }
    return pairs;
}

// A copy of an array right before memory that may not be read: sanitizers do not see what the
// vector instructions with masks read, but the processor does.
template <typename T>
class Guarded {
   public:
    explicit Guarded(const std::vector<T>& values) {
        const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
        const std::size_t n_kept = (values.size() * sizeof(T) + page - 1) / page * page;
        size_ = n_kept + page;
        memory_ = static_cast<char*>(
            mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        if (memory_ == MAP_FAILED || mprotect(memory_ + n_kept, page, PROT_NONE) != 0) {
            std::abort();
        }
        values_ = reinterpret_cast<T*>(memory_ + n_kept) - values.size();
        std::copy(values.begin(), values.end(), values_);
    }
    ~Guarded() { munmap(memory_, size_); }
    Guarded(const Guarded&) = delete;
    Guarded& operator=(const Guarded&) = delete;

    const T* data() const { return values_; }

   private:
    std::size_t size_;
    char* memory_;
    T* values_;
};

// Say how many checks passed; the exit status.
int report() {
    std::printf("%d passed, %d failed\n", n_passed, n_failed);
    return n_failed == 0 ? 0 : 1;
}

}  // namespace
