"""Models as folders and repositories: written, described, pushed, read, refused."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard
from safetensors.numpy import load_file
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from typer.testing import CliRunner

import hashlearn
from hashlearn.benchmark import Job, run_jobs
from hashlearn.cli import app
from hashlearn.data import SplitRecipe, load_dataset
from hashlearn.evaluation import Protocol, get_protocol
from hashlearn.hashers import get_method
from hashlearn.hashers.shallow.itq import ITQ
from hashlearn.hashers.shallow.lsh import LSH
from hashlearn.integrations.hub import from_pretrained, push_to_hub, save_pretrained
from hashlearn.models import encode, make_model
from hashlearn.storage import write_arrays

VECTORS = np.random.default_rng(0).normal(1, 3, (60, 20)).astype(np.float32)
IMAGES = np.random.default_rng(1).integers(0, 256, (60, 8, 6), np.uint8)
TEXTS = np.array(["red rose", "blue violet", "red violet", "blue rose"] * 15, dtype=object)


def quick_csq():
    return get_method("csq")(9, n_steps=20, width=4, device="cpu", random_state=0)


MODELS = {
    "vectors": lambda: ITQ(12, random_state=0).fit(VECTORS),
    "pipeline": lambda: make_model("standardize,l2", LSH(20, random_state=0)).fit(VECTORS),
    "pixels": lambda: make_model("pixels", ITQ(12, random_state=0)).fit(IMAGES),
    "images": lambda: quick_csq().fit(IMAGES, np.arange(60) % 4),
    "texts": lambda: make_model("bagofwords", LSH(8, random_state=0)).fit(TEXTS),
}
ITEMS = {"pixels": IMAGES, "images": IMAGES, "texts": TEXTS}


@pytest.fixture(name="model", scope="module")
def fixture_model():
    return MODELS["vectors"]()


@pytest.fixture
def without_hub(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)


@pytest.mark.usefixtures("without_hub")
@pytest.mark.parametrize("kind", MODELS)
def test_a_folder_needs_no_other_package_and_gives_the_same_codes(tmp_path, kind):
    model, items = MODELS[kind](), ITEMS.get(kind, VECTORS)
    save_pretrained(model, tmp_path / "deep" / "folder")
    folder = tmp_path / "deep" / "folder"
    assert {path.name for path in folder.iterdir()} == {
        "model.safetensors", "config.json", "README.md",
    }  # fmt: skip
    for loaded in (from_pretrained(folder), hashlearn.load(folder / "model.safetensors")):
        assert type(loaded) is type(model)
        np.testing.assert_array_equal(encode(loaded, items), encode(model, items))


def test_the_model_is_a_file_that_safetensors_reads(tmp_path, model):
    save_pretrained(model, tmp_path)
    arrays = load_file(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(arrays["0.weights_"], model.weights_)


@pytest.mark.parametrize(
    ("kind", "n_features", "shape", "classes"),
    [
        ("vectors", 20, [20], ["ITQ"]),
        ("pipeline", 20, [20], ["StandardScaler", "Normalizer", "LSH"]),
        ("pixels", 48, [8, 6], ["Pixels", "ITQ"]),
        ("images", 48, [8, 6], ["CSQ"]),
        ("texts", 4, None, ["BagOfWords", "LSH"]),
    ],
)
def test_the_configuration_says_what_the_model_is(tmp_path, kind, n_features, shape, classes):
    model = MODELS[kind]()
    save_pretrained(model, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    steps = config.pop("steps")
    assert [step["class"] for step in steps] == classes
    hasher = model if len(steps) == 1 else model[-1]
    given = {name: steps[-1]["params"][name] for name in steps[-1]["params"]}
    assert given == hasher.get_params()
    assert config == {
        "library_name": "hashlearn",
        "library_version": hashlearn.__version__,
        "format": 1,
        "file_format": 2,
        "method": classes[-1].lower(),
        "n_bits": hasher.n_bits,
        "n_features": n_features,
        "item_kind": "texts" if shape is None else "vectors" if len(shape) == 1 else "images",
        "item_shape": shape,
    }


@pytest.mark.parametrize("kind", MODELS)
def test_the_card_is_read_by_the_hubs_own_package(tmp_path, kind):
    facts = {"name": "Ünïcode: 'a' \"b\"", "license": "cc-by-4.0", "data": "mnist"}
    save_pretrained(MODELS[kind](), tmp_path, card=facts)
    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.library_name == "hashlearn"
    assert card.data.license == "cc-by-4.0"
    assert card.data.pipeline_tag == "feature-extraction"
    assert "learning-to-hash" in card.data.tags
    assert card.text.startswith("\n# Ünïcode: 'a' \"b\"")


def test_the_card_tells_what_the_caller_told(tmp_path, model):
    facts = {
        "data": "photographs", "n_samples": 60_000, "description": "Of *cats*.", "license": "mit",
        "repository": "org/cats",
    }  # fmt: skip
    save_pretrained(model, tmp_path, card=facts)
    text = (tmp_path / "README.md").read_text()
    assert "# ITQ, 12 bits\n\nOf *cats*.\n" in text
    assert "Learned from 60,000 items of photographs." in text
    assert "vectors of 20 numbers into binary codes of 12 bits" in text
    assert "Gong and Lazebnik 2011, CVPR" in text
    assert 'from_pretrained("org/cats")' in text
    assert "The model: mit." in text
    assert '| ITQ | rotation | `"learned"` |' in text


def test_a_card_of_a_method_with_another_distance_says_so(tmp_path):
    save_pretrained(get_method("sph")(8, random_state=0).fit(VECTORS), tmp_path)
    assert "compared by the Spherical distance" in (tmp_path / "README.md").read_text()


@pytest.mark.parametrize("kind", ["vectors", "pixels", "texts"])
def test_the_python_of_a_card_runs(tmp_path, monkeypatch, kind):
    model = MODELS[kind]()
    save_pretrained(model, tmp_path)
    monkeypatch.chdir(tmp_path)
    text = (tmp_path / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names = {}
    exec(code, names)
    np.testing.assert_array_equal(names["codes"], encode(model, names["X"]))
    assert len(names["codes"]) == 2


def test_the_shell_of_a_card_runs(tmp_path, monkeypatch, model):
    save_pretrained(model, tmp_path)
    monkeypatch.chdir(tmp_path)
    np.save("items.npy", VECTORS)
    np.save("new.npy", VECTORS[:2])
    text = (tmp_path / "README.md").read_text()
    (block,) = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    for line in block.splitlines():
        program, *arguments = line.split()
        assert program == "hashlearn"
        ran = CliRunner().invoke(app, arguments)
        assert ran.exit_code == 0, ran.exception
    with np.load("codes.npz") as stored:
        np.testing.assert_array_equal(stored["codes"], model.encode(VECTORS))
    assert "items.npy" not in text.split("```sh")[0]


def digits_run():
    protocol, recipe = Protocol(), SplitRecipe("all", n_queries=100)
    jobs = [Job("itq", 12)]
    (run,) = run_jobs(load_dataset("digits"), jobs, protocol=protocol, recipe=recipe)
    return run


@pytest.fixture(name="benched", scope="module")
def fixture_benched():
    return digits_run()


@pytest.mark.parametrize("form", ["row", "scores", "list"])
def test_scores_become_metadata_and_a_table(tmp_path, benched, form):
    scores = {
        "row": benched.row,
        "scores": benched.scores,
        "list": [benched.scores, json.loads(json.dumps(benched.row))],
    }[form]
    save_pretrained(benched.model, tmp_path, card={"data": "digits"}, scores=scores)
    expected = {
        name: value
        for name, value in benched.scores.as_dict().items()
        if name not in ("n_queries", "n_empty")
    }
    assert len(expected) > 8
    card = ModelCard.load(tmp_path / "README.md")
    found = card.data.eval_results
    assert len(found) == len(expected) * (2 if form == "list" else 1)
    for result in found:
        assert (result.dataset_type, result.dataset_name) == ("digits", "digits")
        assert result.metric_value == expected[result.metric_type]
        assert result.dataset_args == Protocol().as_dict()
    for name, value in expected.items():
        assert f"| {name} | {value:.4f} |" in card.text
    assert "n_queries 100" in card.text
    assert ("commit" in card.text) == (form != "scores")


def test_a_score_that_is_not_defined_is_left_out(tmp_path, model):
    row = {
        "dataset": "noise", "method": "itq", "n_bits": 12, "protocol": {"truth": "labels"},
        "scores": {"mean_average_precision": 0.5, "recall_at_1": float("nan")},
    }  # fmt: skip
    save_pretrained(model, tmp_path, scores=row)
    (result,) = ModelCard.load(tmp_path / "README.md").data.eval_results
    assert (result.metric_type, result.metric_value) == ("mean_average_precision", 0.5)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"card": {"licence": "mit"}}, ValueError, "card takes name, data, .*; got 'licence'"),
        (
            {"card": {"n_samples": "many"}},
            TypeError,
            "n_samples must be a whole number, got 'many'",
        ),
        ({"card": "text"}, TypeError, "card must be a mapping of name, data"),
        ({"scores": 0.5}, TypeError, "rows of bench, got 0.5"),
        ({"scores": [{"dataset": "x"}]}, ValueError, "no method, n_bits, protocol, scores"),
    ],
)
def test_bad_facts_are_refused_before_anything_is_written(tmp_path, model, options, error, message):
    with pytest.raises(error, match=message):
        save_pretrained(model, tmp_path / "folder", **options)
    assert not (tmp_path / "folder").exists()


def test_scores_of_another_model_are_refused(tmp_path, benched):
    with pytest.raises(ValueError, match="itq with 12 bits, the model is lsh with 12"):
        save_pretrained(LSH(12).fit(VECTORS), tmp_path, scores=benched.row)
    with pytest.raises(ValueError, match="itq with 12 bits, the model is itq with 8"):
        save_pretrained(ITQ(8).fit(VECTORS), tmp_path, scores=[benched.row])
    assert list(tmp_path.iterdir()) == []


class ForeignHasher(LSH):
    """A hasher of somebody else."""


def test_what_cannot_be_saved_leaves_a_folder_as_it_was(tmp_path, model):
    save_pretrained(model, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for bad, error in (
        (LSH(8), NotFittedError),
        (ForeignHasher(8).fit(VECTORS), TypeError),
        (make_pipeline(PCA(5), LSH(8)).fit(VECTORS), TypeError),
        (make_pipeline(PCA(5)).fit(VECTORS), TypeError),
    ):
        with pytest.raises(error):
            save_pretrained(bad, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_other_files_of_a_folder_stay_and_a_file_is_no_folder(tmp_path, model):
    (tmp_path / "notes.txt").write_text("mine")
    save_pretrained(model, tmp_path)
    save_pretrained(model, tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    with pytest.raises(NotADirectoryError, match=r"notes\.txt is a file"):
        save_pretrained(model, tmp_path / "notes.txt")


def change(**changes):
    def apply(folder):
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return apply


def damage(folder):
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), FileNotFoundError, "no config.json in"),
        (lambda folder: (folder / "model.safetensors").unlink(), FileNotFoundError, "no file"),
        (lambda folder: (folder / "config.json").write_text("{"), ValueError, "is damaged"),
        (lambda folder: (folder / "config.json").write_text("[" * 9999), ValueError, "is damaged"),
        (lambda folder: (folder / "config.json").write_bytes(b"\xff"), ValueError, "is damaged"),
        (lambda folder: (folder / "config.json").write_text("[]"), ValueError, "library None, not"),
        (change(library_name="timm"), ValueError, "names the library 'timm', not 'hashlearn'"),
        (change(format=2), ValueError, "format 2; this version .* reads 1: install a newer one"),
        (change(format="1"), ValueError, "has the format '1'"),
        (change(format=True), ValueError, "has the format True"),
        (change(method="lsh"), ValueError, "holds itq with 12 bits, and config.json says lsh"),
        (change(n_bits=8), ValueError, "says itq with 8"),
        (damage, ValueError, "is damaged: the checksum"),
        (
            lambda folder: write_arrays(folder / "model.safetensors", "index", {}, {}),
            ValueError,
            "holds: index; expected: model",
        ),
    ],
)
def test_a_folder_that_is_not_whole_is_refused_in_one_sentence(
    tmp_path, model, spoil, error, message
):
    save_pretrained(model, tmp_path)
    spoil(tmp_path)
    with pytest.raises(error, match=message):
        from_pretrained(tmp_path)


def test_a_configuration_cannot_lead_to_other_files(tmp_path, model):
    save_pretrained(model, tmp_path / "folder")
    save_pretrained(LSH(12).fit(VECTORS), tmp_path / "secret")
    names = ("model", "file", "path", "model_file", "weights", "_name_or_path", "auto_map")
    change(**dict.fromkeys(names, "../secret/model.safetensors"))(tmp_path / "folder")
    assert type(from_pretrained(tmp_path / "folder")) is ITQ


def test_a_model_is_pushed_and_read_from_the_hub(hub, tmp_path, model, benched):
    url = push_to_hub(
        model, "org/codes", token="secret", private=True, commit_message="First",
        card={"data": "noise"}, scores=benched.row,
    )  # fmt: skip
    (commit,) = hub.repositories["org/codes"]
    assert url == f"{hub.address}/org/codes/commit/{commit['sha']}"
    assert commit["summary"] == "First"
    assert set(commit["files"]) == {"model.safetensors", "config.json", "README.md"}
    assert hub.created[0]["organization"] == "org"
    assert hub.created[0].get("private") or hub.created[0].get("visibility") == "private"
    assert "# org/codes" in commit["files"]["README.md"].decode()
    assert 'from_pretrained("org/codes")' in commit["files"]["README.md"].decode()
    loaded = from_pretrained("org/codes", token="secret")
    np.testing.assert_array_equal(loaded.encode(VECTORS), model.encode(VECTORS))
    tokens = {token for _, path, token in hub.asked if "org/codes" in path or "create" in path}
    assert tokens == {"Bearer secret"}
    assert {path.name for path in (tmp_path / "cache").iterdir()} >= {"models--org--codes"}


def test_a_repository_keeps_its_commits_and_each_can_be_read(hub, tmp_path, model):
    other = LSH(12, random_state=0).fit(VECTORS)
    for number, one in enumerate((model, other)):
        push_to_hub(one, "org/codes", card={"name": f"number {number}"})
    first, second = hub.repositories["org/codes"]
    assert len(hub.created) == 1
    assert "# number 1" in second["files"]["README.md"].decode()
    assert type(from_pretrained("org/codes")) is LSH
    assert type(from_pretrained("org/codes", revision=first["sha"])) is ITQ
    again = from_pretrained("org/codes", revision=first["sha"], cache_dir=tmp_path / "elsewhere")
    np.testing.assert_array_equal(again.encode(VECTORS), model.encode(VECTORS))
    assert (tmp_path / "elsewhere" / "models--org--codes").is_dir()


def test_what_was_read_once_is_read_again_without_the_hub(hub, model):
    push_to_hub(model, "org/codes")
    with pytest.raises(FileNotFoundError):
        from_pretrained("org/codes", local_files_only=True)
    from_pretrained("org/codes")
    asked = len(hub.asked)
    loaded = from_pretrained("org/codes", local_files_only=True)
    assert len(hub.asked) == asked
    np.testing.assert_array_equal(loaded.encode(VECTORS), model.encode(VECTORS))


def test_a_cache_that_the_hubs_package_filled_is_enough(tmp_path, model):
    commit = "0123456789" * 4
    repository = tmp_path / "models--org--codes"
    save_pretrained(model, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    loaded = from_pretrained("org/codes", cache_dir=tmp_path, local_files_only=True)
    np.testing.assert_array_equal(loaded.encode(VECTORS), model.encode(VECTORS))
    shutil.rmtree(repository / "refs")
    with pytest.raises(FileNotFoundError):
        from_pretrained("org/codes", cache_dir=tmp_path, local_files_only=True)
    from_pretrained("org/codes", cache_dir=tmp_path, local_files_only=True, revision=commit)


@pytest.mark.usefixtures("hub")
def test_both_files_are_of_one_commit_even_if_another_comes_between(model, monkeypatch):
    push_to_hub(model, "org/codes")
    read = hashlearn.integrations.hub._read_config

    def read_and_push(path):
        push_to_hub(LSH(12).fit(VECTORS), "org/codes")
        return read(path)

    monkeypatch.setattr("hashlearn.integrations.hub._read_config", read_and_push)
    assert type(from_pretrained("org/codes")) is ITQ


def test_a_model_of_another_library_is_not_downloaded(hub):
    files = {"config.json": b'{"library_name": "timm"}', "model.safetensors": b"large"}
    hub.repositories["org/other"] = [{"sha": "a" * 40, "files": files, "summary": ""}]
    with pytest.raises(ValueError, match="names the library 'timm'"):
        from_pretrained("org/other")
    assert not [path for _, path, _ in hub.asked if "model.safetensors" in path]


def test_what_the_hub_does_not_have_is_an_error_of_the_system(hub, model):
    push_to_hub(model, "org/codes")
    hub.repositories["org/empty"] = [{"sha": "a" * 40, "files": {}, "summary": ""}]
    for name, revision in (("org/none", None), ("org/empty", None), ("org/codes", "v2")):
        with pytest.raises(OSError, match="404"):
            from_pretrained(name, revision=revision)


@pytest.mark.parametrize("name", ["org/sub/name", "no such folder", "../up/and/away", ""])
def test_what_is_neither_a_folder_nor_a_repository_is_said_to_be_missing(
    tmp_path, monkeypatch, name
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        FileNotFoundError, match=r"cannot be the name of a repository|no config\.json"
    ):
        from_pretrained(name)


def test_a_file_is_pointed_to_load_and_a_folder_has_no_revision(tmp_path, model):
    save_pretrained(model, tmp_path)
    with pytest.raises(NotADirectoryError, match=r"hashlearn\.load"):
        from_pretrained(tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="a folder, which has no revision 'main'"):
        from_pretrained(tmp_path, revision="main")


def test_a_name_that_the_hub_does_not_allow_creates_nothing(hub, model):
    for name in ("org/a/b", "org/--bad--", "org/.git"):
        with pytest.raises(ValueError, match=r"."):
            push_to_hub(model, name)
    assert hub.created == []


def test_what_cannot_be_saved_creates_no_repository(hub):
    with pytest.raises(NotFittedError):
        push_to_hub(LSH(8), "org/codes")
    assert hub.asked == []


@pytest.mark.usefixtures("without_hub")
def test_without_the_hubs_package_the_extra_is_named(model):
    with pytest.raises(ImportError, match=r"pushing a model needs .*'hashlearn\[hub\]'"):
        push_to_hub(model, "org/codes")
    with pytest.raises(ImportError, match=r"there is no folder org/codes; .*'hashlearn\[hub\]'"):
        from_pretrained("org/codes")


def test_importing_the_integration_loads_neither_the_hubs_package_nor_torch():
    program = "import sys, hashlearn.integrations.hub; print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not {"huggingface_hub", "torch"} & set(ran.stdout.split())


def test_the_lines_of_the_readme_run(hub, tmp_path, monkeypatch):
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```pycon\n(.*?)```", readme, re.DOTALL)
    (block,) = (block for block in blocks if "push_to_hub" in block)
    monkeypatch.chdir(tmp_path)
    itq = ITQ(12, random_state=0).fit(VECTORS)
    names = {"itq": itq}
    exec(re.sub(r"^>>> ", "", block, flags=re.MULTILINE), names)
    assert names["itq"] is not itq
    assert len(hub.repositories["org/name"]) == 1
    assert {"digits.onnx", "digits-itq"} <= {path.name for path in tmp_path.iterdir()}


def test_a_named_protocol_is_told_in_full(tmp_path, benched):
    row = benched.row | {"protocol": get_protocol("cifar10-10k-at-1000").as_dict()}
    save_pretrained(benched.model, tmp_path, scores=row)
    assert 'cutoff 1000, denominator "hits"' in (tmp_path / "README.md").read_text()
