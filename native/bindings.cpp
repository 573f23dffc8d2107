// The Python face of the kernels: checks shapes, releases the GIL, calls the headers.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "scan.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using CodeArray = nb::ndarray<const std::uint8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using PositionMatrix = nb::ndarray<std::int64_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using BitMatrix = nb::ndarray<std::int32_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

void check_lengths(const CodeArray& queries, const CodeArray& database) {
    if (queries.shape(1) != database.shape(1)) {
        throw std::invalid_argument("queries and database have codes of different lengths");
    }
    if (queries.shape(1) < 1 || queries.shape(1) > 8191) {
        throw std::invalid_argument("codes must have from 1 to 8191 bytes");
    }
}

hashlearn::Codes as_codes(const CodeArray& array) {
    return {array.data(), array.shape(0), array.shape(1)};
}

const hashlearn::Kernel& find_kernel(const std::string& name) {
    for (const hashlearn::Kernel* kernel : hashlearn::available_kernels()) {
        if (name == kernel->name) {
            return *kernel;
        }
    }
    throw std::invalid_argument("this processor has no kernel " + name);
}

std::vector<std::string> kernels() {
    std::vector<std::string> names;
    for (const hashlearn::Kernel* kernel : hashlearn::available_kernels()) {
        names.emplace_back(kernel->name);
    }
    return names;
}

void scan_nearest(const CodeArray& queries, const CodeArray& database,
                  const PositionMatrix& positions, const BitMatrix& distances, std::size_t threads,
                  const std::string& kernel) {
    check_lengths(queries, database);
    const std::size_t k = positions.shape(1);
    if (positions.shape(0) != queries.shape(0) || distances.shape(0) != queries.shape(0) ||
        distances.shape(1) != k || k > database.shape(0)) {
        throw std::invalid_argument(
            "positions and distances must have the shape (n_queries, k), k at most n_database");
    }
    const hashlearn::Kernel& chosen = find_kernel(kernel);
    const nb::gil_scoped_release release;
    hashlearn::scan_nearest(chosen, as_codes(queries), as_codes(database), k, threads,
                            positions.data(), distances.data());
}

// Give a vector to NumPy without copying it.
template <typename T>
nb::ndarray<nb::numpy, T, nb::ndim<1>> to_numpy(std::vector<T> values) {
    auto owner = std::make_unique<std::vector<T>>(std::move(values));
    T* data = owner->data();
    const std::size_t size = owner->size();
    nb::capsule capsule(owner.release(),
                        [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
    return nb::ndarray<nb::numpy, T, nb::ndim<1>>(data, {size}, capsule);
}

nb::tuple scan_radius(const CodeArray& queries, const CodeArray& database, std::uint32_t radius,
                      std::size_t threads, const std::string& kernel) {
    check_lengths(queries, database);
    const hashlearn::Kernel& chosen = find_kernel(kernel);
    std::vector<std::int64_t> positions;
    std::vector<std::int32_t> distances;
    std::vector<std::int64_t> offsets = {0};
    {
        const nb::gil_scoped_release release;
        const auto found =
            hashlearn::scan_radius(chosen, as_codes(queries), as_codes(database), radius, threads);
        for (const hashlearn::Found& part : found) {
            positions.insert(positions.end(), part.positions.begin(), part.positions.end());
            distances.insert(distances.end(), part.distances.begin(), part.distances.end());
            offsets.push_back(static_cast<std::int64_t>(positions.size()));
        }
    }
    return nb::make_tuple(to_numpy(std::move(positions)), to_numpy(std::move(distances)),
                          to_numpy(std::move(offsets)));
}

}  // namespace

NB_MODULE(_native, module) {
    module.doc() = "Hamming kernels; hashlearn.codes holds the definition that they must equal.";
    // noconvert: an array of another dtype or layout would be copied, and what is written into the
    // copy of an output would be lost.
    module.def("kernels", &kernels,
               "Names of the kernels that this processor runs, fastest first.");
    module.def("scan_nearest", &scan_nearest, "queries"_a.noconvert(), "database"_a.noconvert(),
               "positions"_a.noconvert(), "distances"_a.noconvert(), "threads"_a, "kernel"_a,
               "Write the k nearest of uint8 codes (n, b) to each of (q, b) into positions, int64 "
               "(q, k), and distances, int32 (q, k), in the order (distance, position).");
    module.def(
        "scan_radius", &scan_radius, "queries"_a.noconvert(), "database"_a.noconvert(), "radius"_a,
        "threads"_a, "kernel"_a,
        "Give positions int64, distances int32 and offsets int64 (q + 1,) of all codes within "
        "the radius, for each query in the order (distance, position).");
}
