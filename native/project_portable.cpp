// For any processor: plain C++, two or more lanes where the compiler finds them.
#include <cfloat>

#include "project_common.hpp"

static_assert(FLT_EVAL_METHOD == 0 || FLT_EVAL_METHOD == 1, "sums need true double precision");

namespace hashlearn {
namespace {

struct Lanes {
    struct Vector {
        double lanes[2];
    };
    static Vector load(const double* from) { return {{from[0], from[1]}}; }
    static Vector broadcast(double x) { return {{x, x}}; }
    static Vector multiply_add(Vector a, Vector b, Vector sum) {
        return {{sum.lanes[0] + a.lanes[0] * b.lanes[0], sum.lanes[1] + a.lanes[1] * b.lanes[1]}};
    }
    static void store(double* to, Vector x) {
        to[0] = x.lanes[0];
        to[1] = x.lanes[1];
    }
};

}  // namespace

const Multiplier portable_multiplier = {4, 4, multiply<Lanes, 4, 2>};

}  // namespace hashlearn
