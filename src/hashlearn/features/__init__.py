"""Station 2: from items to vectors. A table of scikit-learn transformers, some of them ours."""

from typing import Any

from sklearn.preprocessing import Normalizer, StandardScaler

from hashlearn.features.pixels import Pixels

__all__ = ["Pixels", "feature_classes", "make_features"]

_FEATURES: dict[str, Any] = {
    "pixels": Pixels,
    "standardize": StandardScaler,
    "l2": Normalizer,
}


def make_features(names: str) -> list[Any]:
    """Make the transformers that a comma-separated list names.

    Parameters
    ----------
    names : str
        ``"pixels"`` (images to centred rows), ``"standardize"`` (mean 0 and variance 1 for each
        feature), ``"l2"`` (rows of length 1), or several in their order, as ``"pixels,l2"``. An
        empty string or ``"none"`` names nothing.

    Returns
    -------
    list of transformers
        Unfitted, in their order.

    Raises
    ------
    ValueError
        If a name is unknown.

    Examples
    --------
    >>> make_features("pixels,l2")
    [Pixels(), Normalizer()]
    """
    if names in ("", "none"):
        return []
    transformers = []
    for name in names.split(","):
        if name.strip() not in _FEATURES:
            raise ValueError(
                f"unknown features {name!r}; there are: {', '.join(_FEATURES)}, none; "
                "join several by commas"
            )
        transformers.append(_FEATURES[name.strip()]())
    return transformers


def feature_classes() -> dict[str, Any]:
    """List the classes of transformers that a saved model may hold.

    Returns
    -------
    dict of str to type
        Classes by their names.
    """
    return {feature.__name__: feature for feature in _FEATURES.values()}
