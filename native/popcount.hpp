// Hamming distances between packed codes: xor, then count the ones.
// Plain C++20 that knows nothing of Python; src/hashlearn/codes.py is the definition it must equal.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace hashlearn {

using DistanceRow = void (*)(const std::uint8_t* query, const std::uint8_t* database, std::size_t n,
                             std::size_t n_bytes, std::uint16_t* distances);

inline __attribute__((always_inline)) std::uint64_t load_word(const std::uint8_t* bytes) {
    std::uint64_t word;
    std::memcpy(&word, bytes, 8);
    return word;
}

// The 0 to 7 bytes that do not fill a word. Copies of a fixed size compile to single loads; one of
// n_rest bytes would be a call for every code.
inline __attribute__((always_inline)) std::uint64_t load_rest(const std::uint8_t* bytes,
                                                              std::size_t n_rest) {
    std::uint64_t word = 0;
    if (n_rest & 4) {
        std::uint32_t part;
        std::memcpy(&part, bytes, 4);
        word = part;
        bytes += 4;
    }
    if (n_rest & 2) {
        std::uint16_t part;
        std::memcpy(&part, bytes, 2);
        word = word << 16 | part;
        bytes += 2;
    }
    if (n_rest & 1) {
        word = word << 8 | *bytes;
    }
    return word;
}

// Distances of one query to n codes of n_bytes each, stored one after the other.
inline __attribute__((always_inline)) void distance_row_body(const std::uint8_t* query,
                                                             const std::uint8_t* database,
                                                             std::size_t n, std::size_t n_bytes,
                                                             std::uint16_t* distances) {
    const std::size_t n_words = n_bytes / 8;
    const std::size_t n_rest = n_bytes % 8;
    const std::uint64_t query_rest = load_rest(query + 8 * n_words, n_rest);
    for (std::size_t i = 0; i < n; ++i) {
        const std::uint8_t* code = database + i * n_bytes;
        int distance = std::popcount(query_rest ^ load_rest(code + 8 * n_words, n_rest));
        for (std::size_t w = 0; w < n_words; ++w) {
            distance += std::popcount(load_word(query + 8 * w) ^ load_word(code + 8 * w));
        }
        distances[i] = static_cast<std::uint16_t>(distance);
    }
}

// The usual lengths as constants, so that the compiler unrolls the loop over the words.
inline __attribute__((always_inline)) void distance_row_unrolled(const std::uint8_t* query,
                                                                 const std::uint8_t* database,
                                                                 std::size_t n, std::size_t n_bytes,
                                                                 std::uint16_t* distances) {
    switch (n_bytes) {
        case 4:
            return distance_row_body(query, database, n, 4, distances);
        case 8:
            return distance_row_body(query, database, n, 8, distances);
        case 16:
            return distance_row_body(query, database, n, 16, distances);
        case 32:
            return distance_row_body(query, database, n, 32, distances);
        default:
            return distance_row_body(query, database, n, n_bytes, distances);
    }
}

inline void distance_row_portable(const std::uint8_t* query, const std::uint8_t* database,
                                  std::size_t n, std::size_t n_bytes, std::uint16_t* distances) {
    distance_row_unrolled(query, database, n, n_bytes, distances);
}

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
__attribute__((target("popcnt"))) inline void distance_row_popcnt(const std::uint8_t* query,
                                                                  const std::uint8_t* database,
                                                                  std::size_t n,
                                                                  std::size_t n_bytes,
                                                                  std::uint16_t* distances) {
    distance_row_unrolled(query, database, n, n_bytes, distances);
}
#endif

// The fastest kernel that this processor can run, chosen once.
inline DistanceRow choose_distance_row() {
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
    if (__builtin_cpu_supports("popcnt")) {
        return distance_row_popcnt;
    }
#endif
    return distance_row_portable;
}

}  // namespace hashlearn
