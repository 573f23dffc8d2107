"""Bad input: exit code 2, one line, and no file that was not there before."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import hashlearn
from hashlearn import cli

ENTRY = (sys.executable, "-c", "from hashlearn.cli import main; main()")

FIT = ("fit", "vectors.npz", "-o", "OUT")
PHOTOS = ("fit", "photos", "--image-size", "8x8", "-o", "OUT")
ENCODE = ("encode", "vectors.model", "vectors.npz", "-o")
SEARCH = ("search", "vectors.index", "vectors-codes.npz")
MODEL = ("search", "vectors.index", "vectors.npz", "--model")
EVALUATE = ("evaluate", "vectors.npz", "-o", "OUT")

WRONG = [
    (("fit", "absent.npy", "-o", "OUT"), "there is no file or folder absent.npy"),
    (("fit", "mnits", "-o", "OUT"), "'mnits' is no named data set, file or folder"),
    (("fit", "notes.xml", "-o", "OUT"), "notes.xml has the unknown extension '.xml'"),
    (("fit", "broken.png", "-o", "OUT"), "broken.png is damaged or not an image"),
    (("fit", "broken.npz", "-o", "OUT"), "broken.npz is not an .npz file, is damaged"),
    (("fit", "new.jpg", "-o", "OUT"), "minimum of 2 is required"),
    (("fit", "photos", "-o", "OUT"), "image_size=(height, width)"),
    ((*FIT, "--method", "hashnet"), "unknown method 'hashnet'; there are: lsh, itq, sh, "),
    ((*FIT, "--features", "gabor"), "unknown features 'gabor'; there are: pixels, "),
    ((*FIT, "--features", "gist"), "GIST takes images of the shape (n, height, width), "),
    ((*FIT, "--set", "n_iter"), "--set takes name=value, got 'n_iter'"),
    ((*FIT, "--set", "n iter=3"), "--set takes name=value, got 'n iter=3'"),
    ((*FIT, "--set", "rounds=3"), "itq has no parameter rounds besides its bits and seed; it has"),
    ((*FIT, "--set", "n_bits=3"), "itq has no parameter n_bits besides its bits and seed; it has"),
    ((*FIT, "--set", "n_iter=many"), "n_iter must be an instance of int, not str"),
    ((*FIT, "--bits", "0"), "n_bits must be at least 1, got 0"),
    ((*FIT, "--bits", "-8"), "n_bits must be at least 1, got -8"),
    ((*FIT, "--bits", "17"), "ITQ takes at most as many bits as there are features and samples"),
    ((*FIT, "--method", "lsh", "--bits", f"{10**13}"), "allocate"),
    ((*FIT, "--seed", "-1"), "Seed must be between"),
    ((*FIT, "--image-size", "8x8"), "image_size cannot be given with an .npz file"),
    ((*FIT, "--grey", "--column", "a"), "column and mode cannot be given with an .npz file"),
    ((*PHOTOS[:3], "8", "-o", "OUT"), "--image-size must be as 64x64 (height x width), got '8'"),
    ((*PHOTOS[:3], "0x8", "-o", "OUT"), "--image-size must be as 64x64"),
    ((*PHOTOS[:3], "8x8x3", "-o", "OUT"), "--image-size must be as 64x64"),
    ((*PHOTOS, "--label-column", "a"), "label_column cannot be given with a folder of images; "
                                       "it takes image_size, mode"),
    (("fit", "vectors.npz", "-o", "absent/out"), "the folder absent does not exist"),
    (("fit", "vectors.npz", "-o", "photos"), "photos is a folder; give the name of a file"),
    ((*ENCODE, "codes.txt"), "the file must end in .npz or .npy or .parquet, got"),
    ((*ENCODE, "absent/out.npz"), "the folder absent does not exist"),
    (("encode", "absent.model", "vectors.npz", "-o", "OUT.npz"), "there is no file absent.model"),
    (("encode", "photos", "vectors.npz", "-o", "OUT.npz"), "photos is a folder, not a hashlearn"),
    (("encode", "vectors.index", "vectors.npz", "-o", "OUT.npz"), "vectors.index holds: index"),
    (("encode", "broken.model", "vectors.npz", "-o", "OUT.npz"), "broken.model is "),
    (("encode", "vectors.model", "photos", "-o", "OUT.npz"), "the model takes vectors"),
    (("encode", "photos.model", "bare.npy", "-o", "OUT.npz"), "X has 16 features, but Pixels"),
    (("encode", "vectors.model", "narrow.npy", "-o", "OUT.npz"), "X has 15 features, but ITQ is"),
    (("index", "absent.npz", "-o", "OUT"), "there is no file absent.npz"),
    (("index", "photos", "-o", "OUT"), "photos holds no codes, or no Parquet files"),
    (("index", "new.jpg", "-o", "OUT"), "codes are read from files ending in .npz or .npy or"),
    (("index", "notes.txt", "-o", "OUT"), "notes.txt: hash 1 is not a hexadecimal number: 'no da"),
    (("index", "broken.npz", "-o", "OUT"), "broken.npz is not an .npz file, is damaged"),
    (("index", "cut.npy", "-o", "OUT"), "cut.npy is not an .npy file, is damaged"),
    (("index", "vectors.npz", "-o", "OUT"), "vectors.npz: it holds the arrays "),
    (("index", "bare.npy", "-o", "OUT"), "bare.npy: codes must be packed bytes, uint8"),
    (("index", "scalar.npy", "-o", "OUT"), "scalar.npy: codes must be packed bytes, uint8"),
    (("index", "bits.npz", "-o", "OUT"), "bits.npz: n_bits must be one whole number"),
    (("index", "named.npz", "-o", "OUT"), "named.npz: names must be strings, one for each of 2"),
    (("index", "lines.npz", "-o", "OUT"), r"the name 'a\nb' holds a line break"),
    (("index", "vectors-codes.npz", "--bits", "16", "-o", "OUT"), "12 bits, expected 16"),
    (("index", "three.npy", "--bits", "32", "-o", "OUT"), "three.npy: codes of 32 bits take 4"),
    (("index", "three.npy", "--bits", "20", "-o", "OUT"), "must have 0 in the last 4 bits"),
    (("index", "three.npy", "--bits", "0", "-o", "OUT"), "n_bits must be at least 1, got 0"),
    (("index", "three.npy", "-o", "photos"), "photos is a folder"),
    ((*SEARCH, "-k", "0"), "k must be from 1 to"),
    ((*SEARCH, "-k", "-3"), "k must be from 1 to"),
    ((*SEARCH, "--radius", "-1"), "radius must be from 0 to 12, got -1"),
    ((*SEARCH, "--radius", "13"), "radius must be from 0 to 12, got 13"),
    (("search", "absent.index", "vectors-codes.npz"), "there is no file absent.index"),
    (("search", "broken.index", "vectors-codes.npz"), "broken.index is "),
    (("search", "vectors.model", "vectors-codes.npz"), "vectors.model holds: model; expected: ind"),
    (("search", "vectors.index", "three.npy"), "three.npy: codes of 12 bits take 2 bytes, got 3"),
    (("search", "vectors.index", "photos-codes.npz"), "its codes have 16 bits, expected 12"),
    (("search", "vectors.index", "new.jpg"), "--model is needed to encode new.jpg"),
    (("search", "few.index", "three.npy"), "few.index.names.txt holds 1 names for 5 items"),
    (("search", "binary.index", "three.npy"), "binary.index.names.txt: "),
    ((*MODEL, "photos.model"), "the model gives 16 bits, the index holds 12"),
    ((*MODEL, "broken.model"), "broken.model is "),
    ((*MODEL[:2], "vectors-codes.npz", *MODEL[3:], "vectors.model"), "it must hold X"),
    ((*MODEL[:2], "photos", *MODEL[3:], "vectors.model"), "the model takes vectors, not images"),
    (("search", "photos.index", "broken.png", "--model", "photos.model"), "broken.png is damaged"),
    ((*EVALUATE, "--protocol", "best"), "unknown protocol 'best'; there are: sigah-mnist, "),
    ((*EVALUATE, "--methods", "lsh,hashnet"), "unknown method 'hashnet'"),
    ((*EVALUATE, "--methods", ","), "an empty list was given"),
    ((*EVALUATE, "--bits", "8,x"), "--bits takes whole numbers joined by commas, got '8,x'"),
    ((*EVALUATE, "--bits", "8,0"), "n_bits must be at least 1, got 0"),
    ((*EVALUATE, "--bits", "8,0", "--json"), "n_bits must be at least 1, got 0"),
    ((*EVALUATE, "--seeds", ""), "--seeds takes whole numbers joined by commas, got ''"),
    ((*EVALUATE, "--set", "rounds=3"), "lsh has no parameter rounds"),
    ((*EVALUATE, "--features", "gabor"), "unknown features 'gabor'"),
    ((*EVALUATE, "--neighbors", "99"), "n_neighbors must be from 1 to 36, got 99"),
    ((*EVALUATE, "--queries", "0"), "n_queries must be at least 1"),
    ((*EVALUATE, "--queries", "40"), "leave an empty database"),
    ((*EVALUATE, "--queries-from", "test"), "needs a published split, and this data set has no part"
                                            " 'train' and no part 'test'; use"),
    ((*EVALUATE, "--queries-from", "here"), 'queries_from must be "test", "train" or "all"'),
    ((*EVALUATE, "--split-seed", "-1"), "seed must be at least 0"),
    (("evaluate", "bare.npy", "--protocol", "labels", "-o", "OUT"), "needs labels"),
    (("evaluate", "absent.npz", "-o", "OUT"), "there is no file or folder absent.npz"),
    (("evaluate", "vectors.npz", "-o", "absent/rows.jsonl"), "the folder absent does not exist"),
    (("demo", "--data", "vectors.npz", "-o", "OUT"), "the demo draws labelled images; vectors.npz"),
    (("duplicates", "photos.index", "--radius", "17"), "radius must be from 0 to 16, got 17"),
    (("duplicates", "absent.index"), "there is no file absent.index"),
    (("duplicates", "new.jpg"), "new.jpg is not a hashlearn file"),
    (("duplicates", "photos", "--hash", "ihash"), "unknown hash 'ihash'; there are: ahash, dhash"),
    (("duplicates", "photos", "--radius", "65"), "radius must be from 0 to 64, got 65"),
    (("duplicates", "photos", "--hash", "dhash", "--model", "photos.model"), "--hash is for a fol"),
    (("duplicates", "photos.index", "--hash", "dhash"), "--hash is for a folder of images, and wi"),
    (("duplicates", "photos", "--json", "-o", "OUT.csv"), "--json prints the rows and --output wr"),
    (("duplicates", "photos", "-o", "OUT.json"), "the file must end in .csv, got out.json"),
    (("duplicates", "photos", "-o", "absent/a.csv"), "the folder absent does not exist"),
    (("duplicates", "hollow"), "hollow has no images, extensions read: .bmp, "),
    (("duplicates", "notes.txt"), "notes.txt: hash 1 is not a hexadecimal number: 'no data'"),
    (("duplicates", "empty.txt"), "empty.txt: there are no hashes"),
    (("duplicates", "long.txt"), "long.txt: hash 2 has 12 bits and hash 1 has 8; all must have o"),
    (("duplicates", "binary.txt"), "binary.txt: 'utf-8' codec can't decode"),
    (("duplicates", "empty.csv"), "empty.csv: there are no hashes"),
    (("duplicates", "three.csv"), "three.csv: row 1 has 3 columns, expected 2: path, hash; a fir"),
    (("duplicates", "turned.csv"), "turned.csv: hash 1 is not a hexadecimal number: 'a.jpg'"),
    (("duplicates", "signed.npy"), "uint64 of the shape (n,); got int64 of the shape (3,)"),
    (("demo", "--data", "photos", "-o", "OUT"), "image_size=(height, width)"),
    (("demo", "-o", "notes.txt"), "notes.txt is a file; give the name of a folder"),
]  # fmt: skip


@pytest.fixture
def bad(folder):
    """Put files that are wrong beside those that are right."""
    codes = np.arange(6, dtype=np.uint8).reshape(2, 3) + 250
    np.save("three.npy", codes)
    np.save("scalar.npy", np.uint8(3))
    np.save("narrow.npy", np.zeros((3, 15)))
    np.savez("bits.npz", codes=codes, n_bits="24")
    np.savez("named.npz", codes=codes, names=np.array(["one"]))
    np.savez("lines.npz", codes=codes, names=np.array(["a\nb", "c"]))
    (folder / "notes.txt").write_text("no data")
    (folder / "notes.xml").write_text("<no/>")
    (folder / "hollow").mkdir()
    for name, text in (
        ("empty.txt", "\n\n"), ("long.txt", "0f\n0ff\n"), ("empty.csv", ""),
        ("three.csv", "a.jpg,00,1\n"), ("turned.csv", "00,a.jpg\n"),
    ):  # fmt: skip
        (folder / name).write_text(text)
    (folder / "binary.txt").write_bytes(b"\xff\xfe")
    np.save("signed.npy", np.arange(3))
    (folder / "cut.npy").write_bytes((folder / "bare.npy").read_bytes()[:-1])
    for good, end in (("vectors.model", "model"), ("vectors.index", "index"), ("new.jpg", "png"),
                      ("vectors-codes.npz", "npz")):  # fmt: skip
        whole = (folder / good).read_bytes()
        (folder / f"broken.{end}").write_bytes(whole[: len(whole) // 2])
    for name in ("few", "binary"):
        index = hashlearn.HammingIndex(24)
        index.add(np.zeros((5, 3), np.uint8))
        index.save(f"{name}.index")
    (folder / "few.index.names.txt").write_text("one\n")
    (folder / "binary.index.names.txt").write_bytes(b"\xff\xfe")
    return folder


def contents(folder):
    """Read every file and list every folder."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def assert_refused(ended, message):
    assert ended.out == ""
    assert ended.err.startswith("Error: ")
    assert ended.err.count("\n") == 1
    assert message in ended.err


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_bad_input_is_refused_in_one_line_and_leaves_no_file(run, bad, arguments, message):
    arguments = [argument.replace("OUT", "out") for argument in arguments]
    before = contents(bad)
    assert_refused(run(*arguments, code=2), message)
    assert contents(bad) == before


@pytest.mark.parametrize(
    ("arguments", "target"),
    [
        ((*FIT, "--bits", "17"), "OUT"),
        (("encode", "vectors.model", "photos", "-o", "OUT.npz"), "OUT.npz"),
        (("index", "bare.npy", "-o", "OUT"), "OUT"),
        ((*EVALUATE, "--protocol", "best"), "OUT"),
    ],
)
def test_bad_input_leaves_the_old_file_as_it_was(run, bad, arguments, target):
    (bad / target).write_text("old")
    before = contents(bad)
    assert run(*arguments, code=2).err.startswith("Error: ")
    assert contents(bad) == before


def test_an_index_that_fails_leaves_the_old_one_and_its_names(run, bad):
    before = contents(bad)
    assert_refused(run("index", "lines.npz", "-o", "vectors.index", code=2), "line break")
    assert contents(bad) == before


class Trap:
    """A pickle that makes a folder when it is loaded."""

    def __reduce__(self):
        return os.mkdir, ("sprung",)


@pytest.mark.parametrize(
    "arguments",
    [
        ("index", "trap.npz", "-o", "out"),
        ("index", "trap.npy", "-o", "out"),
        ("search", "vectors.index", "trap.npz"),
        ("search", "vectors.index", "trap.npy"),
        ("fit", "trap-data.npz", "-o", "out"),
        ("fit", "trap.npy", "-o", "out"),
        ("encode", "trap.model", "vectors.npz", "-o", "out.npz"),
        ("search", "trap.model", "vectors-codes.npz"),
    ],
)
def test_nothing_is_ever_unpickled(run, folder, arguments):
    objects = np.array([Trap()], dtype=object)
    np.save("trap.npy", objects)
    np.savez("trap.npz", codes=objects)
    np.savez("trap-data.npz", X=np.eye(16), item_names=objects)
    (folder / "trap.npy").replace(folder / "trap.model")
    np.save("trap.npy", objects)
    ended = run(*arguments, code=2)
    assert ended.err.startswith("Error: ")
    assert ended.err.count("\n") == 1
    assert not (folder / "sprung").exists()
    np.load("trap.npy", allow_pickle=True)
    assert (folder / "sprung").exists()  # the trap works


def test_a_folder_that_may_not_be_written_into_is_refused_before_any_work(run, bad, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: mode != os.W_OK or Path(path) != bad)
    before = contents(bad)
    assert_refused(run("fit", "absent.npz", "-o", "out", code=2), "nothing may be written into")
    assert contents(bad) == before


def test_a_parquet_file_without_numbers_is_refused_in_the_words_of_the_command_line(run, bad):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table({"text": ["red", "blue"]}), "texts.parquet")
    before = contents(bad)
    ended = run("fit", "texts.parquet", "-o", "out", code=2)
    assert_refused(ended, "name a column of lists: column=")
    assert contents(bad) == before


def test_an_error_of_several_lines_becomes_one(monkeypatch, capsys):
    def fail(**_):
        raise ValueError("first\n  second\n")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == "Error: first second\n"


@pytest.mark.parametrize(
    "arguments", [("search", "a.index"), ("hash",), ("fit", "a.npy", "-o", "b", "--bits", "many")]
)
def test_wrong_usage_ends_with_exit_code_2(run, arguments):
    ended = run(*arguments, code=2)
    assert ended.out == ""
    assert "Usage: hashlearn" in ended.err
    assert "Traceback" not in ended.err


def run_process(arguments, folder):
    """Run a command in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if name != "FORCE_COLOR"}
    return subprocess.run(
        [*ENTRY, *arguments], capture_output=True, text=True, cwd=folder, env=environment
    )


@pytest.mark.parametrize(
    ("arguments", "code", "err"),
    [
        (
            ("index", "three.npy", "-o", "out.index"),
            0,
            "index of 2 codes of 24 bits, 6 bytes: out.index\n",
        ),
        (("index", "absent.npz", "-o", "out.index"), 2, "Error: there is no file absent.npz\n"),
        (
            ("encode", "broken.model", "vectors.npz", "-o", "o.npz"),
            2,
            "Error: broken.model is .*\n",
        ),
    ],
)
def test_a_process_ends_as_it_should(bad, arguments, code, err):
    ended = run_process(arguments, bad)
    assert ended.returncode == code
    assert ended.stdout == ""
    assert re.fullmatch(err, ended.stderr)


def test_a_damaged_image_in_a_folder_is_a_warning_of_one_line(bad):
    (bad / "broken.png").rename(bad / "photos" / "day" / "broken.png")
    ended = run_process(("encode", "photos.model", "photos", "-o", "out.npz"), bad)
    assert ended.returncode == 0
    warning, report = ended.stderr.splitlines()
    assert re.fullmatch(r"Warning: left out: photos/day/broken\.png is damaged .*", warning)
    assert report == "24 codes of 16 bits, 48 bytes: out.npz"
