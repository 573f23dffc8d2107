"""Named benchmarks of ready-made vectors, whose files the user puts in place: SIFT1M and others."""

from dataclasses import dataclass
from pathlib import Path

from hashlearn.data.dataset import Dataset
from hashlearn.data.locations import not_found, search_folders
from hashlearn.data.vecs import find_parts, load_vecs_folder, vecs_shape


@dataclass(frozen=True)
class VectorBenchmark:
    """Say what the files of a benchmark hold, and where they are published.

    Parameters
    ----------
    name : str
        Name of the data set and of its sub-folder.
    files : str
        Its files, as they are published.
    n_base : int
        Number of vectors to search in.
    n_features : int
        Their dimension.
    source : str
        Where the files are published, if they are.
    """

    name: str
    files: str
    n_base: int
    n_features: int
    source: str


SIFT1M = VectorBenchmark(
    "sift1m", "sift_base.fvecs and sift_query.fvecs", 1_000_000, 128,
    "published at http://corpus-texmex.irisa.fr/ in sift.tar.gz",
)  # fmt: skip
GIST1M = VectorBenchmark(
    "gist1m", "gist_base.fvecs and gist_query.fvecs", 1_000_000, 960,
    "published at http://corpus-texmex.irisa.fr/ in gist.tar.gz",
)  # fmt: skip
DEEP1M = VectorBenchmark(
    "deep1m", "deep1M_base.fvecs and deep1M_queries.fvecs", 1_000_000, 256,
    "published at http://sites.skoltech.ru/compvision/projects/aqtq/",
)  # fmt: skip
TINY100K = VectorBenchmark(
    "tiny100k", "tiny100k_base.fvecs and tiny100k_query.fvecs", 100_000, 384,
    "not published: GIST descriptors of Tiny Images, which papers sample and compute themselves",
)  # fmt: skip


def is_local(benchmark: VectorBenchmark) -> bool:
    """Tell whether base and queries are here.

    Parameters
    ----------
    benchmark : VectorBenchmark
        What to look for.

    Returns
    -------
    bool
        Whether the benchmark can be loaded.

    Raises
    ------
    FileNotFoundError
        If ``HASHLEARN_DATA`` names something that is not a folder.
    """
    try:
        return _find(benchmark) is not None
    except ValueError:  # a file is there twice: loading says so
        return True


def load_benchmark(benchmark: VectorBenchmark) -> Dataset:
    """Load a benchmark from its folder.

    Parameters
    ----------
    benchmark : VectorBenchmark
        What to load.

    Returns
    -------
    Dataset
        Base, queries and perhaps learn, as :func:`~hashlearn.data.vecs.load_vecs_folder` gives
        them.

    Raises
    ------
    FileNotFoundError
        If base or queries are not here; they have no download.
    ValueError
        If a file is damaged, or the base has another size than the published one.
    """
    folder = _find(benchmark)
    if folder is None:
        remedy = f"it has no download: put the files in one of them ({benchmark.source})"
        raise not_found(benchmark.name, benchmark.files, remedy)
    found = vecs_shape(find_parts(folder)["train"])
    if found != (expected := (benchmark.n_base, benchmark.n_features)):
        raise ValueError(
            f"the base in {folder} has the shape {found}, that of {benchmark.name} {expected}; "
            "other vectors are loaded by the path of their folder"
        )
    return load_vecs_folder(folder, name=benchmark.name, source=benchmark.source)


def _find(benchmark: VectorBenchmark) -> Path | None:
    """Find the first folder that has base and queries."""
    for folder in search_folders(benchmark.name):
        if folder.is_dir() and {"train", "test"} <= set(find_parts(folder)):
            return folder
    return None
