"""The demonstration's picture and its collections."""

import numpy as np
import pytest
from PIL import Image

from hashlearn import demo
from hashlearn.benchmark import run_methods
from hashlearn.collection import Collection
from hashlearn.data import Dataset, SplitRecipe, load_dataset
from hashlearn.evaluation import Protocol


def make_runs(dataset, methods=("lsh", "itq"), n_queries=30, truth="labels"):
    recipe = SplitRecipe("all", n_queries=n_queries, seed=0)
    return list(run_methods(dataset, methods, [16], protocol=Protocol(truth=truth), recipe=recipe))


@pytest.fixture(scope="module")
def digits():
    whole = load_dataset("digits")
    return Dataset("digits", whole.X[:300], whole.y[:300])


@pytest.fixture(scope="module")
def runs(digits):
    return make_runs(digits)


@pytest.fixture
def drawn(monkeypatch):
    """List every picture that is drawn: its pixels, colour and title."""
    log = []
    draw = demo._draw_image

    def logged(axis, image, colour, title):
        log.append((image, colour, title))
        draw(axis, image, colour, title)

    monkeypatch.setattr(demo, "_draw_image", logged)
    return log


@pytest.fixture
def titles(monkeypatch):
    """List the title of every panel that is drawn."""
    log = []
    monkeypatch.setattr(
        "matplotlib.figure.SubFigure.suptitle", lambda _, title, **__: log.append(title)
    )
    return log


def test_the_picture_is_a_png_with_a_panel_for_each_method(digits, runs, tmp_path):
    widths = {}
    for n in (1, 2):
        path = tmp_path / f"{n}.png"
        demo.draw_neighbors(digits, runs[:n], path, n_queries=3, k=4)
        with Image.open(path) as picture:
            picture.load()
            assert picture.format == "PNG"
            assert len(picture.getcolors(1 << 24)) > 10
            widths[n] = picture.width
    assert widths[2] == pytest.approx(2 * widths[1], abs=2)


def test_every_panel_is_titled_by_its_method(digits, runs, tmp_path, titles):
    demo.draw_neighbors(digits, runs, tmp_path / "a.png", n_queries=2, k=3)
    assert [title.partition(":")[0] for title in titles] == ["LSH, 16 bits", "ITQ, 16 bits"]


def test_the_picture_is_the_same_every_time(digits, tmp_path):
    for name in ("a.png", "b.png"):
        demo.draw_neighbors(digits, make_runs(digits), tmp_path / name, n_queries=3, k=4)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_each_query_stands_beside_its_nearest_codes(digits, runs, tmp_path, drawn):
    run = runs[1]
    demo.draw_neighbors(digits, [run], tmp_path / "a.png", n_queries=2, k=3)
    chosen = demo._one_of_each_class(digits.y[run.split.queries], 2)
    found = run.index.search(run.query_codes[chosen], 3)
    expected = []
    for row, ids, distances in zip(chosen, found.ids, found.distances, strict=True):
        query = run.split.queries[row]
        expected.append((query, demo._QUERY, "query"))
        for id_, distance in zip(ids, distances, strict=True):
            item = run.split.database[id_]
            is_right = digits.y[item] == digits.y[query]
            colour, mark = (demo._RIGHT, "✓") if is_right else (demo._WRONG, "✗")
            expected.append((item, colour, f"{distance} {mark}"))
    assert [(colour, title) for _, colour, title in drawn] == [
        (colour, title) for _, colour, title in expected
    ]
    for (image, *_), (item, *_) in zip(drawn, expected, strict=True):
        np.testing.assert_array_equal(image, digits.X[item])


def test_the_share_in_the_title_is_that_of_the_ticks(digits, runs, tmp_path, drawn, titles):
    demo.draw_neighbors(digits, runs[:1], tmp_path / "a.png", n_queries=10, k=8)
    ticks = [title.endswith("✓") for *_, title in drawn if title != "query"]
    assert len(ticks) == 80
    assert 0 < sum(ticks) < 80
    assert titles == [f"LSH, 16 bits: {sum(ticks) / 80:.0%} of these right"]


def test_one_query_of_each_class_is_chosen_then_another(digits, runs):
    labels = digits.y[runs[0].split.queries]
    assert len(np.unique(labels)) == 10
    rows = demo._one_of_each_class(labels, 10)
    assert labels[rows].tolist() == list(range(10))
    assert [list(labels).index(c) for c in range(10)] == rows
    assert demo._one_of_each_class(np.array([1, 1, 0, 1, 0]), 4) == [2, 0, 4, 1]
    assert demo._one_of_each_class(np.array([1, 1]), 10) == [0, 1]
    assert demo._one_of_each_class(np.array([[0, 1], [1, 0], [0, 1], [0, 0]]), 4) == [3, 0, 1, 2]


def test_items_with_several_labels_are_right_when_they_share_one(digits, tmp_path, drawn):
    y = np.zeros((300, 4), np.uint8)
    y[np.arange(300), digits.y % 3] = 1
    y[::2, 3] = 1
    dataset = Dataset("shared", digits.X, y)
    (run,) = make_runs(dataset, ["lsh"], truth="shared_labels")
    demo.draw_neighbors(dataset, [run], tmp_path / "a.png", n_queries=6, k=5)
    chosen = demo._one_of_each_class(y[run.split.queries], 6)
    assert len({tuple(y[run.split.queries[row]]) for row in chosen}) == 6
    found = run.index.search(run.query_codes[chosen], 5)
    expected = [
        bool((y[run.split.database[id_]] & y[run.split.queries[row]]).any())
        for row, ids in zip(chosen, found.ids, strict=True)
        for id_ in ids
    ]
    assert [title.endswith("✓") for *_, title in drawn if title != "query"] == expected
    assert set(expected) == {True, False}


def test_items_without_a_class_are_never_right(digits, tmp_path, drawn):
    dataset = Dataset("bare", digits.X, np.where(digits.y < 5, digits.y, -1))
    runs = make_runs(dataset, ["lsh"])
    demo.draw_neighbors(dataset, runs, tmp_path / "a.png", n_queries=1, k=5)
    assert [title[-1] for *_, title in drawn[1:]] == ["✗"] * 5


def test_a_database_of_fewer_items_than_places_leaves_places_empty(digits, tmp_path, drawn):
    dataset = Dataset("few", digits.X[:20], digits.y[:20])
    runs = make_runs(dataset, ["lsh"], n_queries=15)
    demo.draw_neighbors(dataset, runs, tmp_path / "a.png", n_queries=2, k=8)
    assert len(drawn) == 2 * (1 + 5)


def test_a_picture_that_fails_leaves_the_old_one(digits, runs, tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(demo.Figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        demo.draw_neighbors(digits, runs[:1], path, n_queries=1, k=1)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]


def test_collections_hold_the_same_images_under_each_method(digits, tmp_path):
    paths = demo.make_collections(digits, tmp_path / "own", ["itq", "lsh"], n_bits=16, seed=0)
    assert [path.name for path in paths] == ["digits-itq-16.collection", "digits-lsh-16.collection"]
    found = []
    for path in paths:
        with Collection.open(path) as collection:
            items = collection.list(300)
            assert [item.key for item in items] == [f"digits/{row:05d}" for row in range(300)]
            assert [item.label for item in items] == [str(label) for label in digits.y]
            assert all(0 < item.metadata["ink"] < 100 for item in items)
            found.append({hit.item.key for hit in collection.search_key(items[0].key, 9).hits})
            drawn = collection.original(items[3].key)
            np.testing.assert_array_equal(drawn[..., 0], demo.as_on_paper(digits.X)[3])
    assert found[0] != found[1]
    with pytest.raises(FileExistsError, match="digits-itq-16"):
        demo.make_collections(digits, tmp_path / "own", ["itq"], n_bits=16, seed=0)


@pytest.mark.parametrize(("names", "n_bits"), [(["lsh", "none"], 16), (["lsh", "itq"], 65)])
def test_collections_that_cannot_be_made_leave_nothing(digits, tmp_path, names, n_bits):
    with pytest.raises(ValueError):  # noqa: PT011  the methods say it in their words
        demo.make_collections(digits, tmp_path / "own", names, n_bits=n_bits, seed=0)
    assert not (tmp_path / "own").exists()


def test_items_with_several_labels_keep_all_of_them(digits, tmp_path):
    y = np.stack([digits.y % 2 == 0, digits.y > 4], axis=1).astype(np.uint8)
    both = Dataset("both", digits.X, y, label_names=("even", "large"))
    (path,) = demo.make_collections(both, tmp_path, ["lsh"], n_bits=8, seed=0)
    with Collection.open(path) as collection:
        item = collection.list(9)[8]
        assert item.metadata["labels"] == ["even", "large"]
        assert item.label is None


def test_strokes_become_ink_on_paper_and_photographs_stay(digits):
    paper = demo.as_on_paper(digits.X)
    assert (paper.min(), paper.max()) == (0, 255)
    np.testing.assert_array_equal(paper == 255, digits.X == 0)
    photo = np.full((2, 4, 4, 3), 9, np.uint8)
    assert demo.as_on_paper(photo) is photo
    light = np.full((2, 4, 4), 200, np.uint8)
    assert demo.as_on_paper(light) is light
