"""TBH: twin bottlenecks, codes that say what is near and values that are averaged over it."""

from numbers import Integral, Real
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_scalar
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from hashlearn._training import Training, Workers, seeded, warn_of_equal_codes
from hashlearn.generative.gan import discriminator_loss, generator_loss
from hashlearn.generative.networks import bound, make_encoder, make_generator
from hashlearn.hashers.base import FloatArray
from hashlearn.hashers.deep._images import ImageHasher, bits_of, learn_statistics, values_of

_CRITIC_WIDTH = 8
"""An eighth of the units of a critic's hidden layer."""

_LEAST_SHARE = 1e-6
"""Of bits that are the same, below which rounding may go, and powers below 1 have no slope."""


class TBH(ImageHasher):
    r"""Autoencode items through values that are averaged over a graph of their codes.

    An encoder gives log odds :math:`l` of the :math:`r` bits of an item and continuous values
    :math:`z \in (0, 1)^m`, the twin bottlenecks. In training bits are drawn,
    :math:`b_k = [\sigma(l_k) \ge \xi_k]` with :math:`\xi_k` uniform in [0, 1], and the derivative
    by the bit stands for the one by :math:`\sigma(l_k)`, as in SGH. The codes of a batch make a
    graph, whose edges weigh :math:`A`, and a layer of graph convolution averages the values over it
    [1]_:

    .. math:: A_{ij} = \Bigl( 1 - \frac{d_H(b_i, b_j)}{r} \Bigr)^p, \qquad
              z' = \sigma \bigl( D^{-1/2} A D^{-1/2} (z W^T + c) \bigr), \qquad
              D_{ii} = \textstyle\sum_j A_{ij},

    :math:`d_H` being Hamming's distance. A decoder draws the items :math:`\hat x` from :math:`z'`.
    Only if near codes are those of like items does the average keep what the decoder needs. Two
    critics tell the bits from fair coins and :math:`z'` from values uniform in [0, 1], so that both
    bottlenecks are used to the full. With their log odds :math:`c_b` and :math:`c_z`, all other
    networks minimise

    .. math:: E \frac1d \|x - \hat x\|^2
              + \lambda E \bigl[ -\log \sigma(c_b(b)) - \log \sigma(c_z(z')) \bigr],

    and the critics :math:`E[-\log \sigma(c(y))] + E[-\log (1 - \sigma(c(b)))]` over the coins
    :math:`y`, and likewise for :math:`z'`.

    Parameters
    ----------
    n_bits : int, default=32
        Length of the code :math:`r`.
    n_latent : int, default=64
        Continuous values :math:`m`. Paper: 512 (released code).
    power : float, default=20.0
        :math:`p`. Larger values average over nearer codes only. Paper: 1; released code: 1.4.
    adversary_weight : float, default=0.3
        :math:`\lambda`. Larger values make bits even and independent and :math:`z'` uniform, and
        items less like the originals.
    width : int, default=32
        Channels of the layer next to the image; each further one has twice as many. For vectors,
        an eighth of the units of a hidden layer. Paper: 1,024 units.
    depth : int, optional
        Hidden layers of encoder and decoder. Default: 2 for images, 1 for vectors. Paper: 1, on
        features of a network.
    image_shape : tuple of int, optional
        (height, width) or (height, width, channels) of images that come as rows.
    n_steps : int, default=1500
        Steps of all networks. Paper: 100,000 (released code).
    batch_size : int, default=128
        Items a step, which are the graph. Paper: 400 (released code).
    lr : float, default=0.003
        Step size of Adam, which falls to 0 along a line; not that of the critics, which keep up.
        Paper: 0.0001 (released code).
    checkpoint : path-like, optional
        File to keep the state of the training in, and to go on from if it is there.
    device : str, default="auto"
        PyTorch device; ``"auto"`` takes a GPU if there is one.
    random_state : int, RandomState instance or None, default=None
        Seed of the networks, the batches and the bits.

    Attributes
    ----------
    layers_ : dict of str to ndarray, float32
        The encoder of the bits.
    history_ : dict of str to ndarray of shape (n_steps,), float32
        Per step: ``"reconstruction"``, and ``"bits"`` and ``"values"``, the two adversarial terms
        without their weight; ``"critics"``, the loss of these; ``"balance"``, the mean of
        :math:`|E b_k - 1/2|` over the bits; and ``"spread"``, the mean variance of :math:`z'_k`
        over the batch, which is 1/12 where it is uniform.
    item_shape_ : tuple of int
        Shape of an item: (height, width), (height, width, channels) or (d,).
    item_dtype_ : str
        Kind of the numbers in ``fit``.
    shift_ : ndarray of shape (1,) or (d,), float32
        What is subtracted from a row.
    scale_ : float
        What the difference is divided by.
    n_features_in_ : int
        Numbers of an item.

    Notes
    -----
    On 1,000 queries held out of CIFAR-10's training images, each 256 numbers of a network, codes of
    32 bits find images of the same label among 49,000 with a mean average precision of 0.51 in the
    first 1,000 (16 bits: 0.44, 64 bits: 0.53). That is more than LSH's 0.37 (0.31, 0.47) and less
    than ITQ's 0.58 (0.55, 0.60). Without critics it is 0.47, with the power of the released code
    0.45.

    Differences from the paper:

    1. The released code adds the squared differences of all features of all items, beside which
       adversarial terms are nothing. Here all are means, so that :math:`\lambda` means something.
    2. A critic has a hidden layer. One linear layer sees means only, and a constant 1/2 is as good
       as uniform to it.
    3. The decoder ends linearly for vectors, which are scaled and may be below 0, and with tanh
       for images. The released code draws features of a network, never below 0, by a rectifier.
    4. The power of the graph. With 1 two codes that have nothing to do with each other weigh half
       as much as equal ones: a batch's average differs little from item to item.
    5. Codes are those of the encoder at the end. The released code keeps those that were made
       during training.

    Fit takes O(n_steps batch_size (w + batch_size (r + m))), w the cost of an item in all networks;
    encoding an item that of the encoder.

    References
    ----------
    .. [1] Y. Shen et al., 2020, "Auto-encoding twin-bottleneck hashing", CVPR.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(100, 8))
    >>> hasher = TBH(n_bits=4, width=4, n_steps=50, random_state=0).fit(X)
    >>> hasher.encode(X).shape
    (100, 1)
    """

    history_: dict[str, FloatArray]

    def __init__(
        self,
        n_bits: int = 32,
        *,
        n_latent: int = 64,
        power: float = 20.0,
        adversary_weight: float = 0.3,
        width: int = 32,
        depth: int | None = None,
        image_shape: tuple[int, ...] | None = None,
        n_steps: int = 1500,
        batch_size: int = 128,
        lr: float = 0.003,
        checkpoint: Any = None,
        device: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.n_bits = n_bits
        self.n_latent = n_latent
        self.power = power
        self.adversary_weight = adversary_weight
        self.width = width
        self.depth = depth
        self.image_shape = image_shape
        self.n_steps = n_steps
        self.batch_size = batch_size
        self.lr = lr
        self.checkpoint = checkpoint
        self.device = device
        self.random_state = random_state

    def _fit(
        self,
        X: FloatArray,
        y: NDArray[Any] | None,  # noqa: ARG002
        rng: np.random.RandomState,
    ) -> None:
        self._check_parameters()
        self._learn_scale(X)
        workers = Workers(self.device)
        with seeded(rng, workers.device):
            networks = self._build().to(workers.device)
            data = self._tensor(X).to(workers.device)
            self.history_ = self._train(networks, data, workers).history()
            encoder = cast(nn.Sequential, networks["encoder"])
            learn_statistics(encoder, data)
        self._keep_network(encoder)
        warn_of_equal_codes(
            bits_of(values_of(encoder, data[:1000])), "try a larger adversary_weight or smaller lr"
        )

    def _build(self) -> nn.ModuleDict:
        shape, m = self._tensor_shape, self.n_latent
        depth = self._depth_or(1)
        encoder = make_encoder(shape, self.n_bits, width=self.width, depth=depth)
        last = cast(nn.Linear, encoder[-1])
        nn.init.zeros_(last.bias)  # bits begin even
        return nn.ModuleDict(
            {
                "encoder": encoder,
                "latent": nn.Linear(last.in_features, m),
                "graph": nn.Linear(m, m),
                "decoder": make_generator(
                    shape, m, width=self.width, depth=depth, normalize=len(shape) == 3
                ),
                "bit_critic": make_encoder((self.n_bits,), 1, width=_CRITIC_WIDTH, depth=1),
                "value_critic": make_encoder((m,), 1, width=_CRITIC_WIDTH, depth=1),
            }
        )

    def _train(self, networks: nn.ModuleDict, data: Tensor, workers: Workers) -> Training:
        E, to_latent, to_graph, G, c_b, c_z = networks.values()
        E = cast(nn.Sequential, E)
        actors = nn.ModuleList([E, to_latent, to_graph, G])
        critics = nn.ModuleList([c_b, c_z])
        optimisers = {
            name: torch.optim.Adam(part.parameters(), self.lr, betas=(0.5, 0.999))
            for name, part in (("actors", actors), ("critics", critics))
        }
        training = self._training(networks, optimisers, workers, data)
        n_items = max(2, workers.share(min(self.batch_size, len(data))))
        for step in training.steps(self.n_steps, "TBH"):
            optimisers["actors"].param_groups[0]["lr"] = self.lr * (1 - step / self.n_steps)
            rows = torch.randint(len(data), (n_items,), device=data.device)
            x = data.index_select(0, rows)
            features = E[:-1](x)
            b = draw_bits(E[-1](features))
            z = average(
                to_graph(to_latent(features).sigmoid()), code_graph(b, self.power)
            ).sigmoid()

            coins = torch.randint(2, b.shape, device=data.device).float()
            c_loss = discriminator_loss(c_b(coins), c_b(b.detach()))
            c_loss = c_loss + discriminator_loss(c_z(torch.rand_like(z)), c_z(z.detach()))
            optimisers["critics"].zero_grad()
            c_loss.backward()
            workers.average_gradients(critics)
            optimisers["critics"].step()

            losses = {
                "reconstruction": mse_loss(bound(G(z)), x),
                "bits": generator_loss(c_b(b), "non-saturating"),
                "values": generator_loss(c_z(z), "non-saturating"),
            }
            adversary = losses["bits"] + losses["values"]
            optimisers["actors"].zero_grad()
            (losses["reconstruction"] + self.adversary_weight * adversary).backward()
            workers.average_gradients(actors)
            optimisers["actors"].step()
            training.record(
                critics=c_loss,
                balance=(b.mean(dim=0) - 0.5).abs().mean(),
                spread=z.var(dim=0).mean(),
                **losses,
            )
        return training

    def _check_parameters(self) -> None:
        for name in ("power", "adversary_weight"):
            check_scalar(getattr(self, name), name, Real, min_val=0)
        if self.depth is not None:
            check_scalar(self.depth, "depth", Integral, min_val=1)
        for name in ("n_latent", "width", "n_steps"):
            check_scalar(getattr(self, name), name, Integral, min_val=1)
        check_scalar(self.batch_size, "batch_size", Integral, min_val=2)
        check_scalar(self.lr, "lr", Real, min_val=0, include_boundaries="neither")


def draw_bits(logits: Tensor) -> Tensor:
    r"""Draw bits, with the slope of their probabilities.

    Parameters
    ----------
    logits : Tensor of shape (n, r), float32
        Log odds of the bits.

    Returns
    -------
    Tensor of shape (n, r), float32
        Bits 0/1: :math:`[\sigma(l) \ge \xi]`, :math:`\xi` uniform in [0, 1]. Derivatives by them
        are handed on to the probabilities :math:`\sigma(l)` as they are.
    """
    p = logits.sigmoid()
    return (p >= torch.rand_like(p)).to(p.dtype) + (p - p.detach())  # the difference is 0


def code_graph(b: Tensor, power: float) -> Tensor:
    r"""Compute how much codes have in common.

    Parameters
    ----------
    b : Tensor of shape (n, r), float32
        Bits 0/1.
    power : float
        :math:`p`.

    Returns
    -------
    Tensor of shape (n, n), float32
        :math:`A`, the share of bits that are the same, to the power :math:`p`.
    """
    signs = 2 * b - 1
    return (0.5 + signs @ signs.T / (2 * b.shape[1])).clamp(min=_LEAST_SHARE).pow(power)


def average(values: Tensor, A: Tensor) -> Tensor:
    r"""Average values over a graph.

    Parameters
    ----------
    values : Tensor of shape (n, m), float32
        Values of the items.
    A : Tensor of shape (n, n), float32
        Weights of the edges, symmetric, none below 0.

    Returns
    -------
    Tensor of shape (n, m), float32
        :math:`D^{-1/2} A D^{-1/2}` times the values, :math:`D` the diagonal matrix of the sums of
        the rows of :math:`A`.
    """
    scale = A.sum(dim=1, keepdim=True).rsqrt()
    return scale * (A @ (scale * values))
