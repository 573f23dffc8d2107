"""From files to pairs and groups of near items."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

import hashlearn
from hashlearn.codes import hamming_distances, pack_bits
from hashlearn.hashers.perceptual import HASHES

pytestmark = pytest.mark.usefixtures("folder")


def near_pairs(codes, radius, names):
    """List pairs of near codes by brute force."""
    distances = hamming_distances(codes, codes)
    pairs = [
        (i, int(distances[i, j]), j)
        for i, j in np.ndindex(distances.shape)
        if i < j and distances[i, j] <= radius
    ]
    return [
        {"first": names[i], "second": names[j], "distance": distance}
        for i, distance, j in sorted(pairs)
    ]


def json_lines(ended):
    return [json.loads(line) for line in ended.out.splitlines()]


def test_duplicates_are_the_near_pairs_of_an_index_of_codes_and_of_items(run):
    with np.load("photos-codes.npz") as stored:
        codes, names = stored["codes"], stored["names"].tolist()
    expected = near_pairs(codes, 3, names)
    assert expected
    for arguments in (
        ("photos.index",),
        ("photos-codes.npz",),
        ("photos", "--model", "photos.model"),
    ):
        ended = run("duplicates", *arguments, "--radius", "3", "--json")
        assert json_lines(ended) == expected
        assert ended.err == f"{len(expected)} pairs within 3 bits among 24 items\n"


def test_duplicates_of_codes_made_elsewhere_are_named_by_number(run):
    np.save("hashes.npy", np.array([[1, 2], [9, 9], [1, 2], [1, 3]], np.uint8))
    rows = json_lines(run("duplicates", "hashes.npy", "--json"))
    assert rows == [{"first": 0, "second": 2, "distance": 0}]
    ended = run("duplicates", "hashes.npy", "--radius", "1")
    assert ended.err == "3 pairs within 1 bits among 4 items\n"
    assert [line.split()[1::2] for line in ended.out.splitlines()[3:-1]] == [
        ["0", "2", "0"], ["0", "3", "1"], ["2", "3", "1"],
    ]  # fmt: skip


def test_no_duplicates_is_an_answer(run):
    np.save("hashes.npy", np.array([[0], [255]], np.uint8))
    ended = run("duplicates", "hashes.npy", "--radius", "7")
    assert ended.out == ""
    assert ended.err == "0 pairs within 7 bits among 2 items\n"


@pytest.fixture
def album(folder):
    """Make a folder of two photographs and copies of them."""
    china, flower = map(Image.fromarray, load_sample_images().images)
    (folder / "album" / "copies").mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to see it upright
    for name, image, options in (
        ("china.png", china, {}),
        ("flower.png", flower, {}),
        ("copies/small.jpg", china.resize((200, 140)), {"quality": 60}),
        ("copies/bright.webp", china.point(lambda value: min(255, int(1.1 * value))), {}),
        ("copies/grey.png", flower.convert("L"), {}),
        ("copies/palette.gif", flower.quantize(64), {}),
        ("copies/turned.jpg", flower.transpose(Image.Transpose.ROTATE_90), {"exif": exif}),
        ("mirrored.jpg", china.transpose(Image.Transpose.FLIP_LEFT_RIGHT), {}),
    ):
        image.save(folder / "album" / name, **options)
    return folder / "album"


GROUPS = [
    ["china.png", "copies/bright.webp", "copies/small.jpg"],
    ["copies/grey.png", "copies/palette.gif", "copies/turned.jpg", "flower.png"],
]


@pytest.mark.usefixtures("album")
@pytest.mark.parametrize("options", [(), ("--hash", "dhash"), ("--hash", "ahash")])
def test_copies_of_photographs_are_found_without_a_model(run, options):
    ended = run("duplicates", "album/", *options, "--groups", "--json")
    rows = json_lines(ended)
    found = [[row["item"] for row in rows if row["group"] == group] for group in (1, 2)]
    assert (found, len(rows)) == (sorted(GROUPS), 7)
    assert ended.err == "2 groups, of 7 items, joined by pairs within 4 bits among 8 items\n"


@pytest.mark.usefixtures("album")
@pytest.mark.parametrize("name", HASHES)
@pytest.mark.parametrize("radius", [0, 4, 30])
def test_pairs_of_images_are_those_of_their_hashes(run, name, radius):
    compute, size = HASHES[name]
    images = hashlearn.load_dataset("album", image_size=size, mode="grey")
    expected = near_pairs(compute(images.X), radius, images.item_names)
    ended = run("duplicates", "album", "--hash", name, "--radius", radius, "--json")
    assert json_lines(ended) == expected
    assert ended.err == f"{len(expected)} pairs within {radius} bits among 8 items\n"


@pytest.mark.usefixtures("album")
def test_the_table_of_groups_shows_every_item(run):
    lines = run("duplicates", "album", "--groups").out.splitlines()
    assert lines[1].split()[1::2] == ["group", "item"]
    assert [line.split()[3] for line in lines[3:-1]] == [name for one in GROUPS for name in one]


@pytest.mark.usefixtures("album")
def test_rows_can_be_written_into_a_csv_file(run, folder):
    shown = json_lines(run("duplicates", "album", "--json"))
    ended = run("duplicates", "album", "-o", "pairs.csv")
    assert ended.out == ""
    with (folder / "pairs.csv").open(newline="", encoding="utf-8") as file:
        rows = [{**row, "distance": int(row["distance"])} for row in csv.DictReader(file)]
    assert rows == shown
    run("duplicates", "vectors.index", "-o", "none.csv")
    assert (folder / "none.csv").read_text() == "first,second,distance\n"


def test_images_that_cannot_be_read_are_named_counted_and_left_out(run, album):
    for name in ("a.png", "copies/z.jpg"):
        (album / name).write_bytes((album / "flower.png").read_bytes()[:5000])
    ended = run("duplicates", "album", "--json", code=1)
    assert len(json_lines(ended)) == 9
    lines = ended.err.splitlines()
    assert [line.split(" is ")[0] for line in lines[:2]] == [
        "Warning: left out: album/a.png", "Warning: left out: album/copies/z.jpg",
    ]  # fmt: skip
    assert lines[2:] == [
        "9 pairs within 4 bits among 8 items",
        "2 of 10 images could not be read and were left out",
    ]


def test_a_folder_without_an_image_that_can_be_read_is_an_error(run, folder):
    (folder / "torn").mkdir()
    (folder / "torn" / "a.png").write_bytes(b"")
    ended = run("duplicates", "torn", code=2)
    assert ended.err.splitlines()[-1] == "Error: none of 1 images can be read"


def test_an_image_with_too_many_pixels_is_left_out(run, album, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200 * 140)
    ended = run("duplicates", album, code=1)
    assert "7 of 8 images could not be read" in ended.err
    assert "flower.png is too large" in ended.err


def test_images_of_one_pixel_are_equal_to_one_another(run, folder):
    (folder / "tiny").mkdir()
    for i, colour in enumerate(("black", "white")):
        Image.new("RGB", (1, 1), colour).save(folder / "tiny" / f"{i}.png")
    rows = json_lines(run("duplicates", "tiny", "--json"))
    assert rows == [{"first": "0.png", "second": "1.png", "distance": 0}]


def test_names_that_are_not_valid_text_are_shown_and_can_be_read_back(folder, tmp_path):
    (folder / "odd").mkdir()
    names = [os.fsdecode(b"caf\xe9.png"), "straße.png"]
    try:
        for name in names:
            Image.new("L", (9, 9)).save(folder / "odd" / name)
    except (OSError, UnicodeError):
        pytest.skip("the file system takes valid names only")
    command = [sys.executable, "-c", "from hashlearn.cli import main; main()", "duplicates", "odd"]
    shown = subprocess.run([*command, "--json"], capture_output=True, cwd=folder, check=True)
    pair = json.loads(shown.stdout)
    assert [pair["first"], pair["second"]] == names
    subprocess.run(command, capture_output=True, cwd=folder, check=True)
    subprocess.run([*command, "-o", tmp_path / "odd.csv"], cwd=folder, check=True)
    row = (tmp_path / "odd.csv").read_bytes().splitlines()[1]
    assert row == b"caf\xe9.png," + "straße.png".encode() + b",0"


def hashes_of_other_programs(codes, names):
    """Write the same codes in every form, and say how items are then named."""
    bits = np.unpackbits(codes, axis=1, bitorder="little")
    digits = [row.tobytes().hex() for row in np.packbits(bits, axis=1)]
    numbers = [sum(int(bit) << j for j, bit in enumerate(row)) for row in bits]
    np.save("bytes.npy", codes)
    np.save("words.npy", np.array(numbers, np.uint64))
    np.save("big-endian.npy", np.array(numbers, ">u8"))
    rows = list(zip(names, digits, strict=True))
    texts = {
        "lines.txt": "".join(f"{text}\n" for text in digits),
        "capitals.txt": "\ufeff" + "\r\n".join(f" 0x{text.upper()} " for text in digits) + "\n\n",
        "bare.csv": "".join(f'"{name}",{text}\n' for name, text in rows),
        "named.csv": "hash\n" + "".join(f"{text}\n" for text in digits),
        "pdq.csv": "Hash,quality,filename\n" + "".join(f'{t},100,"{n}"\n' for n, t in rows),
    }
    for name, text in texts.items():
        Path(name).write_text(text, encoding="utf-8")
    numbered = ["bytes.npy", "words.npy", "big-endian.npy", "lines.txt", "capitals.txt",
                "named.csv"]  # fmt: skip
    return {**dict.fromkeys(numbered, range(len(codes))), "bare.csv": names, "pdq.csv": names}


def test_hashes_of_other_programs_are_read_in_every_form(run):
    rng = np.random.default_rng(0)
    codes = pack_bits(rng.integers(0, 2, (4, 64))[rng.integers(0, 4, 20)])
    codes[::3, 5] ^= 4
    names = [f"a, {i}.jpg" for i in range(20)]
    for file, named in hashes_of_other_programs(codes, names).items():
        rows = json_lines(run("duplicates", file, "--radius", "1", "--json"))
        assert rows == near_pairs(codes, 1, named), file


def test_hashes_of_other_programs_are_indexed_and_searched(run, folder):
    (folder / "hashes.csv").write_text("path,hash\na.jpg,ffff0\nb.jpg,ff000\n")
    indexed = run("index", "hashes.csv", "-o", "own.index", "--json").json
    assert indexed == {
        "index": "own.index", "n_bits": 20, "n_items": 2, "n_tables": 0, "bytes": 6,
    }  # fmt: skip
    (folder / "query.txt").write_text("ff001\n")
    rows = run("search", "own.index", "query.txt", "--json").json
    assert [(row["name"], row["distance"]) for row in rows] == [("b.jpg", 1), ("a.jpg", 9)]
