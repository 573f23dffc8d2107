"""Conditions let through the items that a loop over all of them lets through."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hashlearn.collection import Collection

SCALARS = st.one_of(
    st.integers(-3, 3), st.sampled_from(["a", "B", "ab%", "a_c", "3"]), st.booleans(),
    st.sampled_from([0.5, 2.5, -1.0]),
)  # fmt: skip
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=3), st.none(), st.just({"deep": 1}))
METADATA = st.dictionaries(st.sampled_from(["x", "y"]), VALUES)
RANGES = st.one_of(
    st.fixed_dictionaries({}, optional={"min": st.integers(-2, 2), "max": st.floats(-2, 3)}),
    st.fixed_dictionaries({"min": st.sampled_from(["a", "b"])}),
)
CONTAINS = st.fixed_dictionaries({"contains": st.sampled_from(["A", "%", "_"])})
CONDITIONS = st.one_of(
    SCALARS,
    st.lists(SCALARS, min_size=1, max_size=3),
    st.builds(
        lambda *parts: {name: value for part in parts for name, value in part.items()},
        RANGES,
        st.one_of(st.just({}), st.fixed_dictionaries({"not": SCALARS})),
        st.one_of(st.just({}), CONTAINS),
    ).filter(bool),
)  # fmt: skip


def kind(value):
    return str if isinstance(value, str) else float


def holds(values, condition):
    """Whether a condition holds for a field with these values, in plain Python."""
    if not isinstance(condition, dict):
        wanted = condition if isinstance(condition, list) else [condition]
        return any(value == one for value in values for one in wanted)
    result = True
    if ends := [condition[name] for name in ("min", "max") if name in condition]:
        low, high = condition.get("min"), condition.get("max")
        result &= any(
            kind(value) is kind(ends[0])
            and (low is None or value >= low)
            and (high is None or value <= high)
            for value in values
        )
    if "not" in condition:
        result &= not holds(values, condition["not"])
    if "contains" in condition:
        texts = [value.lower() for value in values if isinstance(value, str)]
        result &= any(condition["contains"].lower() in text for text in texts)
    return result


def values_of(metadata, name):
    value = metadata.get(name)
    values = value if isinstance(value, list) else [value]
    return [one for one in values if isinstance(one, str | int | float)]


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(METADATA, min_size=1, max_size=12),
    st.lists(st.dictionaries(st.sampled_from(["x", "y", "z"]), CONDITIONS), min_size=1, max_size=8),
)
def test_conditions_hold_as_in_a_loop(tmp_path_factory, hasher, vectors, metadata, wheres):
    path = tmp_path_factory.mktemp("filters") / "some.collection"
    with Collection.create(hasher, path) as points:
        keys = [str(i) for i in range(len(metadata))]
        points.add(vectors[: len(metadata)], keys=keys, metadata=metadata)
        for where in wheres:
            expected = [
                key for key, fields in zip(keys, metadata, strict=True)
                if all(holds(values_of(fields, name), one) for name, one in where.items())
            ]  # fmt: skip
            assert [item.key for item in points.list(where=where)] == expected, where
            assert points.count(where) == len(expected)


def test_texts_of_an_item_are_searched_for_parts(points):
    points.update(["p1", "p2"], captions=["100% blue", "Blue sky"], sources=["a_b", "axb"])
    assert [item.key for item in points.list(where={"caption": {"contains": "BLUE"}})] == [
        "p1",
        "p2",
    ]
    assert [item.key for item in points.list(where={"caption": {"contains": "0% b"}})] == ["p1"]
    assert [item.key for item in points.list(where={"source": {"contains": "a_b"}})] == ["p1"]
    assert [item.key for item in points.list(where={"key": "p2"})] == ["p2"]


def test_the_values_of_fields_are_counted_most_frequent_first(points):
    labels = [["c", "a", "b"][min(i // 30, 2)] if i % 2 else "b" for i in range(60)]
    points.update([f"p{i}" for i in range(60)], labels=labels)
    expected = {label: labels.count(label) for label in ("b", "a", "c")}
    assert points.fields() == {"label": expected}
    assert list(points.fields()["label"]) == sorted(expected, key=lambda v: (-expected[v], v))
    assert points.fields(1) == {"label": {"b": expected["b"]}}


@pytest.mark.parametrize(
    ("where", "error", "message"),
    [
        ("label", TypeError, "mapping of fields"),
        ({3: 4}, TypeError, "name of a field"),
        ({"x": {}}, ValueError, "one or more of min, max"),
        ({"x": {"above": 3}}, ValueError, "one or more of min, max"),
        ({"x": []}, ValueError, "at least one"),
        ({"x": None}, TypeError, "strings and numbers"),
        ({"x": {"min": 1, "max": "b"}}, TypeError, "both be numbers"),
        ({"x": {"min": float("nan")}}, TypeError, "strings and numbers"),
        ({"x": 2**64}, ValueError, "64 bits"),
        ({"x": {"contains": ""}}, TypeError, "not empty"),
        ({"x": {"contains": "a" * 10_001}}, ValueError, "10,000 characters"),
        ({"x": list(range(30_000))}, ValueError, "30,000 values"),
        ({str(i): i for i in range(101)}, ValueError, "at most 100 conditions"),
        ({"caption": 3}, TypeError, "takes a string"),
        ({"key": ["a"]}, TypeError, "takes a string"),
    ],
)
def test_conditions_that_say_nothing_are_refused(points, where, error, message):
    with pytest.raises(error, match=message):
        points.list(where=where)


def test_values_cannot_become_sql(points):
    hostile = "x' OR 1=1; DROP TABLE items; --"
    points.update(["p1"], metadata=[{hostile: hostile}])
    assert [item.key for item in points.list(where={hostile: hostile})] == ["p1"]
    assert len(points.list(where={"caption": {"contains": hostile}})) == 0
    assert len(points) == 60


def test_a_filter_of_many_items_is_exact(path, hasher):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 8)).astype(np.float32)
    with Collection.create(hasher, path, keep_originals=False) as points:
        points.add(X, keys=[str(i) for i in range(3000)], metadata=[{"n": i} for i in range(3000)])
        found = points.search(X[0], 3000, where={"n": {"min": 100, "max": 2099}})
        assert {int(hit.item.key) for hit in found.hits} == set(range(100, 2100))


def test_as_many_conditions_as_are_allowed_are_answered(points):
    points.update(["p1"], metadata=[{str(i): i for i in range(100)}])
    where = {str(i): list(range(290)) for i in range(100)}
    assert [item.key for item in points.list(where=where)] == ["p1"]
    where = {str(i): {"min": 0, "max": i, "not": "x"} for i in range(100)}
    assert [item.key for item in points.list(where=where)] == ["p1"]
    assert points.list(where={"0": {"contains": "a%_" * 3_333}}) == []
