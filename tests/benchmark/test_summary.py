"""Rows of several seeds as one line."""

import numpy as np
import pytest

from hashlearn.benchmark import baselines, summarise

BASE = {
    "dataset": "d", "fingerprint": "f", "split": {"seed": 0}, "protocol": {"metric": "m"},
    "features": "none", "method": "itq", "given": {}, "parameters": {"n_iter": 50}, "n_bits": 8,
    "seed": 0, "fit_seconds": 2.0, "scores": {"m": 0.5},
}  # fmt: skip


def test_seeds_are_joined_and_nothing_else():
    others = [
        {"dataset": "e"}, {"fingerprint": "g"}, {"split": {"seed": 1}}, {"protocol": {}},
        {"features": "l2"}, {"method": "lsh"}, {"parameters": {}}, {"n_bits": 9},
    ]  # fmt: skip
    rows = [BASE, {**BASE, "seed": 3}, *({**BASE, **other} for other in others)]
    summaries = summarise([rows[1], rows[0], *rows[2:]])
    assert [summary.seeds for summary in summaries] == [[0, 3], *[[0]] * 8]
    assert len({summary.setting for summary in summaries}) == 6


def test_mean_and_deviation_are_those_of_a_sample():
    values = [0.2, 0.5, 0.9]
    rows = [{**BASE, "seed": i, "scores": {"m": v}} for i, v in enumerate(values)]
    (summary,) = summarise(rows)
    assert summary.values("m") == values
    assert summary.mean("m") == pytest.approx(np.mean(values))
    assert summary.deviation("m") == pytest.approx(np.std(values, ddof=1))
    assert summary.mean("fit_seconds") == 2.0
    assert summary.mean("nothing") is None
    assert summarise([BASE])[0].deviation("m") is None


def test_the_baseline_is_the_method_as_it_is_in_whatever_order_rows_come():
    changed = {**BASE, "given": {"n_iter": 9}, "parameters": {"n_iter": 9}}
    spherical = {**BASE, "distance": "spherical"}
    lsh = {**BASE, "method": "lsh", "parameters": {}}
    longer = {**lsh, "n_bits": 9}
    for rows in ([changed, BASE, spherical, lsh, longer], [lsh, BASE, spherical, changed]):
        pairs = baselines(summarise(rows), "itq")
        assert all(itq.rows == (BASE,) for _, itq in pairs)
        assert len(pairs) == 3


def test_a_method_is_named_with_what_it_was_given():
    assert summarise([BASE])[0].name == "itq"
    given = {**BASE, "given": {"n_iter": 9, "x": True}}
    assert summarise([given])[0].name == "itq (n_iter=9, x=True)"
