// Parts of a database that stay in the cache while queries pass over them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "codes.hpp"
#include "filter.hpp"
#include "thread_pool.hpp"

namespace hashlearn {

// A tile stays in a core's second-level cache while all queries pass over it.
inline constexpr std::size_t tile_words = (128 << 10) / sizeof(std::uint64_t);

// Lay codes out in groups of eight, word by word, and pad the last stride with zeros.
void fill_tile(const Kernel& kernel, Codes codes, std::size_t first, std::size_t n,
               std::uint64_t* tile);

// Call use(tile, n, start, in_place) for one tile of a range of the database after the other. With
// `rows`, codes of whole words are not laid out but left in place, but for a last stride that is
// not whole. Codes of one word are the same either way.
template <typename Use>
void for_each_tile(const Kernel& kernel, Codes database, std::size_t first_code,
                   std::size_t last_code, bool rows, const Use& use) {
    const std::size_t n_words = words_of(database);
    const std::size_t tile_codes = std::max(stride, tile_words / n_words / stride * stride);
    const bool in_place = (n_words == 1 || rows) && database.n_bytes % 8 == 0 &&
                          reinterpret_cast<std::uintptr_t>(database.bytes) % 8 == 0;
    const std::size_t most =
        in_place ? stride
                 : std::min(tile_codes, ceil_divide(last_code - first_code, stride) * stride);
    const auto buffer = std::make_unique_for_overwrite<std::uint64_t[]>(most * n_words);
    for (std::size_t start = first_code, n = 0; start < last_code; start += n) {
        n = std::min(tile_codes, last_code - start);
        if (in_place && n >= stride) {
            n = n / stride * stride;
            use(reinterpret_cast<const std::uint64_t*>(database.bytes) + start * n_words, n, start,
                true);
        } else {
            fill_tile(kernel, database, start, n, buffer.get());
            use(buffer.get(), n, start, false);
        }
    }
}

}  // namespace hashlearn
