#include "project.hpp"

#include <algorithm>
#include <vector>

#include "thread_pool.hpp"

namespace hashlearn {

namespace {

// Rows that one task takes: they and their sums stay in a core's second-level cache.
constexpr std::size_t task_rows = 48;

// Below this many multiplications, one thread is faster than waking another.
constexpr std::size_t min_work_for_threads = 1 << 20;

// Memory in whole cache lines.
class Buffer {
   public:
    explicit Buffer(std::size_t n) : lines_((n + 7) / 8) {}
    double* data() { return reinterpret_cast<double*>(lines_.data()); }
    const double* data() const { return reinterpret_cast<const double*>(lines_.data()); }

   private:
    struct alignas(64) Line {
        double entries[8];
    };
    std::vector<Line> lines_;  // zeros
};

const Multiplier& find_multiplier([[maybe_unused]] const std::string& kernel) {
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
    __builtin_cpu_init();
    if (kernel == "avx512") {
        return avx512_multiplier;
    }
    if (kernel == "avx2" && __builtin_cpu_supports("fma")) {
        return avx2_multiplier;
    }
#endif
    return portable_multiplier;
}

}  // namespace

void project(const std::string& kernel, Rows X, Rows weights, const float* bias,
             std::size_t n_threads, float* values) {
    const Multiplier& multiplier = find_multiplier(kernel);
    const std::size_t d = X.length;
    const std::size_t n_bits = weights.n;
    const std::size_t n_panels = ceil_divide(n_bits, multiplier.bits);
    // Panels of columns, entry by entry; the last one is filled up with zeros.
    Buffer panels(n_panels * d * multiplier.bits);
    for (std::size_t j = 0; j < n_bits; ++j) {
        double* column = panels.data() + j / multiplier.bits * d * multiplier.bits;
        for (std::size_t k = 0; k < d; ++k) {
            column[k * multiplier.bits + j % multiplier.bits] = weights.values[j * d + k];
        }
    }
    // An odd number of cache lines from row to row, or rows would fall on one another in the cache.
    const std::size_t stride = (ceil_divide(d, 8) | 1) * 8;
    const std::size_t n_tasks = ceil_divide(X.n, task_rows);
    const auto work = [&](std::size_t task) {
        const std::size_t first = task * task_rows;
        const std::size_t last = std::min(first + task_rows, X.n);
        Buffer rows(ceil_divide(last - first, multiplier.rows) * multiplier.rows * stride);
        Buffer sums(multiplier.rows * multiplier.bits);
        for (std::size_t i = first; i < last; ++i) {
            std::copy_n(X.values + i * d, d, rows.data() + (i - first) * stride);
        }
        for (std::size_t panel = 0; panel < n_panels; ++panel) {
            const std::size_t first_bit = panel * multiplier.bits;
            const std::size_t last_bit = std::min(first_bit + multiplier.bits, n_bits);
            for (std::size_t row = first; row < last; row += multiplier.rows) {
                multiplier.multiply(rows.data() + (row - first) * stride, stride,
                                    panels.data() + first_bit * d, d, sums.data());
                for (std::size_t i = row; i < std::min(row + multiplier.rows, last); ++i) {
                    const double* sum = sums.data() + (i - row) * multiplier.bits;
                    for (std::size_t j = first_bit; j < last_bit; ++j) {
                        values[i * n_bits + j] = static_cast<float>(sum[j - first_bit] + bias[j]);
                    }
                }
            }
        }
    };
    const bool alone = X.n * d * n_bits < min_work_for_threads;
    ThreadPool::instance().run(n_tasks, alone ? 1 : n_threads, work);
}

}  // namespace hashlearn
