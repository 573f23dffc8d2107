"""Networks of transformers: tiny ones with random weights, compared with calling it by hand."""

import json
import threading

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from PIL import Image  # noqa: E402
from sklearn.base import clone  # noqa: E402

from hashlearn import models  # noqa: E402
from hashlearn.features import TransformersBackbone, make_features  # noqa: E402
from hashlearn.hashers.shallow.lsh import LSH  # noqa: E402

rng = np.random.default_rng(0)
IMAGES = [rng.integers(0, 256, (h, w, 3), np.uint8) for h, w in ((40, 30), (32, 32), (25, 60))] * 3
TEXTS = ["red rose", "blue", "green red red rose rose", "rose blue " * 40, "", "violet rose"]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "green", "blue", "rose"]
SIZES = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
    "initializer_range": 0.5,  # with the usual .02 all items would have nearly the same features
}  # fmt: skip


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """No network, and no threads of the tokenizer beside those of the tests."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def save_tokenizer(folder):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, "[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=inner, **names).save_pretrained(folder)


@pytest.fixture(scope="session")
def bert(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(WORDS), max_position_embeddings=20, pad_token_id=0, **SIZES
    )
    transformers.BertModel(config).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def save_vit(folder, network):
    torch.manual_seed(0)
    config = transformers.ViTConfig(image_size=32, patch_size=8, num_labels=3, **SIZES)
    getattr(transformers, network)(config).save_pretrained(folder)
    transformers.ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def vit(tmp_path_factory):
    return save_vit(tmp_path_factory.mktemp("vit"), "ViTModel")


@pytest.fixture(scope="session")
def classifier(tmp_path_factory):
    """A network that was trained to classify: without a summary of its own."""
    return save_vit(tmp_path_factory.mktemp("classifier"), "ViTForImageClassification")


@pytest.fixture(scope="session")
def resnet(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resnet")
    torch.manual_seed(0)
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1], layer_type="basic"
    )
    transformers.ResNetModel(config).save_pretrained(folder)
    transformers.ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    texts = SIZES | {"vocab_size": len(WORDS), "max_position_embeddings": 20, "eos_token_id": 3}
    config = transformers.CLIPConfig(
        text_config=texts, vision_config=SIZES | {"image_size": 32, "patch_size": 8},
        projection_dim=10,
    )  # fmt: skip
    transformers.CLIPModel(config).save_pretrained(folder)
    size = {"shortest_edge": 32}
    transformers.CLIPImageProcessorPil(size=size, crop_size=32).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def states_of_images(folder, images):
    """Run one image after the other, as transformers' documentation shows it."""
    processor = transformers.ViTImageProcessorPil.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    for image in images:
        made = processor(Image.fromarray(image), return_tensors="pt")
        with torch.no_grad():
            yield model(**made)


def states_of_texts(folder, texts, longest=20):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    for text in texts:
        made = tokenizer(text, return_tensors="pt", truncation=True, max_length=longest)
        with torch.no_grad():
            yield model(**made)


def assert_close(found, expected):
    assert found.dtype == np.float32
    expected = np.stack([np.asarray(row) for row in expected])
    assert expected.std(axis=0).max() > 1e-3  # or every network would be right
    np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize(
    ("pooling", "row"),
    [
        (None, lambda out: out.last_hidden_state[0].mean(dim=0)),
        ("cls", lambda out: out.last_hidden_state[0, 0]),
        ("pooler", lambda out: out.pooler_output[0]),
    ],
)
def test_features_of_texts_are_those_of_one_text_after_the_other(bert, pooling, row, batch_size):
    backbone = TransformersBackbone(bert, pooling=pooling, batch_size=batch_size, device="cpu")
    found = backbone.fit_transform(TEXTS)
    assert_close(found, [row(out) for out in states_of_texts(bert, TEXTS)])
    assert backbone.pooling_ == (pooling or "mean")
    assert backbone.item_kind_ == "texts"


def test_features_of_images_are_the_summary_if_there_is_one(vit):
    backbone = TransformersBackbone(vit, batch_size=2, device="cpu")
    found = backbone.fit_transform(IMAGES)
    assert_close(found, [out.pooler_output[0] for out in states_of_images(vit, IMAGES)])
    assert backbone.pooling_ == "pooler"


def test_the_mean_of_an_image_is_that_of_its_patches(vit):
    found = TransformersBackbone(vit, pooling="mean", device="cpu").fit_transform(IMAGES)
    states = [out.last_hidden_state[0] for out in states_of_images(vit, IMAGES)]
    assert states[0].shape == (17, 16)
    assert_close(found, [state[1:].mean(dim=0) for state in states])


def test_a_summary_without_weights_is_random_and_not_taken(classifier):
    backbone = TransformersBackbone(classifier, device="cpu")
    found = backbone.fit_transform(IMAGES)
    assert backbone.pooling_ == "mean"
    states = [out.last_hidden_state[0] for out in states_of_images(classifier, IMAGES)]
    assert_close(found, [state[1:].mean(dim=0) for state in states])
    with pytest.raises(ValueError, match="has no summary of an item: choose mean or cls"):
        TransformersBackbone(classifier, pooling="pooler").fit(IMAGES)


def test_maps_are_averaged_over_space(resnet):
    found = TransformersBackbone(resnet, pooling="mean", device="cpu").fit_transform(IMAGES)
    states = [out.last_hidden_state[0] for out in states_of_images(resnet, IMAGES)]
    assert states[0].ndim == 3
    assert_close(found, [state.mean(dim=(1, 2)) for state in states])
    summary = TransformersBackbone(resnet, device="cpu").fit_transform(IMAGES)
    np.testing.assert_allclose(summary, found, atol=2e-5)  # which is this network's


def test_a_network_of_both_gives_features_that_can_be_compared(clip):
    model = transformers.CLIPModel.from_pretrained(clip).eval()
    images = TransformersBackbone(clip, batch_size=2, device="cpu").fit(IMAGES)
    texts = TransformersBackbone(clip, batch_size=2, device="cpu").fit(TEXTS)
    assert images.pooling_ == texts.pooling_ == "joint"
    assert images.n_features_out_ == texts.n_features_out_ == 10
    both = zip(
        states_of_clip(clip, model, IMAGES), states_of_clip(clip, model, TEXTS), strict=False
    )
    expected_images, expected_texts = zip(*both, strict=True)
    n = len(expected_images)
    assert_close(images.transform(IMAGES[:n]), expected_images)
    assert_close(texts.transform(TEXTS[:n]), expected_texts)
    with pytest.raises(ValueError, match=r"features of its own.*pooling must be None, got 'cls'"):
        TransformersBackbone(clip, pooling="cls").fit(TEXTS)


def states_of_clip(folder, model, items):
    """Project what the two halves of the network give, by hand."""
    processor = transformers.CLIPImageProcessorPil.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for item in items:
        with torch.no_grad():
            if isinstance(item, str):
                made = tokenizer(item, return_tensors="pt", truncation=True, max_length=20)
                made.pop("token_type_ids", None)
                yield model.text_projection(model.text_model(**made).pooler_output)[0]
            else:
                made = processor(Image.fromarray(item), return_tensors="pt")
                yield model.visual_projection(model.vision_model(**made).pooler_output)[0]


def test_a_network_that_lacks_weights_is_refused(bert, tmp_path):
    from safetensors.numpy import load_file, save_file

    for file in bert.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    weights.pop("encoder.layer.1.output.dense.weight")
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lacks weights.*dense\.weight.*would be random"):
        TransformersBackbone(tmp_path, device="cpu").fit(TEXTS)


def test_weights_that_would_be_unpickled_are_not_read(bert, tmp_path):
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((bert / name).read_bytes())
    model = transformers.BertModel.from_pretrained(bert)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match="cannot be loaded as a network"):
        TransformersBackbone(tmp_path, device="cpu").fit(TEXTS)


def test_a_loaded_model_gives_the_same_codes_and_names_what_is_missing(bert, tmp_path):
    folder = tmp_path / "bert"
    folder.mkdir()
    for file in bert.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    backbone = TransformersBackbone(folder, device="cpu")
    model = models.make_model([backbone], LSH(16, random_state=0)).fit(TEXTS)
    models.save(model, tmp_path / "a.model")
    loaded = models.load(tmp_path / "a.model")
    assert loaded[0].model == str(folder)
    assert "_network" not in vars(loaded[0])
    np.testing.assert_array_equal(models.encode(loaded, TEXTS), models.encode(model, TEXTS))
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    lost = models.load(tmp_path / "a.model")
    with pytest.raises(ValueError, match=f"{folder} cannot be loaded"):
        lost.transform(TEXTS)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        clone(lost).fit(TEXTS)


def test_items_of_the_wrong_kind_are_refused(bert, vit):
    with pytest.raises(ValueError, match="does not take images: no image processor"):
        TransformersBackbone(bert).fit(IMAGES)
    with pytest.raises(ValueError, match="does not take texts: no tokenizer"):
        TransformersBackbone(vit).fit(TEXTS)


def test_a_name_that_is_not_there_is_an_error_without_a_download():
    with pytest.raises(ValueError, match="hashlearn/none cannot be loaded"):
        TransformersBackbone("hashlearn/none").fit(TEXTS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": "max"}, "pooling must be None or one of pooler, mean, cls; got 'max'"),
        ({"device": "tpu9"}, "device 'tpu9' cannot be used here"),
    ],
)
def test_wrong_options_are_named(bert, options, message):
    with pytest.raises(ValueError, match=message):
        TransformersBackbone(bert, **options).fit(TEXTS)


def test_threads_can_prepare_texts_at_once(bert):
    backbone = TransformersBackbone(bert, batch_size=2, device="cpu").fit(TEXTS)
    expected, found = backbone.transform(TEXTS), {}

    def work(i):
        found[i] = [backbone.run(backbone.preprocess(TEXTS)) for _ in range(5)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    np.testing.assert_allclose([rows for made in found.values() for rows in made], [expected] * 20)


def test_nothing_is_printed(bert, capfd):
    TransformersBackbone(bert, device="cpu").fit_transform(TEXTS)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
    assert transformers.utils.logging.is_progress_bar_enabled()


def test_names_make_backbones(bert):
    (named,) = make_features("transformers:org/network")
    assert isinstance(named, TransformersBackbone)
    assert named.model == "org/network"
    assert make_features(f"transformers:{bert},l2")[0].model == str(bert)
    for path in ("./absent", "/no/such/folder", "a/b/c"):
        with pytest.raises(FileNotFoundError, match="there is no folder"):
            make_features(f"transformers:{path}")


def test_the_configuration_of_the_folder_decides(bert, tmp_path):
    for file in bert.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    path = tmp_path / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_max_length": 4}))
    found = TransformersBackbone(tmp_path, device="cpu").fit_transform(TEXTS)
    expected = states_of_texts(tmp_path, TEXTS, longest=4)
    assert_close(found, [out.last_hidden_state[0].mean(dim=0) for out in expected])
