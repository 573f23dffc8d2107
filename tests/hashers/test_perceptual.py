"""Perceptual hashes against their formulas, written as loops, and against copies of photographs."""

import io
import math
import statistics

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits, load_sample_images

from hashlearn.codes import hamming_distances, unpack_bits
from hashlearn.data import load_dataset
from hashlearn.hashers.perceptual import HASHES, ahash, dhash, phash
from hashlearn.index import HammingIndex

every_hash = pytest.mark.parametrize("name", HASHES)


def random_images(name, n=5, dtype=np.uint8):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (n, *HASHES[name][1])).astype(dtype)


def ahash_bits(image):
    mean = sum(int(value) for row in image for value in row) / 64
    return [int(image[i][j] > mean) for i in range(8) for j in range(8)]


def dhash_bits(image):
    return [int(image[i][j + 1] > image[i][j]) for i in range(8) for j in range(8)]


def phash_bits(image):
    """Take the transform from its definition, a sum over all pixels for each frequency."""
    coefficients = []
    for k in range(1, 9):
        for m in range(1, 9):
            total = 0.0
            for y in range(32):
                for x in range(32):
                    rows = math.cos(math.pi * (2 * y + 1) * k / 64)
                    columns = math.cos(math.pi * (2 * x + 1) * m / 64)
                    total += float(image[y][x]) * rows * columns
            coefficients.append(total / 16)
    median = statistics.median(coefficients)
    return [int(value > median) for value in coefficients]


DEFINITIONS = {"ahash": ahash_bits, "dhash": dhash_bits, "phash": phash_bits}


@every_hash
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
def test_bits_are_those_of_the_formula(name, dtype):
    images = random_images(name, dtype=dtype)
    codes = HASHES[name][0](images)
    assert (codes.shape, codes.dtype) == ((5, 8), np.uint8)
    assert unpack_bits(codes, 64).tolist() == [DEFINITIONS[name](image) for image in images]


@every_hash
def test_what_lies_in_one_call_does_not_matter(name):
    compute = HASHES[name][0]
    images = random_images(name, n=1030)  # more than are transformed at a time
    alone = np.concatenate([compute(images[i : i + 1]) for i in (0, 1023, 1024, 1029)])
    np.testing.assert_array_equal(compute(images)[[0, 1023, 1024, 1029]], alone)
    assert compute(images[:0]).shape == (0, 8)


@every_hash
@pytest.mark.parametrize("value", [0, 7, 255])
def test_images_without_structure_have_the_code_0(name, value):
    compute, size = HASHES[name]
    assert not compute(np.full((1, *size), value, np.uint8)).any()


@every_hash
def test_brightness_and_contrast_do_not_matter(name):
    images = random_images(name) // 4
    compute = HASHES[name][0]
    for changed in (images + 90, images * 3, images * 0.5 + 11):
        np.testing.assert_array_equal(compute(changed), compute(images))


def test_half_of_the_bits_of_a_dct_hash_are_1():
    distances = hamming_distances(phash(random_images("phash", 40)), np.zeros((1, 8), np.uint8))
    assert (distances == 32).all()


@every_hash
def test_images_are_not_written_into(name):
    images = random_images(name, dtype=np.float64)
    before = images.copy()
    HASHES[name][0](images)
    np.testing.assert_array_equal(images, before)


def shrunk(image, name):
    """Bring an image to the size of a hash as the library reads files."""
    height, width = HASHES[name][1]
    return np.asarray(image.convert("L").resize((width, height), Image.Resampling.BILINEAR))


def as_jpeg(image, quality):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file)


COPIES = {
    "half the size": lambda image: image.resize((image.width // 2, image.height // 2)),
    "another shape": lambda image: image.resize((300, 300)),
    "a thumbnail": lambda image: image.resize((80, 60)),
    "twice the size": lambda image: image.resize((2 * image.width, 2 * image.height)),
    "JPEG of quality 90": lambda image: as_jpeg(image, 90),
    "JPEG of quality 30": lambda image: as_jpeg(image, 30),
    "brighter": lambda image: image.point(lambda value: min(255, int(1.1 * value))),
    "darker": lambda image: image.point(lambda value: int(0.8 * value)),
}


@every_hash
@pytest.mark.parametrize("copy", COPIES)
def test_copies_of_photographs_are_near_and_other_photographs_far(name, copy):
    photographs = [Image.fromarray(image) for image in load_sample_images().images]
    originals = np.stack([shrunk(image, name) for image in photographs])
    copies = np.stack([shrunk(COPIES[copy](image), name) for image in photographs])
    compute = HASHES[name][0]
    distances = hamming_distances(compute(originals), compute(copies))
    assert distances.diagonal().max() <= 4
    assert min(distances[0, 1], distances[1, 0]) >= 20


def test_bit_0_is_the_upper_left_corner():
    image = np.zeros((1, 8, 9))
    image[0, 0, 1] = 1
    assert dhash(image).tolist() == [[1, 0, 0, 0, 0, 0, 0, 0]]
    digits = load_digits().images[:3]
    assert unpack_bits(ahash(digits), 64)[:, 0].tolist() == [0, 0, 0]  # a dark corner


@every_hash
@pytest.mark.parametrize(
    "change",
    [
        lambda images: images[0],
        lambda images: images[:, 1:],
        lambda images: images[..., None],
        lambda images: images.astype(bool),
        lambda images: images.astype(object),
        lambda images: images.astype(complex),
    ],
)
def test_other_arrays_are_refused_with_the_way_to_make_the_right_ones(name, change):
    with pytest.raises(ValueError, match=rf"{name} takes grey images.*, got .*load_dataset\("):
        HASHES[name][0](change(random_images(name)))


@every_hash
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_are_refused(name, bad):
    images = random_images(name, dtype=np.float32)
    images[1, 2, 3] = bad
    with pytest.raises(ValueError, match="NaN or infinity"):
        HASHES[name][0](images)


@pytest.mark.real
@every_hash
def test_few_pairs_of_different_photographs_are_near(name):
    cifar = load_dataset("cifar10", download=False)
    images = [Image.fromarray(image) for image in cifar.X[cifar.splits["test"]]]
    codes = HASHES[name][0](np.stack([shrunk(image, name) for image in images]))
    index = HammingIndex(64)
    index.add(codes)
    n_pairs = sum(map(len, index.pairs_within(4)))  # of 50 million
    assert n_pairs == pytest.approx({"ahash": 27_372, "dhash": 22, "phash": 11}[name], rel=0.1)
