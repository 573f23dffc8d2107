import io

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

from hashlearn.data import images, load_dataset
from hashlearn.data.images import are_images, read_image, resize_image

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


@pytest.fixture
def save(tmp_path):
    folder = tmp_path / "pictures"

    def save(name, color=RED, *, size=(4, 3), mode="RGB", **options):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = color if isinstance(color, Image.Image) else Image.new(mode, size, color)
        image.save(path, **options)
        return folder

    return save


def test_sub_folders_are_classes_and_paths_are_names(save):
    save("dog/2.png", BLUE)
    save("dog/1.PNG", GREEN)
    folder = save("cat/deep/down/9.bmp", RED)
    dataset = load_dataset(folder)
    assert dataset.name == "pictures"
    assert dataset.X.shape == (3, 3, 4, 3)
    assert dataset.X[:, 0, 0].tolist() == [list(RED), list(GREEN), list(BLUE)]
    assert dataset.y.tolist() == [0, 1, 1]
    assert dataset.label_names == ("cat", "dog")
    assert dataset.item_names == ("cat/deep/down/9.bmp", "dog/1.PNG", "dog/2.png")


def test_one_image_outside_of_sub_folders_means_no_labels(save):
    save("cat/1.png")
    dataset = load_dataset(save("2.png"))
    assert dataset.y is None
    assert dataset.label_names is None


def test_grey_images_have_no_channels(save):
    dataset = load_dataset(save("1.png", (10, 10, 10)), mode="grey")
    assert dataset.X.tolist() == [[[10] * 4] * 3]


def test_other_and_hidden_files_are_left_out(save):
    folder = save("1.png")
    (folder / "notes.txt").write_text("no image")
    (folder / "._1.png").write_text("what a Mac leaves behind")
    save(".thumbnails/2.png")
    assert load_dataset(folder).item_names == ("1.png",)


def test_images_of_different_sizes_need_a_size(save):
    save("1.png", size=(4, 3))
    folder = save("2.png", size=(4, 4))
    with pytest.raises(ValueError, match=r"2.png has 4 × 4 .*1.png has 3 × 4; give image_size"):
        load_dataset(folder)
    assert load_dataset(folder, image_size=(2, 5)).X.shape == (2, 2, 5, 3)


def test_resizing_averages_over_the_pixels(save):
    half = Image.fromarray(np.repeat(np.uint8([[0, 200]]), 8, axis=1).repeat(16, axis=0))
    dataset = load_dataset(save("1.png", half), image_size=(1, 1), mode="grey")
    assert dataset.X.tolist() == [[[100]]]


def test_images_are_turned_as_their_orientation_says(save):
    image = Image.new("RGB", (4, 2), BLUE)
    image.putpixel((0, 0), RED)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to see it upright
    dataset = load_dataset(save("1.png", image, exif=exif))
    assert dataset.X.shape == (1, 4, 2, 3)
    assert dataset.X[0, 0, 1].tolist() == list(RED)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white(save, mode):
    image = Image.new("RGBA", (4, 3), (255, 0, 0, 0)).convert(mode)
    options = {"transparency": image.getpixel((0, 0))} if mode == "P" else {}
    dataset = load_dataset(save("1.png", image, **options))
    assert dataset.X[0, 0, 0].tolist() == [255, 255, 255]


def test_grey_of_16_bits_is_cut_to_the_upper_8(save):
    image = Image.fromarray(np.full((3, 4), 0x1234, np.uint16))
    assert load_dataset(save("1.png", image), mode="grey").X[0, 0, 0] == 0x12


def test_the_first_picture_of_a_moving_image_is_taken(save):
    frames = [Image.new("RGB", (4, 3), color) for color in (RED, GREEN)]
    folder = save("1.gif", frames[0], save_all=True, append_images=frames[1:])
    assert load_dataset(folder).X[:, 0, 0].tolist() == [list(RED)]


def cut_off(extension):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, extension)
    return file.getvalue()[: len(file.getvalue()) // 2]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("b/bad.png", b""),
        ("b/bad.png", b"no image"),
        ("b/bad.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 3\n%%EndComments\n"),
        ("b/bad.png", cut_off("png")),
        ("b/bad.jpg", cut_off("jpeg")),
        ("b/bad.webp", cut_off("webp")),
        ("b/bad.gif", cut_off("gif")[:20]),
        ("b/bad.tif", cut_off("tiff")),
    ],
)
def test_a_damaged_file_is_left_out_with_a_warning(save, name, content):
    save("a/1.png")
    save("b/fine.png")
    folder = save("c/2.png")
    (folder / name).write_bytes(content)
    with pytest.warns(UserWarning, match=r"left out: .*bad\.\w+ is damaged or not an image") as log:
        dataset = load_dataset(folder)
    assert log[0].filename == __file__
    assert dataset.item_names == ("a/1.png", "b/fine.png", "c/2.png")
    assert dataset.y.tolist() == [0, 1, 2]


def test_class_numbers_do_not_depend_on_damaged_files(save):
    save("a/1.png")
    save("b/2.png")
    folder = save("c/3.png")
    (folder / "b/2.png").write_bytes(b"")
    with pytest.warns(UserWarning, match="left out"):
        dataset = load_dataset(folder)
    assert dataset.y.tolist() == [0, 2]
    assert dataset.label_names == ("a", "b", "c")


@pytest.mark.parametrize("limit", [7, 11])
def test_an_image_with_too_many_pixels_is_left_out(save, monkeypatch, limit):
    # Pillow warns above its limit and refuses above twice that
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    save("1.png", size=(2, 2))
    folder = save("2.png", size=(5, 3))
    with pytest.warns(UserWarning, match=r"left out: .*2.png is too large"):
        assert load_dataset(folder).item_names == ("1.png",)


def test_pixels_of_32_bits_are_left_out(save):
    save("1.png")
    folder = save("2.tif", Image.new("F", (4, 3)))
    with pytest.warns(UserWarning, match=r"2.tif .* 32 bits"):
        assert len(load_dataset(folder)) == 1


def test_a_folder_of_damaged_files_is_refused(save):
    folder = save("1.png")
    (folder / "1.png").write_bytes(b"")
    with (
        pytest.warns(UserWarning, match="left out"),
        pytest.raises(ValueError, match="none of 1 items can be read"),
    ):
        load_dataset(folder)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"mode": "RGBA"}, ValueError, '"rgb" or "grey", got \'RGBA\''),
        ({"image_size": 32}, TypeError, r"two integers \(height, width\), got 32"),
        ({"image_size": (32,)}, TypeError, "two integers"),
        ({"image_size": (32, 1.5)}, TypeError, "two integers"),
        ({"image_size": (32, 0)}, ValueError, "positive"),
        ({"column": "a"}, ValueError, "column cannot be given with a folder of images; it takes"),
    ],
)
def test_wrong_options_are_refused(save, options, error, message):
    with pytest.raises(error, match=message):
        load_dataset(save("1.png"), **options)


@pytest.mark.parametrize(
    "extension", ["bmp", "gif", "jpeg", "jpg", "JPG", "pgm", "png", "ppm", "tif", "tiff", "webp"]
)
def test_one_image_is_a_data_set_of_one_item(save, extension):
    path = save(f"cat.{extension}", (100, 100, 100), mode="RGB") / f"cat.{extension}"
    for given in (path, str(path)):
        dataset = load_dataset(given)
        assert dataset.name == "cat"
        assert dataset.X.shape == (1, 3, 4, 3)
        assert (np.abs(dataset.X.astype(int) - 100) <= 2).all()
        assert dataset.item_names == (f"cat.{extension}",)
        assert (dataset.y, dataset.splits, dataset.source) == (None, {}, str(path))


def test_one_image_is_read_as_in_a_folder(save):
    noise = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    folder = save("1.png", Image.fromarray(noise))
    np.testing.assert_array_equal(load_dataset(folder / "1.png").X, noise[None])
    for options in (
        {"image_size": (4, 5)},
        {"mode": "grey"},
        {"image_size": (4, 5), "mode": "grey"},
    ):
        one, all_ = load_dataset(folder / "1.png", **options), load_dataset(folder, **options)
        assert one.X.shape[1:3] == options.get("image_size", (9, 7))
        np.testing.assert_array_equal(one.X, all_.X)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bad.png", b""),
        ("bad.PNG", b"no image"),
        ("bad.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 3\n%%EndComments\n"),
        ("bad.jpg", cut_off("jpeg")),
        ("bad.webp", cut_off("webp")),
    ],
)
def test_one_damaged_image_is_an_error(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name} is damaged or not an image"):
        load_dataset(tmp_path / name)


def test_one_image_with_too_many_pixels_is_an_error(save, monkeypatch):
    folder = save("1.png", size=(5, 3))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 11)
    with pytest.raises(ValueError, match=r"1\.png is too large"):
        load_dataset(folder / "1.png")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"mode": "RGBA"}, ValueError, '"rgb" or "grey", got \'RGBA\''),
        ({"image_size": (32, 0)}, ValueError, "positive"),
        ({"image_size": 32}, TypeError, "two integers"),
        ({"label_column": "a"}, ValueError, "label_column cannot be given with an image; it takes"),
    ],
)
def test_wrong_options_are_refused_with_one_image_too(save, options, error, message):
    with pytest.raises(error, match=message):
        load_dataset(save("1.png") / "1.png", **options)


def test_a_folder_with_the_name_of_an_image_is_a_folder(save):
    folder = save("1.png")
    assert load_dataset(folder.rename(folder.with_name("all.png"))).item_names == ("1.png",)


def test_extensions_tell_whether_a_path_leads_to_images(save, tmp_path):
    folder = save("deep/1.PNG")
    (tmp_path / "empty").mkdir()
    (folder / "notes.txt").touch()
    assert are_images(folder)
    assert are_images(folder / "deep/1.PNG")
    assert not are_images(folder / "notes.txt")
    assert not are_images(tmp_path / "empty")
    assert not are_images(tmp_path / "absent")


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_jpeg_that_is_decoded_small_has_the_same_pixels_but_for_rounding(
    save, monkeypatch, orientation
):
    exif = Image.Exif()
    exif[0x0112] = orientation
    photograph = Image.fromarray(load_sample_image("china.jpg"))
    path = save("1.jpg", photograph, exif=exif) / "1.jpg"
    for size in ((8, 9), (9, 8), (30, 20), (400, 600)):
        monkeypatch.setattr(images, "_DRAFT", 8)
        small = read_image(path, size=size, mode="rgb")
        monkeypatch.setattr(images, "_DRAFT", 10_000)
        whole = read_image(path, size=size, mode="rgb")
        assert small.shape == (*size, 3)
        assert np.abs(small.astype(int) - whole).max() <= 4


@pytest.mark.parametrize("mode", ["rgb", "grey"])
@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 1), (9, 7, 3), (9, 7, 4)])
def test_an_image_in_memory_is_resized_as_one_in_a_file(tmp_path, shape, mode):
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    Image.fromarray(pixels.squeeze()).save(tmp_path / "a.png")
    for size in ((4, 5), (9, 7), None):
        expected = read_image(tmp_path / "a.png", size=size, mode=mode)
        np.testing.assert_array_equal(resize_image(pixels, size=size, mode=mode), expected)
