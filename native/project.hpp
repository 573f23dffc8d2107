// The values whose signs are the bits of codes: X W^T + b, rounded alike wherever they are
// computed.
//
// A value is x_0 w_0 + x_1 w_1 + ..., added up in this order in double precision, then + b, then
// rounded to single precision. A product of two floats is exact in double precision, so a fused
// multiply-add rounds just as a multiplication and an addition do, and every lane of every
// instruction set gives the same bits. Neither the other rows, nor the place of a row among them,
// nor the number of threads has a part in it.
#pragma once

#include <cstddef>
#include <string>

namespace hashlearn {

// Rows one after the other.
struct Rows {
    const float* values;
    std::size_t n;
    std::size_t length;
};

// Write the values of each row of X, weights.n of them; `kernel` is the name of an available one.
void project(const std::string& kernel, Rows X, Rows weights, const float* bias,
             std::size_t n_threads, float* values);

// Multiplies `rows` rows of X, `stride` apart, with `bits` columns, given entry by entry:
// sums[r * bits + j] = sum over k of x[r * stride + k] * w[k * bits + j].
struct Multiplier {
    std::size_t rows;
    std::size_t bits;
    void (*multiply)(const double* x, std::size_t stride, const double* w, std::size_t n_features,
                     double* sums);
};

extern const Multiplier portable_multiplier;
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
extern const Multiplier avx2_multiplier;
extern const Multiplier avx512_multiplier;
#endif

}  // namespace hashlearn
