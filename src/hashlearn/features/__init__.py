"""Station 2: from items to vectors. A table of scikit-learn transformers, some of them ours."""

from typing import Any

from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.preprocessing import Normalizer, StandardScaler

from hashlearn.features.backbone import Backbone
from hashlearn.features.bagofwords import BagOfWords
from hashlearn.features.gist import Gist
from hashlearn.features.onnxbackbone import OnnxBackbone
from hashlearn.features.pixels import Pixels
from hashlearn.features.sentencetransformersbackbone import SentenceTransformersBackbone
from hashlearn.features.topics import Topics
from hashlearn.features.transformersbackbone import TransformersBackbone

__all__ = [
    "Backbone", "BagOfWords", "Gist", "OnnxBackbone", "Pixels", "SentenceTransformersBackbone",
    "Topics", "TransformersBackbone", "feature_classes", "make_features",
]  # fmt: skip

_FEATURES: dict[str, Any] = {
    "pixels": Pixels,
    "gist": Gist,
    "bagofwords": BagOfWords,
    "tfidf": TfidfTransformer,
    "topics": Topics,
    "onnx": OnnxBackbone,
    "transformers": TransformersBackbone,
    "sentence-transformers": SentenceTransformersBackbone,
    "standardize": StandardScaler,
    "l2": Normalizer,
}
_BACKBONES = {  # and what stands behind their names
    "onnx": "resnet50.onnx",
    "transformers": "facebook/dinov2-small",
    "sentence-transformers": "sentence-transformers/all-MiniLM-L6-v2",
}
_SIZES = {"bagofwords": "n_terms", "topics": "n_topics"}


def make_features(names: str) -> list[Any]:
    """Make the transformers that a comma-separated list names.

    Parameters
    ----------
    names : str
        ``"pixels"`` (images to centred rows), ``"gist"`` (images to GIST descriptors),
        ``"bagofwords"`` (texts to counts of words), ``"tfidf"`` (counts to weights of words, rows
        of length 1), ``"topics"`` (counts to shares of topics), ``"standardize"`` (mean 0 and
        variance 1 for each feature), ``"l2"`` (rows of length 1), or several in their order, as
        ``"pixels,l2"``. Words and topics may be numbered: ``"bagofwords:5000,topics:32"``.
        Pretrained networks, of images or texts, are named with their file, or folder, or name on
        the Hugging Face hub: ``"onnx:networks/resnet50.onnx"``,
        ``"transformers:facebook/dinov2-small"``,
        ``"sentence-transformers:sentence-transformers/all-MiniLM-L6-v2"``; it must not hold a
        comma. An empty string or ``"none"`` names nothing.

    Returns
    -------
    list of transformers
        Unfitted, in their order.

    Raises
    ------
    FileNotFoundError
        If the file or folder of a network is not there.
    ValueError
        If a name is unknown, a number is none or stands behind a name that takes none, or a network
        is not named.

    Examples
    --------
    >>> make_features("pixels,l2")
    [Pixels(), Normalizer()]
    >>> make_features("bagofwords,topics:32")
    [BagOfWords(), Topics(n_topics=32)]
    """
    if names in ("", "none"):
        return []
    transformers = []
    for part in names.split(","):
        name, colon, argument = part.strip().partition(":")
        if name not in _FEATURES:
            raise ValueError(
                f"unknown features {part!r}; there are: {', '.join(_FEATURES)}, none; "
                "join several by commas"
            )
        if name in _BACKBONES:
            transformers.append(_make_backbone(name, argument))
        else:
            transformers.append(_FEATURES[name](**_size(name, argument) if colon else {}))
    return transformers


def feature_classes() -> dict[str, Any]:
    """List the classes of transformers that a saved model may hold.

    Returns
    -------
    dict of str to type
        Classes by their names.
    """
    return {feature.__name__: feature for feature in _FEATURES.values()}


def _size(name: str, size: str) -> dict[str, int]:
    if name not in _SIZES:
        raise ValueError(f"{name} takes no number; those that do: {', '.join(_SIZES)}")
    if not size.isdecimal() or int(size) < 1:
        raise ValueError(f"{name} takes a number as in {name}:64, got {size!r}")
    return {_SIZES[name]: int(size)}


def _make_backbone(name: str, model: str) -> Any:
    if not model:
        raise ValueError(f"{name} takes a network, as in {name}:{_BACKBONES[name]}")
    backbone = _FEATURES[name](model)
    backbone.check_source()
    return backbone
