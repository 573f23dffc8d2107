"""Methods × data × bits × seeds under one protocol; rows that say where they come from."""

from hashlearn.benchmark.bench import run_and_record
from hashlearn.benchmark.defaults import default_features, default_protocol, default_recipe
from hashlearn.benchmark.paired import baselines, compare_summaries
from hashlearn.benchmark.papers import Paper, load_paper
from hashlearn.benchmark.provenance import provenance
from hashlearn.benchmark.records import Records
from hashlearn.benchmark.run import Job, Run, make_hasher, rescore, run_jobs, run_methods
from hashlearn.benchmark.summary import Summary, summarise

__all__ = [
    "Job",
    "Paper",
    "Records",
    "Run",
    "Summary",
    "baselines",
    "compare_summaries",
    "default_features",
    "default_protocol",
    "default_recipe",
    "load_paper",
    "make_hasher",
    "provenance",
    "rescore",
    "run_and_record",
    "run_jobs",
    "run_methods",
    "summarise",
]
