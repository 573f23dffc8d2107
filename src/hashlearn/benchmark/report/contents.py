"""Everything that the page shows, as plain values for its template and its script."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from hashlearn.benchmark.paired import compare_summaries
from hashlearn.benchmark.papers import Paper
from hashlearn.benchmark.plans import plan_table
from hashlearn.benchmark.provenance import provenance
from hashlearn.benchmark.records import Records, Row
from hashlearn.benchmark.report.curves import distances_of, history_of, lines_of
from hashlearn.benchmark.report.overview import data_of, overview_of, title_of
from hashlearn.benchmark.report.pictures import make_gallery, make_map, map_labels
from hashlearn.benchmark.report.queries import Details, pooled_weights
from hashlearn.benchmark.report.settings import Setting, settings_of
from hashlearn.benchmark.report.tables import Comparison, compare_with_papers
from hashlearn.benchmark.report.words import (
    Metric,
    command_line,
    metric,
    protocol_in_words,
    split_in_words,
)
from hashlearn.benchmark.summary import Summary, value_of

Plain = dict[str, Any]

_MOST_MAPS = 12
_COMPARED = ("mean_average_precision", "pooled_pr_area")


class Contents:
    """Hold what a report shows.

    Parameters
    ----------
    records : Records
        Results.
    papers : sequence of Paper, default=()
        Papers to compare with.

    Attributes
    ----------
    settings : list of Setting
        Results that can be compared.
    filled, empty : list of Comparison
        The papers' tables with numbers of ours, and the others.
    """

    def __init__(self, records: Records, papers: Sequence[Paper] = ()) -> None:
        self.records = records
        self.rows = records.rows()
        self.settings = settings_of(self.rows)
        self.filled, self.empty = compare_with_papers(self.settings, papers)
        self.summaries = [summary for setting in self.settings for summary in setting.summaries]
        self._numbers = {id(summary): number for number, summary in enumerate(self.summaries)}
        labels = dict.fromkeys(label for setting in self.settings for label in setting.labels)
        self.labels = list(labels)

    def number(self, summary: Summary) -> int:
        """Give the number of a summary, for the script to find it.

        Parameters
        ----------
        summary : Summary
            One of the report's.

        Returns
        -------
        int
            Its place.
        """
        return self._numbers[id(summary)]

    def overview(self) -> Plain:
        """Say what was run, in one glance.

        Returns
        -------
        dict
            Data sets, methods, lengths, seeds, machines, commits and versions; and warnings.
        """
        return overview_of(self.rows, self.settings)

    def tables(self) -> list[Plain]:
        """Give the papers' tables that hold numbers of ours.

        Returns
        -------
        list of dict
            Texts of the cells, and who is ahead.
        """
        return [self._table(found) for found in self.filled]

    def missing(self) -> list[Plain]:
        """Give the papers' tables that hold none, and what would fill them.

        Returns
        -------
        list of dict
            Texts.
        """
        return [
            {"paper": found.paper.title, "title": found.table.title, "needs": _needs(found)}
            for found in self.empty
        ]

    def own(self) -> list[Plain]:
        """Give our own table of each setting, and the differences to the baseline.

        Returns
        -------
        list of dict
            One a setting: its words, the metrics, rows of summaries' numbers, differences.
        """
        return [self._setting(setting) for setting in self.settings]

    def weights(self) -> list[Plain]:
        """Give, for each summary with details, how much single queries weigh.

        Returns
        -------
        list of dict
            The number of its summary, and the numbers of :func:`pooled_weights`.
        """
        found = []
        for summary in self.summaries:
            if summary.first.get("distance", "hamming") != "hamming":
                continue  # one radius is spoken of
            details = self._first_details(summary)
            measured = pooled_weights(details) if details else None
            if measured is not None:
                found.append({
                    "summary": self.number(summary),
                    "radius": measured.radius,
                    "shares": measured.shares.round(4).tolist(),
                    "precisions": measured.precisions.round(4).tolist(),
                    "average_precisions": measured.average_precisions.round(4).tolist(),
                    "own_radius": round(measured.own_radius, 1),
                    "own_radius_spread": round(measured.own_radius_spread, 1),
                })  # fmt: skip
        return found

    def views(self) -> list[Plain]:
        """Give maps of codes and retrieved items, once for settings that differ in protocol only.

        Returns
        -------
        list of dict
            One a data set, split and kind of features, with what there is to see.
        """
        views: dict[str, Plain] = {}
        n_maps = 0
        for place, setting in enumerate(self.settings):
            key = str([setting.first.get(k) for k in ("fingerprint", "split", "features")])
            if key in views:
                continue
            n_bits = _length_to_show(setting)
            runs = [
                (label, details)
                for label, summary in zip(setting.labels, setting.summaries, strict=True)
                if summary.first["n_bits"] == n_bits
                and (details := self._first_details(summary)) is not None
            ]
            mapped = [run for run in runs if "map_codes" in run[1]][: _MOST_MAPS - n_maps]
            n_maps += len(mapped)
            maps = [_map(setting, label, details) for label, details in mapped]
            gallery = make_gallery(setting, n_bits, runs)
            if maps or gallery:
                views[key] = {"setting": place, "title": data_of(setting), "n_bits": n_bits,
                              "maps": maps, "gallery": gallery}  # fmt: skip
        return list(views.values())

    def for_script(self) -> Plain:
        """Give what the script draws from and fills panels with.

        Returns
        -------
        dict
            What JSON can hold.
        """
        return {
            "labels": self.labels,
            "settings": [
                {
                    "title": title_of(setting),
                    "protocol": setting.first.get("protocol", {}),
                    "protocol_words": protocol_in_words(setting.first.get("protocol", {})),
                    "split": setting.first.get("split", {}),
                    "split_words": split_in_words(setting.first),
                    "data": data_of(setting),
                    "features": setting.first.get("features", ""),
                    "bits": setting.bits,
                }
                for setting in self.settings
            ],
            "summaries": [
                self._summary(place, setting, label, summary)
                for place, setting in enumerate(self.settings)
                for label, summary in zip(setting.labels, setting.summaries, strict=True)
            ],
            "weights": self.weights(),
        }

    def _first_details(self, summary: Summary) -> Details | None:
        return self.records.details(str(summary.first.get("id", "")))

    def _table(self, found: Comparison) -> Plain:
        decimals, measured = found.decimals, metric(found.table.metric)
        lines = []
        for line in found.lines:
            cells = [
                cell and {
                    "printed": measured.write(cell.printed, decimals),
                    "ours": measured.write(cell.mean, decimals) if cell.summary else "–",
                    "deviation": "" if cell.deviation is None
                    else measured.write(cell.deviation, decimals),
                    "summary": None if cell.summary is None else self.number(cell.summary),
                    "verdict": "other" if found.is_stand_in and cell.summary else cell.verdict,
                }
                for cell in line.cells
            ]  # fmt: skip
            lines.append({"label": line.row.label, "note": line.row.note, "cells": cells,
                          "is_known": line.is_known})  # fmt: skip
        return {
            "paper": found.paper, "title": found.table.title, "note": found.table.note,
            "bits": found.bits, "lines": lines, "metric": measured, "n_filled": found.n_filled,
            "stand_in": found.table.stand_in if found.is_stand_in else None,
        }  # fmt: skip

    def _setting(self, setting: Setting) -> Plain:
        lines = [
            {
                "label": label,
                "cells": [
                    None if (summary := setting.find(label, n)) is None else self.number(summary)
                    for n in setting.bits
                ],
            }
            for label in dict.fromkeys(setting.labels)
        ]
        return {
            "title": title_of(setting),
            "words": f"{split_in_words(setting.first)} "
            + protocol_in_words(setting.first.get("protocol", {})),
            "bits": setting.bits,
            "metrics": setting.metrics,
            "lines": lines,
            "statistics": setting.statistics,
            "baseline": setting.baseline,
            "differences": self._differences(setting),
        }

    def _differences(self, setting: Setting) -> list[Plain]:
        """Compare every method with the baseline, at each length that both were run at."""
        labels = [label for label in dict.fromkeys(setting.labels) if label != setting.baseline]
        tables = []
        for measured in setting.metrics:
            if measured.name not in _COMPARED:
                continue
            lines = []
            for label in labels:
                pairs = [
                    (setting.find(label, n), setting.find(setting.baseline, n))
                    for n in setting.bits
                ]
                cells = [self._difference(measured, *pair) for pair in pairs]
                lines.append({"label": label, "cells": cells})
            if any(cell for line in lines for cell in line["cells"]):
                tables.append({"metric": measured, "lines": lines})
        return tables

    def _difference(
        self, measured: Metric, ours: Summary | None, baseline: Summary | None
    ) -> Plain | None:
        """Compare two methods query by query; by their means alone where details are missing."""
        if ours is None or baseline is None:
            return None
        try:
            found = compare_summaries(self.records, ours, baseline, measured.name)
        except (KeyError, ValueError):  # details of another version
            found = None
        if found is not None:
            low, high = found.low, found.high
            sign = "·" if low <= 0 <= high else "▲" if low > 0 else "▼"
            interval = f"{_signed(low)} to {_signed(high)}"
            return {"mean": _signed(found.difference), "interval": interval, "sign": sign}
        means = ours.mean(measured.name), baseline.mean(measured.name)
        if means[0] is None or means[1] is None:
            return None
        return {"mean": _signed(means[0] - means[1]), "interval": "", "sign": "·"}

    def _summary(self, place: int, setting: Setting, label: str, summary: Summary) -> Plain:
        first = summary.first
        measured = (*setting.metrics, *setting.statistics)
        facts = first.get("provenance") or {}
        return {
            "setting": place,
            "label": label,
            "series": self.labels.index(label),
            "bits": first["n_bits"],
            "values": {m.name: _value(m, summary) for m in measured if summary.values(m.name)},
            "parameters": first.get("parameters", {}),
            "versions": facts.get("versions", {}),
            "python": facts.get("python", ""),
            "machine": ", ".join(
                str(facts[key]) for key in ("processor", "machine") if facts.get(key)
            ),
            "seeds": [_run(row, measured) for row in summary.rows],
            "command": command_line(first, summary.seeds, setting.protocol),
            "curves": lines_of(summary),
            "distances": distances_of(summary),
            "history": history_of(summary),
        }


def made_by() -> Plain:
    """Say what made the page, and when.

    Returns
    -------
    dict
        Version, commit and time.
    """
    facts = provenance()
    return {
        "version": facts["versions"].get("hashlearn", ""),
        "commit": facts["commit"],
        "time": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _value(measured: Metric, summary: Summary) -> Plain:
    mean, deviation = summary.mean(measured.name), summary.deviation(measured.name)
    return {
        "mean": mean,
        "text": measured.write(mean),
        "deviation": "" if deviation is None else measured.write(deviation),
        "label": measured.label,
    }


def _run(row: Row, measured: Sequence[Metric]) -> Plain:
    facts = row.get("provenance") or {}
    return {
        "seed": row["seed"],
        "values": {
            m.name: m.write(value, 4)
            for m in measured
            if (value := value_of(row, m.name)) is not None
        },
        "commit": facts.get("commit") or "unknown",
        "time": str(facts.get("time", ""))[:16].replace("T", " "),
    }


def _map(setting: Setting, label: str, details: Details) -> Plain:
    labels, names = map_labels(setting, details["map_items"])
    points = make_map(details["map_codes"])
    return {"label": label, "points": points, "labels": labels, "names": names}


def _length_to_show(setting: Setting) -> int:
    """Choose the length that most methods were run at, of several the shortest."""
    lengths: list[int] = [summary.first["n_bits"] for summary in setting.summaries]
    return min(lengths, key=lambda n_bits: (-lengths.count(n_bits), n_bits))


def _needs(found: Comparison) -> str:
    """Say what would fill a table."""
    table = found.table
    if not any(row.printed for row in table.rows):
        return "prints no numbers"
    plan = plan_table(table, (0,))
    if plan.dataset and not plan.jobs:
        return "needs methods that the library does not have yet"
    command = f"hashlearn bench --paper {found.paper.method} --table {table.id}"
    if plan.is_stand_in:
        return f"{plan.why}; {plan.dataset} stands in: {command}"
    return plan.why or command


def _signed(value: float) -> str:
    text = f"{abs(value):.3f}"
    text = text[1:] if text.startswith("0.") else text
    return f"{'−' if value < 0 else '+'}{text}"
