"""The small set of handwritten digits that comes with scikit-learn."""

import numpy as np

from hashlearn.data.dataset import Dataset


def load_digits() -> Dataset:
    """Load the 1,797 digits; no file or download is needed.

    Returns
    -------
    Dataset
        `X` uint8 of shape (1797, 8, 8) with values from 0 to 16, `y` int64, no published split.

    Examples
    --------
    >>> load_digits()
    Dataset('digits', X (1797, 8, 8) uint8, y (1797,) int64)
    """
    from sklearn import datasets

    bunch = datasets.load_digits()
    return Dataset(
        name="digits",
        X=bunch.images.astype(np.uint8),
        y=bunch.target,
        label_names=tuple("0123456789"),
        source="scikit-learn; the test part of Alpaydin, Kaynak: Optical Recognition of "
        "Handwritten Digits, UCI, 1998",
    )
