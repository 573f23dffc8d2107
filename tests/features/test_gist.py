import cmath
import math

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from hashlearn.features import Gist


def images(shape=(7, 16, 16), seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def smooth_images(n, side, seed=0):
    """Draw images that hold no frequency above a quarter of a cycle a pixel."""
    rng = np.random.default_rng(seed)
    frequencies = np.fft.fftfreq(side)
    low = np.hypot(frequencies, frequencies[:, None]) < 0.25
    return np.fft.ifft2(np.fft.fft2(rng.normal(size=(n, side, side))) * low).real


def by_filter(rows, n_scales=4, n_blocks=4):
    return rows.reshape(len(rows), n_scales, -1, n_blocks, n_blocks)


# The definition, with loops and in double precision.


def mirrored(image, before, after_rows, after_columns):
    height, width = image.shape

    def place(i, n):
        i %= 2 * n
        return i if i < n else 2 * n - 1 - i

    return np.array(
        [
            [
                image[place(y, height), place(x, width)]
                for x in range(-before, width + after_columns)
            ]
            for y in range(-before, height + after_rows)
        ]
    )


def fourier(values, sign):
    """Sum over all places, for each frequency."""
    rows, columns = (
        np.array([[cmath.exp(sign * 2j * math.pi * k * x / n) for x in range(n)] for k in range(n)])
        for n in values.shape
    )
    return rows @ values @ columns.T


def filtered(image, transfer):
    """Multiply each frequency by a transfer function of cycles an image, from -n/2 on."""
    height, width = image.shape
    spectrum = fourier(image, -1)
    for ky in range(height):
        for kx in range(width):
            fy = ky if ky < (height + 1) // 2 else ky - height
            fx = kx if kx < (width + 1) // 2 else kx - width
            spectrum[ky, kx] *= transfer(fy, fx)
    return fourier(spectrum, 1) / (height * width)


def gist_by_loops(image, orientations, n_blocks):
    grey = np.array([[np.mean(pixel) for pixel in row] for row in image.astype(float)])
    grey = (grey - grey.min()) / (grey.max() - grey.min()) * 255
    height, width = grey.shape
    framed = mirrored(np.log(grey + 1), 5, 5, 5)
    side = max(framed.shape) + max(framed.shape) % 2
    framed = mirrored(framed, 0, side - framed.shape[0], side - framed.shape[1])

    def low_pass(fy, fx):
        return math.exp(-(fy**2 + fx**2) / (4 / math.sqrt(math.log(2))) ** 2)

    detail = framed - filtered(framed, low_pass).real
    even = detail / (0.2 + np.sqrt(abs(filtered(detail**2, low_pass))))
    framed = mirrored(even[5 : 5 + height, 5 : 5 + width], 32, 32, 32)
    found = []
    for scale, n in enumerate(orientations):
        for j in range(n):

            def gabor(fy, fx, scale=scale, n=n, j=j):
                fy, fx = fy / (height + 64), fx / (width + 64)
                angle = math.atan2(fy, fx) + math.pi / n * j
                angle -= 2 * math.pi * (angle > math.pi)
                radial = math.hypot(fx, fy) / (0.3 / 1.85**scale) - 1
                return math.exp(-10 * 0.35 * radial**2 - 2 * 16 * n**2 / 32**2 * math.pi * angle**2)

            answers = abs(filtered(framed, gabor))[32:-32, 32:-32]
            ys, xs = (np.fix(np.linspace(0, n, n_blocks + 1)).astype(int) for n in grey.shape)
            found += [
                answers[ys[a] : ys[a + 1], xs[b] : xs[b + 1]].mean()
                for a in range(n_blocks)
                for b in range(n_blocks)
            ]
    return found


@pytest.mark.parametrize(
    ("shape", "n_blocks"), [((8, 8), 2), ((7, 12), 3), ((12, 9, 3), 2), ((6, 6, 1), 4)]
)
def test_descriptors_are_those_of_the_definition(shape, n_blocks):
    X = images((2, *shape))
    X[1, :, : shape[1] // 2] //= 20  # one half is dark and of little contrast
    rows = Gist(orientations=(4, 2, 3), n_blocks=n_blocks).fit_transform(X)
    for row, image in zip(rows, X, strict=True):
        expected = gist_by_loops(np.atleast_3d(image), (4, 2, 3), n_blocks)
        np.testing.assert_allclose(row, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("scale", range(4))
@pytest.mark.parametrize("direction", range(8))
def test_a_wave_is_answered_most_by_the_filter_of_its_scale_and_direction(scale, direction):
    frequency, angle = 0.3 / 1.85**scale, -np.pi * direction / 8
    y, x = np.mgrid[:64, :64]
    wave = np.cos(2 * np.pi * frequency * (np.cos(angle) * x + np.sin(angle) * y))
    answers = by_filter(Gist().fit_transform(wave[None])).mean(axis=(3, 4))[0]
    assert np.unravel_index(answers.argmax(), (4, 8)) == (scale, direction)


def test_a_block_answers_to_what_is_in_it():
    X = np.full((1, 64, 64), 100, np.uint8)
    X[0, 36:44, 4:12] += images((8, 8)) // 2  # third row of blocks, first column
    answers = by_filter(Gist().fit_transform(X))[0, 0].mean(axis=0)
    assert np.unravel_index(answers.argmax(), (4, 4)) == (2, 0)


@pytest.mark.parametrize(
    ("change", "directions", "tolerance"),
    [
        (lambda X: X[:, ::-1, ::-1], lambda j: j, 1e-3),
        # frequency 0 has no direction, and the definition counts it to direction 0
        (lambda X: X[:, :, ::-1], lambda j: -j % 8, 0.1),
        (lambda X: X[:, ::-1], lambda j: -j % 8, 0.1),
        (lambda X: X.swapaxes(1, 2), lambda j: (4 - j) % 8, 0.1),
    ],
)
def test_a_mirrored_or_turned_image_has_blocks_and_directions_mirrored_or_turned(
    change, directions, tolerance
):
    X = smooth_images(3, 32)  # the highest frequency has no mirror image
    before, after = (by_filter(Gist().fit_transform(Y)) for Y in (X, change(X)))
    for scale in range(4):
        mean = before[:, scale].mean()
        assert abs(after - before)[:, scale].max() > mean
        for j in range(8):
            expected = change(before[:, scale, j])
            found = after[:, scale, directions(j)]
            np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * mean)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.float64])
def test_brightness_and_contrast_do_not_matter(dtype):
    X = images() // 2
    rows = Gist().fit_transform(X)
    np.testing.assert_array_equal(Gist().fit_transform(X.astype(dtype)), rows)
    np.testing.assert_allclose(Gist().fit_transform(X.astype(dtype) * 2 + 1), rows, atol=1e-5)


@pytest.mark.parametrize("value", [0, 7, 255])
def test_an_image_of_one_colour_has_a_descriptor_of_zeros(value):
    X = images((3, 9, 8))
    X[1] = value
    rows = Gist().fit_transform(X)
    assert not rows[1].any()
    assert rows[[0, 2]].all()


def test_colour_is_made_grey_by_its_mean():
    X = images((5, 12, 12, 3))
    rows = Gist().fit_transform(X)
    np.testing.assert_allclose(Gist().fit_transform(X.mean(axis=3)), rows, atol=1e-6)
    np.testing.assert_array_equal(Gist().fit_transform(X[..., ::-1]), rows)
    np.testing.assert_array_equal(Gist().fit_transform(X[..., :1]), Gist().fit_transform(X[..., 0]))


@pytest.mark.parametrize("shape", [(32, 32, 3), (28, 28)])
def test_descriptors_have_512_numbers(shape):
    rows = Gist().fit_transform(images((2, *shape)))
    assert rows.shape == (2, 512)
    assert rows.dtype == np.float32
    assert (rows >= 0).all()


def test_parameters_say_how_many_numbers_there_are():
    gist = Gist(orientations=[6, 4], n_blocks=3).fit(images())
    assert gist.transform(images()).shape == (7, 90)
    names = gist.get_feature_names_out()
    assert (len(names), names[0], names[-1]) == (90, "gist0", "gist89")
    assert clone(gist).get_params() == gist.get_params()


@pytest.mark.parametrize("parameter", ["contrast_frequency", "contrast_floor"])
def test_contrast_is_evened_out_as_parameters_say(parameter):
    X = images()
    assert not np.allclose(Gist(**{parameter: 1.0}).fit_transform(X), Gist().fit_transform(X))


@pytest.mark.parametrize("shape", [(60, 13, 11), (60, 8, 8, 3)])
@pytest.mark.parametrize("size", [1, 2, 3, 59])
def test_any_chunk_gives_the_same_rows(shape, size):
    X = images(shape)
    gist = Gist().fit(X)
    chunks = [gist.transform(X[start : start + size]) for start in range(0, 60, size)]
    np.testing.assert_array_equal(np.concatenate(chunks), gist.transform(X))


def test_memory_layout_does_not_matter_and_images_are_not_written_into():
    X = images().astype(np.float32)
    before = X.copy()
    rows = Gist().fit(X).transform(X)
    np.testing.assert_array_equal(X, before)
    np.testing.assert_array_equal(Gist().fit_transform(np.asfortranarray(X)), rows)


@pytest.mark.parametrize("shape", [(2, 16, 15), (2, 16, 16, 3)])
def test_another_shape_than_in_fit_is_refused(shape):
    with pytest.raises(ValueError, match=r"the shape \(.*\), in fit they had \(16, 16\)"):
        Gist().fit(images()).transform(np.zeros(shape, np.uint8))


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((5, 64)), r"GIST takes images of the shape .*, got \(5, 64\)"),
        (np.zeros((5, 8, 8, 4)), r"GIST takes images of the shape .*, got \(5, 8, 8, 4\)"),
        (np.zeros((5, 8, 8, 3, 1)), "GIST takes images of the shape"),
        (np.zeros((5, 8, 3)), "4 × 4 blocks need images of as many pixels or more, got 8 × 3"),
        (np.zeros((0, 8, 8)), "0 sample"),
        (np.full((2, 8, 8), np.nan), "NaN"),
        (np.full((2, 8, 8), np.inf), "infinity"),
    ],
)
def test_what_is_no_stack_of_images_is_refused(X, message):
    with pytest.raises(ValueError, match=message):
        Gist().fit(X)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"n_blocks": 0}, ValueError, "n_blocks == 0, must be >= 1"),
        ({"n_blocks": 2.0}, TypeError, "n_blocks must be an instance of"),
        ({"orientations": ()}, ValueError, "orientations must hold a number for each scale"),
        ({"orientations": (8, 0)}, ValueError, "orientations == 0, must be >= 1"),
        ({"orientations": (8, 2.5)}, TypeError, "orientations must be an instance of"),
        ({"orientations": 8}, TypeError, "orientations must be a tuple or a list, got 8"),
        ({"contrast_frequency": 0.0}, ValueError, "contrast_frequency == 0.0, must be > 0"),
        ({"contrast_floor": -1.0}, ValueError, "contrast_floor == -1.0, must be > 0"),
        ({"contrast_floor": "low"}, TypeError, "contrast_floor must be an instance of"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters, error, message):
    with pytest.raises(error, match=message):
        Gist(**parameters).fit(images())


def test_an_unfitted_transformer_says_so():
    with pytest.raises(NotFittedError):
        Gist().transform(images())
