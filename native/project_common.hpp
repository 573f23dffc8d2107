// The inner loop of every multiplier, over lanes that a source file defines for its instruction
// set.
#pragma once

#include "project.hpp"

namespace hashlearn {

template <class Lanes, std::size_t n_rows, std::size_t n_vectors>
void multiply(const double* x, std::size_t stride, const double* w, std::size_t n_features,
              double* sums) {
    using Vector = typename Lanes::Vector;
    constexpr std::size_t n_lanes = sizeof(Vector) / sizeof(double);
    constexpr std::size_t n_bits = n_vectors * n_lanes;
    Vector sum[n_rows][n_vectors];
    for (std::size_t r = 0; r < n_rows; ++r) {
        for (std::size_t v = 0; v < n_vectors; ++v) {
            sum[r][v] = Lanes::broadcast(0.0);
        }
    }
    for (std::size_t k = 0; k < n_features; ++k) {
        Vector column[n_vectors];
        for (std::size_t v = 0; v < n_vectors; ++v) {
            column[v] = Lanes::load(w + k * n_bits + v * n_lanes);
        }
        for (std::size_t r = 0; r < n_rows; ++r) {
            const Vector entry = Lanes::broadcast(x[r * stride + k]);
            for (std::size_t v = 0; v < n_vectors; ++v) {
                sum[r][v] = Lanes::multiply_add(entry, column[v], sum[r][v]);
            }
        }
    }
    for (std::size_t r = 0; r < n_rows; ++r) {
        for (std::size_t v = 0; v < n_vectors; ++v) {
            Lanes::store(sums + r * n_bits + v * n_lanes, sum[r][v]);
        }
    }
}

}  // namespace hashlearn
