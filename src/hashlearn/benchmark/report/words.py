"""Numbers and settings as a person reads them."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hashlearn.evaluation import get_protocol, protocols

Kind = Literal["fraction", "seconds", "bytes", "number"]

_NAMES = {
    "mean_average_precision": "mean AP",
    "pooled_pr_area": "pooled area",
    "fit_seconds": "fit time",
    "encode_seconds": "encoding time",
    "peak_memory_bytes": "peak memory",
    "index_bytes": "index size",
}
_PREFIXES = (
    ("precision_at_", "P@{}"),
    ("recall_at_", "R@{}"),
    ("ndcg_at_", "NDCG@{}"),
    ("precision_within_", "precision within radius {}"),
    ("recall_within_", "recall within radius {}"),
)


@dataclass(frozen=True)
class Metric:
    """Say how a number is called, written and compared.

    Parameters
    ----------
    name : str
        Its key in a row.
    label : str
        What a reader sees.
    kind : {"fraction", "seconds", "bytes", "number"}
        How it is written.
    less_is_better : bool
        Whether the smallest is the best.
    """

    name: str
    label: str
    kind: Kind
    less_is_better: bool

    def write(self, value: float | None, decimals: int = 3) -> str:
        """Write a number.

        Parameters
        ----------
        value : float or None
            The number.
        decimals : int, default=3
            Digits after the point of a fraction.

        Returns
        -------
        str
            As ``".516"``, ``"1.2 s"`` or ``"3.4 MB"``; a dash for None.

        Examples
        --------
        >>> metric("precision_at_100").write(0.51649), metric("index_bytes").write(720000)
        ('.516', '720 kB')
        """
        if value is None or value != value:
            return "–"
        if self.kind == "seconds":
            return f"{value:.{max(0, 3 - len(str(int(value))))}f} s"
        if self.kind == "bytes":
            return _write_bytes(value)
        if self.name.startswith("n_"):
            return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"
        text = f"{value:.{decimals}f}"
        return text[1:] if text.startswith("0.") else text.replace("-0.", "−.")

    @property
    def can_be_best(self) -> bool:
        """Whether a best one can be named."""
        return self.kind != "number"


def metric(name: str) -> Metric:
    """Describe a number by its key.

    Parameters
    ----------
    name : str
        Key of a score, of a statistic of the bits, or of a plain number of a row.

    Returns
    -------
    Metric
        Its label and kind.
    """
    if name.endswith("_seconds"):
        return Metric(name, _NAMES.get(name, _spaced(name)), "seconds", True)
    if name.endswith("_bytes"):
        return Metric(name, _NAMES.get(name, _spaced(name)), "bytes", True)
    for prefix, pattern in _PREFIXES:
        if name.startswith(prefix) and (number := name.removeprefix(prefix)).isdecimal():
            return Metric(name, pattern.format(f"{int(number):,}"), "fraction", False)
    kind: Kind = "fraction" if name in _NAMES else "number"
    return Metric(name, _NAMES.get(name, _spaced(name)), kind, False)


def protocol_in_words(protocol: Mapping[str, Any]) -> str:
    """Say how codes were judged.

    Parameters
    ----------
    protocol : mapping
        A row's protocol; what it does not hold is left out.

    Returns
    -------
    str
        Sentences.
    """
    truths = {
        "labels": "An item is relevant if it has the query's class.",
        "shared_labels": "An item is relevant if it shares a label with the query.",
        "euclidean": "An item is relevant if it is among the query's "
        f"{protocol.get('n_neighbors', 0):,} nearest by Euclidean distance.",
    }
    sentences = [truths.get(str(protocol.get("truth")), "")]
    if "metric" in protocol:
        sentences.append(f"Headline number: {metric(protocol['metric']).label}.")
    cutoff = protocol.get("cutoff")
    divisors = {
        "all": "all relevant items",
        "min": "the relevant items that fit into the ranks that count",
        "hits": "the relevant items that were found",
    }
    if "denominator" in protocol:
        ranks = f"the first {cutoff:,} ranks count" if cutoff else "every rank counts"
        divisor = divisors.get(str(protocol["denominator"]), str(protocol["denominator"]))
        sentences.append(f"For average precision {ranks}, and the sum is divided by {divisor}.")
    ties = {
        "expected": "Items at one distance count as in the mean over all their orders.",
        "stable": "Items at one distance are ranked by their number.",
    }
    empty = {
        "zero": "A query without a relevant item counts as 0.",
        "skip": "Queries without a relevant item are left out.",
    }
    sentences += [
        ties.get(str(protocol.get("ties")), ""),
        empty.get(str(protocol.get("empty")), ""),
    ]
    return " ".join(filter(None, sentences))


def split_in_words(row: Mapping[str, Any]) -> str:
    """Say which items asked, which answered and which were learned from.

    Parameters
    ----------
    row : mapping
        A row.

    Returns
    -------
    str
        A sentence.
    """
    split = row.get("split", {})
    n_queries = row.get("scores", {}).get("n_queries") or split.get("n_queries")
    origin = {
        "test": "the published test part",
        "train": "the training part, which they leave (the test part is untouched)",
        "all": "all items, which they leave",
    }.get(str(split.get("queries_from")), "the data")
    parts = [f"{n_queries:,} queries" if n_queries else "Queries", f" from {origin}"]
    if split.get("queries_per_class"):
        parts.append(", equally many of each class")
    parts.append(f", drawn with seed {split.get('seed', 0)}")
    if row.get("n_database"):
        parts.append(f"; {row['n_database']:,} items to search in")
    if row.get("n_train"):
        same = row["n_train"] == row.get("n_database") and split.get("train_from") != "learn"
        parts.append(
            ", all of them to learn from" if same else f", {row['n_train']:,} to learn from"
        )
    return "".join(parts) + "."


def command_line(row: Mapping[str, Any], seeds: list[int], protocol: str | None) -> str:
    """Write the command that runs rows again.

    Parameters
    ----------
    row : mapping
        A row.
    seeds : list of int
        Seeds of the rows that differ from it by the seed alone.
    protocol : str or None
        Name of a protocol whose own split is the row's; None where there is none.

    Returns
    -------
    str
        A line for a shell; a remark behind it where a command cannot say everything.
    """
    split, remark = row.get("split", {}), ""
    words = ["hashlearn", "bench", "--data", str(row["dataset"]), "--methods", str(row["method"])]
    words += ["--bits", str(row["n_bits"]), "--seeds", ",".join(map(str, seeds))]
    name = protocol or protocol_name(row.get("protocol", {}))
    if name is not None:
        words += ["--protocol", name]
    else:
        remark = "  # its protocol has no name: see the JSON"
    if protocol is None:
        if split.get("n_queries"):
            words += ["--queries", str(split["n_queries"])]
        if split.get("queries_from"):
            words += ["--queries-from", str(split["queries_from"])]
        if any(split.get(name) for name in ("queries_per_class", "n_train")):
            remark = "  # its split is drawn in Python: see the JSON"
    if split.get("seed"):
        words += ["--split-seed", str(split["seed"])]
    words += ["--features", str(row.get("features", "none"))]
    if "distance" in row:
        words += ["--distance", str(row["distance"])]
    for key, value in row.get("given", {}).items():
        text = value if isinstance(value, str) else json.dumps(value)
        words += ["--set", f"{row['method']}.{key}={text}"]
    return shlex.join(words) + remark


def protocol_name(protocol: Mapping[str, Any]) -> str | None:
    """Look up the name of a protocol.

    Parameters
    ----------
    protocol : mapping
        A row's protocol.

    Returns
    -------
    str or None
        The first name that stands for it; None if none does.
    """
    return next((name for name in protocols() if is_protocol(protocol, name)), None)


def is_protocol(protocol: Mapping[str, Any], name: str) -> bool:
    """Tell whether a row was judged as a name says.

    Parameters
    ----------
    protocol : mapping
        A row's protocol. What it does not hold, because the version that wrote it had no such
        choice, does not count.
    name : str
        Name of a protocol.

    Returns
    -------
    bool
        Whether the two agree.
    """
    wanted = get_protocol(name).as_dict()
    return bool(protocol) and all(
        wanted[key] == value for key, value in protocol.items() if key in wanted
    )


def _spaced(name: str) -> str:
    return name.removeprefix("n_").replace("_", " ")


def _write_bytes(value: float) -> str:
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} GB"
