"""A paper's table as something to run here: on its data, or on what stands in for them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from hashlearn.benchmark.papers import Table
from hashlearn.benchmark.run import Job
from hashlearn.data import datasets
from hashlearn.hashers import methods as list_methods


@dataclass(frozen=True)
class Plan:
    """Say what of a table is run, and on what.

    Parameters
    ----------
    table : Table
        The table.
    dataset : str
        Name of the data set: the table's, or the stand-in's; empty where there is neither.
    features : str
        Features before the hasher.
    protocol : str
        Name of the protocol.
    is_stand_in : bool
        Whether it is other data than the paper's.
    jobs : tuple of Job
        What is fitted.
    left_out : tuple of str
        Labels of rows whose method the library does not have, or that were not asked for.
    why : str
        Why the table is not run on its own data, or not at all; empty if it is.
    """

    table: Table
    dataset: str
    features: str
    protocol: str
    is_stand_in: bool
    jobs: tuple[Job, ...]
    left_out: tuple[str, ...]
    why: str


def plan_table(table: Table, seeds: Sequence[int], methods: Collection[str] | None = None) -> Plan:
    """Plan to run a paper's table.

    Parameters
    ----------
    table : Table
        Table of a paper.
    seeds : sequence of int
        Seeds of the methods.
    methods : collection of str, optional
        Names of the methods to run. None runs all of the table that the library has.

    Returns
    -------
    Plan
        Without jobs where nothing can be run.
    """
    known = {method.name for method in list_methods()}
    wanted = known if methods is None else known & set(methods)
    rows = [row for row in table.rows if row.method in wanted]
    left_out = tuple(row.label for row in table.rows if row.method not in wanted)
    jobs = tuple(
        Job(row.method, n_bits, seed, row.parameters, table.distance)
        for row in rows
        for n_bits in row.bits
        for seed in seeds
    )
    why = _missing(table)
    if not why:
        own = (table.dataset, table.features, table.protocol)
        return Plan(table, *own, False, jobs, left_out, "")
    other = table.stand_in
    if other is None or other.dataset not in _here():
        return Plan(table, "", "", "", False, (), left_out, why)
    return Plan(table, other.dataset, other.features, other.protocol, True, jobs, left_out, why)


def _missing(table: Table) -> str:
    if table.missing:
        return f"{table.missing} cannot be had here"
    return "" if table.dataset in _here() else f"the data set {table.dataset} is not here"


def _here() -> set[str]:
    """Name the data sets that are here or can be downloaded."""
    return {row.name for row in datasets() if row.is_local or row.is_downloadable}
