// For x86-64 with the popcnt instruction (compiled with -mpopcnt).
#include "filter_common.hpp"

namespace hashlearn {

namespace {

struct PopCount {
    std::uint32_t operator()(std::uint64_t x) const {
        return static_cast<std::uint32_t>(__builtin_popcountll(x));
    }
};

using Words = WordByWord<PopCount>;

}  // namespace

const Kernel popcnt_kernel = {
    "popcnt", Words::filter, Words::filter_rows, any_number, Words::measure, Words::near, nullptr};

}  // namespace hashlearn
