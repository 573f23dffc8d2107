// Packed codes, and their words.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace hashlearn {

// Packed codes, one after the other, and their number and length.
struct Codes {
    const std::uint8_t* bytes;
    std::size_t n;
    std::size_t n_bytes;
};

// Words that a code takes, the last one padded with zero bits.
inline std::size_t words_of(Codes codes) { return (codes.n_bytes + 7) / 8; }

// The n_rest (0 to 7) bytes that do not fill a word. Copies of a fixed size compile to single
// loads; one of n_rest bytes would be a call for every code.
inline std::uint64_t load_rest(const std::uint8_t* bytes, std::size_t n_rest) {
    std::uint64_t word = 0;
    std::size_t shift = 0;
    if (n_rest & 4) {
        std::uint32_t part;
        std::memcpy(&part, bytes, 4);
        word = part;
        shift = 32;
        bytes += 4;
    }
    if (n_rest & 2) {
        std::uint16_t part;
        std::memcpy(&part, bytes, 2);
        word |= std::uint64_t{part} << shift;
        shift += 16;
        bytes += 2;
    }
    if (n_rest & 1) {
        word |= std::uint64_t{*bytes} << shift;
    }
    return word;
}

// Write the words of a code, padded with zero bits, `step` places apart.
inline void store_words(const std::uint8_t* code, std::size_t n_bytes, std::uint64_t* place,
                        std::size_t step) {
    for (; n_bytes >= 8; n_bytes -= 8, code += 8, place += step) {
        std::memcpy(place, code, 8);
    }
    if (n_bytes > 0) {
        *place = load_rest(code, n_bytes);
    }
}

// Write the words of one of the codes, one after the other. Codes of one word, which are loaded
// billions of times while tables are built, must not wait for what longer ones need.
inline void load_words(Codes codes, std::size_t position, std::uint64_t* words) {
    const std::uint8_t* code = codes.bytes + position * codes.n_bytes;
    if (codes.n_bytes == 8) {
        std::memcpy(words, code, 8);
    } else {
        words[words_of(codes) - 1] = 0;
        std::memcpy(words, code, codes.n_bytes);
    }
}

// Words of queries, one query after the other.
inline std::vector<std::uint64_t> to_words(Codes queries) {
    const std::size_t n_words = words_of(queries);
    std::vector<std::uint64_t> words(queries.n * n_words);
    for (std::size_t q = 0; q < queries.n; ++q) {
        load_words(queries, q, words.data() + q * n_words);
    }
    return words;
}

}  // namespace hashlearn
