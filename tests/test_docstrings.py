"""What the docstrings of public names say must be what the code does."""

import importlib
import inspect
import pkgutil
import re

import numpy as np
import pytest
from numpydoc.docscrape import ClassDoc, FunctionDoc
from numpydoc.validate import validate
from sklearn.datasets import make_blobs

import hashlearn
from hashlearn.hashers import get_method, methods

MODULES = [
    module.name
    for module in pkgutil.walk_packages(hashlearn.__path__, "hashlearn.")
    if not any(part.startswith("_") for part in module.name.split("."))
]


def public_objects():
    for name in MODULES:
        module = importlib.import_module(name)
        for key, value in vars(module).items():
            is_own = getattr(value, "__module__", None) == name
            if key.startswith("_") or not is_own:
                continue
            if inspect.isclass(value):
                yield f"{name}.{key}", value
                for attribute, method in vars(value).items():
                    if inspect.isfunction(method) and not attribute.startswith("_"):
                        yield f"{name}.{key}.{attribute}", method
                    if isinstance(method, property) and not attribute.startswith("_"):
                        yield f"{name}.{key}.{attribute}", method
            elif inspect.isfunction(value):
                yield f"{name}.{key}", value


OBJECTS = dict(public_objects())
COMMANDS = {
    f"hashlearn.cli.{module}"
    for module in (
        "tables.datasets", "tables.methods", "scores.demo", "scores.evaluate",
        "road.fit", "road.encode", "road.index", "road.build", "road.search", "pairs.duplicates",
        "compress.compress", "export.export", "hub.push", "hub.pull", "bench.bench",
        "report.report", "serve.serve", "finding.search", "collection.create", "collection.add",
        "collection.remove", "collection.rebuild", "collection.verify", "collection.export",
        "collection.salvage", "collection.info",
    )
}  # fmt: skip
every_object = pytest.mark.parametrize(
    "name",
    [
        name
        for name, value in OBJECTS.items()
        if name not in COMMANDS and not isinstance(value, property)
    ],
)

# Extended summaries, examples and "see also" stand where they help; a summary may begin on the
# first line.
TASTE = {"ES01", "EX01", "SA01", "GL01"}


def documented(value):
    kind = ClassDoc if inspect.isclass(value) else FunctionDoc
    return kind(value)["Parameters"]


def names_and_types(value):
    return {
        name.strip().lstrip("*"): parameter.type
        for parameter in documented(value)
        for name in parameter.name.split(",")
    }


def signature(value):
    parameters = inspect.signature(value).parameters.values()
    return {p.name: p for p in parameters if p.name not in ("self", "cls")}


def test_the_whole_package_is_looked_at():
    assert len(OBJECTS) > 80
    assert set(OBJECTS) >= COMMANDS
    assert {"hashlearn.hashers.deep.sigah.SiGAH", "hashlearn.codes.pack_bits"} <= set(OBJECTS)


@pytest.mark.parametrize("name", [name for name in OBJECTS if name not in COMMANDS])
def test_numpydoc_finds_nothing_wrong(name):
    overrides = inspect.isfunction(OBJECTS[name]) and not OBJECTS[name].__doc__
    if overrides:  # it inherits the docstring of what it overrides
        owner = importlib.import_module(OBJECTS[name].__module__)
        assert inspect.getdoc(getattr(getattr(owner, name.split(".")[-2]), name.split(".")[-1]))
        return
    errors = [error for error in validate(name)["errors"] if error[0] not in TASTE]
    assert not errors, f"{name}: {errors}"


@every_object
def test_exactly_the_parameters_are_documented_in_their_order(name):
    value = OBJECTS[name]
    assert inspect.getdoc(value), f"{name} has no docstring"
    inherits = inspect.isclass(value) and "__init__" not in vars(value)
    if inherits and not documented(value):
        return  # an abstract class or one that takes nothing
    assert list(names_and_types(value)) == list(signature(value))


@every_object
def test_documented_defaults_are_those_of_the_code(name):
    value = OBJECTS[name]
    types = names_and_types(value)
    for parameter in signature(value).values():
        if parameter.name not in types or parameter.default is inspect.Parameter.empty:
            continue
        if repr(parameter.default).startswith("<"):  # a dataclass's default factory
            continue
        text = types[parameter.name]
        if text.endswith("optional") or text == "None":
            assert parameter.default is None, f"{name}: {parameter.name} is not None by default"
            continue
        stated = re.search(r"default\s*=\s*(.+)$", text)
        assert stated, f"{name}: the docstring does not say the default of {parameter.name}"
        stated_value = eval(stated[1], {})
        assert stated_value == parameter.default, f"{name}: {parameter.name}"
        assert type(stated_value) is type(parameter.default)


@every_object
def test_arrays_say_their_shape(name):
    value = OBJECTS[name]
    sections = [documented(value)]
    if not inspect.isclass(value):
        sections.append(FunctionDoc(value)["Returns"])
    for section in sections:
        for parameter in section:
            if re.match(r"(ndarray|array-like|Tensor)\b", parameter.type):
                assert "of shape" in parameter.type, f"{name}: {parameter}"
                assert "," in parameter.type.split(")", 1)[-1], f"{name}: dtype of {parameter}"


@pytest.mark.parametrize("method", methods(), ids=lambda method: method.name)
def test_fitted_attributes_are_those_documented_with_their_shapes_and_types(method):
    X, y = make_blobs(n_samples=80, n_features=6, random_state=0)
    cls = get_method(method.name)
    # 4 bits are too few for 6 dimensions
    options = {"n_pretrain": 5, "n_steps": 20, "n_components": 4}
    quick = {name: value for name, value in options.items() if name in signature(cls)}
    hasher = cls(n_bits=4, random_state=0, **quick).fit(X, y)
    attributes = {attribute.name: attribute.type for attribute in ClassDoc(cls)["Attributes"]}
    learned = {key for key in vars(hasher) if key.endswith("_") and not key.startswith("_")}
    assert {key for key in attributes if key.endswith("_")} == learned
    for key in learned:
        value, text = getattr(hasher, key), attributes[key]
        if isinstance(value, np.ndarray):
            assert text.endswith(f", {value.dtype}"), f"{key} is {value.dtype}"
            shape = re.search(r"of shape \(([^)]*)\)", text)
            sizes = {"n_bits": 4, "n_features": 6}
            parts = [part.strip() for part in shape[1].split(",") if part.strip()]
            assert len(parts) == value.ndim
            for part, size in zip(parts, value.shape, strict=True):
                assert sizes.get(part, size) == size, f"{key} has the shape {value.shape}"
        else:
            assert text.startswith(type(value).__name__), f"{key} is a {type(value).__name__}"


@pytest.mark.parametrize("method", methods(), ids=lambda method: method.name)
def test_the_docstring_of_a_method_says_what_it_differs_in_and_where_it_comes_from(method):
    cls = get_method(method.name)
    doc = ClassDoc(cls)
    notes = "\n".join(doc["Notes"])
    if method.has_paper:
        assert "Differences from the paper" in notes
    else:
        assert "A method of this library" in "\n".join(doc["Extended Summary"])
    assert "O(" in notes, "the cost of fit and encode is missing"
    assert doc["References"], "the reference is missing"
    assert doc["Examples"], "the example is missing"
    last = list(signature(cls))
    assert last[0] == "n_bits"
    assert last[-1] == "random_state"
