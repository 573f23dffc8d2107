"""Make the tables of docs/results.md from the results in benchmarks/results.

Of MNIST with Euclidean neighbours the first puts our numbers beside the paper's, the second gives
differences on the same queries, the third takes the pooled area apart: from the mean over queries
of average precision to the one curve of all queries, a step at a time. Others are of other vectors,
of methods with one argument changed, of MNIST's labels, and of texts with tags.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from hashlearn.benchmark import (
    Records,
    Summary,
    baselines,
    compare_summaries,
    load_paper,
    summarise,
)
from hashlearn.benchmark.report.queries import pooled_weights
from hashlearn.benchmark.summary import named
from hashlearn.evaluation import pr_curve_by_rank
from hashlearn.hashers import methods
from hashlearn.results import DistanceCounts

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results" / "mnist"
NAMES = {method.name: method.class_name for method in methods()}
IMAGES = {"mnist": "MNIST", "cifar10": "CIFAR-10"}


def labels() -> str:
    """Compare mean average precision by labels with what PGH's slides print, in Markdown."""
    paper = load_paper("pgh")
    tables = [table for name in ("1-pixel", "1-images") for table in paper.select(name)]
    return beside_printed(Records(RESULTS.with_name("mnist-labels")).rows(), tables)


def supervised() -> str:
    """Compare methods that learn from 5,000 labels with what is printed, in Markdown."""
    rows, parts = Records(RESULTS.with_name("supervised")).rows(), []
    for data, shown in IMAGES.items():
        table = beside_printed(
            [row for row in rows if row["dataset"] == data], load_paper("cnnh").select(data)
        )
        parts.append(f"{shown}:\n\n{table}")
    return "\n\n".join(parts)


def network_features() -> str:
    """Compare methods without labels on features of a network of CIFAR-10, in Markdown."""
    papers = ("greedyhash", "tbh", "bihalf", "deepbit", "dbdmq")
    tables = [table for paper in papers for table in load_paper(paper).select("cifar10")]
    for table in ("6-cifar10-vgg", "6-cifar10-images"):
        tables += load_paper("sigah").select(table)
    return beside_printed(Records(RESULTS.with_name("network-features")).rows(), tables)


def beside_printed(rows: Sequence[dict[str, Any]], tables: Sequence[Any]) -> str:
    """Put mean average precision beside what tables of papers print, in Markdown."""
    summaries = in_order(summarise(rows))
    bits = sorted({one.first["n_bits"] for one in summaries})
    found = {(name(one), one.first["n_bits"]): one for one in summaries}
    heads = [f"{n_bits} bits | printed" for n_bits in bits]
    lines = [f"| method | {' | '.join(heads)} |", "| --- " * (1 + 2 * len(bits)) + "|"]
    for method in dict.fromkeys(method for method, _ in found):
        cells = [method]
        for n_bits in bits:
            one = found.get((method, n_bits))
            cells += ["", ""] if one is None else [
                with_deviation(one, "mean_average_precision"),
                next(filter(None, (printed(table, one) for table in tables)), ""),
            ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def texts() -> str:
    """Compare precision at 100 on texts with tags, in Markdown."""
    found: dict[tuple[str, ...], dict[int, float]] = {}
    for row in read_rows("text.jsonl"):
        given = ", ".join(f"{key}={value}" for key, value in row["given"].items())
        tagged = f"{row['tagged']:.0%}" if row["method"] == "sttm" else ""
        method = NAMES[row["method"]] + (f", `{given}`" if given else "")
        key = (row["dataset"], row["features"], method, tagged)
        found.setdefault(key, {})[row["n_bits"]] = row["scores"]["precision_at_100"]
    bits = sorted({n_bits for scores in found.values() for n_bits in scores})
    heads = " | ".join(f"{n_bits} bits" for n_bits in bits)
    lines = [f"| data | features | method | tagged | {heads} |", "| --- " * (4 + len(bits)) + "|"]
    for key, scores in found.items():
        cells = [short(scores[n_bits]) if n_bits in scores else "" for n_bits in bits]
        lines.append(f"| {' | '.join([*key, *cells])} |")
    return "\n".join(lines)


def rounds() -> str:
    """Give PGH's mean average precision by labels before its first round and after each."""
    found: dict[tuple[int, str, int, str], list[list[float]]] = {}
    for row in read_rows("progressive.jsonl"):
        given = row["given"]
        features = given.get("start_features", "pixels")
        start = f"{NAMES[given['start']]}, {'GIST' if features == 'gist' else features}"
        key = (list(IMAGES).index(row["dataset"]), start, row["n_bits"], given["triplets"])
        found.setdefault(key, []).append(row["rounds"])
    n_rounds = max(len(scores) for seeds in found.values() for scores in seeds)
    heads = " | ".join(f"round {number}" for number in range(n_rounds))
    lines = [
        f"| data | start | bits | triplets | seeds | {heads} |",
        "| --- " * (5 + n_rounds) + "|",
    ]
    for (data, *settings), seeds in sorted(found.items()):
        cells = [mean_of(scores) for scores in zip(*seeds, strict=True)]
        first = [list(IMAGES.values())[data], *map(str, settings), str(len(seeds))]
        lines.append(f"| {' | '.join([*first, *cells])} |")
    return "\n".join(lines)


def few_labels() -> str:
    """Give DSHGAN's mean average precision where few labels are known, in Markdown."""
    found: dict[tuple[str, int], dict[int, float]] = {}
    for row in read_rows("semisupervised.jsonl"):
        key = (row["variant"], row["labels_per_class"])
        found.setdefault(key, {})[row["seed"]] = row["scores"]["mean_average_precision"]
    counts = sorted({count for _, count in found})
    heads = [f"{count} labels | less without" for count in counts]
    lines = [f"| generator | {' | '.join(heads)} |", "| --- " * (1 + 2 * len(counts)) + "|"]
    for variant in dict.fromkeys(variant for variant, _ in found):
        cells = [variant]
        for count in counts:
            base, scores = (found.get((one, count), {}) for one in ("without", variant))
            cells.append(mean_of(list(scores.values())))
            cells.append("" if variant == "without" else mean_change(scores, base))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def generative() -> str:
    """Give what a classifier says of samples of generative models of MNIST, in Markdown."""
    names = ("score", "confidence", "digits", "accuracy", "reconstruction_error")
    found: dict[str, dict[str, list[float]]] = {}
    for row in read_rows("generative.jsonl"):
        if row["what"] == "samples":
            scores = found.setdefault(row["model"], {})
            for name, value in row["scores"].items():
                scores.setdefault(name, []).append(value)
    lines = [
        "| model | score | confidence | digits | as asked for | reconstruction error |",
        "| --- " * 6 + "|",
    ]
    for model, scores in found.items():
        cells = [mean_of(scores[name]) if name in scores else "" for name in names]
        lines.append(f"| {' | '.join([model, *cells])} |")
    return "\n".join(lines)


def latent_codes() -> str:
    """Compare codes of what generative models keep with ITQ's of pixels, by labels, in Markdown."""
    found: dict[str, dict[int, list[float]]] = {}
    for row in read_rows("generative.jsonl"):
        if row["what"] == "codes":
            scores = found.setdefault(row["model"], {}).setdefault(row["n_bits"], [])
            scores.append(row["scores"]["mean_average_precision"])
    bits = sorted({n_bits for scores in found.values() for n_bits in scores})
    heads = " | ".join(f"{n_bits} bits" for n_bits in bits)
    lines = [f"| codes of | {heads} |", "| --- " * (1 + len(bits)) + "|"]
    for model, by_bits in found.items():
        cells = [mean_of(by_bits[n_bits]) if n_bits in by_bits else "" for n_bits in bits]
        shown = "pixels, ITQ" if model == "itq" else model.upper()
        lines.append(f"| {' | '.join([shown, *cells])} |")
    return "\n".join(lines)


def vectors() -> str:
    """Compare methods on other vectors than pixels of digits, in Markdown."""
    metrics = ("pooled_pr_area", "precision_at_100", "mean_average_precision")
    lines = [
        "| data | method | bits | pooled area | precision at 100 | mean average precision |",
        "| --- " * 6 + "|",
    ]
    found = summarise(Records(RESULTS.with_name("vectors")).rows())
    for data in dict.fromkeys(one.first["dataset"] for one in found):
        for one in in_order([one for one in found if one.first["dataset"] == data]):
            kind = " GIST" if one.first["features"] == "gist" else ""
            cells = [data + kind, name(one), str(one.first["n_bits"])]
            cells += [with_deviation(one, metric) for metric in metrics]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def ablations(method: str) -> str:
    """Compare a method with one argument changed and as it is, seed by seed, in Markdown."""
    metrics = ("pooled_pr_area", "mean_average_precision", "precision_at_100")
    lines = [
        "| bits | change | seeds | pooled area | | mean average precision | | precision at 100 | |",
        "| --- " * 9 + "|",
    ]
    found = [
        one
        for one in in_order(summarise(Records(RESULTS.with_name("ablations")).rows()))
        if one.first["method"] == method
    ]
    usual = {one.first["n_bits"]: one for one in found if not one.first["given"]}
    for one in sorted(found, key=lambda one: (one.first["n_bits"], str(one.first["given"]))):
        base = usual[one.first["n_bits"]]
        given = ", ".join(f"{key}={value}" for key, value in one.first["given"].items())
        cells = [str(one.first["n_bits"]), f"`{given}`" if given else "none", str(len(one.rows))]
        for metric in metrics:
            cells += [with_deviation(one, metric), "" if one is base else change(one, base, metric)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def change(one: Summary, base: Summary, metric: str) -> str:
    """Write the mean difference of seeds that both have; bold where 0 is outside its interval."""
    both = [dict(zip(part.seeds, part.values(metric), strict=True)) for part in (one, base)]
    return mean_change(*both)


def mean_change(scores: dict[int, float], base: dict[int, float]) -> str:
    """Write the mean difference of seeds that both have; bold where 0 is outside its interval."""
    less = [scores[seed] - base[seed] for seed in scores if seed in base]
    if len(less) < 2:
        return ""
    mean, error = float(np.mean(less)), float(np.std(less, ddof=1) / len(less) ** 0.5)
    text = f"{mean:+.3f}"
    return f"**{text}**" if abs(mean) > student.ppf(0.975, len(less) - 1) * error else text


def neighbors() -> str:
    """Make the tables of Euclidean neighbours, in Markdown."""
    records = Records(RESULTS)
    summaries = in_order(summarise(records.rows()))
    parts = [scores(summaries), differences(records, summaries), steps(records, summaries)]
    return "\n\n".join(parts)


def scores(summaries: Sequence[Summary]) -> str:
    """Compare our scores with the paper's."""
    tables = {table.metric: table for table in load_paper("sigah").select("2")}
    metrics = ("pooled_pr_area", "precision_at_100", "mean_average_precision")
    lines = [
        "| method | bits | pooled area | printed | precision at 100 | printed | mean average "
        "precision |",
        "| --- " * 7 + "|",
    ]
    for one in summaries:
        cells = [name(one), str(one.first["n_bits"])]
        for metric in metrics:
            cells.append(with_deviation(one, metric))
            if metric in tables:
                cells.append(printed(tables[metric], one))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def differences(records: Records, summaries: Sequence[Summary]) -> str:
    """Compare each method with ITQ on the same queries."""
    lines = [
        "| less ITQ, same queries | bits | pooled area | mean average precision |",
        "| --- " * 4 + "|",
    ]
    for ours, itq in baselines(summaries, "itq"):
        cells = [name(ours), str(ours.first["n_bits"])]
        for metric in ("pooled_pr_area", "mean_average_precision"):
            found = compare_summaries(records, ours, itq, metric)
            if found is None:
                raise FileNotFoundError(f"the details of {ours.name} are missing in {RESULTS}")
            cells.append(f"{found.difference:+.3f} ({found.low:+.3f} to {found.high:+.3f})")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def steps(records: Records, summaries: Sequence[Summary]) -> str:
    """Go from mean average precision to the pooled area, a step at a time."""
    lines = [
        "| method | bits | mean AP | its own curve for each query | one curve, at equal rank | one "
        "curve, at equal radius | radius that finds half | weight of a tenth |",
        "| --- " * 8 + "|",
    ]
    for one in summaries:
        if one.first.get("distance", "hamming") != "hamming":
            continue  # a radius is none of bits
        found = [take_apart(records, row) for row in one.rows]
        means = {key: float(np.mean([values[key] for values in found])) for key in found[0]}
        cells = [
            name(one),
            str(one.first["n_bits"]),
            short(means["mean"]),
            short(means["own"]),
            short(means["rank"]),
            short(means["radius"]),
            f"{means['half']:.1f} ± {means['spread']:.1f}",
            f"{means['weight']:.0%}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def take_apart(records: Records, row: dict[str, Any]) -> dict[str, float]:
    """Integrate the curves of one run in four ways."""
    details = records.details(row["id"])
    if details is None:
        raise FileNotFoundError(f"the details of run {row['id']} are missing in {RESULTS}")
    counts = DistanceCounts(details["retrieved"], details["hits"])
    found, hits = np.cumsum(counts.retrieved, axis=1), np.cumsum(counts.hits, axis=1)
    recall = hits / hits[:, -1:]
    precision = np.divide(hits, found, out=np.zeros(found.shape), where=found > 0)
    own = [
        area(precision[query][some := found[query] > 0], recall[query][some])
        for query in range(len(counts))
    ]
    ranks = np.unique(np.geomspace(1, row["n_database"], 300).astype(int))
    weights = pooled_weights(details)
    assert weights is not None
    return {
        "mean": row["scores"]["mean_average_precision"],
        "own": float(np.mean(own)),
        "rank": area(*pr_curve_by_rank(counts, ranks)),
        "radius": row["scores"]["pooled_pr_area"],
        "half": weights.own_radius,
        "spread": weights.own_radius_spread,
        "weight": weights.shares[10],
    }


def area(precision: NDArray[np.float64], recall: NDArray[np.float64]) -> float:
    """Integrate a curve by trapezoids, flat from recall 0 to its first point."""
    return float(np.trapezoid(np.r_[precision[0], precision], np.r_[0.0, recall]))


def in_order(summaries: Sequence[Summary]) -> list[Summary]:
    """Sort by code length, then as the table of methods does."""
    places = list(NAMES)
    return sorted(
        summaries, key=lambda one: (one.first["n_bits"], places.index(one.first["method"]))
    )


def name(one: Summary) -> str:
    """Name a method and what it was given."""
    return named(NAMES[one.first["method"]], one.first)


def printed(table: Any, one: Summary) -> str:
    """Look up what the paper prints for a method as it is."""
    for row in table.rows:
        same = row.method == one.first["method"] and dict(row.parameters) == one.first["given"]
        if same and one.first.get("distance", "hamming") == table.distance:
            value = table.printed(row.label, one.first["n_bits"])
            return "" if np.isnan(value) else short(value)  # where the paper prints none
    return ""


def with_deviation(one: Summary, metric: str) -> str:
    """Write mean and standard deviation over the seeds."""
    return mean_of(one.values(metric))


def mean_of(values: Sequence[float]) -> str:
    """Write mean and standard deviation."""
    if len(values) < 2:
        return "".join(map(short, values))
    return f"{short(float(np.mean(values)))} ± {short(float(np.std(values, ddof=1)))}"


def read_rows(name: str) -> list[dict[str, Any]]:
    """Read a file of rows."""
    lines = (RESULTS.parent / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def short(value: float) -> str:
    """Write three digits, without the zero before the point."""
    return f"{value:.3f}".removeprefix("0")
