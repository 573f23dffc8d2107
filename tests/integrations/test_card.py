"""Metadata that every reader of YAML takes for what was written."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hashlearn.integrations.card import make_card, to_yaml

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXT
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner), st.dictionaries(TEXT, inner)), max_leaves=12
)


@settings(deadline=None)
@given(st.dictionaries(TEXT, VALUES, min_size=1))
def test_what_is_written_is_what_is_read(values):
    assert yaml.safe_load(to_yaml(values)) == values


@settings(deadline=None)
@given(st.lists(VALUES, min_size=1))
def test_lists_in_lists_keep_their_depth(values):
    assert yaml.safe_load(to_yaml(values)) == values


def test_words_that_yaml_takes_for_truth_stay_words():
    values = {"no": "yes", "on": "off", "y": "null", "n": "1e-05", "a": 1e-05, "b": "~", "c": "1"}
    read = yaml.safe_load(to_yaml(values))
    assert read == values
    assert type(read["a"]) is float


@pytest.mark.parametrize(
    ("kind", "items", "files"),
    [("images", "your images of any size", "photos/"), ("texts", '["a text", ', "posts.jsonl")],
)
def test_the_card_of_a_model_with_a_network_says_what_its_items_are(kind, items, files):
    config = {
        "library_version": "1.0", "method": "itq", "n_bits": 16, "item_kind": kind,
        "item_shape": None, "steps": [],
    }  # fmt: skip
    card = make_card(config, "hamming", {}, [])
    assert f"This model turns {kind} into binary codes" in card
    assert items in card
    assert f"hashlearn encode model.safetensors {files} -o" in card
