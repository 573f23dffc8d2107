"""Results of real runs on the bundled digits, for the report."""

import pytest

from hashlearn.benchmark import Job, Records, default_recipe, load_paper, run_and_record
from hashlearn.data import load_dataset
from hashlearn.evaluation import get_protocol

PAPER = """
[paper]
method = "itq"
title = "A paper & its <tables>"
authors = "A. Author"
year = 2020
venue = "Somewhere"

[settings]

[stand_ins.small]
dataset = "digits"
features = "pixels"
protocol = "euclidean-100"
why = "Small, but images."

[[tables]]
id = "1"
title = "Table 1, digits"
dataset = "digits"
features = "pixels"
protocol = "euclidean-100"
metric = "mean_average_precision"
bits = [8, 16]
note = "The note of the table."
rows = [
    { label = "LSH", method = "lsh", printed = [0.0123, 0.99] },
    { label = "ITQ", method = "itq", printed = [0.99, nan] },
    { label = "ITQ, short", method = "itq", bits = [8], parameters.n_iter = 3, printed = [0.1] },
    { label = "MLH", method = "mlh", printed = [0.25, 0.35], note = "Not here." },
]

[[tables]]
id = "2"
title = "Table 2, large"
dataset = "gist1m"
features = "none"
protocol = "euclidean-1000"
metric = "precision_at_100"
bits = [16]
stand_in = "small"
rows = [{ label = "LSH", method = "lsh", printed = [0.01] }]

[[tables]]
id = "3"
title = "Table 3, elsewhere"
dataset = "imagenet"
features = "none"
protocol = "labels"
metric = "mean_average_precision"
bits = [16]
rows = [{ label = "LSH", method = "lsh", printed = [0.5] }]
"""


@pytest.fixture(scope="session")
def paper(tmp_path_factory):
    """Give a paper whose first table is of the digits."""
    path = tmp_path_factory.mktemp("paper") / "itq.toml"
    path.write_text(PAPER, encoding="utf-8")
    return load_paper(path)


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    """Run LSH and ITQ on the digits at two lengths with two seeds, judged in two ways."""
    records, digits = Records(tmp_path_factory.mktemp("results")), load_dataset("digits")
    jobs = [Job(name, bits, seed) for name in ("lsh", "itq") for bits in (8, 16) for seed in (0, 1)]
    short = Job("itq", 8, 0, {"n_iter": 3})
    recipe = default_recipe(digits)
    near, labels = get_protocol("euclidean-100"), get_protocol("labels")
    run_and_record(records, digits, [*jobs, short], protocol=near, recipe=recipe)
    run_and_record(records, digits, jobs, protocol=labels, recipe=recipe)
    return records
