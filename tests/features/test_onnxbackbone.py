"""Networks in ONNX files: tiny ones made here, compared with loops."""

import json
import subprocess
import sys

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
tokenizers = pytest.importorskip("tokenizers")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from sklearn.base import clone  # noqa: E402

from hashlearn import models  # noqa: E402
from hashlearn.features import OnnxBackbone, make_features  # noqa: E402
from hashlearn.features._preparation import Target, convention, make_preparation  # noqa: E402
from hashlearn.hashers.shallow.lsh import LSH  # noqa: E402

rng = np.random.default_rng(0)
IMAGES = rng.integers(0, 256, (9, 6, 5, 3), np.uint8)
KERNEL = rng.normal(size=(4, 3)).astype(np.float32)  # of a 1 × 1 convolution
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)

WORDS = {"[PAD]": 0, "[UNK]": 1, "red": 2, "green": 3, "blue": 4, "rose": 5}
TABLE = rng.normal(size=(len(WORDS), 3)).astype(np.float32)
TEXTS = ["red rose", "blue", "green red red rose rose", "violet", "", "rose blue"]


def value(name, kind, shape):
    return helper.make_tensor_value_info(name, kind, shape)


def write(path, nodes, inputs, outputs, weights=(), metadata=None, **options):
    made = [numpy_helper.from_array(array, name) for name, array in dict(weights).items()]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, made)
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    helper.set_model_props(model, metadata or {})
    onnx.checker.check_model(model)
    onnx.save_model(model, path, **options)
    return path


def write_images(path, *, shape=("n", 3, 6, 5), kind=TensorProto.FLOAT, metadata=None, **options):
    """Write a 1 × 1 convolution: its map, and the mean of the map as ``features``."""
    last = shape[-1] == 3
    steps = [("Cast", ["pixels"], "floats", {"to": TensorProto.FLOAT})]
    steps += [("Transpose", ["floats"], "planes", {"perm": [0, 3, 1, 2]})] if last else []
    steps += [
        ("Conv", ["planes" if last else "floats", "kernel"], "map", {}),
        ("GlobalAveragePool", ["map"], "pooled", {}),
        ("Flatten", ["pooled"], "features", {}),
    ]
    nodes = [helper.make_node(op, given, [out], **more) for op, given, out, more in steps]
    outputs = [
        value("map", TensorProto.FLOAT, [None] * 4), value("features", TensorProto.FLOAT, [None, 4])
    ]  # fmt: skip
    weights = {"kernel": KERNEL[:, :, None, None]}
    return write(path, nodes, [value("pixels", kind, shape)], outputs, weights, metadata, **options)


def write_texts(path, *, inputs=("input_ids", "attention_mask"), kind=TensorProto.INT64, axes=3):
    """Write a table of vectors, one a token, and for two axes their sum."""
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["tokens"])]
    if axes == 2:
        nodes.append(helper.make_node("ReduceSum", ["tokens", "one"], ["summed"], keepdims=0))
    given = [value(name, kind, ["n", "tokens"]) for name in inputs]
    out = value("tokens" if axes == 3 else "summed", TensorProto.FLOAT, [None] * axes)
    weights = {"table": TABLE} | ({"one": np.array([1])} if axes == 2 else {})
    return write(path, nodes, given, [out], weights)


def write_tokenizer(folder, *, limit=None):
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(WORDS, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    if limit:
        tokenizer.enable_truncation(limit)
    tokenizer.save(str(folder / "tokenizer.json"))


def means_by_loops(images, *, mean=MEAN, std=STD, scale=1 / 255, kernel=KERNEL):
    rows = np.zeros((len(images), len(kernel)))
    for row, image in zip(rows, images, strict=True):
        for pixel in image.reshape(-1, 3):
            row += kernel @ ((pixel * scale - np.array(mean)) / np.array(std))
        row /= image.shape[0] * image.shape[1]
    return rows


def tokens_of(text):
    return [WORDS.get(word, 1) for word in text.split()]


def assert_close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("batch_size", [1, 4, 32])
def test_features_of_images_are_those_of_loops(tmp_path, batch_size):
    path = write_images(tmp_path / "a.onnx")
    backbone = OnnxBackbone(path, mean=MEAN, std=STD, batch_size=batch_size).fit(IMAGES)
    rows = backbone.transform(IMAGES)
    assert (rows.dtype, rows.shape) == (np.float32, (9, 4))
    assert backbone.output_ == "features"
    assert_close(rows, means_by_loops(IMAGES))


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        (("n", 6, 5, 3), TensorProto.UINT8),
        (("n", 3, 6, 5), TensorProto.UINT8),
        ((1, 6, 5, 3), TensorProto.UINT8),
        (("n", "h", "w", 3), TensorProto.UINT8),
        (("n", 6, 5, 3), TensorProto.DOUBLE),
        (("n", "c", "h", "w"), TensorProto.FLOAT16),
    ],
)
def test_layout_and_type_are_those_of_the_network(tmp_path, shape, kind):
    path = write_images(tmp_path / "a.onnx", shape=shape, kind=kind)
    is_whole = kind == TensorProto.UINT8
    chosen = {"size": (6, 5)} if "h" in shape else {}
    chosen |= {} if is_whole else {"mean": 0, "std": 1, "scale": 1}
    rows = OnnxBackbone(path, **chosen).fit_transform(IMAGES)
    assert_close(rows, means_by_loops(IMAGES, mean=0, std=1, scale=1))


def test_grey_images_become_colour_and_colours_are_turned_where_asked(tmp_path):
    path = write_images(tmp_path / "a.onnx", shape=("n", 6, 5, 3), kind=TensorProto.UINT8)
    backbone = OnnxBackbone(path).fit(IMAGES)
    grey = IMAGES[:, :, :, 0]
    expected = means_by_loops(np.stack([grey] * 3, axis=-1), mean=0, std=1, scale=1)
    assert_close(backbone.transform(grey), expected)
    turned = OnnxBackbone(path, channels="bgr").fit_transform(IMAGES)
    assert_close(turned, means_by_loops(IMAGES[..., ::-1], mean=0, std=1, scale=1))


def test_a_map_is_averaged_over_space(tmp_path):
    path = write_images(tmp_path / "a.onnx")
    taken = OnnxBackbone(path, mean=MEAN, std=STD, output="map").fit(IMAGES)
    assert taken.output_ == "map"
    assert_close(taken.transform(IMAGES), means_by_loops(IMAGES))


CLIP = {
    "do_resize": True, "size": {"shortest_edge": 9}, "do_center_crop": True,
    "crop_size": {"height": 8, "width": 7}, "do_rescale": True, "rescale_factor": 1 / 255,
    "do_normalize": True, "image_mean": list(MEAN), "image_std": list(STD), "resample": 3,
}  # fmt: skip


@pytest.mark.parametrize("changes", [{}, {"resample": 2}, {"do_normalize": False}])
@pytest.mark.parametrize("shape", [(20, 13), (13, 20), (9, 9), (31, 9)])
def test_images_are_prepared_as_transformers_does(changes, shape):
    transformers = pytest.importorskip("transformers")
    config = CLIP | changes
    image = rng.integers(0, 256, (*shape, 3), np.uint8)
    target = Target("x", np.float32, "nchw", 3, None, None)
    found = make_preparation(config, target)([image, image])
    theirs = transformers.CLIPImageProcessorPil(**config)([image], return_tensors="np")
    np.testing.assert_allclose(found[1:], theirs["pixel_values"], atol=1e-5)


def test_choices_come_before_the_file_beside_and_that_before_the_metadata(tmp_path):
    inside = {"image_mean": [9, 9, 9], "image_std": [1, 1, 1], "rescale_factor": 1.0}
    metadata = {"preprocessor_config": json.dumps(inside)}
    path = write_images(tmp_path / "a.onnx", metadata=metadata)
    rows = OnnxBackbone(path).fit_transform(IMAGES)
    assert_close(rows, means_by_loops(IMAGES, mean=9, std=1, scale=1))
    beside = {"image_mean": [7, 8, 9], "image_std": [2, 2, 2], "rescale_factor": 1.0}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(beside))
    rows = OnnxBackbone(path).fit_transform(IMAGES)
    assert_close(rows, means_by_loops(IMAGES, mean=(7, 8, 9), std=2, scale=1))
    rows = OnnxBackbone(path, mean=MEAN).fit_transform(IMAGES)
    assert_close(rows, means_by_loops(IMAGES, std=2, scale=1))


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({}, "give size, mean, std, or put its preprocessor_config.json beside it"),
        ({"size": (6, 5)}, "give mean, std, or"),
        ({"mean": 0, "std": 1}, "give size, or"),
        ({"size": 6, "mean": 0, "std": 1}, "would differ in size; give crop"),
        ({"size": (6, 5), "mean": 0, "std": 0}, "image_std must not be 0"),
        ({"size": (6, 5), "mean": (1, 2), "std": 1}, "image_mean has 2 numbers, for 3 channels"),
        ({"size": (6, 5), "mean": 1}, "normalised and std is not"),
        ({"size": (6, 0)}, r"size must be one number of pixels or \(height, width\)"),
        ({"resample": "best"}, "resample must be one of nearest, lanczos, bilinear"),
        ({"size": (6, 5), "mean": 0, "std": 1, "channels": "gbr"}, '"rgb" or "bgr", got \'gbr\''),
        ({"size": (6, 5), "crop": 9, "mean": 0, "std": 1}, "smaller than the part to cut out"),
        ({"device": "tpu"}, 'device must be "cpu", "cuda"'),
        ({"device": "cuda"}, "needs the package onnxruntime-gpu"),
        ({"n_threads": 0}, "n_threads"),
        ({"max_length": 0}, "max_length"),
        ({"output": "logits"}, "no output 'logits'; give output=, one of map, features"),
    ],
)
def test_what_is_missing_or_wrong_is_named(tmp_path, chosen, message):
    path = write_images(tmp_path / "a.onnx", shape=("n", 3, "h", "w"))
    with pytest.raises(ValueError, match=message):
        OnnxBackbone(path, **chosen).fit(IMAGES)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("[1]", "must be a JSON object"),
        ("{", "is no JSON"),
        ('{"do_pad": true}', "asks for do_pad, which is not known"),
        ('{"size": "large"}', "size must be a number of pixels"),
        ('{"size": {"longest_edge": 5}}', "size must be a number of pixels"),
        ('{"do_center_crop": true}', "has do_center_crop and no crop_size"),
        ('{"resample": 9}', "from 0 to 5"),
        ('{"image_mean": ["a"], "image_std": [1]}', "image_mean must be a number, got 'a'"),
        ('{"size": {"height": 7, "width": 5}}', "takes images of 6 × 5 pixels.* to 7 × 5"),
    ],
)
def test_a_damaged_or_unknown_configuration_is_refused(tmp_path, config, message):
    (tmp_path / "preprocessor_config.json").write_text(config)
    chosen = {} if "image_mean" in config else {"mean": 0, "std": 1}
    with pytest.raises(ValueError, match=message):
        OnnxBackbone(write_images(tmp_path / "a.onnx"), **chosen).fit(IMAGES)


def test_a_network_of_whole_numbers_takes_no_scaled_ones(tmp_path):
    path = write_images(tmp_path / "a.onnx", shape=("n", 6, 5, 3), kind=TensorProto.UINT8)
    with pytest.raises(ValueError, match="takes whole numbers 0 to 255"):
        OnnxBackbone(path, mean=0, std=1).fit(IMAGES)


def test_one_number_in_an_old_file_is_both_sides_unless_a_part_is_cut_out():
    target = Target("x", np.uint8, "nhwc", 3, None, None)
    assert make_preparation({"size": 7}, target).size == (7, 7)
    assert make_preparation({"size": 7, "crop_size": 6}, target).size == 7
    assert make_preparation(convention(size=7, crop=6), target).crop == (6, 6)


def test_features_of_texts_are_means_over_their_tokens(tmp_path):
    write_tokenizer(tmp_path)
    path = write_texts(tmp_path / "a.onnx")
    backbone = OnnxBackbone(path, batch_size=2).fit(TEXTS)
    rows = backbone.transform(TEXTS)
    for text, row in zip(TEXTS, rows, strict=True):
        tokens = TABLE[tokens_of(text)] if text else np.zeros((1, 3))
        assert_close(row, tokens.mean(axis=0))
    assert_close(backbone.transform(TEXTS[4:5]), np.zeros((1, 3)))


def test_an_output_of_one_row_a_text_is_taken_as_it_is(tmp_path):
    write_tokenizer(tmp_path)
    path = write_texts(tmp_path / "a.onnx", axes=2)
    rows = OnnxBackbone(path, batch_size=1).fit_transform(TEXTS[:4])
    for text, row in zip(TEXTS, rows, strict=False):
        assert_close(row, TABLE[tokens_of(text)].sum(axis=0))


@pytest.mark.parametrize("kind", [TensorProto.INT64, TensorProto.INT32])
@pytest.mark.parametrize(
    "inputs", [("input_ids",), ("token_type_ids", "input_ids", "attention_mask")]
)
def test_a_network_of_texts_is_given_what_it_wants(tmp_path, kind, inputs):
    write_tokenizer(tmp_path)
    path = write_texts(tmp_path / "a.onnx", inputs=inputs, kind=kind)
    rows = OnnxBackbone(path).fit_transform(TEXTS[:4])
    for text, row in zip(TEXTS, rows, strict=False):
        assert_close(row, TABLE[tokens_of(text)].mean(axis=0))


@pytest.mark.parametrize(
    ("own", "chosen", "n_tokens"), [(None, 2, 2), (3, None, 3), (3, 4, 4), (None, None, 512)]
)
def test_long_texts_are_cut(tmp_path, own, chosen, n_tokens):
    write_tokenizer(tmp_path, limit=own)
    backbone = OnnxBackbone(write_texts(tmp_path / "a.onnx"), max_length=chosen).fit(TEXTS)
    text = " ".join(["red", "rose", "blue", "green", "green"] * 200)
    assert_close(backbone.transform([text])[0], TABLE[tokens_of(text)[:n_tokens]].mean(axis=0))


def test_a_network_of_texts_needs_its_tokenizer(tmp_path):
    path = write_texts(tmp_path / "a.onnx")
    with pytest.raises(FileNotFoundError, match=r"tokenizer\.json, which is not there"):
        OnnxBackbone(path).fit(TEXTS)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match="damaged or not a tokenizer"):
        OnnxBackbone(path).fit(TEXTS)


def test_items_of_the_wrong_kind_are_refused(tmp_path):
    write_tokenizer(tmp_path)
    with pytest.raises(ValueError, match="takes texts, and these are images"):
        OnnxBackbone(write_texts(tmp_path / "a.onnx")).fit(IMAGES)
    with pytest.raises(ValueError, match="takes images, and these are texts"):
        OnnxBackbone(write_images(tmp_path / "b.onnx")).fit(TEXTS)


def test_several_outputs_without_a_choice_are_listed(tmp_path):
    nodes = [helper.make_node("Identity", ["x"], [name]) for name in ("one", "two")]
    shape = ["n", 3, 6, 5]
    ends = [value(name, TensorProto.FLOAT, shape) for name in ("one", "two")]
    path = write(tmp_path / "a.onnx", nodes, [value("x", TensorProto.FLOAT, shape)], ends)
    with pytest.raises(ValueError, match="several outputs; give output=, one of one, two"):
        OnnxBackbone(path, mean=0, std=1).fit(IMAGES)


@pytest.mark.parametrize(
    ("shape", "kind", "message"),
    [
        (["n", 3], TensorProto.FLOAT, "neither images .* nor texts"),
        (["n", 3, 6, 5], TensorProto.INT64, "images are uint8 or floats"),
        (["n", 2, 6, 5], TensorProto.FLOAT, "channels must be 1 or 3"),
        ([4, 3, 6, 5], TensorProto.FLOAT, "batches of 4 items only"),
    ],
)
def test_networks_of_something_else_are_refused(tmp_path, shape, kind, message):
    node = helper.make_node("Identity", ["x"], ["y"])
    path = write(tmp_path / "a.onnx", [node], [value("x", kind, shape)], [value("y", kind, shape)])
    with pytest.raises(ValueError, match=message):
        OnnxBackbone(path, mean=0, std=1).fit(IMAGES)


def test_a_network_that_cannot_run_on_such_sizes_says_so(tmp_path):
    weights = {"right": np.ones((5, 2), np.float32)}
    node = helper.make_node("MatMul", ["x", "right"], ["y"])
    ends = [value("y", TensorProto.FLOAT, [None] * 4)]
    start = value("x", TensorProto.FLOAT, ["n", 3, "h", "w"])
    path = write(tmp_path / "a.onnx", [node], [start], ends, weights)
    with pytest.raises(ValueError, match=r"a\.onnx cannot run on x \(1, 3, 6, 4\)"):
        OnnxBackbone(path, size=(6, 4), mean=0, std=1).fit(IMAGES)


@pytest.mark.parametrize("content", [b"", b"no network", b"\x08\x07garbage" * 9])
def test_a_damaged_file_is_refused(tmp_path, content):
    path = tmp_path / "harmed.onnx"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"harmed\.onnx"):
        OnnxBackbone(path).fit(IMAGES)


def fitted(folder, kind):
    if kind == "texts":
        write_tokenizer(folder)
        return OnnxBackbone(write_texts(folder / "a.onnx")), TEXTS * 5
    return OnnxBackbone(write_images(folder / "a.onnx"), mean=MEAN, std=STD), IMAGES


@pytest.mark.parametrize("kind", ["images", "texts"])
def test_a_saved_model_is_complete_without_the_file(tmp_path, kind):
    source = tmp_path / "source"
    source.mkdir()
    backbone, items = fitted(source, kind)
    model = models.make_model([backbone], LSH(16, random_state=0)).fit(items)
    codes = models.encode(model, items)
    models.save(model, tmp_path / "a.model")
    for file in source.iterdir():
        file.unlink()
    loaded = models.load(tmp_path / "a.model")
    assert "_network" not in vars(loaded[0])  # nothing is opened before it is used
    np.testing.assert_array_equal(models.encode(loaded, items), codes)
    learned = {name for name in vars(backbone) if name.endswith("_")}
    assert learned == {name for name in vars(loaded[0]) if name.endswith("_")}
    assert learned >= {"network_", "tokenizer_", "preprocessing_", "output_", "n_features_out_"}
    with pytest.raises(FileNotFoundError, match=r"there is no file .*a\.onnx"):
        clone(loaded).fit(items)


def test_loading_a_model_imports_no_runtime(tmp_path):
    backbone, items = fitted(tmp_path, "images")
    models.save(models.make_model([backbone], LSH(8)).fit(items), tmp_path / "a.model")
    code = (
        "import sys, hashlearn; hashlearn.load(sys.argv[1]); "
        "print(*{'onnx', 'onnxruntime', 'tokenizers', 'torch'} & set(sys.modules))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "a.model"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ran.stdout.split() == []


def test_weights_beside_the_file_are_taken_in(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    options = {"save_as_external_data": True, "location": "weights.bin", "size_threshold": 0}
    path = write_images(source / "a.onnx", **options)
    assert (source / "weights.bin").is_file()
    backbone = OnnxBackbone(path, mean=MEAN, std=STD).fit(IMAGES)
    state = backbone.__getstate__()
    (source / "weights.bin").unlink()
    again = clone(backbone)
    vars(again).update(state)
    assert_close(again.transform(IMAGES), means_by_loops(IMAGES))
    with pytest.raises(ValueError, match="lie in a file that is not there"):
        OnnxBackbone(path, mean=MEAN, std=STD).fit(IMAGES)


def test_more_than_two_gigabytes_are_refused_before_they_are_read(tmp_path):
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.truncate(2**31)  # takes no room on the disk
    with pytest.raises(ValueError, match=r"large\.onnx has more than 2 GB"):
        OnnxBackbone(path).fit(IMAGES)


def test_names_make_backbones_of_files_that_are_there(tmp_path):
    path = write_images(tmp_path / "a.onnx")
    backbone, _ = make_features(f"onnx:{path},l2")
    assert isinstance(backbone, OnnxBackbone)
    assert backbone.get_params()["model"] == str(path)
    with pytest.raises(FileNotFoundError, match=r"there is no file absent\.onnx"):
        make_features("onnx:absent.onnx")
    for names in ("onnx", "onnx:"):
        with pytest.raises(ValueError, match="onnx takes a network, as in onnx:resnet50"):
            make_features(names)
