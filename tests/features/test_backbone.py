"""What all backbones promise, on a network made of NumPy."""

import copy
import pickle
import threading

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from hashlearn.features.backbone import ROWS, Backbone, Network, check_items, picture


class Counter(Network):
    """Counts pixels or letters, and what it is given at a time."""

    def __init__(self):
        self.sizes = []

    def prepare(self, items):
        self.sizes.append(len(items))
        if isinstance(items[0], str):
            width = max(map(len, items))
            padded = [[*map(ord, text), *[0] * (width - len(text))] for text in items]
            return {"letters": np.array(padded).reshape(len(items), width)}
        return {"pixels": np.array([image.sum() for image in items])[:, None]}

    def compute(self, inputs):
        (values,) = inputs.values()
        return np.stack([values.sum(axis=1), (values > 0).sum(axis=1)], axis=1).astype(float)


class Counting(Backbone):
    """A backbone that keeps what it loaded."""

    def __init__(self, model="counter", *, batch_size=3):
        self.model = model
        self.batch_size = batch_size

    def check_source(self):
        if self.model != "counter":
            raise FileNotFoundError(f"there is no counter {self.model}")

    def _learn(self, kind):  # noqa: ARG002
        self.loads_ = 1
        return Counter()

    def _load(self):
        self.loads_ += 1
        return Counter()


rng = np.random.default_rng(0)
IMAGES = rng.integers(0, 256, (10, 4, 5, 3), np.uint8)
TEXTS = ["a", "dddd", "", "bb", "ccc", "aaaaaaa", "b"]


def counted(texts):
    return [[sum(map(ord, text)), len(text)] for text in texts]


def test_rows_stand_in_the_order_of_the_texts_though_batches_are_sorted_by_length():
    backbone = Counting().fit(TEXTS)
    np.testing.assert_array_equal(backbone.transform(TEXTS), counted(TEXTS))
    batches = backbone.preprocess(TEXTS)
    assert [batch["letters"].shape for batch in batches] == [(3, 7), (3, 2), (1, 0)]
    assert sorted(np.concatenate([batch[ROWS] for batch in batches])) == list(range(7))
    np.testing.assert_array_equal(backbone.run(batches), counted(TEXTS))
    np.testing.assert_array_equal(backbone.run(batches[::-1]), counted(TEXTS))


def test_a_row_of_single_precision_is_made_of_every_image():
    rows = Counting().fit_transform(IMAGES)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows[:, 0], IMAGES.reshape(10, -1).sum(axis=1))


def test_no_batches_make_no_rows():
    assert Counting().fit(IMAGES).run([]).shape == (0, 2)


def test_a_few_batches_are_in_memory_at_a_time():
    held, most = 0, 0

    class Watched(Counter):
        def prepare(self, items):
            nonlocal held, most
            held += 1
            most = max(most, held)
            return super().prepare(items)

        def compute(self, inputs):
            nonlocal held
            held -= 1
            return super().compute(inputs)

    backbone = Counting(batch_size=1).fit(TEXTS)
    backbone._network = Watched()
    texts = TEXTS * 20
    np.testing.assert_array_equal(backbone.transform(texts), counted(texts))
    assert 1 < most <= 16


def test_one_thread_prepares_while_another_runs():
    backbone = Counting().fit(TEXTS)
    running, prepared = threading.Event(), threading.Event()

    class Waiting(Counter):
        def compute(self, inputs):
            running.set()
            assert prepared.wait(10)
            return super().compute(inputs)

    backbone._network = Waiting()
    batches = backbone.preprocess(TEXTS)

    def prepare():
        assert running.wait(10)
        backbone.preprocess(TEXTS)
        prepared.set()

    thread = threading.Thread(target=prepare)
    thread.start()
    np.testing.assert_array_equal(backbone.run(batches), counted(TEXTS))
    thread.join()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda b: pickle.loads(pickle.dumps(b))])
def test_a_copy_loads_its_own_network_and_gives_the_same(copied):
    backbone = Counting().fit(TEXTS)
    twin = copied(backbone)
    assert "_network" in vars(backbone)
    assert "_network" not in vars(twin)
    assert twin.loads_ == 1
    np.testing.assert_array_equal(twin.transform(TEXTS), counted(TEXTS))
    assert twin.loads_ == 2


def test_threads_that_need_a_network_at_once_load_it_once():
    backbone = copy.deepcopy(Counting().fit(TEXTS))
    threads = [threading.Thread(target=backbone.transform, args=(TEXTS,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert backbone.loads_ == 2


def test_a_clone_is_not_fitted():
    twin = clone(Counting(batch_size=7).fit(TEXTS))
    assert twin.get_params() == {"model": "counter", "batch_size": 7}
    for call in (twin.transform, twin.preprocess, lambda _: twin.run([])):
        with pytest.raises(NotFittedError):
            call(TEXTS)
    with pytest.raises(NotFittedError):
        twin.get_feature_names_out()


def test_columns_have_names():
    assert Counting().fit(TEXTS).get_feature_names_out().tolist() == ["counting0", "counting1"]


def test_what_was_learned_of_the_items_is_their_kind():
    assert Counting().fit(IMAGES).item_kind_ == "images"
    assert Counting().fit(TEXTS).item_kind_ == "texts"


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        ("one text", TypeError, "got one text: 'one text'"),
        ([], ValueError, "at least one item"),
        (np.zeros((0, 6, 6), np.uint8), ValueError, "at least one item"),
        (np.ones((3, 2)), ValueError, r"the shape \(3, 2\); vectors need no backbone"),
        (IMAGES / 255, ValueError, "must be uint8, 0 to 255; row 0 is float64"),
        (IMAGES[0], ValueError, r"that of one image; of one, give X\[None\]"),
        (["a", None], ValueError, "row 0 is a text, and row 1 is NoneType"),
        ([IMAGES[0], "a"], ValueError, "row 1 is 'a'"),
        ([IMAGES[0], IMAGES[0, 0, :, 0]], ValueError, r"row 1 has \(5,\)"),
        ([IMAGES[0, :0]], ValueError, r"without pixels: its shape is \(0, 5, 3\)"),
        (np.zeros((2, 4, 4, 2), np.uint8), ValueError, "1, 3 or 4 channels"),
    ],
)
def test_what_is_neither_images_nor_texts_is_refused(X, error, message):
    with pytest.raises(error, match=message):
        check_items(X)
    with pytest.raises(error, match=message):
        Counting().fit(X)


def test_sequences_of_any_sort_are_items():
    images = np.empty(2, object)
    images[:] = [IMAGES[0], IMAGES[1, :2]]
    assert check_items(images)[0] == "images"
    assert check_items(tuple(images))[1][1] is images[1]
    assert check_items(np.array(["a", "bc"])) == ("texts", ["a", "bc"])
    assert check_items(np.array(["a", "bc"], object)) == ("texts", ["a", "bc"])


def test_items_of_the_other_kind_are_refused():
    with pytest.raises(ValueError, match="fitted to images, and these are texts"):
        Counting().fit(IMAGES).transform(TEXTS)
    with pytest.raises(ValueError, match="fitted to texts, and these are images"):
        Counting().fit(TEXTS).transform(IMAGES)


@pytest.mark.parametrize(("batch_size", "error"), [(0, ValueError), (1.5, TypeError)])
def test_a_batch_holds_a_whole_number_of_items(batch_size, error):
    with pytest.raises(error, match="batch_size"):
        Counting(batch_size=batch_size).fit(TEXTS)


def test_a_network_that_is_not_there_is_missed_before_work():
    with pytest.raises(FileNotFoundError, match="no counter abacus"):
        Counting("abacus").fit(TEXTS)


def test_pictures_are_in_colour_or_grey_as_a_network_wants_them():
    grey, colour = IMAGES[0, :, :, 0], IMAGES[0]
    np.testing.assert_array_equal(picture(grey, "RGB"), np.dstack([grey] * 3))
    np.testing.assert_array_equal(picture(grey[:, :, None], "L"), grey)
    np.testing.assert_array_equal(picture(colour, "RGB"), colour)
    luma = colour @ np.array([0.299, 0.587, 0.114])  # ITU-R 601
    np.testing.assert_allclose(np.asarray(picture(colour, "L")), luma, atol=1)
    clear = np.dstack([colour, np.zeros((4, 5), np.uint8)])
    assert np.asarray(picture(clear, "RGB")).min() == 255
    full = np.dstack([colour, np.full((4, 5), 255, np.uint8)])
    np.testing.assert_array_equal(picture(full, "RGB"), colour)
