"""From files to ranked neighbours."""

import json

import numpy as np
import pytest
from PIL import Image

import hashlearn
from hashlearn import models
from hashlearn.codes import hamming_distances
from hashlearn.data.images import read_image
from hashlearn.engine import native

pytestmark = pytest.mark.usefixtures("folder")


def found(rows):
    """Bring the rows of a search into the form of the definition below."""
    return [(row["query"], row["rank"], row["id"], row["distance"]) for row in rows]


def nearest(queries, codes, k, names=None):
    """Rank codes for every query by brute force: nearest first, ties by id."""
    rows = []
    for number, distances in enumerate(hamming_distances(queries, codes).astype(int)):
        ranked = sorted(zip(distances.tolist(), range(len(codes)), strict=True))[:k]
        rows += [
            (names[number] if names else number, rank, id_, distance)
            for rank, (distance, id_) in enumerate(ranked, start=1)
        ]
    return rows


def test_photographs_find_their_own_kind(run):
    fitted = run("fit", "photos/", "--image-size", "8x8", "--bits", "10", "-o", "p.model")
    assert fitted.err == "ITQ with 10 bits, fitted to 24 items: p.model\n"
    encoded = run("encode", "p.model", "photos/", "-o", "p.npz")
    assert encoded.err == "24 codes of 10 bits, 48 bytes: p.npz\n"
    indexed = run("index", "p.npz", "-o", "p.index")
    assert indexed.err == "index of 24 codes of 10 bits, 48 bytes: p.index\n"
    assert fitted.out == encoded.out == indexed.out == ""
    rows = run("search", "p.index", "new.jpg", "--model", "p.model", "-k", "5", "--json").json
    assert [row["rank"] for row in rows] == [1, 2, 3, 4, 5]
    assert {row["query"] for row in rows} == {"new.jpg"}
    assert {row["name"].partition("/")[0] for row in rows} == {"day"}
    table = run("search", "p.index", "new.jpg", "--model", "p.model", "-k", "5").out
    assert all(row["name"] in table for row in rows)


def test_codes_are_those_of_the_model_and_names_those_of_the_files(run):
    run("encode", "photos.model", "photos", "-o", "a.npz")
    dataset = hashlearn.load_dataset("photos", image_size=(8, 8))
    expected = models.encode(hashlearn.load("photos.model"), dataset.X)
    with np.load("a.npz") as stored:
        np.testing.assert_array_equal(stored["codes"], expected)
        assert stored["n_bits"] == 16
        assert tuple(stored["names"].tolist()) == dataset.item_names
    run("encode", "photos.model", "photos", "-o", "a.npy")
    np.testing.assert_array_equal(np.load("a.npy"), expected)


@pytest.mark.parametrize("features", ["pixels", "gist"])
def test_images_come_in_the_size_and_colours_of_the_model(run, features):
    for options, mode in ((), "rgb"), (("--grey",), "grey"):
        run("fit", "photos", "--image-size", "6x9", *options, "--bits", "8", "--features", features,
            "-o", "a.model")  # fmt: skip
        run("encode", "a.model", "new.jpg", "-o", "a.npy")
        model = hashlearn.load("a.model")
        pixels = read_image("new.jpg", size=(6, 9), mode=mode)
        np.testing.assert_array_equal(np.load("a.npy"), models.encode(model, pixels[None]))


def test_images_pass_through_a_network_in_a_file(run, folder):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    pixels = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.UINT8, ["n", 4, 4, 3])
    flat = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 48])
    nodes = [
        onnx.helper.make_node("Cast", ["x"], ["f"], to=onnx.TensorProto.FLOAT),
        onnx.helper.make_node("Flatten", ["f"], ["y"]),
    ]
    graph = onnx.helper.make_graph(nodes, "flat", [pixels], [flat])
    opset = onnx.helper.make_opsetid("", 17)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8), "flat.onnx")
    options = ("--features", "onnx:flat.onnx,standardize", "--method", "lsh", "--bits", 16)
    run("fit", "photos", "--image-size", "8x8", *options, "-o", "n.model")
    (folder / "flat.onnx").unlink()
    run("encode", "n.model", "photos", "-o", "n.npy")
    model = hashlearn.load("n.model")
    images = [
        np.asarray(Image.fromarray(image).resize((4, 4), Image.Resampling.BILINEAR))
        for image in hashlearn.load_dataset("photos", image_size=(8, 8)).X
    ]
    rows = np.stack(images).reshape(24, 48).astype(np.float32)
    np.testing.assert_array_equal(np.load("n.npy"), models.encode(model[1:], rows))
    missing = run("fit", "photos", "--features", "onnx:flat.onnx", "-o", "m.model", code=2)
    assert "there is no file flat.onnx" in missing.err


def test_a_name_means_the_data_set_also_beside_a_folder_of_that_name(run, folder):
    (folder / "digits").mkdir()
    run("fit", "digits", "--bits", "8", "-o", "d.model")
    run("encode", "d.model", "digits", "-o", "d.npy")
    assert np.load("d.npy").shape == (1797, 1)


def test_options_reach_the_model(run):
    run(
        "fit", "vectors.npz", "--method", "itq", "--bits", "7", "--features", "standardize,l2",
        "--set", "n_iter=3", "--seed", "5", "-o", "a.model",
    )  # fmt: skip
    *features, hasher = [step for _, step in hashlearn.load("a.model").steps]
    assert [type(step).__name__ for step in features] == ["StandardScaler", "Normalizer"]
    given = {"n_bits": 7, "n_iter": 3, "random_state": 5}
    assert hasher.get_params() == {**type(hasher)().get_params(), **given}


@pytest.mark.parametrize(
    ("text", "value"), [("median", "median"), ('"median"', "median"), ("mean", "mean")]
)
def test_values_of_parameters_are_json_or_else_text(run, text, value):
    run("fit", "bare.npy", "--method", "lsh", "--set", f"thresholds={text}", "--set",
        "orthogonal=true", "-o", "a.model")  # fmt: skip
    hasher = hashlearn.load("a.model")
    assert (hasher.thresholds, hasher.orthogonal) == (value, True)


def test_every_step_reports_json_to_programs(run):
    fitted = run("fit", "bare.npy", "--bits", "9", "-o", "a.model", "--json")
    assert fitted.json == {"model": "a.model", "method": "itq", "n_bits": 9, "n_samples": 40}
    encoded = run("encode", "a.model", "bare.npy", "-o", "a.npz", "--json")
    assert encoded.json == {"codes": "a.npz", "n_bits": 9, "n_samples": 40, "bytes": 80}
    indexed = run("index", "a.npz", "-o", "a.index", "--json")
    assert indexed.json == {
        "index": "a.index", "n_bits": 9, "n_items": 40, "n_tables": 0, "bytes": 80,
    }  # fmt: skip
    assert fitted.err == encoded.err == indexed.err == ""


@pytest.mark.skipif(native is None, reason="the extension is not built")
@pytest.mark.parametrize(("option", "size"), [("--tables", 40 * 12), ("--lean", 40 * 4)])
def test_an_index_with_tables_gives_the_same(run, option, size):
    without = run("search", "vectors.index", "vectors-codes.npz", "-k", "5", "--json").json
    indexed = run("index", "vectors-codes.npz", option, "-o", "vectors.index", "--json").json
    assert indexed["n_tables"] > 0
    assert indexed["bytes"] > size * indexed["n_tables"]
    assert run("search", "vectors.index", "vectors-codes.npz", "-k", "5", "--json").json == without


@pytest.mark.parametrize("k", [1, 3, 40, 2_000_000_000])
def test_a_search_gives_the_nearest_items_by_id(run, k):
    with np.load("vectors-codes.npz") as stored:
        codes, names = stored["codes"], stored["names"].tolist()
    arguments = ("search", "vectors.index", "vectors.npz", "--model", "vectors.model")
    rows = run(*arguments, "-k", k, "--json").json
    assert found(rows) == nearest(codes, codes, k, names)
    assert all(row["name"] == names[row["id"]] for row in rows)
    by_codes = run("search", "vectors.index", "vectors-codes.npz", "-k", k, "--json").json
    assert by_codes == rows


@pytest.mark.parametrize("radius", [0, 3, 12])
def test_a_radius_gives_every_item_within_it(run, radius):
    with np.load("vectors-codes.npz") as stored:
        codes, names = stored["codes"], stored["names"].tolist()
    rows = run("search", "vectors.index", "vectors-codes.npz", "--radius", radius, "--json").json
    expected = [row for row in nearest(codes, codes, 40, names) if row[-1] <= radius]
    assert found(rows) == expected


@pytest.mark.parametrize(("bits", "options"), [(24, ()), (20, ("--bits", 20))])
def test_codes_made_elsewhere_are_indexed_and_searched(run, bits, options):
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (30, 3), np.uint8)
    codes[:, -1] >>= 24 - bits
    np.save("codes.npy", codes)
    np.save("queries.npy", codes[::-1][:4])
    indexed = run("index", "codes.npy", *options, "-o", "own.index", "--json").json
    assert (indexed["n_bits"], indexed["n_items"]) == (bits, 30)
    rows = run("search", "own.index", "queries.npy", "-k", "6", "--json").json
    assert found(rows) == nearest(codes[::-1][:4], codes, 6)
    assert "name" not in rows[0]


def test_a_search_that_finds_nothing_says_so(run):
    np.save("far.npy", np.full((1, 2), 255, np.uint8))
    np.save("near.npy", np.zeros((3, 2), np.uint8))
    run("index", "near.npy", "-o", "near.index")
    ended = run("search", "near.index", "far.npy", "--radius", "15")
    assert (ended.out, ended.err) == ("", "nothing found\n")
    assert run("search", "near.index", "far.npy", "--radius", "15", "--json").json == []


def test_names_lie_beside_the_index_one_a_line(run, folder):
    lines = (folder / "vectors.index.names.txt").read_text(encoding="utf-8").split("\n")
    assert lines == [*(f"item {i}" for i in range(40)), ""]
    (folder / "vectors.index.names.txt").write_text("\n".join(f"other {i}" for i in range(40)))
    rows = run("search", "vectors.index", "vectors-codes.npz", "-k", "1", "--json").json
    assert rows[-1]["name"] == f"other {rows[-1]['id']}"


def test_an_index_without_names_forgets_those_before_it(run, folder):
    np.save("codes.npy", np.zeros((40, 2), np.uint8))
    run("index", "codes.npy", "--bits", "12", "-o", "vectors.index")
    assert not (folder / "vectors.index.names.txt").exists()
    rows = run("search", "vectors.index", "vectors-codes.npz", "-k", "1", "--json").json
    assert "name" not in rows[0]


def test_names_belong_to_ids_in_their_order(run, folder):
    index = hashlearn.HammingIndex(8)
    index.add([[1], [2]], ids=[700, 30])
    index.save("own.index")
    (folder / "own.index.names.txt").write_text("thirty\nseven hundred\n")
    np.save("query.npy", np.uint8([[1]]))
    rows = run("search", "own.index", "query.npy", "-k", "2", "--json").json
    assert [(row["id"], row["name"]) for row in rows] == [(700, "seven hundred"), (30, "thirty")]


def test_odd_names_come_through(run):
    names = ["[red]bold[/red]", "ß\u2028\x85", " two  blanks ", "", "\N{CAT FACE}"]
    np.savez("codes.npz", codes=np.arange(5, dtype=np.uint8)[:, None], names=np.array(names))
    run("index", "codes.npz", "-o", "odd.index")
    rows = run("search", "odd.index", "codes.npz", "-k", "1", "--json").json
    assert [(row["query"], row["name"]) for row in rows] == [(name, name) for name in names]
    assert "[red]bold[/red]" in run("search", "odd.index", "codes.npz", "-k", "1").out


def test_a_table_of_long_names_loses_nothing(run):
    name = "a-folder-with-a-long-name/" * 4 + "picture.png"
    np.savez("codes.npz", codes=np.uint8([[7]]), names=np.array([name]))
    run("index", "codes.npz", "-o", "long.index")
    lines = run("search", "long.index", "codes.npz").out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1].split()[1::2] == ["query", "rank", "id", "name", "distance"]
    cells = [[cell.strip() for cell in line[1:-1].split("│")] for line in lines[3:-1]]
    assert ["".join(column) for column in zip(*cells, strict=True)] == [name, "1", "0", name, "0"]


def test_ids_are_shown_as_they_are_written(run):
    index = hashlearn.HammingIndex(8)
    index.add([[1]], ids=[1234567])
    index.save("own.index")
    np.save("query.npy", np.uint8([[1]]))
    assert "1234567" in run("search", "own.index", "query.npy").out


def test_a_parquet_file_goes_the_whole_road(run):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    vectors = np.load("bare.npy")
    table = {
        "embedding": list(vectors), "key": [f"k{i}" for i in range(40)], "kind": ["a", "b"] * 20
    }  # fmt: skip
    parquet.write_table(arrow.table(table), "v.parquet")
    column = ("--column", "embedding")
    run("fit", "v.parquet", *column, "--label-column", "kind", "--bits", "9", "-o", "v.model")
    run("encode", "v.model", "v.parquet", *column, "--name-column", "key", "-o", "v.npz")
    run("index", "v.npz", "-o", "v.index")
    rows = run("search", "v.index", "v.parquet", *column, "--name-column", "key", "--model",
               "v.model", "-k", "3", "--json").json  # fmt: skip
    codes = models.encode(hashlearn.load("v.model"), vectors)
    assert found(rows) == nearest(codes, codes, 3, table["key"])
    assert all(row["name"] == f"k{row['id']}" for row in rows)
    rows = run("evaluate", "v.parquet", *column, "--label-column", "kind", "--bits", "8",
               "--json").json  # fmt: skip
    assert {row["protocol"]["truth"] for row in rows} == {"labels"}


def test_pictures_in_a_web_format_and_pixels_in_an_array_are_images_too(run):
    Image.fromarray(np.full((8, 8, 3), 210, np.uint8)).save("new.webp", lossless=True)
    np.save("new.npy", np.full((1, 8, 8, 3), 210, np.uint8))
    arguments = ("search", "photos.index", "--model", "photos.model", "--json")
    results = [
        [(row["id"], row["distance"]) for row in run(*arguments, name).json]
        for name in ("new.webp", "new.npy")
    ]
    assert results[0] == results[1]


def test_json_is_utf_8_and_not_escaped(run):
    np.savez("codes.npz", codes=np.uint8([[7]]), names=np.array(["straße"]))
    run("index", "codes.npz", "-o", "a.index")
    out = run("search", "a.index", "codes.npz", "--json").out
    assert "straße" in out
    assert json.loads(out)[0]["name"] == "straße"
