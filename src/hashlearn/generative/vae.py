"""VAE: variational autoencoders."""

from math import log
from numbers import Integral, Real
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state, check_scalar
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from hashlearn._training import Training, Workers, seeded
from hashlearn.generative.latent import (
    GaussianModel,
    Likelihood,
    LikelihoodName,
    gaussian_divergence,
    gaussian_posterior,
    likelihood_of,
)
from hashlearn.generative.networks import make_encoder, make_generator

_AT_A_TIME = 1000


class VAE(GaussianModel):
    r"""Encode items to Gaussians and decode draws of them, by a bound of the likelihood.

    Items are thought to be made of latent values :math:`z \sim N(0, I)` by :math:`p(x | z)`, the
    decoder. The encoder gives :math:`q(z | x) = N(\mu(x), diag(\sigma^2(x)))`. For every item

    .. math:: \log p(x) \ge E_q \log p(x | z) - KL(q(z | x) \| N(0, I)),

    and both networks maximise the right side, the evidence lower bound [1]_. Draws are
    :math:`z = \mu + \sigma \epsilon` with :math:`\epsilon \sim N(0, I)`, which lets the gradient
    through, and

    .. math:: KL = \frac{1}{2} \sum_j (\mu_j^2 + \sigma_j^2 - \log \sigma_j^2 - 1).

    Parameters
    ----------
    n_latent : int, default=32
        Values of :math:`z`. Paper: 2 to 200.
    likelihood : {"auto", "bernoulli", "gaussian"}, default="auto"
        :math:`p(x | z)`: of pixels as probabilities, or Gaussian with one learned variance.
        ``"auto"``: the former for images, the latter for vectors.
    beta : float, default=1.0
        Weight of the divergence. Above 1, fewer latent values are used, each for more [2]_; then
        the objective is no bound.
    width : int, default=32
        Channels of the layer next to the image; each further one has twice as many. For vectors,
        an eighth of the units of a hidden layer.
    depth : int, default=2
        Hidden layers of each network. 0, for vectors: both are linear, which is probabilistic
        principal component analysis.
    image_shape : tuple of int, optional
        (height, width) or (height, width, channels) of images that come as rows.
    n_steps : int, default=3000
        Steps of gradient descent.
    batch_size : int, default=128
        Items a step, at least 2. Paper: 100.
    lr : float, default=0.001
        Step size of Adam.
    checkpoint : path-like, optional
        File to keep the state of the training in, and to go on from if it is there.
    device : str, default="auto"
        PyTorch device; ``"auto"`` takes a GPU if there is one.
    random_state : int, RandomState instance or None, default=None
        Seed of the networks, the batches and the draws.

    Attributes
    ----------
    networks_ : dict of str to ndarray
        Parameters of the encoder, its variances, the decoder and the likelihood.
    embedding_ : dict of str to ndarray, float32
        Layers of the encoder.
    samples_ : ndarray of shape (64, ...)
        Items made at the end of ``fit``.
    history_ : dict of str to ndarray of shape (n_steps,), float32
        Per step, means over the batch in nats: ``"reconstruction"``, :math:`E_q \log p(x | z)`;
        ``"divergence"``; ``"elbo"``, the former less the latter. Of scaled items.
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
    Differences from the paper: 1. networks are convolutional for images, rectified and normalised
    over the batch, in place of one hidden layer of tanh; 2. Adam in place of Adagrad; 3. a
    Gaussian decoder has one learned variance in place of one an entry.

    ``sample`` and ``reconstruct`` give the means of :math:`p(x | z)`, the latter at
    :math:`z = \mu(x)`; ``embed`` gives :math:`\mu(x)`.

    A step takes O(batch_size) passes through both networks.

    References
    ----------
    .. [1] D. P. Kingma and M. Welling, 2014, "Auto-encoding variational Bayes", ICLR.
    .. [2] I. Higgins et al., 2017, "beta-VAE: learning basic visual concepts with a constrained
       variational framework", ICLR.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(100, 4))
    >>> model = VAE(2, n_steps=20, width=4, random_state=0).fit(X)
    >>> model.embed(X).shape, model.sample(3).shape
    ((100, 2), (3, 4))
    """

    def __init__(
        self,
        n_latent: int = 32,
        *,
        likelihood: LikelihoodName = "auto",
        beta: float = 1.0,
        width: int = 32,
        depth: int = 2,
        image_shape: tuple[int, ...] | None = None,
        n_steps: int = 3000,
        batch_size: int = 128,
        lr: float = 0.001,
        checkpoint: Any = None,
        device: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.n_latent = n_latent
        self.likelihood = likelihood
        self.beta = beta
        self.width = width
        self.depth = depth
        self.image_shape = image_shape
        self.n_steps = n_steps
        self.batch_size = batch_size
        self.lr = lr
        self.checkpoint = checkpoint
        self.device = device
        self.random_state = random_state

    def _check_parameters(self) -> None:
        if self.likelihood not in ("auto", "bernoulli", "gaussian"):
            raise ValueError(
                f'likelihood must be "auto", "bernoulli" or "gaussian", got {self.likelihood!r}'
            )
        for name in ("n_latent", "width", "n_steps"):
            check_scalar(getattr(self, name), name, Integral, min_val=1)
        check_scalar(self.depth, "depth", Integral, min_val=0)
        check_scalar(self.batch_size, "batch_size", Integral, min_val=2)
        check_scalar(self.beta, "beta", Real, min_val=0)
        check_scalar(self.lr, "lr", Real, min_val=0, include_boundaries="neither")

    def _build(self) -> nn.ModuleDict:
        shape, width, depth = self._tensor_shape, self.width, self.depth
        if depth == 0 and len(shape) == 3:
            raise ValueError("depth=0 is for vectors; networks of images have a hidden layer")
        encoder = make_encoder(shape, self.n_latent, width=width, depth=depth)
        n_features = cast(nn.Linear, encoder[-1]).in_features
        return nn.ModuleDict(
            {
                "encoder": encoder,
                "log_variance": nn.Linear(n_features, self.n_latent),
                "decoder": make_generator(shape, self.n_latent, width=width, depth=depth),
                "likelihood": Likelihood(likelihood_of(self.likelihood, shape)),
            }
        )

    def _train(
        self, networks: nn.ModuleDict, data: Tensor, given: Tensor | None, workers: Workers
    ) -> Training:
        optimisers = {"all": torch.optim.Adam(networks.parameters(), self.lr)}
        training = self._training(networks, optimisers, workers, data, given)
        n_items = workers.share(min(self.batch_size, len(data)))
        for _ in training.steps(self.n_steps, "VAE"):
            rows = torch.randint(len(data), (n_items,), device=data.device)
            x = data.index_select(0, rows)
            mean, log_variance = gaussian_posterior(networks, x)
            z = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
            reconstruction = networks["likelihood"](networks["decoder"](z), x).mean()
            divergence = gaussian_divergence(mean, log_variance).mean()
            optimisers["all"].zero_grad()
            (self.beta * divergence - reconstruction).backward()
            workers.average_gradients(networks)
            optimisers["all"].step()
            training.record(
                reconstruction=reconstruction,
                divergence=divergence,
                elbo=reconstruction - divergence,
            )
        return training

    def lower_bound(
        self, X: ArrayLike, *, n_draws: int = 10, random_state: Any = None
    ) -> NDArray[np.float64]:
        r"""Estimate the evidence lower bound of the log likelihood of items.

        Parameters
        ----------
        X : array-like of shape (n, ...), numeric
            Items like those of ``fit``.
        n_draws : int, default=10
            Draws of :math:`z` an item, over which :math:`\log p(x | z)` is averaged.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws.

        Returns
        -------
        ndarray of shape (n,), float64
            Bounds in nats. With a Gaussian likelihood, of the density of items in the units of
            ``fit``, whole numbers of images divided by the largest of their type.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the model is not fitted.
        ValueError
            If `n_draws` is below 1, or `X` is empty, of another shape than in ``fit``, or holds
            NaN or infinity.
        """
        check_is_fitted(self)
        check_scalar(n_draws, "n_draws", Integral, min_val=1)
        rows, networks = self._rows(X), self._networks()
        device = next(networks.parameters()).device
        parts = []
        with seeded(check_random_state(random_state), device), torch.no_grad():
            for start in range(0, len(rows), _AT_A_TIME):
                data = self._tensor(rows[start : start + _AT_A_TIME]).to(device)
                bounds = -gaussian_divergence(*gaussian_posterior(networks, data))
                for _ in range(n_draws):
                    values = networks["decoder"](self._draw(networks, data))
                    bounds += networks["likelihood"](values, data) / n_draws
                parts.append(bounds.cpu().numpy())
        is_density = likelihood_of(self.likelihood, self._tensor_shape) == "gaussian"
        stretch = self.n_features_in_ * log(self.scale_) if is_density else 0.0
        return np.concatenate(parts).astype(np.float64) - stretch
