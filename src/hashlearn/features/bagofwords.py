"""Texts to counts of words."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.utils import Tags, check_scalar
from sklearn.utils.validation import check_is_fitted

Texts = Sequence[str] | NDArray[np.object_]


class BagOfWords(TransformerMixin, BaseEstimator):
    """Count the words of texts.

    A word is two or more letters or digits, in lower case. Of the words of the training texts those
    that occur most often are kept.

    Parameters
    ----------
    n_terms : int, default=10000
        Most words to keep.
    min_df : int, default=2
        Number of training texts that a word must occur in.
    stop_words : {"english", None}, default="english"
        Words that say nothing about the subject, which are left out.

    Attributes
    ----------
    vocabulary_ : list of str
        The words that are counted, in alphabetical order.

    Notes
    -----
    The matrix stays sparse: of 10,000 columns a post of 20 Newsgroups fills 60. Methods that take
    dense vectors only need something after it, such as :class:`~hashlearn.features.Topics`.
    `vocabulary_` is a list, not a dictionary of columns: it is saved as text.

    Examples
    --------
    >>> words = BagOfWords(min_df=1).fit(["the red rose", "the blue violet", "a red violet"])
    >>> words.vocabulary_
    ['blue', 'red', 'rose', 'violet']
    >>> words.transform(["red, red roses"]).toarray()
    array([[0., 2., 0., 0.]], dtype=float32)
    """

    vocabulary_: list[str]

    def __init__(
        self,
        *,
        n_terms: int = 10_000,
        min_df: int = 2,
        stop_words: Literal["english"] | None = "english",
    ) -> None:
        self.n_terms = n_terms
        self.min_df = min_df
        self.stop_words = stop_words

    def fit(self, X: Texts, y: Any = None) -> Self:  # noqa: ARG002
        """Choose the words to count.

        Parameters
        ----------
        X : sequence of str or ndarray of shape (n,), str
            Training texts.
        y : None
            Ignored.

        Returns
        -------
        Self
            The fitted transformer.

        Raises
        ------
        TypeError
            If a parameter has the wrong type, or `X` is one text.
        ValueError
            If `X` does not hold texts, no word is left, or a parameter is out of range.
        """
        check_scalar(self.n_terms, "n_terms", Integral, min_val=1)
        check_scalar(self.min_df, "min_df", Integral, min_val=1)
        if self.stop_words not in ("english", None):
            raise ValueError(f'stop_words must be "english" or None, got {self.stop_words!r}')
        texts = _check_texts(X)
        if self.min_df > len(texts):
            raise ValueError(f"min_df={self.min_df} is more than there are texts, {len(texts)}")
        counter = CountVectorizer(
            max_features=self.n_terms, min_df=self.min_df, stop_words=self.stop_words
        )
        self.vocabulary_ = sorted(counter.fit(texts).vocabulary_)
        return self

    def transform(self, X: Texts) -> csr_matrix:
        """Count.

        Parameters
        ----------
        X : sequence of str or ndarray of shape (n,), str
            Texts.

        Returns
        -------
        scipy.sparse.csr_matrix of shape (n, n_words), float32
            How often each word occurs in each text.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If ``fit`` was not called.
        TypeError
            If `X` is one text.
        ValueError
            If `X` does not hold texts.
        """
        check_is_fitted(self)
        counter = CountVectorizer(
            vocabulary=self.vocabulary_, stop_words=self.stop_words, dtype=np.float32
        )
        return counter.transform(_check_texts(X))

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:  # noqa: ARG002
        """Name the columns of the output.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        ndarray of shape (n_words,), object
            The words.
        """
        check_is_fitted(self)
        return np.array(self.vocabulary_, dtype=object)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.transformer_tags.preserves_dtype = []
        return tags


def _check_texts(X: Texts) -> list[str]:
    """Refuse what is not a list of texts: vectors, pictures, or one text taken for many."""
    if isinstance(X, str):
        raise TypeError(f"a bag of words takes a list of texts, got one text: {X[:40]!r}")
    texts = list(X)
    if not texts:
        raise ValueError("a bag of words takes at least one text, got none")
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(
                f"a bag of words takes texts, got {type(text).__name__} in row {row}; for vectors "
                "and images choose other features"
            )
    return texts
