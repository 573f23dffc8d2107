"""What was run, in one glance, and what a reader must be warned of."""

from collections.abc import Iterable, Sequence
from typing import Any

from hashlearn.benchmark.records import Row
from hashlearn.benchmark.report.settings import Setting


def overview_of(rows: Sequence[Row], settings: Sequence[Setting]) -> dict[str, Any]:
    """Say what was run, in one glance.

    Parameters
    ----------
    rows : sequence of dict
        Rows.
    settings : sequence of Setting
        The same rows, put together where they can be compared.

    Returns
    -------
    dict
        Data sets, methods, lengths, seeds, machines, commits and dates; and warnings.
    """
    facts = [row.get("provenance") or {} for row in rows]
    commits = list(dict.fromkeys(str(fact.get("commit") or "unknown") for fact in facts))
    times = sorted(str(fact["time"])[:10] for fact in facts if fact.get("time"))
    machines = dict.fromkeys(
        ", ".join(str(fact[key]) for key in ("processor", "machine") if fact.get(key))
        + (f", {fact['cores']} cores" if fact.get("cores") else "")
        for fact in facts
    )
    return {
        "runs": len(rows),
        "data": _distinct(data_of(setting) for setting in settings),
        "methods": _distinct(label for s in settings for label in s.labels),
        "bits": sorted({row["n_bits"] for row in rows}),
        "seeds": sorted({row["seed"] for row in rows}),
        "machines": [machine for machine in machines if machine],
        "commits": commits,
        "dates": _distinct([times[0], times[-1]]) if times else [],
        "warnings": [*_warnings(commits), *_absent(settings)],
    }


def title_of(setting: Setting) -> str:
    """Name a setting in a line.

    Parameters
    ----------
    setting : Setting
        Results that can be compared.

    Returns
    -------
    str
        Data, features and protocol.
    """
    protocol = setting.first.get("protocol", {})
    truth = {
        "labels": "judged by labels",
        "shared_labels": "judged by shared labels",
        "euclidean": f"judged by the {protocol.get('n_neighbors', 0):,} nearest",
    }.get(str(protocol.get("truth")), "")
    cutoff = f"first {protocol['cutoff']:,} ranks" if protocol.get("cutoff") else ""
    tuning = setting.first.get("split", {}).get("queries_from") == "train"
    chosen = "queries from the training part" if tuning else ""
    return ", ".join(filter(None, (data_of(setting), truth, cutoff, chosen)))


def data_of(setting: Setting) -> str:
    """Name the data of a setting.

    Parameters
    ----------
    setting : Setting
        Results that can be compared.

    Returns
    -------
    str
        As ``"mnist (pixels)"``.
    """
    features = setting.first.get("features", "none")
    name = str(setting.first["dataset"])
    return name if features == "none" else f"{name} ({features})"


def _warnings(commits: Sequence[str]) -> list[str]:
    found = []
    if len(commits) > 1:
        found.append(
            f"The rows come from {len(commits)} commits: a difference between two numbers may be "
            "one between two versions of the code. Each number's panel names its commit."
        )
    if any(commit.endswith("+") for commit in commits):
        found.append(
            'A commit that ends in "+" was run from changed files: nobody can run exactly that '
            "again."
        )
    return found


def _absent(settings: Sequence[Setting]) -> list[str]:
    """Name the data sets that could not be read for their pictures and labels."""
    absent = _distinct(str(s.first["dataset"]) for s in settings if s.dataset is None)
    if not absent:
        return []
    names = ", ".join(absent)
    return [f"Without pictures and labels: {names} was not here, or not the same, at the making."]


def _distinct(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))
