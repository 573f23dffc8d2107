import io
import lzma
import tarfile

import numpy as np
import pytest
from PIL import Image

from hashlearn.data import cifar10

N = 6  # images in each of the six files


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(cifar10, "MOSAIC", (2, 3))


@pytest.fixture
def batches():
    """Images of random pixels, and labels in which every file differs."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (6 * N, 32, 32, 3), np.uint8), np.arange(6 * N) % 10


def binary_files(images, labels):
    files = {}
    for i in range(6):
        records = b"".join(
            bytes([labels[row]]) + b"".join(images[row, :, :, c].tobytes() for c in range(3))
            for row in range(i * N, (i + 1) * N)
        )
        files["test_batch.bin" if i == 5 else f"data_batch_{i + 1}.bin"] = records
    return files


def write_binary(folder, images, labels):
    place = folder / "cifar10" / "cifar-10-batches-bin"
    place.mkdir(parents=True)
    for name, data in binary_files(images, labels).items():
        (place / name).write_bytes(data)
    return place


def write_archive(folder, images, labels, *, without=()):
    place = folder / "cifar10"
    place.mkdir(parents=True)
    path = place / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        # the published archive is not in order either
        for name, data in sorted(binary_files(images, labels).items(), reverse=True):
            if name not in without:
                member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return path


def write_mosaics(folder, images, labels):
    place = folder / "cifar10"
    place.mkdir(parents=True)
    for i in range(6):
        picture = np.zeros((2 * 32, 3 * 32, 3), np.uint8)
        for j in range(N):
            row, column = divmod(j, 3)
            picture[32 * row : 32 * row + 32, 32 * column : 32 * column + 32] = images[i * N + j]
        name = "test.webp" if i == 5 else f"train_{i + 1}.webp"
        Image.fromarray(picture).save(place / name, lossless=True, exact=True)
    np.save(place / "labels.npy", labels.astype(np.uint8))
    return place


@pytest.mark.parametrize("write", [write_binary, write_archive, write_mosaics])
def test_every_layout_gives_the_same_data(data_folder, batches, write):
    images, labels = batches
    assert not cifar10.is_local()
    write(data_folder, images, labels)
    assert cifar10.is_local()
    dataset = cifar10.load_cifar10(download=False)
    np.testing.assert_array_equal(dataset.X, images)
    assert dataset.y.tolist() == labels.tolist()
    assert dataset.splits["train"].tolist() == list(range(30))
    assert dataset.splits["test"].tolist() == list(range(30, 36))
    assert dataset.label_names[3] == "cat"
    assert dataset.item_names is None
    assert cifar10.load_cifar10_labels(download=False).tolist() == labels.tolist()


def test_mosaics_may_have_file_names(data_folder, batches):
    place = write_mosaics(data_folder, *batches)
    names = [f"image_{i}.png" for i in range(36)]
    (place / "filenames.txt.xz").write_bytes(lzma.compress("\n".join(names).encode()))
    assert cifar10.load_cifar10(download=False).item_names == tuple(names)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lzma.compress(b"a\nb\n"), "holds 2 names, expected 36"),
        (lzma.compress(b"a\nb\n")[:-20], "damaged or cut off"),
        (b"plain", "damaged or cut off"),
    ],
)
def test_wrong_file_names_are_refused(data_folder, batches, content, message):
    place = write_mosaics(data_folder, *batches)
    (place / "filenames.txt.xz").write_bytes(content)
    with pytest.raises(ValueError, match=f"filenames.txt.xz .*{message}"):
        cifar10.load_cifar10(download=False)


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"\0"])
def test_binary_files_of_another_length_are_refused(data_folder, batches, change):
    path = write_binary(data_folder, *batches) / "data_batch_2.bin"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match=r"data_batch_2.bin holds \d+ bytes, expected 18438"):
        cifar10.load_cifar10(download=False)


def test_binary_files_with_other_labels_are_refused(data_folder, batches):
    images, labels = batches
    labels[-1] = 10
    write_binary(data_folder, images, labels)
    with pytest.raises(ValueError, match=r"test_batch.bin holds class number 10"):
        cifar10.load_cifar10(download=False)


def test_an_archive_that_is_cut_off_is_refused(data_folder, batches):
    path = write_archive(data_folder, *batches)
    path.write_bytes(path.read_bytes()[:50_000])
    with pytest.raises(ValueError, match=r"cifar-10-binary.tar.gz.*(damaged|cut off)"):
        cifar10.load_cifar10(download=False)


def test_an_archive_that_is_none_is_refused(data_folder, batches):
    write_archive(data_folder, *batches).write_bytes(b"<html>not here</html>")
    with pytest.raises(ValueError, match="is damaged or cut off"):
        cifar10.load_cifar10(download=False)


def test_an_archive_that_lacks_a_file_is_refused(data_folder, batches):
    write_archive(data_folder, *batches, without=("data_batch_4.bin",))
    with pytest.raises(ValueError, match=r"does not hold data_batch_4.bin"):
        cifar10.load_cifar10(download=False)


def test_mosaics_of_another_size_are_refused(data_folder, batches):
    place = write_mosaics(data_folder, *batches)
    Image.new("RGB", (96, 96)).save(place / "train_3.webp")
    with pytest.raises(ValueError, match=r"train_3.webp has 96 × 96 pixels, expected 96 × 64"):
        cifar10.load_cifar10(download=False)


@pytest.mark.parametrize("change", [lambda data: data[: len(data) // 2], lambda _: b"GIF89a"])
def test_damaged_mosaics_are_refused(data_folder, batches, change):
    path = write_mosaics(data_folder, *batches) / "test.webp"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match=r"test.webp is damaged or not a WebP picture"):
        cifar10.load_cifar10(download=False)


@pytest.mark.parametrize(
    "labels", [np.zeros(35, np.uint8), np.zeros(36), np.full(36, 10, np.uint8)]
)
def test_wrong_labels_are_refused(data_folder, batches, labels):
    np.save(write_mosaics(data_folder, *batches) / "labels.npy", labels)
    with pytest.raises(ValueError, match=r"labels.npy (does not hold|holds class number)"):
        cifar10.load_cifar10(download=False)


def test_incomplete_mosaics_are_not_taken(data_folder, batches):
    (write_mosaics(data_folder, *batches) / "train_5.webp").unlink()
    assert not cifar10.is_local()
    assert cifar10.has_labels()
    with pytest.raises(FileNotFoundError, match=r"cifar-10-binary.tar.gz.*download=True"):
        cifar10.load_cifar10(download=False)
