"""What there is: data sets and methods."""

from dataclasses import asdict

from hashlearn.cli.options import AsJson
from hashlearn.cli.show import print_json, print_table


def datasets(as_json: AsJson = False) -> None:
    """List the data sets that can be loaded by name.

    They are looked for in the folder that the environment variable HASHLEARN_DATA names, then in
    the user's cache, and downloaded to the cache if they are in neither. With --json also shapes,
    sources and terms of use.

    Example: `hashlearn datasets`
    """  # numpydoc ignore=PR01
    from hashlearn.data import datasets as list_datasets

    rows = list_datasets()
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    print_table(
        ["name", "what", "items", "classes", "here"],
        [
            [
                row.name,
                row.description,
                row.n_samples,
                row.n_classes,
                "yes" if row.is_local else "no",
            ]
            for row in rows
        ],
    )


def methods(as_json: AsJson = False) -> None:
    """List the methods.

    With --json also the names of their classes and where these are.

    Example: `hashlearn methods`
    """  # numpydoc ignore=PR01
    from hashlearn.hashers import methods as list_methods

    rows = list_methods()
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    print_table(
        ["name", "learns from", "idea", "reference"],
        [
            [
                row.name,
                "vectors" if row.supervision == "none" else row.supervision,
                row.summary,
                row.reference,
            ]
            for row in rows
        ],
    )
