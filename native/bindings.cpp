// The Python face of the kernels: checks shapes, releases the GIL, calls the headers.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <stdexcept>

#include "popcount.hpp"

namespace nb = nanobind;

using Codes = nb::ndarray<const std::uint8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Distances = nb::ndarray<std::uint16_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

static void hamming_distances(Codes queries, Codes database, Distances out) {
    const std::size_t n_queries = queries.shape(0);
    const std::size_t n_database = database.shape(0);
    const std::size_t n_bytes = queries.shape(1);
    if (database.shape(1) != n_bytes) {
        throw std::invalid_argument("queries and database have codes of different lengths");
    }
    if (n_bytes > 8191) {
        throw std::invalid_argument("codes of more than 65528 bits overflow a uint16 distance");
    }
    if (out.shape(0) != n_queries || out.shape(1) != n_database) {
        throw std::invalid_argument("out must have the shape (n_queries, n_database)");
    }
    static const hashlearn::DistanceRow distance_row = hashlearn::choose_distance_row();
    const nb::gil_scoped_release release;
    for (std::size_t q = 0; q < n_queries; ++q) {
        distance_row(queries.data() + q * n_bytes, database.data(), n_database, n_bytes,
                     out.data() + q * n_database);
    }
}

NB_MODULE(_native, module) {
    module.doc() = "Hamming kernels; hashlearn.codes holds the definition that they must equal.";
    // noconvert: a converted `out` would be a copy that the caller never sees.
    module.def(
        "hamming_distances", &hamming_distances, nb::arg("queries").noconvert(),
        nb::arg("database").noconvert(), nb::arg("out").noconvert(),
        "Write the Hamming distances of uint8 codes (q, b) and (n, b) into out, uint16 (q, n).");
}
