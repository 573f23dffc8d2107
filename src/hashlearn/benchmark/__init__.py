"""Methods × data × bits × seeds under one protocol; rows that say where they come from."""

from hashlearn.benchmark.provenance import provenance
from hashlearn.benchmark.run import (
    Run,
    default_features,
    default_protocol,
    default_recipe,
    make_hasher,
    rescore,
    run_methods,
)

__all__ = [
    "Run",
    "default_features",
    "default_protocol",
    "default_recipe",
    "make_hasher",
    "provenance",
    "rescore",
    "run_methods",
]
