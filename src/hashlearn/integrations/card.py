"""The card of a model: what it is, how it was scored and how to use it, as the Hub shows it."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, NamedTuple

from hashlearn.evaluation import Scores
from hashlearn.hashers import methods

FACTS: dict[str, type] = {
    "name": str, "data": str, "n_samples": Integral, "license": str, "description": str,
    "repository": str,
}  # fmt: skip
"""What a caller may tell of a model, and in which type."""

_RESERVED = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}

_COUNTS = ("n_queries", "n_empty")  # numbers among the scores that judge nothing


class Evaluation(NamedTuple):
    """Hold what a model scored once, and how.

    Parameters
    ----------
    data : str
        Name of the data set.
    protocol : dict
        How codes were judged, as plain values.
    scores : dict
        Numbers by name.
    setting : dict
        What else the row says: split, seed, features, sizes, commit.
    """

    data: str
    protocol: dict[str, Any]
    scores: dict[str, Any]
    setting: dict[str, Any]


def check_card(card: Mapping[str, Any] | None) -> dict[str, Any]:
    """Check what a caller tells of a model.

    Parameters
    ----------
    card : mapping or None
        Facts, any of :data:`FACTS`.

    Returns
    -------
    dict
        The same.

    Raises
    ------
    TypeError
        If it is no mapping, or a fact is of another type.
    ValueError
        If there is another key.

    Examples
    --------
    >>> check_card({"data": "mnist"})
    {'data': 'mnist'}
    """
    if card is not None and not isinstance(card, Mapping):
        raise TypeError(f"card must be a mapping of {', '.join(FACTS)}; got {type(card).__name__}")
    facts = dict(card or {})
    for name, value in facts.items():
        if name not in FACTS:
            raise ValueError(f"card takes {', '.join(FACTS)}; got {name!r}")
        if not isinstance(value, FACTS[name]):
            wanted = "text" if FACTS[name] is str else "a whole number"
            raise TypeError(f"card: {name} must be {wanted}, got {value!r:.60}")
    return facts


def evaluations_of(scores: Any, method: str, n_bits: int, data: str | None) -> list[Evaluation]:
    """Take scores in any form that the library gives them.

    Parameters
    ----------
    scores : Scores or mapping or sequence of these, or None
        What :func:`hashlearn.evaluate` gave, or rows of ``hashlearn bench``.
    method : str
        Name of the model's method.
    n_bits : int
        Length of its codes.
    data : str or None
        Name of the data set of those that do not say it.

    Returns
    -------
    list of Evaluation
        In their order.

    Raises
    ------
    TypeError
        If one is of another kind.
    ValueError
        If a row is of another method or length of code, or lacks what a row has.
    """
    several = isinstance(scores, Sequence) and not isinstance(scores, str)
    found = []
    for one in scores if several else [] if scores is None else [scores]:
        if isinstance(one, Scores):
            found.append(Evaluation(data or "unnamed", one.protocol.as_dict(), one.as_dict(), {}))
            continue
        if not isinstance(one, Mapping):
            raise TypeError(f"scores must be of evaluate or rows of bench, got {one!r:.60}")
        if missing := {"dataset", "protocol", "scores", "method", "n_bits"} - set(one):
            raise ValueError(f"a row of scores has no {', '.join(sorted(missing))}")
        if (one["method"], one["n_bits"]) != (method, n_bits):
            raise ValueError(
                f"a row of scores is of {one['method']} with {one['n_bits']} bits, the model is "
                f"{method} with {n_bits}"
            )
        names = ("split", "features", "seed", "n_train", "n_database", "distance")
        setting = {name: one[name] for name in names if name in one}
        if commit := (one.get("provenance") or {}).get("commit"):
            setting["commit"] = commit
        found.append(Evaluation(one["dataset"], one["protocol"], one["scores"], setting))
    return found


def make_card(
    config: Mapping[str, Any],
    distance: str,
    facts: Mapping[str, Any],
    evaluations: Sequence[Evaluation],
) -> str:
    """Write a model card: Markdown behind metadata in YAML.

    Parameters
    ----------
    config : mapping
        What ``config.json`` says.
    distance : str
        What the method compares codes by.
    facts : mapping
        What the caller tells, as :func:`check_card` gives it.
    evaluations : sequence of Evaluation
        What it scored.

    Returns
    -------
    str
        The card.
    """
    known = {method.name: method for method in methods()}[config["method"]]
    title = facts.get("name", f"{known.class_name}, {config['n_bits']} bits")
    parts = [
        f"---\n{to_yaml(_metadata(config, facts, evaluations, title))}---\n",
        f"# {title}\n",
        *([f"{facts['description'].strip()}\n"] if "description" in facts else []),
        f"This model turns {_items(config)} into binary codes of {config['n_bits']} bits. Codes of "
        f"similar items differ in few bits: they are compared by the {distance.capitalize()} "
        f"distance. It was made with hashlearn {config['library_version']}.\n",
        _about(config, facts, f"{known.class_name} (`{known.name}`): {known.summary}",
               known.reference),
        _usage(config, facts),
        _scores(evaluations),
        _limits(facts),
    ]  # fmt: skip
    return "\n".join(parts)


def _metadata(
    config: Mapping[str, Any],
    facts: Mapping[str, Any],
    evaluations: Sequence[Evaluation],
    title: str,
) -> dict[str, Any]:
    """Give the card's metadata, the scores as the Hub's ``model-index``."""
    results = [
        {
            "task": {"type": "feature-extraction", "name": "Hamming search"},
            "dataset": {"name": one.data, "type": one.data, "args": one.protocol},
            "metrics": [
                {"type": name, "name": name.replace("_", " "), "value": value}
                for name, value in _numbers(one).items()
            ],
        }
        for one in evaluations
    ]
    return {
        "library_name": "hashlearn",
        **({"license": facts["license"]} if "license" in facts else {}),
        "pipeline_tag": "feature-extraction",
        "tags": ["learning-to-hash", "binary-codes", "hamming-distance", config["method"]],
        **({"model-index": [{"name": title, "results": results}]} if results else {}),
    }


def _about(config: Mapping[str, Any], facts: Mapping[str, Any], method: str, reference: str) -> str:
    lines = [f"- Method: {method}. Reference: {reference}."]
    data, n_samples = facts.get("data"), facts.get("n_samples")
    if data or n_samples:
        n_items = "items" if n_samples is None else f"{n_samples:,} items"
        lines.append(f"- Learned from {n_items}{f' of {data}' if data else ''}.")
    else:
        lines.append("- What it learned from was not said.")
    rows = [
        f"| {step['class']} | {name} | `{json.dumps(value, ensure_ascii=False)}` |"
        for step in config["steps"]
        for name, value in step["params"].items()
    ]
    table = ["| step | parameter | value |", "| --- | --- | --- |", *rows]
    return "\n".join(["## Model\n", *lines, "", *table, ""])


def _usage(config: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    shape = config["item_shape"]
    if config["item_kind"] == "texts":
        items = 'X = ["a text", "another text"]  # your items, n of them'
    elif shape is None:
        items = 'X = np.zeros((2, 224, 224, 3), "uint8")  # your images of any size, n of them'
    else:
        size = ", ".join(map(str, (2, *shape)))
        kind = "uint8" if len(shape) > 1 else "float32"
        items = f'X = np.zeros(({size}), "{kind}")  # your items, n of them'
    place = facts.get("repository", ".")
    lines = [
        "## Use\n",
        "```python",
        "import numpy as np",
        "from hashlearn.integrations.hub import from_pretrained",
        "from hashlearn.models import encode",
        "",
        f'model = from_pretrained("{place}")' + ("  # this folder" if place == "." else ""),
        items,
        f"codes = encode(model, X)  # (n, {-(-config['n_bits'] // 8)}), uint8",
        "```\n",
    ]
    files = {
        "vectors": ("items.npy", "new.npy"), "images": ("photos/", "new.jpg"),
        "texts": ("posts.jsonl", "new.txt"),
    }  # fmt: skip
    database, queries = files[config["item_kind"]]
    lines += [
        "On the command line, beside `model.safetensors`:\n",
        "```sh",
        f"hashlearn encode model.safetensors {database} -o codes.npz",
        "hashlearn index codes.npz -o items.index",
        f"hashlearn search items.index {queries} --model model.safetensors -k 10",
        "```\n",
    ]
    return "\n".join(lines)


def _scores(evaluations: Sequence[Evaluation]) -> str:
    if not evaluations:
        return "## Scores\n\nNone were given.\n"
    lines = ["## Scores\n"]
    for one in evaluations:
        lines += [f"### {one.data}\n", f"Protocol: {_words(one.protocol)}.\n"]
        if one.setting:
            lines += [f"Run: {_words(one.setting)}.\n"]
        judged = ", ".join(f"{name} {one.scores[name]:,}" for name in _COUNTS if name in one.scores)
        lines += [*([f"{judged}.\n"] if judged else []), "| metric | value |", "| --- | --- |"]
        lines += [f"| {name} | {value:.4f} |" for name, value in _numbers(one).items()]
        lines.append("")
    return "\n".join(lines)


def _limits(facts: Mapping[str, Any]) -> str:
    licence = (
        f"The model: {facts['license']}." if "license" in facts else "None was named for the model."
    )
    return "\n".join([
        "## Limits\n",
        "- Codes of another model, or of this one fitted again, cannot be compared with these.",
        "- Items must be made as those that it learned from: of the same shape, scale and kind, by "
        "the same network if they are its vectors.",
        "- Items unlike those that it learned from get codes too, which may tell little.",
        "- A score holds for its data and protocol; another protocol gives another number.",
        "",
        "## Licence\n",
        f"{licence} hashlearn, which reads it: MIT.",
        "",
    ])  # fmt: skip


def _items(config: Mapping[str, Any]) -> str:
    shape = config["item_shape"]
    if shape is None:
        return str(config["item_kind"])
    if len(shape) == 1:
        return f"vectors of {shape[0]:,} numbers"
    return f"images of {' x '.join(map(str, shape))}"


def _numbers(one: Evaluation) -> dict[str, float]:
    """Give the scores that are numbers; what is not defined is left out."""
    return {
        name: float(value)
        for name, value in one.scores.items()
        if name not in _COUNTS
        and isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
    }


def _words(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {json.dumps(value)}" for name, value in values.items())


def to_yaml(value: Any, indent: int = 0) -> str:
    """Write plain values as YAML: blocks, with strings and empty ones as JSON writes them.

    Parameters
    ----------
    value : dict or list
        Values that JSON holds, with strings as keys.
    indent : int, default=0
        Spaces before each line.

    Returns
    -------
    str
        Lines, each ended.

    Examples
    --------
    >>> print(to_yaml({"tags": ["a", "no"], "n": 3, "args": {"empty": []}}), end="")
    tags:
      - "a"
      - "no"
    "n": 3
    args:
      empty: []
    """
    space, lines = " " * indent, []
    pairs = value.items() if isinstance(value, Mapping) else ((None, item) for item in value)
    for key, item in pairs:
        mark = "-" if key is None else f"{_key(key)}:"
        if isinstance(item, Mapping | list | tuple) and item:
            block = to_yaml(item, indent + 2)
            lines.append(f"{space}- {block.lstrip()}" if key is None else f"{space}{mark}\n{block}")
        else:
            lines.append(f"{space}{mark} {_scalar(item)}\n")
    return "".join(lines)


def _key(name: str) -> str:
    """Write a name bare where no reader of YAML takes it for anything else."""
    is_word = re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name) and name.lower() not in _RESERVED
    return name if is_word else _scalar(name)


def _scalar(value: Any) -> str:
    """Write a scalar as JSON does, but for what YAML reads otherwise."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if isinstance(value, float) and "e" in text and "." not in text:
        return text.replace("e", ".0e")  # 1e-05 would be a string
    return "".join(
        character if character.isprintable() else f"\\U{ord(character):08x}" for character in text
    )
