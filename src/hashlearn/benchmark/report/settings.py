"""What results can be compared: those that differ by method, code length and seed alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from hashlearn.benchmark.defaults import default_recipe
from hashlearn.benchmark.records import Row, fingerprint
from hashlearn.benchmark.report.words import Metric, is_protocol, metric
from hashlearn.benchmark.summary import Summary, named, summarise
from hashlearn.data import Dataset, Split, SplitRecipe, load_dataset
from hashlearn.evaluation import protocols
from hashlearn.hashers import methods

_COUNTS = ("n_queries", "n_empty")
_COSTS = ("fit_seconds", "encode_seconds", "peak_memory_bytes", "index_bytes")


@dataclass(frozen=True, eq=False)
class Setting:
    """Hold results on the same data, split, features and protocol.

    Parameters
    ----------
    summaries : tuple of Summary
        One for each method and code length, at least one.
    dataset : Dataset or None
        The data set, if it is here and the same.
    """

    summaries: tuple[Summary, ...]
    dataset: Dataset | None

    @property
    def first(self) -> Row:
        """The first row: all agree in what makes the setting."""
        return self.summaries[0].first

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The name of each summary's method for a reader; two of one length never share one."""
        seen: dict[tuple[str, int], int] = {}
        labels = []
        for summary in self.summaries:
            label = label_of(summary.first)
            turn = seen[label, summary.first["n_bits"]] = (
                seen.get((label, summary.first["n_bits"]), 0) + 1
            )  # the same was given, and a default has changed
            labels.append(label if turn == 1 else f"{label} #{turn}")
        return tuple(labels)

    @property
    def bits(self) -> list[int]:
        """The code lengths, ascending."""
        return sorted({summary.first["n_bits"] for summary in self.summaries})

    @cached_property
    def split(self) -> Split | None:
        """The split, if the data set is here and can be split so."""
        if self.dataset is None:
            return None
        try:
            return self.dataset.split(SplitRecipe(**self.first["split"]))
        except (TypeError, ValueError):  # a recipe of another version
            return None

    @cached_property
    def protocol(self) -> str | None:
        """Name of the protocol that stands for this protocol and this split; None if none does."""
        if self.dataset is None:
            return None
        judged, data = self.first.get("protocol", {}), str(self.first["dataset"])
        found = [n for n in protocols() if is_protocol(judged, n) and self.has_usual_split(n)]
        # several may say the same: the one that is named after the data, or the shortest
        return min(found, key=lambda name: (data not in name, len(name)), default=None)

    def has_usual_split(self, protocol: str) -> bool:
        """Tell whether the split is the one that comes with a protocol, of any seed.

        Parameters
        ----------
        protocol : str
            Name of a protocol.

        Returns
        -------
        bool
            Whether it is. Without the data set only this is known: settings are chosen on queries
            from the training part, which no protocol takes.
        """
        split = self.first.get("split", {})
        if self.dataset is None:
            return bool(split.get("queries_from") != "train")
        usual = default_recipe(self.dataset, split.get("seed", 0), protocol).as_dict()
        return all(split.get(key, value) == value for key, value in usual.items())

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """What was measured, the headline number first."""
        rows = [row for summary in self.summaries for row in summary.rows]
        headline = str(self.first.get("protocol", {}).get("metric", "mean_average_precision"))
        names = dict.fromkeys((headline, "mean_average_precision", "pooled_pr_area"))
        names |= dict.fromkeys(name for row in rows for name in row.get("scores", {}))
        names |= dict.fromkeys(_COSTS)
        return tuple(
            metric(name)
            for name in names
            if name not in _COUNTS and any(s.values(name) for s in self.summaries)
        )

    @cached_property
    def statistics(self) -> tuple[Metric, ...]:
        """Statistics of the bits."""
        rows = [row for summary in self.summaries for row in summary.rows]
        names = dict.fromkeys(name for row in rows for name in row.get("bit_statistics") or {})
        return tuple(metric(n) for n in names if any(s.values(n) for s in self.summaries))

    @property
    def baseline(self) -> str:
        """Label of the method that the others are compared with: ITQ, or the first."""
        return "ITQ" if "ITQ" in self.labels else self.labels[0]

    def find(self, label: str, n_bits: int) -> Summary | None:
        """Look up a method at a code length.

        Parameters
        ----------
        label : str
            Label of the method.
        n_bits : int
            Code length.

        Returns
        -------
        Summary or None
            Its rows; None if it was not run.
        """
        for name, summary in zip(self.labels, self.summaries, strict=True):
            if name == label and summary.first["n_bits"] == n_bits:
                return summary
        return None


def settings_of(rows: Sequence[Row]) -> list[Setting]:
    """Put results together that can be compared.

    Parameters
    ----------
    rows : sequence of dict
        Rows of :class:`~hashlearn.benchmark.Records`.

    Returns
    -------
    list of Setting
        In the order in which each was first met.
    """
    groups: dict[str, list[Summary]] = {}
    for summary in summarise(rows):
        groups.setdefault(summary.setting, []).append(summary)
    here: dict[tuple[str, str], Dataset | None] = {}
    found = []
    for group in groups.values():
        key = (group[0].first["dataset"], group[0].first["fingerprint"])
        if key not in here:
            here[key] = _load(*key)
        found.append(Setting(tuple(group), here[key]))
    return found


def label_of(row: Row) -> str:
    """Name a row's method for a reader.

    Parameters
    ----------
    row : dict
        A row.

    Returns
    -------
    str
        As ``"ITQ"``, or ``"ITQ (n_iter=200)"`` where arguments were given.
    """
    titles = {method.name: method.class_name for method in methods()}
    return named(titles.get(row["method"], str(row["method"])), row)


def _load(name: str, expected: str) -> Dataset | None:
    """Load a data set if it is here, and is what the results are of."""
    try:
        dataset = load_dataset(name, download=False)
    except (OSError, ValueError, TypeError, ImportError):
        return None
    return dataset if fingerprint(dataset) == expected else None
