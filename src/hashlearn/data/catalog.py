"""The named data sets."""

from collections.abc import Callable
from dataclasses import dataclass

from hashlearn.data import cifar10, digits, embeddings, mnist, texts, vector_benchmarks
from hashlearn.data.dataset import Dataset
from hashlearn.data.vector_benchmarks import VectorBenchmark


@dataclass(frozen=True)
class DatasetInfo:
    """Describe a named data set.

    Parameters
    ----------
    name : str
        What `load_dataset` calls it.
    description : str
        What it holds, in a line.
    n_samples : int
        Number of items; of vectors to search in, where queries are apart.
    shape : tuple of int
        Shape of an item: ``(d,)``, ``(height, width[, channels])``, or ``()`` for a text.
    n_classes : int
        Number of classes or tags; 0 if there are no labels.
    licence : str
        Terms of use.
    source : str
        Where the files come from.
    is_local : bool
        Whether it can be loaded without a download.
    is_downloadable : bool
        Whether it is downloaded where it is not here.
    """

    name: str
    description: str
    n_samples: int
    shape: tuple[int, ...]
    n_classes: int
    licence: str
    source: str
    is_local: bool
    is_downloadable: bool


@dataclass(frozen=True)
class _Entry:
    description: str
    n_samples: int
    shape: tuple[int, ...]
    n_classes: int
    licence: str
    source: str
    is_local: Callable[[], bool]
    load: Callable[[bool], Dataset]
    is_downloadable: bool = False


def _short_texts(name: str, description: str, n_samples: int, n_classes: int) -> _Entry:
    return _Entry(
        description, n_samples, (), n_classes, "none stated; research use, cite",
        "files to be put in place",
        lambda: texts.short_texts_are_local(name),
        lambda _: texts.load_short_texts(name),
    )  # fmt: skip


def _vectors(
    benchmark: VectorBenchmark, description: str, licence: str = "none stated; research use"
) -> _Entry:
    return _Entry(
        f"{description}; {benchmark.n_base:,} to search, and queries",
        benchmark.n_base, (benchmark.n_features,), 0, licence, benchmark.source,
        lambda: vector_benchmarks.is_local(benchmark),
        lambda _: vector_benchmarks.load_benchmark(benchmark),
    )  # fmt: skip


_CATALOG = {
    "digits": _Entry(
        "scanned handwritten digits, grey 8 × 8, no published split",
        1_797, (8, 8), 10, "CC BY 4.0", "in scikit-learn",
        lambda: True,
        lambda _: digits.load_digits(),
    ),
    "mnist": _Entry(
        "handwritten digits, grey 28 × 28; 60,000 train, 10,000 test",
        70_000, (28, 28), 10, "CC BY-SA 3.0, as usually given", mnist.MNIST.url,
        lambda: mnist.is_local(mnist.MNIST),
        lambda download: mnist.load_idx_source(mnist.MNIST, download=download),
        is_downloadable=True,
    ),
    "fashion-mnist": _Entry(
        "pictures of clothes, grey 28 × 28; 60,000 train, 10,000 test",
        70_000, (28, 28), 10, "MIT", mnist.FASHION_MNIST.url,
        lambda: mnist.is_local(mnist.FASHION_MNIST),
        lambda download: mnist.load_idx_source(mnist.FASHION_MNIST, download=download),
        is_downloadable=True,
    ),
    "cifar10": _Entry(
        "photographs, colour 32 × 32; 50,000 train, 10,000 test",
        60_000, (32, 32, 3), 10, "none stated; research use, cite", cifar10.ARCHIVE.url,
        cifar10.is_local,
        lambda download: cifar10.load_cifar10(download=download),
        is_downloadable=True,
    ),
    "cifar10_mobilenetv2": _Entry(
        "CIFAR-10 as network features, 256 principal directions; 50,000 train, 10,000 test",
        60_000, (256,), 10, "as cifar10", "a file to be put in place; labels from cifar10",
        embeddings.cifar10_features_are_local,
        lambda download: embeddings.load_cifar10_features(download=download),
    ),
    "newsgroups20_minilm": _Entry(
        "20 Newsgroups as sentence embeddings of unit length; 11,314 train, 7,532 test",
        18_846, (384,), 20, "none stated; research use", "a file to be put in place",
        embeddings.newsgroups_are_local,
        lambda _: embeddings.load_newsgroups(),
    ),
    "newsgroups20": _Entry(
        "Usenet posts of 20 groups: subject and body; 11,314 train, 7,532 test",
        18_846, (), 20, "none stated; research use", "a file to be put in place",
        texts.newsgroups_are_local,
        lambda _: texts.load_newsgroups(),
    ),
    "reuters21578": _Entry(
        "newswire stories with topics as tags, ModApte; 7,775 train, 3,019 test",
        10_794, (), 118, "research use only", "a file to be put in place",
        texts.reuters_is_local,
        lambda _: texts.load_reuters(),
    ),
    "searchsnippets": _short_texts(
        "SearchSnippets", "snippets of web pages; 10,060 train, 2,280 test", 12_340, 8
    ),
    "stackoverflow": _short_texts(
        "StackOverflow", "titles of questions; 16,000 train, 4,000 test", 20_000, 20
    ),
    "sift1m": _vectors(vector_benchmarks.SIFT1M, "SIFT descriptors", "CC0, as usually given"),
    "gist1m": _vectors(vector_benchmarks.GIST1M, "GIST descriptors", "CC0, as usually given"),
    "deep1m": _vectors(vector_benchmarks.DEEP1M, "AlexNet features, 256 principal directions"),
    "tiny100k": _vectors(vector_benchmarks.TINY100K, "GIST descriptors of Tiny Images"),
}  # fmt: skip

NAMES = tuple(_CATALOG)
"""Names of the named data sets."""


def datasets() -> tuple[DatasetInfo, ...]:
    """List the named data sets.

    Returns
    -------
    tuple of DatasetInfo
        One row each.

    Raises
    ------
    FileNotFoundError
        If ``HASHLEARN_DATA`` names something that is not a folder.

    Examples
    --------
    >>> datasets()[0].name
    'digits'
    """
    rows = []
    for name, entry in _CATALOG.items():
        fields = {**vars(entry), "name": name, "is_local": entry.is_local()}
        del fields["load"]
        rows.append(DatasetInfo(**fields))
    return tuple(rows)


def load_named(name: str, *, download: bool = True) -> Dataset:
    """Load a named data set.

    Parameters
    ----------
    name : str
        One of `NAMES`.
    download : bool, default=True
        Whether what is not here may be downloaded.

    Returns
    -------
    Dataset
        The data set.

    Raises
    ------
    FileNotFoundError
        If its files are not here, and may not or cannot be downloaded.
    ConnectionError
        If a download fails.
    ValueError
        If the name is unknown, or a file is damaged.
    """
    if name not in _CATALOG:
        raise ValueError(f"unknown data set {name!r}; there are {', '.join(NAMES)}")
    return _CATALOG[name].load(download)
