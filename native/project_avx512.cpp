// For AVX-512 (compiled with -mavx512f).
#include <immintrin.h>

#include "project_common.hpp"

namespace hashlearn {
namespace {

struct Lanes {
    using Vector = __m512d;
    static Vector load(const double* from) { return _mm512_loadu_pd(from); }
    static Vector broadcast(double x) { return _mm512_set1_pd(x); }
    static Vector multiply_add(Vector a, Vector b, Vector sum) {
        return _mm512_fmadd_pd(a, b, sum);
    }
    static void store(double* to, Vector x) { _mm512_storeu_pd(to, x); }
};

}  // namespace

const Multiplier avx512_multiplier = {12, 16, multiply<Lanes, 12, 2>};

}  // namespace hashlearn
