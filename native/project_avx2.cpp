// For AVX2 with FMA (compiled with -mavx2 -mfma).
#include <immintrin.h>

#include "project_common.hpp"

namespace hashlearn {
namespace {

struct Lanes {
    using Vector = __m256d;
    static Vector load(const double* from) { return _mm256_loadu_pd(from); }
    static Vector broadcast(double x) { return _mm256_set1_pd(x); }
    static Vector multiply_add(Vector a, Vector b, Vector sum) {
        return _mm256_fmadd_pd(a, b, sum);
    }
    static void store(double* to, Vector x) { _mm256_storeu_pd(to, x); }
};

}  // namespace

const Multiplier avx2_multiplier = {6, 8, multiply<Lanes, 6, 2>};

}  // namespace hashlearn
