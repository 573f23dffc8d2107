"""Counts of words to shares of topics."""

from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import LatentDirichletAllocation
from sklearn.utils import Tags, check_scalar
from sklearn.utils.validation import check_is_fitted, validate_data


class Topics(TransformerMixin, BaseEstimator):
    r"""Describe texts by shares of topics: latent Dirichlet allocation [1]_.

    A topic is a distribution over words; a text of :math:`N` words is made by drawing shares
    :math:`\theta` of the topics from a Dirichlet distribution, and each word from a topic drawn by
    these shares. Learned by scikit-learn's variational inference.

    Parameters
    ----------
    n_topics : int, default=64
        Number of topics.
    n_iter : int, default=5
        Passes over the training texts. More fit better; each takes as long as the first.
    prior : float, default=None
        Concentration of the Dirichlet distribution of shares, above 0; small values prefer texts
        of few topics. None is ``1 / n_topics``.
    random_state : int, RandomState instance or None, default=0
        Seed of the first topics. Features are made once for many methods, so that a fixed seed is
        the default.

    Attributes
    ----------
    components_ : ndarray of shape (n_topics, n_words), float32
        Topics: pseudo-counts of words, rows not normalised.
    word_weights_ : ndarray of shape (n_topics, n_words), float32
        Exponential of the expected logarithm of each topic's word probabilities, which inference
        multiplies with.
    n_features_in_ : int
        Number of words.

    References
    ----------
    .. [1] D. Blei, A. Ng and M. Jordan, 2003, "Latent Dirichlet allocation", JMLR 3.

    Examples
    --------
    >>> counts = np.array([[3, 2, 0, 0], [4, 1, 0, 0], [0, 0, 2, 2], [0, 0, 5, 1]])
    >>> shares = Topics(n_topics=2).fit_transform(counts)
    >>> shares.shape, shares.dtype
    ((4, 2), dtype('float32'))
    >>> bool(shares[0].argmax() == shares[1].argmax() != shares[2].argmax())
    True
    """

    components_: NDArray[np.float32]
    word_weights_: NDArray[np.float32]
    n_features_in_: int

    def __init__(
        self,
        *,
        n_topics: int = 64,
        n_iter: int = 5,
        prior: float | None = None,
        random_state: Any = 0,
    ) -> None:
        self.n_topics = n_topics
        self.n_iter = n_iter
        self.prior = prior
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: Any = None) -> Self:  # noqa: ARG002
        """Learn the topics.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_words), numeric
            Counts of words in the training texts, at least 0.
        y : None
            Ignored.

        Returns
        -------
        Self
            The fitted transformer.

        Raises
        ------
        TypeError
            If a parameter has the wrong type.
        ValueError
            If `X` is empty, holds NaN, infinity or a number below 0, or a parameter is out of
            range.
        """
        for name in ("n_topics", "n_iter"):
            check_scalar(getattr(self, name), name, Integral, min_val=1)
        if self.prior is not None:
            check_scalar(self.prior, "prior", Real, min_val=0, include_boundaries="neither")
        model = self._model().fit(self._check_counts(X, reset=True))
        self.components_ = model.components_.astype(np.float32)
        self.word_weights_ = model.exp_dirichlet_component_.astype(np.float32)
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Infer the shares of the topics.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_words), numeric
            Counts of words, at least 0.

        Returns
        -------
        ndarray of shape (n, n_topics), float32
            Expected shares; each row sums to 1. A text without known words has equal shares.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If ``fit`` was not called.
        ValueError
            If `X` has another number of columns than in ``fit``, or holds NaN, infinity or a number
            below 0.
        """
        check_is_fitted(self)
        counts = self._check_counts(X, reset=False)
        model = self._model()  # all that inference reads, so that nothing else need be saved
        model.components_ = self.components_
        model.exp_dirichlet_component_ = self.word_weights_
        model.doc_topic_prior_ = 1.0 / self.n_topics if self.prior is None else self.prior
        model.n_features_in_ = self.n_features_in_
        return np.asarray(model.transform(counts), dtype=np.float32)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:  # noqa: ARG002
        """Name the columns of the output.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        ndarray of shape (n_topics,), object
            ``"topic0"``, ``"topic1"``, ...
        """
        return np.array([f"topic{i}" for i in range(self.n_topics)], dtype=object)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def _model(self) -> LatentDirichletAllocation:
        return LatentDirichletAllocation(
            self.n_topics,
            doc_topic_prior=self.prior,
            learning_method="batch",
            max_iter=self.n_iter,
            random_state=self.random_state,
        )

    def _check_counts(self, X: ArrayLike, *, reset: bool) -> Any:
        counts = validate_data(self, X, accept_sparse="csr", dtype=np.float32, reset=reset)
        if counts.min() < 0:
            raise ValueError(
                "Negative values in data passed to Topics: it takes counts of words, such as "
                "bagofwords gives"
            )
        return counts
