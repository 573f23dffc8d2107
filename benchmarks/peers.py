"""The routes that the benchmarks of search compare: this library's, faiss's and usearch's.

    pip install faiss-cpu usearch

A route answers queries and says what it took to build. Exact routes give the same ids, in the order
(distance, id); of the others the recall is measured. usearch's exact search finds the right
distances, but leaves the order of ties open.
"""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlearn.engine import available_threads
from hashlearn.index import HammingIndex, scan

Codes = NDArray[np.uint8]

PLAIN_READ = "plain read"
"""The route that finds nothing."""


@dataclass(frozen=True)
class Route:
    """A way to search. It has `nearest`, or `within`, or both.

    ``nearest(queries, k, threads)`` gives distances and ids; ``within(queries, radius, threads)``
    gives distances, ids and where each query's begin.
    """

    name: str
    nearest: Callable[[Codes, int, int], tuple] | None = None
    within: Callable[[Codes, int, int], tuple] | None = None
    exact: bool = False
    build_seconds: float | None = None
    bytes_per_code: float | None = None


def our_kernels() -> list[str]:
    """Name the kernels that this processor runs, without the portable one, popcnt's stand-in."""
    compiled = scan.native.kernels() if scan.native else ()
    return [*(kernel for kernel in compiled if kernel != "portable"), "numpy"]


def our_routes(database: Codes, threads: int, kernels: Iterable[str]) -> list[Route]:
    """Index the codes; search by every kernel, and by scan, tables and auto; read them plainly."""
    index = HammingIndex(8 * database.shape[1], threads=threads)
    cost = our_cost(index, took(lambda: index.add(database)))
    routes = [Route(name, *our_search(index, "scan", name), exact=True, **cost) for name in kernels]
    routes.append(Route("scan", *our_search(index, "scan"), exact=True, **cost))
    if hasattr(index, "build_tables"):
        cost = our_cost(index, took(index.build_tables))
        routes += [
            Route(name, *our_search(index, name), exact=True, **cost) for name in ("tables", "auto")
        ]
    return [*routes, plain_read(index.codes)]


def our_cost(index: HammingIndex, seconds: float) -> dict[str, float]:
    """Say what the last thing built took, and what the index takes with it."""
    return {"build_seconds": seconds, "bytes_per_code": index.index_bytes / len(index)}


def our_search(
    index: HammingIndex, route: str, kernel: str = ""
) -> tuple[Callable[..., tuple], Callable[..., tuple]]:
    """Search by one of our routes; without a kernel the library chooses. The index has threads."""
    chosen: dict[str, Any] = {"route": route} if hasattr(index, "build_tables") else {}

    def nearest(queries: Codes, k: int, threads: int) -> tuple:  # noqa: ARG001
        os.environ["HASHLEARN_KERNEL"] = kernel
        found = index.search(queries, k, **chosen)
        return found.distances, found.ids

    def within(queries: Codes, radius: int, threads: int) -> tuple:  # noqa: ARG001
        os.environ["HASHLEARN_KERNEL"] = kernel
        found = index.search_radius(queries, radius, **chosen)
        return found.distances, found.ids, found.offsets

    return nearest, within


def plain_read(codes: Codes) -> Route:
    """Read all codes once and keep the largest word, of 32 bits: so NumPy reads fastest."""
    words = codes.reshape(-1).view(np.uint32 if codes.shape[1] % 4 == 0 else np.uint8)

    def nearest(queries: Codes, k: int, threads: int) -> tuple:  # noqa: ARG001
        if threads == 1:
            return (words.max(),)
        return tuple(pool.map(np.max, np.array_split(words, threads)))

    pool = ThreadPoolExecutor(available_threads())
    return Route(PLAIN_READ, nearest)


def faiss_flat(database: Codes) -> list[Route]:
    """Build faiss's exact index: by heap, by counting, and within a radius."""
    import faiss

    index = faiss.IndexBinaryFlat(8 * database.shape[1])
    cost = faiss_cost(index, database)

    def within(queries: Codes, radius: int, threads: int) -> tuple:
        faiss.omp_set_num_threads(threads)
        offsets, distances, ids = index.range_search(queries, radius + 1)  # it takes those below
        return (*in_order(distances, ids, offsets), offsets)

    return [
        Route("faiss heap", faiss_search(index, "use_heap", True), exact=True, **cost),
        Route("faiss counting", faiss_search(index, "use_heap", False), exact=True, **cost),
        Route("faiss range", None, within, exact=True, **cost),
    ]


def faiss_multihash(database: Codes) -> list[Route]:
    """Build faiss's multi-index hashing, which looks into buckets up to some flips away."""
    import faiss

    n_bits = 8 * database.shape[1]
    n_tables = min(4, n_bits // 16)
    index = faiss.IndexBinaryMultiHash(n_bits, n_tables, 16)
    cost = faiss_cost(index, database)
    name = f"faiss multihash {n_tables}x16 nflip"
    return [Route(f"{name} {n}", faiss_search(index, "nflip", n), **cost) for n in (1, 2, 3)]


def faiss_hash(database: Codes) -> list[Route]:
    """Build faiss's hash of the first bits: so many that a bucket holds about two codes."""
    import faiss

    n_bits = 8 * database.shape[1]
    width = min(n_bits, max(8, int(np.log2(len(database))) - 1))
    index = faiss.IndexBinaryHash(n_bits, width)
    cost = faiss_cost(index, database)
    name = f"faiss hash b{width} nflip"
    return [Route(f"{name} {n}", faiss_search(index, "nflip", n), **cost) for n in (2, 4)]


def faiss_ivf(database: Codes) -> list[Route]:
    """Build faiss's inverted lists, of 4096 centres where there are codes enough."""
    import faiss

    n_bits = 8 * database.shape[1]
    n_lists = min(4096, max(1, len(database) // 50))
    index = faiss.IndexBinaryIVF(faiss.IndexBinaryFlat(n_bits), n_bits, n_lists)
    training = np.ascontiguousarray(database[:: max(1, len(database) // (50 * n_lists))])
    seconds = took(lambda: index.train(training))
    cost = faiss_cost(index, database, seconds)
    return [
        Route(f"faiss ivf {n_lists} nprobe {n}", faiss_search(index, "nprobe", n), **cost)
        for n in (16, 64, 256)
        if n <= n_lists
    ]


def faiss_hnsw(database: Codes) -> list[Route]:
    """Build faiss's graph of 16 neighbours a code: minutes for a million codes."""
    import faiss

    index = faiss.IndexBinaryHNSW(8 * database.shape[1], 16)
    index.hnsw.efConstruction = 100
    cost = faiss_cost(index, database)
    return [
        Route(f"faiss hnsw M16 ef {ef}", faiss_search(index, "efSearch", ef, index.hnsw), **cost)
        for ef in (100, 400)
    ]


def usearch_exact(database: Codes) -> list[Route]:
    """Search by usearch's exact route; nothing is built."""
    from usearch.index import MetricKind, search

    def nearest(queries: Codes, k: int, threads: int) -> tuple:
        found = search(
            database, queries, k, MetricKind.Hamming, exact=True, threads=threads, dtype="b1"
        )
        return as_rows(found.distances, k), as_rows(found.keys, k)

    return [Route("usearch exact", nearest, bytes_per_code=float(database.shape[1]))]


def usearch_hnsw(database: Codes) -> list[Route]:
    """Build usearch's graph, of the same shape as faiss's."""
    from usearch.index import Index

    index = Index(
        ndim=8 * database.shape[1], metric="hamming", dtype="b1", connectivity=16, expansion_add=100
    )
    seconds = took(lambda: index.add(np.arange(len(database)), database))
    cost = {"build_seconds": seconds, "bytes_per_code": index.memory_usage / len(database)}

    def at(expansion: int) -> Route:
        def nearest(queries: Codes, k: int, threads: int) -> tuple:
            index.expansion_search = expansion
            found = index.search(queries, k, threads=threads)
            return as_rows(found.distances, k), as_rows(found.keys, k)

        return Route(f"usearch hnsw M16 ef {expansion}", nearest, **cost)

    return [at(100), at(400)]


EXACT_PEERS = ("flat", "usearch")
PEERS: dict[str, Callable[[Codes], list[Route]]] = {
    "flat": faiss_flat,
    "usearch": usearch_exact,
    "multihash": faiss_multihash,
    "hash": faiss_hash,
    "ivf": faiss_ivf,
    "hnsw": faiss_hnsw,
    "usearch-hnsw": usearch_hnsw,
}


def faiss_search(
    index: Any, setting: str, value: object, owner: Any = None
) -> Callable[..., tuple]:
    """Search a faiss index with one setting of it, or of what owns the setting."""
    import faiss

    def nearest(queries: Codes, k: int, threads: int) -> tuple:
        faiss.omp_set_num_threads(threads)
        setattr(index if owner is None else owner, setting, value)
        return index.search(queries, k)

    return nearest


def faiss_cost(index: Any, database: Codes, training: float = 0.0) -> dict[str, float]:
    """Add the codes to a faiss index by all processors; its size is that of its file."""
    import faiss

    faiss.omp_set_num_threads(available_threads())
    seconds = training + took(lambda: index.add(database))
    size = faiss.serialize_index_binary(index).nbytes / len(database)
    return {"build_seconds": seconds, "bytes_per_code": size}


def took(work: Callable[[], object]) -> float:
    """Do something and give the seconds that it took."""
    started = perf_counter()
    work()
    return perf_counter() - started


def in_order(distances: NDArray, ids: NDArray, offsets: NDArray) -> tuple[NDArray, NDArray]:
    """Bring each query's results into the order (distance, id)."""
    rows = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets.astype(np.int64)))
    order = np.lexsort((ids, distances, rows))
    return distances[order], ids[order]


def as_rows(found: NDArray, k: int) -> NDArray:
    """Give one row a query: usearch leaves out the rows where there is one query."""
    return found.reshape(-1, min(k, found.shape[-1]))
