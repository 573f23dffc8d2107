"""Models in folders and repositories as the Hugging Face Hub expects them."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sklearn.utils.validation import check_is_fitted

from hashlearn import models
from hashlearn.encoding import item_kind
from hashlearn.evaluation import Scores
from hashlearn.hashers import methods
from hashlearn.hashers.base import Hasher
from hashlearn.integrations.card import check_card, evaluations_of, make_card
from hashlearn.models import Model, hasher_of
from hashlearn.storage import FORMAT as FILE_FORMAT
from hashlearn.storage import read_arrays, replacing

FORMAT = 1
"""Number of the conventions of a folder: its files and what ``config.json`` says."""

MODEL, CONFIG, CARD = "model.safetensors", "config.json", "README.md"

_LIBRARY = "hashlearn"
_REPOSITORY = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)


def save_pretrained(
    model: Model,
    folder: str | os.PathLike[str],
    *,
    card: Mapping[str, Any] | None = None,
    scores: Scores | Mapping[str, Any] | Sequence[Scores | Mapping[str, Any]] | None = None,
) -> None:
    """Write a fitted model into a folder as the Hub expects it; needs no further package.

    The folder gets ``model.safetensors``, the file of :func:`hashlearn.save`; ``config.json``, what
    it is in words that other programs read; and ``README.md``, its model card.

    Parameters
    ----------
    model : Hasher or Pipeline
        A fitted hasher, or a pipeline of this library's features that ends in one.
    folder : path-like
        Folder, made where it is missing. Its other files stay; these three are replaced, a card
        that was edited too.
    card : mapping, default=None
        What the card shall say that the model does not know, any of: ``"name"``; ``"data"``, the
        name of what it learned from; ``"n_samples"``, how many items; ``"license"`` of the model,
        as the Hub writes it (``"mit"``); ``"description"``, Markdown; and ``"repository"``, the
        name that the lines for use shall have.
    scores : Scores or mapping or sequence of these, default=None
        What :func:`hashlearn.evaluate` gave, or rows that ``hashlearn bench`` wrote for this
        method and length of code.

    Raises
    ------
    TypeError
        If a step of the pipeline is not of this library's tables, or a score is of another kind.
    ValueError
        If the card holds another key, or a row is of another method or length of code.
    NotADirectoryError
        If `folder` is a file.
    sklearn.exceptions.NotFittedError
        If the model is not fitted.

    Notes
    -----
    Each file is replaced whole, the folder is not: whoever reads it while it is replaced may see
    the files of two models.

    Examples
    --------
    >>> import tempfile
    >>> import hashlearn, numpy as np
    >>> X = np.random.default_rng(0).normal(size=(100, 8))
    >>> itq = hashlearn.get_method("itq")(n_bits=8, random_state=0).fit(X)
    >>> folder = tempfile.mkdtemp()
    >>> save_pretrained(itq, folder, card={"data": "noise", "n_samples": 100})
    >>> bool((from_pretrained(folder).encode(X) == itq.encode(X)).all())
    True
    """
    target = Path(folder)
    if target.exists() and not target.is_dir():
        raise NotADirectoryError(f"{target} is a file; a model is saved in a folder")
    hasher = hasher_of(model)
    kind = (type(hasher).__module__, type(hasher).__name__)
    if kind not in {(method.module, method.class_name) for method in methods()}:
        raise TypeError(f"the last step must be a hasher of the table, got {hasher!r}")
    check_is_fitted(hasher)
    facts = check_card(card)
    found = evaluations_of(scores, _method(hasher), hasher.n_bits, facts.get("data"))
    target.mkdir(parents=True, exist_ok=True)
    with replacing(target / MODEL) as temporary:
        models.save(model, temporary)
        config = _describe(model, temporary)
        text = make_card(config, hasher.distance, facts, found)
    for name, content in ((CARD, text), (CONFIG, json.dumps(config, indent=2) + "\n")):
        with replacing(target / name) as temporary:
            temporary.write_text(content, encoding="utf-8", newline="\n")


def from_pretrained(
    name_or_folder: str | os.PathLike[str],
    *,
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
) -> Model:
    """Read a fitted model from a folder of :func:`save_pretrained` or a repository of the Hub.

    Parameters
    ----------
    name_or_folder : str or path-like
        A folder, or else the name of a repository, as ``"org/name"``.
    revision : str, default=None
        Branch, tag or commit of the repository; None is its main branch. A folder has none.
    cache_dir : path-like, default=None
        Folder for what is downloaded; None is that of huggingface_hub.
    token : str or bool, default=None
        Access token for the Hub; None takes the one that is stored, False none at all.
    local_files_only : bool, default=False
        Whether to take only what was downloaded before.

    Returns
    -------
    Hasher or Pipeline
        What was saved; its codes are the same.

    Raises
    ------
    FileNotFoundError
        If there is neither such a folder nor can it be the name of a repository, a file is missing
        in the folder, or, of local files only, it was not downloaded before.
    NotADirectoryError
        If it is a file.
    OSError
        If the Hub cannot be reached, or has no such repository, revision or file.
    ValueError
        If a revision of a folder was asked for; or the model is of another library, damaged or of
        a newer format, or is not what ``config.json`` says.
    ImportError
        If a repository is named and huggingface_hub is not installed, or the method needs an extra
        that is not installed.

    Notes
    -----
    Of a repository, two files of fixed names and of one commit are downloaded, ``config.json``
    first: a model of another library is not. Nothing is unpickled, and no code of a repository
    runs.
    """
    folder = Path(name_or_folder)
    if folder.is_dir():
        if revision is not None:
            raise ValueError(f"{folder} is a folder, which has no revision {revision!r}")
        config = _read_config(folder / CONFIG)
        return _read_model(folder / MODEL, config)
    if folder.is_file():
        raise NotADirectoryError(f"{folder} is a file; read it by hashlearn.load")
    name = str(name_or_folder)
    if not _REPOSITORY.fullmatch(name):
        raise FileNotFoundError(
            f"there is no folder {name}, and it cannot be the name of a repository, as org/name"
        )
    download = _import_hub(f"there is no folder {name}; a repository of that name").hf_hub_download
    options = {
        "cache_dir": cache_dir, "token": token, "local_files_only": local_files_only,
        "library_name": _LIBRARY, "library_version": version(_LIBRARY),
    }  # fmt: skip
    found = Path(download(name, CONFIG, revision=revision, **options))
    config = _read_config(found)
    commit = found.parent.name  # of the cache: snapshots/COMMIT/config.json
    return _read_model(Path(download(name, MODEL, revision=commit, **options)), config)


def push_to_hub(
    model: Model,
    repo_id: str,
    *,
    private: bool | None = None,
    token: str | bool | None = None,
    commit_message: str = "Upload a hashlearn model",
    revision: str | None = None,
    card: Mapping[str, Any] | None = None,
    scores: Scores | Mapping[str, Any] | Sequence[Scores | Mapping[str, Any]] | None = None,
) -> str:
    """Put a fitted model into a repository of the Hub, which is made where it is missing.

    Parameters
    ----------
    model : Hasher or Pipeline
        As for :func:`save_pretrained`.
    repo_id : str
        Name of the repository, as ``"org/name"``. Files of these names in it are replaced, a card
        that was edited too.
    private : bool, default=None
        Whether a repository that is made can be seen by its owners only; None is what the Hub does
        by itself. One that is there stays as it is.
    token : str or bool, default=None
        Access token that may write; None takes the one that is stored.
    commit_message : str, default="Upload a hashlearn model"
        What the commit says.
    revision : str, default=None
        Branch, which must be there; None is the main branch.
    card : mapping, default=None
        As for :func:`save_pretrained`. The name is the repository's unless it is given.
    scores : Scores or mapping or sequence of these, default=None
        As for :func:`save_pretrained`.

    Returns
    -------
    str
        Address of the commit.

    Raises
    ------
    ImportError
        If huggingface_hub is not installed.
    TypeError
        If the model cannot be saved, or a score is of another kind.
    ValueError
        If the name of the repository, the card or a row is not allowed.
    OSError
        If the Hub cannot be reached or refuses.
    sklearn.exceptions.NotFittedError
        If the model is not fitted.
    """
    hub = _import_hub("pushing a model")
    api = hub.HfApi(token=token, library_name=_LIBRARY, library_version=version(_LIBRARY))
    with TemporaryDirectory() as folder:
        facts = {"name": repo_id, **check_card(card), "repository": repo_id}
        save_pretrained(model, folder, card=facts, scores=scores)
        api.create_repo(repo_id, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo_id, folder_path=folder, commit_message=commit_message, revision=revision
        )
    return str(commit.commit_url)


def _describe(model: Model, path: Path) -> dict[str, Any]:
    """Say what a saved model is, its parameters as the file has them."""
    hasher = hasher_of(model)
    first = models.steps_of(model)[0]
    shape = getattr(first, "image_shape_", getattr(first, "item_shape_", None))
    n_features = getattr(first, "n_features_in_", None)
    if shape is None and n_features is not None:
        shape = (n_features,)
    header, _ = read_arrays(path, "model", mmap=True)
    return {
        "library_name": _LIBRARY,
        "library_version": version(_LIBRARY),
        "format": FORMAT,
        "file_format": FILE_FORMAT,
        "method": _method(hasher),
        "n_bits": int(hasher.n_bits),
        "n_features": int(hasher.n_features_in_),  # of the hasher, behind its features
        "item_kind": item_kind(first),
        "item_shape": None if shape is None else [int(side) for side in shape],  # None: any
        "steps": [{"class": step["class"], "params": step["params"]} for step in header["steps"]],
    }


def _read_config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path.name} in {path.parent}: no model of hashlearn")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if not isinstance(config, dict) or config.get("library_name") != _LIBRARY:
        named = config.get("library_name") if isinstance(config, dict) else None
        raise ValueError(f"{path} names the library {named!r}, not {_LIBRARY!r}")
    number = config.get("format")
    if type(number) is not int or number < 1:
        raise ValueError(f"{path} has the format {number!r}; this version reads {FORMAT}")
    if number > FORMAT:
        raise ValueError(
            f"{path} has the format {number}; this version of hashlearn reads {FORMAT}: install a "
            "newer one"
        )
    return config


def _read_model(path: Path, config: Mapping[str, Any]) -> Model:
    model = models.load(path)
    hasher = hasher_of(model)
    held, said = (_method(hasher), hasher.n_bits), (config.get("method"), config.get("n_bits"))
    if held != said:
        raise ValueError(
            f"{path} holds {held[0]} with {held[1]} bits, and {CONFIG} says {said[0]} with "
            f"{said[1]}: the files are of two models"
        )
    return model


def _method(hasher: Hasher) -> str:
    return type(hasher).__name__.lower()


def _import_hub(what: str) -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise ImportError(f"{what} needs huggingface_hub: pip install 'hashlearn[hub]'") from error
    return huggingface_hub
