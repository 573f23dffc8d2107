// For any processor: ones are counted in parallel within the word.
#include "filter_common.hpp"

namespace hashlearn {

namespace {

struct PopCount {
    std::uint32_t operator()(std::uint64_t x) const {
        x -= x >> 1 & 0x5555555555555555U;
        x = (x & 0x3333333333333333U) + (x >> 2 & 0x3333333333333333U);
        x = (x + (x >> 4)) & 0x0F0F0F0F0F0F0F0FU;
        return static_cast<std::uint32_t>(x * 0x0101010101010101U >> 56);
    }
};

using Words = WordByWord<PopCount>;

}  // namespace

const Kernel portable_kernel = {"portable", Words::filter,  Words::filter_rows,
                                any_number, Words::measure, Words::near,
                                nullptr};

}  // namespace hashlearn
