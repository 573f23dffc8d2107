#include "tiles.hpp"

namespace hashlearn {

namespace {

// Lay whole groups of codes out as a tile. A constant number of bytes lets the compiler unroll.
template <std::size_t FixedBytes>
void fill_groups(const std::uint8_t* code, std::size_t n_bytes, std::size_t n_groups,
                 std::uint64_t* tile) {
    const std::size_t bytes = FixedBytes ? FixedBytes : n_bytes;
    const std::size_t n_words = ceil_divide(bytes, 8);
    for (std::size_t g = 0; g < n_groups; ++g, tile += n_words * group_size) {
        for (std::size_t i = 0; i < group_size; ++i, code += bytes) {
            store_words(code, bytes, tile + i, group_size);
        }
    }
}

}  // namespace

void fill_tile(const Kernel& kernel, Codes codes, std::size_t first, std::size_t n,
               std::uint64_t* tile) {
    const std::size_t n_words = words_of(codes);
    const std::size_t n_groups = n / group_size;
    const std::uint8_t* code = codes.bytes + first * codes.n_bytes;
    if (kernel.pack != nullptr && codes.n_bytes % 8 == 0 &&
        kernel.pack(code, n_groups, n_words, tile)) {
        // It has done the whole groups.
    } else if (codes.n_bytes == 4) {
        fill_groups<4>(code, 4, n_groups, tile);
    } else if (codes.n_bytes == 16) {
        fill_groups<16>(code, 16, n_groups, tile);
    } else if (codes.n_bytes == 32) {
        fill_groups<32>(code, 32, n_groups, tile);
    } else {
        fill_groups<0>(code, codes.n_bytes, n_groups, tile);
    }
    const std::size_t done = n_groups * group_size;
    const std::size_t padded = ceil_divide(n, stride) * stride;
    std::fill(tile + done * n_words, tile + padded * n_words, 0);
    for (std::size_t i = done; i < n; ++i) {
        store_words(code + i * codes.n_bytes, codes.n_bytes, tile + done * n_words + i % group_size,
                    group_size);
    }
}

}  // namespace hashlearn
