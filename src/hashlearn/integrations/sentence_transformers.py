"""Hashers as the last layer of sentence-transformers, whose ``encode`` then gives learned codes."""

import math
from collections.abc import Iterable
from numbers import Real
from typing import TYPE_CHECKING, Any

from sklearn.utils.validation import check_is_fitted

from hashlearn.hashers.base import LinearHasher

_NEEDED = "layers of sentence-transformers need it and torch: pip install 'hashlearn[transformers]'"

try:
    import torch
    from torch import Tensor, nn
except ImportError as error:
    raise ImportError(_NEEDED) from error

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense


def hash_layer(hasher: LinearHasher) -> "Dense":
    """Make a layer of sentence-transformers that computes the values of a linear hasher.

    Parameters
    ----------
    hasher : LinearHasher
        A fitted hasher with ``weights_`` and ``bias_``, such as ITQ, LSH or NeighborMatching. It
        keeps its own weights; training the layer does not change them.

    Returns
    -------
    sentence_transformers.sentence_transformer.modules.Dense
        Layer from embeddings to the values before the sign, in single precision on the CPU.

    Raises
    ------
    ImportError
        If sentence-transformers is not installed.
    TypeError
        If the hasher is not linear.
    sklearn.exceptions.NotFittedError
        If the hasher is not fitted.

    Notes
    -----
    The layer is of a class of sentence-transformers itself, without an activation. A network that
    ends in it is saved and loaded as any other, also where hashlearn is not installed; a class of
    another package would be loaded with ``trust_remote_code=True`` only.
    """
    if not isinstance(hasher, LinearHasher):
        raise TypeError(
            "a layer is made of a linear hasher, one with weights_ and bias_ such as ITQ, LSH or "
            f"NeighborMatching; got {hasher!r}"
        )
    check_is_fitted(hasher)
    try:
        from sentence_transformers.sentence_transformer.modules import Dense
    except ImportError as error:
        raise ImportError(_NEEDED) from error
    n_bits, n_features = hasher.weights_.shape
    return Dense(
        n_features,
        n_bits,
        activation_function=nn.Identity(),
        init_weight=torch.tensor(hasher.weights_),
        init_bias=torch.tensor(hasher.bias_),
    )


def add_hasher(model: "SentenceTransformer", hasher: LinearHasher) -> "SentenceTransformer":
    """Append a fitted hasher to a network of sentence-transformers.

    Parameters
    ----------
    model : SentenceTransformer
        Network whose embeddings the hasher learned from. It is changed; ``model.pop(-1)`` takes the
        hasher out again.
    hasher : LinearHasher
        As for :func:`hash_layer`.

    Returns
    -------
    SentenceTransformer
        `model`. Its ``encode`` gives the values before the sign; with ``precision="ubinary"`` it
        gives packed codes, most significant bit first.

    Raises
    ------
    ImportError
        If sentence-transformers is not installed.
    TypeError
        If the hasher is not linear.
    ValueError
        If the hasher learned from vectors of another length than the network's embeddings, or the
        network truncates what it gives.
    sklearn.exceptions.NotFittedError
        If the hasher is not fitted.

    Notes
    -----
    :func:`hashlearn.codes.swap_bit_order` turns the packed codes into those of ``hasher.encode``.
    Two things may differ. The network adds up in another order, so a value may fall on the other
    side of 0 if it is within rounding of it. And a value of exactly 0 is a bit 0 there, 1 here.

    A hasher that learned from ``encode(..., normalize_embeddings=True)`` needs the network to end
    in a ``Normalize`` before it is appended, if it does not yet.
    """
    layer = hash_layer(hasher)
    if model.truncate_dim is not None:
        raise ValueError(
            f"the network truncates what it gives to {model.truncate_dim} numbers, which would cut "
            "the codes; set its truncate_dim to None and fit the hasher on whole embeddings"
        )
    length = model.get_embedding_dimension()
    if length is not None and length != layer.in_features:
        raise ValueError(
            f"the hasher learned from vectors of {layer.in_features} numbers, the network's "
            f"embeddings have {length}"
        )
    model.append(layer.to(device=model.device, dtype=model.dtype))
    return model


def straight_through_signs(values: Tensor, sharpness: float = 1.0) -> Tensor:
    r"""Take signs whose slope is that of tanh.

    Forward, :math:`b = 1` where :math:`v > 0` and −1 elsewhere. Backward,

    .. math::

        \frac{\partial b}{\partial v} = \frac{s}{\rho} (1 - \tanh^2(s v / \rho)),
        \qquad \rho = \sqrt{\mathrm{mean}(v^2)},

    where :math:`\rho` is held constant.

    Parameters
    ----------
    values : Tensor of shape (n, n_bits), float32
        Values before the sign.
    sharpness : float, default=1.0
        :math:`s`: larger values let fewer values, nearer to 0, be moved.

    Returns
    -------
    Tensor of shape (n, n_bits), float32
        Signs, −1 and 1.
    """
    scale = values.detach().square().mean().sqrt().clamp_min(torch.finfo(values.dtype).tiny)
    soft = torch.tanh(values * (sharpness / scale))
    hard = (values > 0).to(values.dtype) * 2 - 1
    # in this order 0 is added, and the signs stay exactly -1 and 1
    return hard.detach() + (soft - soft.detach())


def balance_penalty(signs: Tensor) -> Tensor:
    r"""Measure how unevenly bits are 0 and 1: the mean over bits of their squared mean.

    .. math:: \frac{1}{r} \sum_j \Big(\frac{1}{n} \sum_i b_{ij}\Big)^2

    Parameters
    ----------
    signs : Tensor of shape (n, n_bits), float32
        Signs, −1 and 1.

    Returns
    -------
    Tensor of shape (), float32
        From 0, every bit is 1 for half of the rows, to 1, all rows are alike.
    """
    return signs.mean(dim=0).square().mean()


def correlation_penalty(signs: Tensor) -> Tensor:
    r"""Measure how much bits repeat one another: the mean over pairs of their squared product.

    .. math:: \frac{1}{r (r - 1)} \sum_{j \ne k} \Big(\frac{1}{n} \sum_i b_{ij} b_{ik}\Big)^2

    Parameters
    ----------
    signs : Tensor of shape (n, n_bits), float32
        Signs, −1 and 1.

    Returns
    -------
    Tensor of shape (), float32
        From 0, no two bits are correlated, to 1, all are the same or opposite; 0 for one bit.
    """
    n_samples, n_bits = signs.shape
    products = (signs.T @ signs / n_samples).square()
    return (products.sum() - products.diagonal().sum()) / max(1, n_bits * (n_bits - 1))


class SignLoss(nn.Module):
    r"""Train a network of sentence-transformers for the signs of what it gives.

    A loss of sentence-transformers, :math:`L`, is computed on the signs :math:`b` of the values
    :math:`v` instead of the values themselves:

    .. math:: L(b) + \lambda L(v) + \beta \, balance(b) + \gamma \, correlation(b)

    with the signs of :func:`straight_through_signs`, :func:`balance_penalty` and
    :func:`correlation_penalty`, over the texts of all columns of a batch.

    Parameters
    ----------
    model : SentenceTransformer
        Network to train, which ends in a layer of :func:`add_hasher`; or that layer alone, if its
        inputs are embeddings that are computed already.
    loss : torch.nn.Module
        Loss of that network, such as ``MultipleNegativesRankingLoss(model)``: one that can tell
        the loss of given embeddings (``compute_loss_from_embeddings``).
    float_weight : float, default=0.0
        :math:`\lambda`: larger values keep the values before the sign good for re-scoring.
    balance_weight : float, default=0.0
        :math:`\beta`.
    correlation_weight : float, default=0.0
        :math:`\gamma`.
    sharpness : float, default=1.0
        As for :func:`straight_through_signs`.

    Raises
    ------
    TypeError
        If the loss cannot tell the loss of given embeddings.
    ValueError
        If the loss is that of another network, a weight is negative, or the sharpness is not
        positive.

    Notes
    -----
    It is used as any loss of sentence-transformers, with ``SentenceTransformerTrainer`` or in a
    loop of one's own. Scaled cosine similarities of signs, as in ``MultipleNegativesRankingLoss``,
    are linear in the Hamming distance :math:`h`: :math:`\cos(b_i, b_k) = 1 - 2 h_{ik} / r`.

    On titles of StackOverflow, with the layer alone trained, codes of 64 and 128 bits became better
    than those of ITQ that it started from and those of 256 worse; the wrapped loss alone did about
    as well (``benchmarks/sentence_codes.py``).

    Losses that compute embeddings in parts (``Cached...``) or inside the network are refused.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: nn.Module,
        *,
        float_weight: float = 0.0,
        balance_weight: float = 0.0,
        correlation_weight: float = 0.0,
        sharpness: float = 1.0,
    ) -> None:
        super().__init__()
        if not hasattr(loss, "compute_loss_from_embeddings"):
            raise TypeError(
                "the loss must be one that has compute_loss_from_embeddings, such as "
                f"MultipleNegativesRankingLoss, CoSENTLoss or TripletLoss; got {loss!r:.80}"
            )
        if getattr(loss, "model", model) is not model:
            raise ValueError("the loss is that of another network than the one to train")
        self.weights = {
            "float_weight": float_weight,
            "balance_weight": balance_weight,
            "correlation_weight": correlation_weight,
        }
        for name, value in {**self.weights, "sharpness": sharpness}.items():
            if not (isinstance(value, Real) and 0 <= value < math.inf):
                raise ValueError(f"{name} must be a number from 0, got {value!r}")
        if sharpness == 0:
            raise ValueError("sharpness must be positive, got 0")
        self.model, self.loss, self.sharpness = model, loss, sharpness

    def forward(self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor) -> Tensor:
        """Compute the loss of a batch.

        Parameters
        ----------
        sentence_features : iterable of dict
            What the network takes, one a column.
        labels : Tensor of shape (n, ...), any dtype
            What `loss` takes.

        Returns
        -------
        Tensor of shape (), float32
            The loss.
        """
        columns = [self.model(features)["sentence_embedding"] for features in sentence_features]
        signs = straight_through_signs(torch.cat(columns), self.sharpness)
        parts = list(signs.split([len(column) for column in columns]))
        total: Tensor = self.loss.compute_loss_from_embeddings(parts, labels)  # type: ignore[operator]
        if weight := self.weights["float_weight"]:
            total = total + weight * self.loss.compute_loss_from_embeddings(columns, labels)  # type: ignore[operator]
        if weight := self.weights["balance_weight"]:
            total = total + weight * balance_penalty(signs)
        if weight := self.weights["correlation_weight"]:
            total = total + weight * correlation_penalty(signs)
        return total

    def get_config_dict(self) -> dict[str, Any]:
        """Say what the loss is, for the card of the trained model.

        Returns
        -------
        dict
            Name of the wrapped loss, weights and sharpness.
        """
        return {"loss": type(self.loss).__name__, **self.weights, "sharpness": self.sharpness}
