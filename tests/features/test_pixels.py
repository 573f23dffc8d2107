import warnings

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError, SkipTestWarning
from sklearn.utils.estimator_checks import check_estimator

from hashlearn.features import Pixels


def images(shape=(7, 3, 4), dtype=np.uint8, seed=0):
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return rng.normal(size=shape).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


@pytest.mark.parametrize("center", [True, False])
def test_scikit_learns_contract_holds(center):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkipTestWarning)
        results = check_estimator(Pixels(center=center), on_skip=None)  # raises on failure
    assert [result["status"] for result in results].count("passed") >= 35


@pytest.mark.parametrize("shape", [(7, 3, 4), (7, 3, 4, 3), (7, 3, 4, 1), (7, 5)])
def test_rows_are_scaled_pixels_less_the_mean_image(shape):
    train, others = images(shape), images(shape, seed=1)
    n_pixels = int(np.prod(shape[1:]))
    rows = Pixels().fit(train).transform(others)
    assert rows.shape == (7, n_pixels)
    assert rows.dtype == np.float32
    for row, image in zip(rows, others, strict=True):
        for pixel, place in enumerate(np.ndindex(shape[1:])):
            mean = sum(int(item[place]) for item in train) / 7
            assert row[pixel] == pytest.approx((int(image[place]) - mean) / 255, abs=1e-6)


@pytest.mark.parametrize(
    ("dtype", "largest"), [(np.uint8, 255), (np.uint16, 65535), (np.int16, 32767)]
)
def test_whole_numbers_are_divided_by_the_largest_of_their_type(dtype, largest):
    X = np.array([[[0, largest // 5, largest]]], dtype)
    rows = Pixels(center=False).fit_transform(X)
    np.testing.assert_allclose(rows, [[0, (largest // 5) / largest, 1]], rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_stay_as_they_are(dtype):
    X = images(dtype=dtype) * 300
    rows = Pixels(center=False).fit_transform(X)
    np.testing.assert_array_equal(rows, X.reshape(7, 12).astype(np.float32))


def test_the_mean_is_that_of_the_training_images():
    X = images()
    fitted = Pixels().fit(X)
    np.testing.assert_allclose(fitted.mean_, X.reshape(7, 12).mean(axis=0) / 255, rtol=1e-6)
    assert fitted.image_shape_ == (3, 4)
    assert fitted.n_features_in_ == 12
    np.testing.assert_array_equal(Pixels(center=False).fit(X).mean_, np.zeros(12, np.float32))


def test_the_mean_of_many_images_is_not_rounded_on_the_way():
    # a sum in float32 loses more with every summand: this mean would be 0.0997
    X = np.full((300_000, 2), 0.1, np.float32)
    assert Pixels().fit(X).mean_.tolist() == [np.float32(0.1)] * 2


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_any_chunk_gives_the_same_rows(size):
    X = images((101, 8, 8))
    fitted = Pixels().fit(X)
    chunks = [fitted.transform(X[start : start + size]) for start in range(0, 101, size)]
    np.testing.assert_array_equal(np.concatenate(chunks), fitted.transform(X))


def test_images_are_not_written_into():
    X = images(dtype=np.float32)
    before = X.copy()
    Pixels().fit(X).transform(X)
    np.testing.assert_array_equal(X, before)


def test_columns_are_named():
    names = Pixels().fit(images((2, 1, 3))).get_feature_names_out()
    assert names.tolist() == ["pixel0", "pixel1", "pixel2"]


@pytest.mark.parametrize("shape", [(2, 4, 3), (2, 12), (2, 3, 4, 1)])
def test_another_shape_than_in_fit_is_refused(shape):
    with pytest.raises(ValueError, match=r"the shape \(.*\), in fit they had \(3, 4\)"):
        Pixels().fit(images()).transform(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (2, 3, 4, 3)])
def test_nan_and_infinity_are_refused(bad, shape):
    X = np.zeros(shape)
    fitted = Pixels().fit(X)
    X.flat[5] = bad
    for call in (fitted.fit, fitted.transform):
        with pytest.raises(ValueError, match=r"NaN|infinity"):
            call(X)


@pytest.mark.parametrize("X", [np.zeros(3), np.zeros((0, 3, 4)), [["a", "b"]]])
def test_what_is_no_stack_of_images_is_refused(X):
    with pytest.raises(ValueError, match=r"Expected 2D array|0 sample|Convert"):
        Pixels().fit(X)


def test_an_unfitted_transformer_says_so():
    with pytest.raises(NotFittedError):
        Pixels().transform(images())
