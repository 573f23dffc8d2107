import json
from fractions import Fraction

import numpy as np
import pytest
from sklearn.datasets import make_blobs

from hashlearn.benchmark import (
    Job,
    default_features,
    default_protocol,
    default_recipe,
    make_hasher,
    rescore,
    run_jobs,
    run_methods,
    summarise,
)
from hashlearn.benchmark import run as run_module
from hashlearn.codes import hamming_distances, unpack_bits
from hashlearn.data import Dataset, SplitRecipe, load_dataset
from hashlearn.evaluation import Protocol, euclidean_neighbors, get_protocol
from hashlearn.hashers import get_method
from hashlearn.hashers.base import Hasher
from hashlearn.hashers.shallow.lsh import LSH
from hashlearn.models import encode

RECIPE = SplitRecipe("all", n_queries=20, seed=1)
LABELS = Protocol(truth="labels")


@pytest.fixture(scope="module")
def blobs():
    X, y = make_blobs(200, 10, centers=5, cluster_std=3.0, random_state=0)
    return Dataset("blobs", X, y)


@pytest.fixture
def run(blobs):
    """Run with small settings; the answer is a list."""

    def run(methods=("lsh",), bits=(8,), dataset=blobs, **options):
        settings = {"protocol": LABELS, "recipe": RECIPE, **options}
        return list(run_methods(dataset, methods, bits, **settings))

    return run


@pytest.fixture
def fits(monkeypatch):
    """List every fit of a hasher: its name, the shapes of X and y, and y."""
    log = []
    fit = Hasher.fit

    def logged(self, X, y=None):
        log.append((type(self).__name__, np.shape(X), y))
        return fit(self, X, y)

    monkeypatch.setattr(Hasher, "fit", logged)
    return log


def test_a_row_carries_all_that_makes_its_number(run):
    (done,) = run(["itq"], [8], seeds=[3], parameters={"n_iter": 4}, features="standardize")
    row = done.row
    assert row["dataset"] == "blobs"
    assert SplitRecipe(**row["split"]) == RECIPE
    assert (row["n_train"], row["n_database"], row["scores"]["n_queries"]) == (180, 180, 20)
    assert Protocol(**{k: tuple(v) if isinstance(v, list) else v
                       for k, v in row["protocol"].items()}) == LABELS  # fmt: skip
    assert row["features"] == "standardize"
    assert (row["method"], row["n_bits"], row["seed"]) == ("itq", 8, 3)
    assert row["given"] == {"n_iter": 4}
    defaults = get_method("itq")().get_params()
    del defaults["n_bits"], defaults["random_state"]
    assert row["parameters"] == {**defaults, "n_iter": 4}
    assert row["scores"] == done.scores.as_dict()
    assert row["fit_seconds"] >= 0
    assert row["encode_seconds"] >= 0
    assert row["index_bytes"] == done.index.index_bytes == 180
    facts = row["provenance"]
    assert facts.keys() >= {"commit", "versions", "machine", "processor", "python", "time"}


def test_a_row_is_json_also_with_numpys_numbers(run):
    runs = run(
        ["itq"], np.array([8]), seeds=np.arange(1), parameters={"n_iter": np.int64(2)},
        features="none",
    )  # fmt: skip
    row = runs[0].row
    assert json.loads(json.dumps(row, allow_nan=False)) == row


def test_every_method_runs_at_every_length_with_every_seed(run):
    rows = [done.row for done in run(["lsh", "itq"], [8, 4], seeds=[0, 1])]
    assert [(row["method"], row["n_bits"], row["seed"]) for row in rows] == [
        (method, n_bits, seed) for method in ("lsh", "itq") for n_bits in (8, 4) for seed in (0, 1)
    ]
    assert len({json.dumps(row["split"]) for row in rows}) == 1


def test_the_same_seed_gives_the_same_scores_and_another_gives_others(run):
    first, second, other = (run(seeds=[seed])[0] for seed in (0, 0, 1))
    assert first.row["scores"] == second.row["scores"]
    np.testing.assert_array_equal(first.query_codes, second.query_codes)
    assert first.row["scores"] != other.row["scores"]


def test_runs_come_as_soon_as_they_are_there(blobs, fits):
    runs = run_methods(blobs, ["lsh", "itq"], [8], protocol=LABELS, recipe=RECIPE)
    next(runs)
    assert [name for name, *_ in fits] == ["LSH"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": ["lsh", "hashnet"]}, "unknown method 'hashnet'; there are: lsh, itq"),
        ({"methods": ["itq", "lsh"], "parameters": {"n_iter": 3}}, "lsh has no parameter n_iter"),
        ({"parameters": {"n_bits": 3}}, "lsh has no parameter n_bits besides"),
        ({"parameters": {"random_state": 3}}, "lsh has no parameter random_state besides"),
        ({"bits": [8, 0]}, "n_bits must be at least 1"),
        ({"features": "gabor"}, "unknown features 'gabor'"),
        ({"recipe": SplitRecipe("test")}, "needs a published split"),
        ({"protocol": Protocol(truth="shared_labels")}, "needs labels with 2 axes"),
    ],
)
def test_a_wrong_setting_fails_before_any_fit(run, fits, changes, message):
    with pytest.raises(ValueError, match=message):
        run(**changes)
    assert fits == []


def test_the_split_is_the_recipes(run, blobs):
    (done,) = run()
    split = blobs.split(RECIPE)
    for part in ("train", "database", "queries"):
        np.testing.assert_array_equal(getattr(done.split, part), getattr(split, part))


@pytest.mark.parametrize("features", ["none", "standardize,l2"])
def test_index_and_query_codes_are_the_models(run, blobs, features):
    (done,) = run(features=features)
    np.testing.assert_array_equal(
        done.index.codes, encode(done.model, blobs.X[done.split.database])
    )
    np.testing.assert_array_equal(done.query_codes, encode(done.model, blobs.X[done.split.queries]))


def test_features_learn_from_the_training_items_alone(run, blobs):
    recipe = SplitRecipe("all", n_queries=20, n_train=50, seed=1)
    (done,) = run(features="standardize", recipe=recipe)
    assert done.row["n_train"] == 50
    np.testing.assert_allclose(done.model[0].mean_, blobs.X[done.split.train].mean(axis=0))


def test_a_supervised_method_gets_the_labels_of_the_training_items(run, blobs, fits, monkeypatch):
    monkeypatch.setattr(LSH, "supervised", True)
    recipe = SplitRecipe("all", n_queries=20, n_train=50, seed=1)
    (done,) = run(recipe=recipe)
    (name, shape, y), = fits  # fmt: skip
    assert (name, shape) == ("LSH", (50, 10))
    np.testing.assert_array_equal(y, blobs.y[done.split.train])


def test_a_supervised_method_without_labels_says_so(run, blobs, monkeypatch):
    monkeypatch.setattr(LSH, "supervised", True)
    with pytest.raises(ValueError, match=r"LSH requires y .* learns from labels"):
        run(dataset=Dataset("bare", blobs.X), protocol=Protocol(truth="euclidean", n_neighbors=5))


def by_hand(done, relevant, order=slice(None)):
    """Compute mean average precision from sorted brute-force distances, ties in an order."""
    all_distances = hamming_distances(done.query_codes, done.index.codes[order])
    precisions = []
    for distances, marks in zip(all_distances, relevant[:, order], strict=True):
        ranked = marks[np.argsort(distances, kind="stable")]
        hits, total = 0, 0.0
        for rank, is_relevant in enumerate(ranked, start=1):
            if is_relevant:
                hits += 1
                total += hits / rank
        precisions.append(total / hits)
    return np.mean(precisions)


def test_scores_are_those_of_the_brute_force_ranking(run, blobs):
    protocol = Protocol(truth="labels", ties="stable")
    (done,) = run(["itq"], protocol=protocol)
    relevant = blobs.y[done.split.queries][:, None] == blobs.y[done.split.database]
    assert done.scores.mean_average_precision == pytest.approx(by_hand(done, relevant))
    assert done.row["scores"]["mean_average_precision"] == done.scores.mean_average_precision


def test_neighbors_are_those_of_the_vectors_that_the_hasher_is_given(blobs):
    """Standardised vectors have other neighbours where one feature outweighs the rest."""
    stretched = Dataset("stretched", blobs.X * np.logspace(0, 3, 10), blobs.y)
    protocol = Protocol(truth="euclidean", n_neighbors=7)
    (done,) = run_methods(
        stretched, ["lsh"], [8], protocol=protocol, recipe=RECIPE, features="standardize"
    )
    X = done.model[0].transform(stretched.X)
    near = euclidean_neighbors(X[done.split.queries], X[done.split.database], 7)
    raw = euclidean_neighbors(stretched.X[done.split.queries], stretched.X[done.split.database], 7)
    assert (np.sort(near) != np.sort(raw)).any()
    np.testing.assert_array_equal(done.truth.ids, near)
    assert rescore(done, stretched, protocol).as_dict() == done.row["scores"]


def test_rescoring_is_evaluation_under_another_protocol(run, blobs):
    (done,) = run(["itq"])
    again = rescore(done, blobs, Protocol(truth="euclidean", n_neighbors=7, ties="stable"))
    near = euclidean_neighbors(blobs.X[done.split.queries], blobs.X[done.split.database], 7)
    relevant = np.zeros((20, 180), bool)
    np.put_along_axis(relevant, near, True, axis=1)
    assert again.mean_average_precision == pytest.approx(by_hand(done, relevant))
    assert rescore(done, blobs, LABELS).as_dict() == done.row["scores"]


def test_tied_items_count_as_in_the_mean_over_their_orders(run, blobs):
    (done,) = run(["lsh"], [2])  # two bits: nearly all items are tied
    relevant = blobs.y[done.split.queries][:, None] == blobs.y[done.split.database]
    rng = np.random.default_rng(0)
    orders = [by_hand(done, relevant, rng.permutation(180)) for _ in range(400)]
    error = 4 * np.std(orders) / np.sqrt(400)
    assert done.scores.mean_average_precision == pytest.approx(np.mean(orders), abs=error)
    assert abs(by_hand(done, relevant) - np.mean(orders)) > error


def spherical_fractions(done, query):
    """Give |a xor b| / |a and b| of a query and every item, as fractions."""
    n_bits = done.row["n_bits"]
    queries = unpack_bits(done.query_codes, n_bits).astype(int)
    found = []
    for item in unpack_bits(done.database_codes, n_bits).astype(int):
        shared, differing = (item & queries[query]).sum(), (item ^ queries[query]).sum()
        found.append(Fraction(int(differing), int(shared)) if shared else 10**6)
    return found


def test_a_method_is_judged_by_its_own_distance_unless_another_is_asked_for(run, blobs):
    (own,), (asked,) = run(["sph"], [12]), run(["sph"], [12], distance="spherical")
    (hamming,), (lsh,) = run(["sph"], [12], distance="hamming"), run(["lsh"], [12])
    np.testing.assert_array_equal(own.database_codes, hamming.database_codes)
    assert own.row["distance"] == "spherical"
    assert hamming.row["distance"] == "hamming"  # not the method's own
    assert "distance" not in lsh.row
    assert own.row["id"] == asked.row["id"] != hamming.row["id"]
    assert own.scores.mean_average_precision != hamming.scores.mean_average_precision
    relevant = blobs.y[own.split.queries][:, None] == blobs.y[own.split.database]
    rng, precisions = np.random.default_rng(0), []
    for query in range(20):
        distances = spherical_fractions(own, query)
        for _ in range(30):  # orders of tied items, drawn at random
            noise = rng.random(180)
            ranked = sorted(range(180), key=lambda item: (distances[item], noise[item]))
            hits = np.flatnonzero(relevant[query][ranked]) + 1
            precisions.append((np.arange(1, len(hits) + 1) / hits).mean())
    assert own.scores.mean_average_precision == pytest.approx(np.mean(precisions), abs=0.004)
    assert rescore(own, blobs, LABELS).as_dict() == own.row["scores"]
    names = [summary.name for summary in summarise([own.row, hamming.row, asked.row])]
    assert names == ["sph (spherical)", "sph"]


def test_radii_are_left_out_for_spherical_distances(run):
    (done,) = run(["sph"], [12])
    assert not [name for name in done.row["scores"] if "within" in name]
    assert set(done.row["curves"]) == {"ranks", "precision_at_ranks", "recall_at_ranks", "pooled"}
    pooled = done.row["curves"]["pooled"]
    assert len(pooled["recall"]) == len(pooled["precision"]) <= 200
    assert pooled["recall"][-1] == 1.0


def test_blocks_of_queries_do_not_change_the_scores(run, monkeypatch):
    whole = run()[0].row["scores"]
    monkeypatch.setattr(run_module, "_BLOCK_ENTRIES", 3 * 180)
    assert run()[0].row["scores"] == pytest.approx(whole)


def test_images_become_pixels_and_vectors_stay(run):
    (done,) = run(dataset=load_dataset("digits"))
    assert done.row["features"] == "pixels"
    assert done.model[0].image_shape_ == (8, 8)
    assert default_features(np.zeros((2, 8, 8, 3))) == "pixels"
    assert default_features(np.zeros((2, 8))) == "none"
    assert default_features(np.zeros((2, 8, 8)), "pgh") == "none"
    assert default_features(np.zeros((2, 8, 8)), "itq") == "pixels"


def test_each_method_is_given_images_as_it_takes_them():
    digits = load_dataset("digits")
    few = Dataset("few", digits.X[:80], digits.y[:80])
    jobs = [
        Job("pgh", 8, 0, {"n_rounds": 1, "triplets": "real", "hash_steps": 60}),
        Job("lsh", 8),
    ]
    recipe = SplitRecipe("all", n_queries=10, seed=0)
    images, rows = run_jobs(few, jobs, protocol=LABELS, recipe=recipe)
    assert (images.row["features"], rows.row["features"]) == ("none", "pixels")
    assert images.model.item_shape_ == (8, 8)
    assert rows.model.steps[0][1].image_shape_ == (8, 8)


def test_more_bits_find_more_of_the_same_digits(run):
    digits = load_dataset("digits")
    few, many = run(["itq"], [4, 32], dataset=digits)
    assert few.scores.mean_average_precision < many.scores.mean_average_precision
    assert many.scores.mean_average_precision > 0.55  # a random ranking has 0.1


def test_a_hasher_is_made_of_plain_values():
    hasher = make_hasher("ITQ", 8, {"n_iter": 3}, 5)
    assert hasher.get_params() == {
        **get_method("itq")().get_params(), "n_bits": 8, "n_iter": 3, "random_state": 5,
    }  # fmt: skip
    with pytest.raises(TypeError, match="n_bits must be an integer"):
        make_hasher("itq", 8.0, {}, 0)


def test_judging_goes_by_labels_where_there_are_any():
    X = np.eye(4)
    assert default_protocol(Dataset("a", X, np.arange(4))) == LABELS
    assert default_protocol(Dataset("a", X, np.eye(4, 2, dtype=np.uint8))).truth == "shared_labels"
    assert default_protocol(Dataset("a", X)) == get_protocol("euclidean-100")


def test_the_split_is_the_published_one_where_there_is_one():
    X = np.arange(3000.0)[:, None]
    parts = {"train": np.arange(1000), "test": np.arange(1000, 3000)}
    published, own = Dataset("a", X, splits=parts), Dataset("a", X)
    assert default_recipe(published, 3) == SplitRecipe("test", n_queries=1000, seed=3)
    assert default_recipe(own, 3) == SplitRecipe("all", n_queries=300, seed=3)
    assert default_recipe(Dataset("a", X[:5])) == SplitRecipe("all", n_queries=1)
    assert default_recipe(published, 3, "cifar10-10k-at-1000") == SplitRecipe("test", seed=3)
    for protocol in ("cifar10-1k", "pgh-mnist"):
        assert default_recipe(published, 3, protocol) == SplitRecipe(
            "all", n_queries=1000, queries_per_class=True, seed=3
        )
    assert default_recipe(published, 3, "cnnh") == SplitRecipe(
        "all", n_queries=1000, queries_per_class=True, n_train=5000, train_per_class=True, seed=3
    )
