// The Python face of the kernels: checks shapes, releases the GIL, calls the headers.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "counts.hpp"
#include "multi_index.hpp"
#include "project.hpp"
#include "scan.hpp"
#include "weighted.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using CodeArray = nb::ndarray<const std::uint8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using PositionMatrix = nb::ndarray<std::int64_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using CountArray = nb::ndarray<std::int64_t, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
using FloatMatrix = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using FloatVector = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using ValueMatrix = nb::ndarray<float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using BitMatrix = nb::ndarray<std::int32_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

template <typename T>
using Vector = nb::ndarray<T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <typename T>
using Matrix = nb::ndarray<T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

using Bitmap = std::optional<Vector<const std::uint64_t>>;

// First bit, starts, positions or None, words or None.
using TableArrays =
    std::tuple<unsigned, Vector<const std::uint32_t>, std::optional<Vector<const std::uint32_t>>,
               std::optional<Matrix<const std::uint64_t>>>;

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

hashlearn::Allowed as_allowed(const Bitmap& allowed, const CodeArray& database) {
    if (!allowed) {
        return nullptr;
    }
    if (allowed->shape(0) != (database.shape(0) + 63) / 64) {
        throw std::invalid_argument("allowed must have a word for every 64 codes of the database");
    }
    return allowed->data();
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
                  const std::string& kernel, const Bitmap& allowed) {
    check_lengths(queries, database);
    const hashlearn::Allowed bits = as_allowed(allowed, database);
    const std::size_t k = positions.shape(1);
    if (positions.shape(0) != queries.shape(0) || distances.shape(0) != queries.shape(0) ||
        distances.shape(1) != k || k > database.shape(0)) {
        throw std::invalid_argument(
            "positions and distances must have the shape (n_queries, k), k at most n_database");
    }
    const hashlearn::Kernel& chosen = find_kernel(kernel);
    const nb::gil_scoped_release release;
    hashlearn::scan_nearest(chosen, as_codes(queries), as_codes(database), bits, k, threads,
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

// Positions, distances, and where each query's begin.
nb::tuple to_tuple(const std::vector<hashlearn::Found>& found) {
    std::vector<std::int64_t> positions;
    std::vector<std::int32_t> distances;
    std::vector<std::int64_t> offsets = {0};
    for (const hashlearn::Found& part : found) {
        positions.insert(positions.end(), part.positions.begin(), part.positions.end());
        distances.insert(distances.end(), part.distances.begin(), part.distances.end());
        offsets.push_back(static_cast<std::int64_t>(positions.size()));
    }
    return nb::make_tuple(to_numpy(std::move(positions)), to_numpy(std::move(distances)),
                          to_numpy(std::move(offsets)));
}

nb::tuple scan_radius(const CodeArray& queries, const CodeArray& database, std::uint32_t radius,
                      std::size_t threads, const std::string& kernel, const Bitmap& allowed) {
    check_lengths(queries, database);
    const hashlearn::Allowed bits = as_allowed(allowed, database);
    const hashlearn::Kernel& chosen = find_kernel(kernel);
    std::vector<hashlearn::Found> found;
    {
        const nb::gil_scoped_release release;
        found = hashlearn::scan_radius(chosen, as_codes(queries), as_codes(database), bits, radius,
                                       threads);
    }
    return to_tuple(found);
}

unsigned substring_bits(std::size_t n_starts) {
    for (unsigned n_bits = 1; n_bits <= 32; ++n_bits) {
        if (n_starts == (std::size_t{1} << n_bits) + 1) {
            return n_bits;
        }
    }
    throw std::invalid_argument("starts must have 2^n + 1 values, n from 1 to 32");
}

void check_substring(const CodeArray& codes, unsigned first_bit, unsigned n_bits) {
    if (first_bit + std::size_t{n_bits} > 8 * codes.shape(1)) {
        throw std::invalid_argument("the substring does not lie within the codes");
    }
    if (codes.shape(0) > std::size_t{0xFFFFFFFF}) {
        throw std::invalid_argument("tables hold at most 2^32 - 1 codes");
    }
}

bool values_rise(const CodeArray& codes, unsigned first_bit, unsigned n_bits) {
    check_substring(codes, first_bit, n_bits);
    const nb::gil_scoped_release release;
    return hashlearn::values_rise(as_codes(codes), first_bit, n_bits);
}

void build_table(const CodeArray& codes, unsigned first_bit, const Vector<std::uint32_t>& starts,
                 const std::optional<Vector<std::uint32_t>>& positions,
                 const std::optional<Matrix<std::uint64_t>>& words, std::size_t threads) {
    const unsigned n_bits = substring_bits(starts.shape(0));
    check_substring(codes, first_bit, n_bits);
    if (positions && positions->shape(0) != codes.shape(0)) {
        throw std::invalid_argument("positions must be as many as codes");
    }
    if (words && (!positions || words->shape(0) != codes.shape(0) ||
                  words->shape(1) != (codes.shape(1) + 7) / 8)) {
        throw std::invalid_argument("words must have a row for each code and come with positions");
    }
    const nb::gil_scoped_release release;
    hashlearn::build_table(as_codes(codes), first_bit, n_bits, threads, starts.data(),
                           positions ? positions->data() : nullptr,
                           words ? words->data() : nullptr);
}

std::vector<hashlearn::Table> as_tables(const CodeArray& database,
                                        const std::vector<TableArrays>& arrays) {
    std::vector<hashlearn::Table> tables;
    unsigned n_covered = 0;
    for (const auto& [first_bit, starts, positions, words] : arrays) {
        const unsigned n_bits = substring_bits(starts.shape(0));
        check_substring(database, first_bit, n_bits);
        if ((!positions && !words) || (positions && positions->shape(0) != database.shape(0)) ||
            (words && (words->shape(0) != database.shape(0) ||
                       words->shape(1) != (database.shape(1) + 7) / 8))) {
            throw std::invalid_argument("a table does not fit the codes");
        }
        tables.push_back({first_bit, n_bits, starts.data(), positions ? positions->data() : nullptr,
                          words ? words->data() : nullptr});
        n_covered += n_bits;
    }
    if (tables.empty() || database.shape(0) == 0 || n_covered > 8 * database.shape(1)) {
        throw std::invalid_argument("there must be codes, and tables of different bits");
    }
    return tables;
}

void find_nearest(const CodeArray& queries, const CodeArray& database,
                  const std::vector<TableArrays>& tables, const Bitmap& allowed,
                  std::tuple<double, double, double> costs, const PositionMatrix& positions,
                  const BitMatrix& distances, const Vector<double>& spent, std::size_t threads,
                  const std::string& kernel) {
    check_lengths(queries, database);
    const std::size_t k = positions.shape(1);
    if (positions.shape(0) != queries.shape(0) || distances.shape(0) != queries.shape(0) ||
        spent.shape(0) != queries.shape(0) || distances.shape(1) != k || k < 1 ||
        k > database.shape(0)) {
        throw std::invalid_argument(
            "positions and distances must have the shape (n_queries, k), k from 1 to n_database, "
            "and spent the shape (n_queries,)");
    }
    const hashlearn::Kernel& chosen = find_kernel(kernel);
    const std::vector<hashlearn::Table> substrings = as_tables(database, tables);
    const hashlearn::Allowed bits = as_allowed(allowed, database);
    const auto [value, code, budget] = costs;
    const nb::gil_scoped_release release;
    hashlearn::find_nearest(chosen, as_codes(queries), as_codes(database), substrings, bits, k,
                            {value, code, budget}, threads, positions.data(), distances.data(),
                            spent.data());
}

nb::tuple find_radius(const CodeArray& queries, const CodeArray& database,
                      const std::vector<TableArrays>& tables, const Bitmap& allowed,
                      std::uint32_t radius, std::size_t threads, const std::string& kernel) {
    check_lengths(queries, database);
    const hashlearn::Kernel& chosen = find_kernel(kernel);
    const std::vector<hashlearn::Table> substrings = as_tables(database, tables);
    const hashlearn::Allowed bits = as_allowed(allowed, database);
    std::vector<hashlearn::Found> found;
    {
        const nb::gil_scoped_release release;
        found = hashlearn::find_radius(chosen, as_codes(queries), as_codes(database), substrings,
                                       bits, radius, threads);
    }
    return to_tuple(found);
}

void count_distances(const CodeArray& queries, const CodeArray& database, const CodeArray& relevant,
                     const std::optional<Matrix<const std::uint16_t>>& gains,
                     const CountArray& counts, std::size_t threads, const std::string& kernel) {
    check_lengths(queries, database);
    const auto are_marks = [&](const auto& array) {
        return array.shape(0) == queries.shape(0) && array.shape(1) == database.shape(0);
    };
    const std::size_t n_counts = queries.shape(0) * (8 * queries.shape(1) + 1);
    if (!are_marks(relevant) || (gains && !are_marks(*gains)) ||
        counts.shape(0) != (gains ? 3 : 2) || counts.shape(1) != queries.shape(0) ||
        counts.shape(2) != 8 * queries.shape(1) + 1) {
        throw std::invalid_argument(
            "relevant and gains must have the shape (n_queries, n_database), and counts the shape "
            "(2, or 3 with gains, n_queries, 8 * n_bytes + 1)");
    }
    const hashlearn::Kernel& chosen = find_kernel(kernel);
    const nb::gil_scoped_release release;
    hashlearn::count_distances(
        chosen, as_codes(queries), as_codes(database),
        {relevant.data(), gains ? gains->data() : nullptr}, threads,
        {counts.data(), counts.data() + n_counts, gains ? counts.data() + 2 * n_counts : nullptr});
}

void nearest_weighted(const Matrix<const std::int32_t>& values,
                      const Vector<const std::int32_t>& exponents, const CodeArray& database,
                      const std::optional<Vector<const float>>& gains,
                      const std::optional<Vector<const float>>& offsets, const Bitmap& allowed,
                      const PositionMatrix& positions, const Matrix<double>& distances,
                      std::size_t threads, const std::string& kernel) {
    const std::size_t n_queries = values.shape(0);
    const std::size_t n_bits = values.shape(1);
    if (n_bits < 1 || n_bits > 8 * std::size_t{8191} || database.shape(1) != (n_bits + 7) / 8) {
        throw std::invalid_argument("codes must have a bit for each of 1 to 65528 values");
    }
    if (exponents.shape(0) != n_queries || positions.shape(0) != n_queries ||
        distances.shape(0) != n_queries || distances.shape(1) != positions.shape(1)) {
        throw std::invalid_argument(
            "exponents must have the shape (n_queries,), positions and distances (n_queries, k)");
    }
    if (gains.has_value() != offsets.has_value() ||
        (gains &&
         (gains->shape(0) != database.shape(0) || offsets->shape(0) != database.shape(0)))) {
        throw std::invalid_argument("gains and offsets must both have one value for each code");
    }
    const hashlearn::Allowed bits = as_allowed(allowed, database);
    const hashlearn::Kernel& chosen = find_kernel(kernel);
    for (std::size_t query = 0; query < n_queries; ++query) {
        std::int64_t sum = 0;
        for (std::size_t bit = 0; bit < n_bits; ++bit) {
            const std::int64_t value = values.data()[query * n_bits + bit];
            sum += value < 0 ? -value : value;
        }
        if (sum >= std::int64_t{1} << 31) {
            throw std::invalid_argument("the values of a query must add up to less than 2^31");
        }
    }
    const nb::gil_scoped_release release;
    hashlearn::nearest_weighted(
        chosen, {values.data(), exponents.data(), n_queries, n_bits}, as_codes(database),
        {gains ? gains->data() : nullptr, offsets ? offsets->data() : nullptr}, bits,
        positions.shape(1), threads, positions.data(), distances.data());
}

void project(const FloatMatrix& X, const FloatMatrix& weights, const FloatVector& bias,
             const ValueMatrix& values, std::size_t threads, const std::string& kernel) {
    if (X.shape(1) != weights.shape(1)) {
        throw std::invalid_argument("X and weights have rows of different lengths");
    }
    if (bias.shape(0) != weights.shape(0) || values.shape(0) != X.shape(0) ||
        values.shape(1) != weights.shape(0)) {
        throw std::invalid_argument("bias must have the shape (n_bits,), values (n, n_bits)");
    }
    const std::string name = find_kernel(kernel).name;
    const nb::gil_scoped_release release;
    hashlearn::project(name, {X.data(), X.shape(0), X.shape(1)},
                       {weights.data(), weights.shape(0), weights.shape(1)}, bias.data(), threads,
                       values.data());
}

}  // namespace

NB_MODULE(_native, module) {
    module.doc() = "Kernels; hashlearn.codes and hashlearn.hashers.linear define their results.";
    // noconvert: an array of another dtype or layout would be copied, and what is written into the
    // copy of an output would be lost.
    module.def("kernels", &kernels,
               "Names of the kernels that this processor runs, fastest first.");
    module.def("scan_nearest", &scan_nearest, "queries"_a.noconvert(), "database"_a.noconvert(),
               "positions"_a.noconvert(), "distances"_a.noconvert(), "threads"_a, "kernel"_a,
               "allowed"_a.noconvert() = nb::none(),
               "Write the k nearest of uint8 codes (n, b) to each of (q, b) into positions, int64 "
               "(q, k), and distances, int32 (q, k), in the order (distance, position). Of uint64 "
               "allowed (ceil(n / 64),) the bits say which positions may be found; places for "
               "which there is none hold -1 and 8 * b + 1.");
    module.def("values_rise", &values_rise, "codes"_a.noconvert(), "first_bit"_a, "n_bits"_a,
               "Whether the values of a substring rise over uint8 codes (n, b).");
    module.def("build_table", &build_table, "codes"_a.noconvert(), "first_bit"_a,
               "starts"_a.noconvert(), "positions"_a.noconvert().none(),
               "words"_a.noconvert().none(), "threads"_a,
               "Sort uint8 codes (n, b) by a substring: fill starts, uint32 (2^bits + 1,), and, "
               "unless None, positions, uint32 (n,), and words, uint64 (n, ceil(b / 8)).");
    module.def("find_nearest", &find_nearest, "queries"_a.noconvert(), "database"_a.noconvert(),
               "tables"_a, "allowed"_a.none(), "costs"_a, "positions"_a.noconvert(),
               "distances"_a.noconvert(), "spent"_a.noconvert(), "threads"_a, "kernel"_a,
               "As scan_nearest, by tables (first_bit, starts, positions, words). costs: of a "
               "value, of a code, and the budget; spent, float64 (q,), is -1 for a query that "
               "would have exceeded it and has no result.");
    module.def("find_radius", &find_radius, "queries"_a.noconvert(), "database"_a.noconvert(),
               "tables"_a, "allowed"_a.none(), "radius"_a, "threads"_a, "kernel"_a,
               "As scan_radius, by tables.");
    module.def(
        "scan_radius", &scan_radius, "queries"_a.noconvert(), "database"_a.noconvert(), "radius"_a,
        "threads"_a, "kernel"_a, "allowed"_a.noconvert() = nb::none(),
        "Give positions int64, distances int32 and offsets int64 (q + 1,) of all allowed codes "
        "within the radius, for each query in the order (distance, position).");
    module.def("count_distances", &count_distances, "queries"_a.noconvert(),
               "database"_a.noconvert(), "relevant"_a.noconvert(), "gains"_a.noconvert().none(),
               "counts"_a.noconvert(), "threads"_a, "kernel"_a,
               "Add to counts, int64 (2 or 3, q, 8 * b + 1), the uint8 codes (n, b) at each "
               "distance from each of (q, b), the relevant ones, uint8 0 or 1 (q, n), and, unless "
               "None, the sums of their gains, uint16 (q, n).");
    module.def("nearest_weighted", &nearest_weighted, "values"_a.noconvert(),
               "exponents"_a.noconvert(), "database"_a.noconvert(), "gains"_a.noconvert().none(),
               "offsets"_a.noconvert().none(), "allowed"_a.noconvert().none(),
               "positions"_a.noconvert(), "distances"_a.noconvert(), "threads"_a, "kernel"_a,
               "Write the k nearest of uint8 codes (n, b) to each row of values, int32 (q, n_bits) "
               "times 2^-exponent, int32 (q,), into positions, int64 (q, k), and distances, "
               "float64 (q, k), in the order (distance, position): sums of absolute values over "
               "bits that differ or, with gains and offsets, float32 (n,), offset - 2 * gain * sum "
               "of values with the signs of the bits. Empty places hold -1 and infinity.");
    module.def(
        "project", &project, "X"_a.noconvert(), "weights"_a.noconvert(), "bias"_a.noconvert(),
        "values"_a.noconvert(), "threads"_a, "kernel"_a,
        "Write X @ weights.T + bias of float32 (n, d), (n_bits, d) and (n_bits,) into values, "
        "float32 (n, n_bits), added up in a fixed order in double precision.");
}
