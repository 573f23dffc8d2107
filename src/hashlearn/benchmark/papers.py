"""The tables that papers print, and how to run them again."""

import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from hashlearn.codes import Distance
from hashlearn.data.catalog import NAMES
from hashlearn.evaluation import get_protocol
from hashlearn.features import make_features

Unit = Literal["fraction", "percent", "seconds"]

_SUFFIX = ".toml"
_FOLDERS = (
    Path(__file__).parents[1] / "papers",  # in an installed package
    Path(__file__).parents[3] / "benchmarks" / "papers",  # in a checkout
)


@dataclass(frozen=True)
class StandIn:
    """Say on what a table can be run whose own data nobody may pass on.

    Parameters
    ----------
    dataset : str
        Name of a data set.
    features : str
        Features, as :func:`~hashlearn.features.make_features` takes them.
    protocol : str
        Name of a protocol.
    why : str
        What it has in common with the paper's data, and what not.
    """

    dataset: str
    features: str
    protocol: str
    why: str


@dataclass(frozen=True)
class PrintedRow:
    """Hold what a table prints about one method.

    Parameters
    ----------
    label : str
        What the paper calls it; unique in its table.
    method : str
        Name in the table of methods, which need not have it yet.
    bits : tuple of int
        Code lengths: the table's, or the row's own.
    printed : tuple of float
        A number for each code length, as fraction or seconds; NaN where the paper prints none.
    parameters : mapping of str to object, default={}
        Constructor arguments that make the row what it is.
    note : str, default=""
        What a reader of the number should know.
    """

    label: str
    method: str
    bits: tuple[int, ...]
    printed: tuple[float, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Table:
    """Hold one table of a paper: one metric on one data set.

    Parameters
    ----------
    id : str
        The paper's number of the table, and what it is a part of: ``"2"``, ``"1-gist1m-map"``.
    title : str
        What a reader should see above it.
    dataset : str
        Name of the data set, which the catalog need not have.
    features : str
        Features, as :func:`~hashlearn.features.make_features` takes them, or others that the paper
        uses.
    protocol : str
        Name of a protocol.
    metric : str
        Key of the scores, such as ``"precision_at_100"``, or ``"fit_seconds"``.
    bits : tuple of int
        Code lengths.
    rows : tuple of PrintedRow
        One a method; none where the paper prints a picture.
    unit : {"fraction", "percent", "seconds"}, default="fraction"
        How the paper prints the numbers. In the rows, percent have become fractions.
    distance : {"hamming", "spherical"}, default="hamming"
        What the paper compares codes by, whatever a method's own paper does.
    note : str, default=""
        Where the paper contradicts itself or leaves something out.
    stand_in : StandIn, optional
        What the table can be run on where its own data are missing.
    """

    id: str
    title: str
    dataset: str
    features: str
    protocol: str
    metric: str
    bits: tuple[int, ...]
    rows: tuple[PrintedRow, ...]
    unit: Unit = "fraction"
    distance: Distance = "hamming"
    note: str = ""
    stand_in: StandIn | None = None

    @property
    def missing(self) -> str:
        """The data set or features that the library does not know; empty if it knows both."""
        if self.dataset not in NAMES:
            return f"the data set {self.dataset}"
        try:
            make_features(self.features)
        except ValueError:
            return f"the features {self.features}"
        return ""

    def printed(self, label: str, n_bits: int) -> float:
        """Look up a printed number.

        Parameters
        ----------
        label : str
            Label of a row.
        n_bits : int
            Code length.

        Returns
        -------
        float
            A fraction, or seconds; NaN where the paper prints none.

        Raises
        ------
        ValueError
            If the table has no such row, or the row no such code length.
        """
        for row in self.rows:
            if row.label == label:
                if n_bits in row.bits:
                    return row.printed[row.bits.index(n_bits)]
                raise ValueError(f"{label} has {_listed(row.bits)} bits, not {n_bits}")
        labels = _listed(row.label for row in self.rows)
        raise ValueError(f"table {self.id} has no row {label!r}; there are: {labels}")


@dataclass(frozen=True)
class Paper:
    """Hold what a paper prints, and under which settings.

    Parameters
    ----------
    method : str
        Name of the method that the paper proposes, and of its file.
    title : str
        Title.
    authors : str
        Authors.
    year : int
        Year.
    venue : str
        Where it was published.
    settings : mapping of str to object
        Constructor arguments as the paper sets them, as far as they are known.
    tables : tuple of Table
        Its tables, in their order.
    note : str, default=""
        What holds for all tables.

    Examples
    --------
    >>> load_paper("sigah").select("2")[0].printed("ITQ", 64)
    0.4681
    """

    method: str
    title: str
    authors: str
    year: int
    venue: str
    settings: Mapping[str, Any]
    tables: tuple[Table, ...]
    note: str = ""

    def select(self, id: str) -> tuple[Table, ...]:
        """Choose a table, or all parts of one.

        Parameters
        ----------
        id : str
            Id of a table, or its start up to a hyphen: ``"1"`` and ``"1-gist1m"`` choose
            ``"1-gist1m-map"`` among others.

        Returns
        -------
        tuple of Table
            At least one, in their order.

        Raises
        ------
        ValueError
            If the paper has no such table.
        """
        found = tuple(t for t in self.tables if t.id == id or t.id.startswith(f"{id}-"))
        if not found:
            ids = _listed(table.id for table in self.tables)
            raise ValueError(f"the paper of {self.method} has no table {id!r}; there are: {ids}")
        return found


def papers() -> tuple[str, ...]:
    """List the papers.

    Returns
    -------
    tuple of str
        Names for :func:`load_paper`, in alphabetical order: those of the papers' methods.

    Raises
    ------
    FileNotFoundError
        If the installation lacks the papers' files.

    Examples
    --------
    >>> "sigah" in papers()
    True
    """
    return tuple(sorted(path.stem for path in _folder().glob(f"*{_SUFFIX}")))


def load_paper(name_or_path: str | Path) -> Paper:
    """Read a paper's file and check it.

    Parameters
    ----------
    name_or_path : str or pathlib.Path
        One of :func:`papers`, or a file ending in ``.toml``.

    Returns
    -------
    Paper
        What it prints.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the name is unknown, or the file is no TOML, lacks a key, has one too many, or a value
        of a wrong kind; the error names file, table, row and key.
    """
    path = Path(name_or_path)
    if path.suffix != _SUFFIX:
        if name_or_path not in papers():
            raise ValueError(f"unknown paper {str(name_or_path)!r}; there are: {_listed(papers())}")
        path = _folder() / f"{name_or_path}{_SUFFIX}"
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no TOML: {error}") from error
    return _paper(str(path), document)


def _folder() -> Path:
    for folder in _FOLDERS:
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"there are no paper files in {' nor in '.join(map(str, _FOLDERS))}")


def _paper(where: str, document: dict[str, Any]) -> Paper:
    _check(where, document, {"paper": dict, "settings": dict}, {"tables": list, "stand_ins": dict})
    head = document["paper"]
    needed = {"method": str, "title": str, "authors": str, "year": int, "venue": str}
    _check(f"{where}, [paper]", head, needed, {"note": str})
    stand_ins = {
        name: _stand_in(f"{where}, stand-in {name!r}", given)
        for name, given in document.get("stand_ins", {}).items()
    }
    tables = tuple(
        _table(f"{where}, table {_name(given, 'id', number)}", given, stand_ins)
        for number, given in enumerate(document.get("tables", []), start=1)
    )
    _check_unique(where, "id", [table.id for table in tables])
    return Paper(**head, settings=document["settings"], tables=tables)


def _stand_in(where: str, given: Any) -> StandIn:
    _check(where, given, dict.fromkeys(("dataset", "features", "protocol", "why"), str), {})
    if given["dataset"] not in NAMES:
        known = _listed(NAMES)
        raise ValueError(f"{where}: unknown data set {given['dataset']!r}; there are: {known}")
    try:
        make_features(given["features"])
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    _check_protocol(where, given["protocol"])
    return StandIn(**given)


def _table(where: str, given: Any, stand_ins: Mapping[str, StandIn]) -> Table:
    texts = ("id", "title", "dataset", "features", "protocol", "metric")
    needed: dict[str, type] = {**dict.fromkeys(texts, str), "bits": list, "rows": list}
    optional = dict.fromkeys(("unit", "distance", "note", "stand_in"), str)
    _check(where, given, needed, optional)
    if (distance := given.get("distance", "hamming")) not in get_args(Distance):
        allowed = _listed(get_args(Distance))
        raise ValueError(f"{where}: distance must be one of {allowed}; got {distance!r}")
    _check_metric(where, given["protocol"], given["metric"])
    unit = given.get("unit", "seconds" if given["metric"] == "fit_seconds" else "fraction")
    if unit not in get_args(Unit):
        raise ValueError(f"{where}: unit must be one of {_listed(get_args(Unit))}; got {unit!r}")
    if (name := given.get("stand_in")) is not None and name not in stand_ins:
        raise ValueError(f"{where}: unknown stand_in {name!r}; there are: {_listed(stand_ins)}")
    bits = _bits(where, given["bits"])
    rows = tuple(
        _row(f"{where}, row {_name(row, 'label', number)}", row, bits, unit)
        for number, row in enumerate(given["rows"], start=1)
    )
    _check_unique(where, "label", [row.label for row in rows])
    rest = {key: value for key, value in given.items() if key not in ("bits", "rows", "unit")}
    rest["stand_in"] = stand_ins[name] if name is not None else None
    return Table(**rest, bits=bits, rows=rows, unit=unit)


def _row(where: str, given: Any, bits: tuple[int, ...], unit: Unit) -> PrintedRow:
    optional = {"bits": list, "parameters": dict, "note": str}
    _check(where, given, {"label": str, "method": str, "printed": list}, optional)
    own = _bits(where, given["bits"]) if "bits" in given else bits
    numbers = given["printed"]
    if len(numbers) != len(own):
        raise ValueError(f"{where}: printed has {len(numbers)} numbers for {len(own)} code lengths")
    printed = tuple(_number(where, number, unit) for number in numbers)
    return PrintedRow(**{**given, "bits": own, "printed": printed})


def _number(where: str, given: Any, unit: Unit) -> float:
    """Check one number and bring percent to a fraction."""
    largest = {"fraction": 1.0, "percent": 100.0, "seconds": math.inf}[unit]
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise ValueError(f"{where}: printed must hold numbers, got {given!r}")
    if not (math.isnan(given) or 0 <= given <= largest):
        raise ValueError(f"{where}: a {unit} must be from 0 to {largest:g}, got {given!r}")
    return round(given / 100, 6) if unit == "percent" else float(given)


def _bits(where: str, given: list[Any]) -> tuple[int, ...]:
    if not all(type(n_bits) is int and n_bits > 0 for n_bits in given):
        raise ValueError(f"{where}: bits must be whole numbers from 1 on, got {given}")
    _check_unique(where, "code length", given)
    return tuple(given)


def _check(
    where: str, given: Any, needed: Mapping[str, type], optional: Mapping[str, type]
) -> None:
    """Refuse a key that is missing, unknown, or of another kind than it should be."""
    if not isinstance(given, dict):
        raise ValueError(f"{where} must hold keys and values, got {given!r}")
    allowed = {**needed, **optional}
    if unknown := [key for key in given if key not in allowed]:
        raise ValueError(f"{where}: unknown key {_listed(unknown)}; there are: {_listed(allowed)}")
    if missing := [key for key in needed if key not in given]:
        raise ValueError(f"{where}: missing key {_listed(missing)}")
    for key, value in given.items():
        if type(value) is not allowed[key]:
            kind = {str: "text", int: "a whole number", list: "a list", dict: "a table"}
            raise ValueError(f"{where}: {key} must be {kind[allowed[key]]}, got {value!r}")


def _check_protocol(where: str, name: str) -> None:
    try:
        get_protocol(name)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _check_metric(where: str, protocol: str, metric: str) -> None:
    """Refuse a metric that an evaluation under the protocol does not give."""
    _check_protocol(where, protocol)
    judged = get_protocol(protocol)
    known = [
        "mean_average_precision",
        "pooled_pr_area",
        *(f"precision_at_{k}" for k in judged.precision_at),
        *(f"recall_at_{k}" for k in judged.recall_at),
        *(f"ndcg_at_{k}" for k in judged.ndcg_at),
        f"precision_within_{judged.radius}",
        f"recall_within_{judged.radius}",
        "fit_seconds",
    ]
    if metric not in known:
        raise ValueError(f"{where}: unknown metric {metric!r}; {protocol} gives: {_listed(known)}")


def _check_unique(where: str, what: str, values: list[Any]) -> None:
    if twice := sorted({value for value in values if values.count(value) > 1}):
        raise ValueError(f"{where}: the {what} {twice[0]!r} is there twice")


def _name(given: Any, key: str, number: int) -> str:
    """Name a table or row in an error: by its key, or by its place where it has none."""
    return repr(given[key]) if isinstance(given, dict) and key in given else str(number)


def _listed(names: Iterable[Any]) -> str:
    return ", ".join(map(str, names)) or "none"
