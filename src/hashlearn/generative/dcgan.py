"""DCGAN: deep convolutional generative adversarial networks, for images."""

from math import ceil, log2
from numbers import Integral, Real
from typing import Any, cast

from sklearn.utils import check_scalar
from torch import nn

from hashlearn.generative.gan import GAN, GeneratorLoss
from hashlearn.generative.networks import make_encoder, make_generator, start_as_dcgan

_FIRST = 4
"""Height and width of the generator's first images, about."""


class DCGAN(GAN):
    r"""Learn a convolutional generator of images that a discriminator cannot tell from the data.

    A GAN [1]_ with the networks and settings that made its training stable [2]_: the generator
    projects the noise :math:`z \sim N(0, I)` to small images of many channels and doubles these by
    transposed convolutions to the size of the data, rectified; the discriminator halves images by
    strided convolutions, rectified leakily; both are normalised over the batch in every layer but
    the first of the discriminator and the last of the generator, which ends in a hyperbolic
    tangent. Weights start from :math:`N(0, 0.02^2)`.

    .. math:: \min_G \max_D E_x \log D(x) + E_z \log (1 - D(G(z)))

    Parameters
    ----------
    n_latent : int, default=100
        Values of :math:`z`. Paper: 100.
    loss : {"non-saturating", "minimax"}, default="non-saturating"
        What the generator minimises: :math:`-\log D(G(z))`, or :math:`\log (1 - D(G(z)))`.
    width : int, default=32
        Channels of the layer next to the image; each further one has twice as many. Paper: 64 in
        the discriminator and 128 in the generator, for images of 64 pixels.
    depth : int, optional
        Hidden layers of each network. By default so many that the smallest images have a height
        and width of about 4: 3 for images of 28 or 32 pixels, 4 for 64, as in the paper.
    image_shape : tuple of int, optional
        (height, width) or (height, width, channels) of images that come as rows.
    n_steps : int, default=3000
        Steps of both networks.
    batch_size : int, default=64
        Real items a step, and as many made ones. Paper: 128; 64 in the released code.
    lr : float, default=0.0002
        Step size of Adam, whose momentum is 0.5. Paper: 0.0002.
    checkpoint : path-like, optional
        File to keep the state of the training in, and to go on from if it is there.
    device : str, default="auto"
        PyTorch device; ``"auto"`` takes a GPU if there is one.
    random_state : int, RandomState instance or None, default=None
        Seed of the networks, the batches and the noise.

    Attributes
    ----------
    networks_ : dict of str to ndarray
        Parameters of the generator and the discriminator.
    embedding_ : dict of str to ndarray, float32
        Layers of the network whose values :meth:`embed` gives.
    samples_ : ndarray of shape (64, ...)
        Items made at the end of ``fit``.
    history_ : dict of str to ndarray of shape (n_steps,), float32
        Per step: ``"discriminator"`` and ``"generator"``, their losses; ``"real"`` and ``"fake"``,
        the mean of :math:`D` on either.
    item_shape_ : tuple of int
        Shape of an item: (height, width) or (height, width, channels).
    item_dtype_ : str
        Kind of the numbers in ``fit``.
    shift_ : ndarray of shape (1,), float32
        What is subtracted from a row.
    scale_ : float
        What the difference is divided by.
    n_features_in_ : int
        Numbers of an item.

    Notes
    -----
    Differences from the paper: 1. fewer channels by default; 2. the discriminator's kernels are of
    5 by 5 pixels, as in the paper, the generator's of 4 by 4, as in the released code; 3. noise is
    Gaussian, as in the released code, in place of uniform.

    ``reconstruct`` looks for the noise whose image is nearest to the given one, by 200 steps of
    descent from zero; ``embed`` gives the discriminator's last hidden layer.

    A step takes O(batch_size) passes through both networks.

    References
    ----------
    .. [1] I. Goodfellow et al., 2014, "Generative adversarial nets", NIPS.
    .. [2] A. Radford, L. Metz and S. Chintala, 2016, "Unsupervised representation learning with
       deep convolutional generative adversarial networks", ICLR.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).integers(0, 256, (50, 12, 12), np.uint8)
    >>> model = DCGAN(n_steps=40, width=4, lr=0.01, random_state=0).fit(X)
    >>> images = model.sample(3)
    >>> images.shape, str(images.dtype)
    ((3, 12, 12), 'uint8')
    """

    def __init__(
        self,
        n_latent: int = 100,
        *,
        loss: GeneratorLoss = "non-saturating",
        width: int = 32,
        depth: int | None = None,
        image_shape: tuple[int, ...] | None = None,
        n_steps: int = 3000,
        batch_size: int = 64,
        lr: float = 0.0002,
        checkpoint: Any = None,
        device: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.n_latent = n_latent
        self.loss = loss
        self.width = width
        self.depth = cast(int, depth)  # None until the images are known
        self.image_shape = image_shape
        self.n_steps = n_steps
        self.batch_size = batch_size
        self.lr = lr
        self.checkpoint = checkpoint
        self.device = device
        self.random_state = random_state

    def _check_parameters(self) -> None:
        if self.loss not in ("non-saturating", "minimax"):
            raise ValueError(f'loss must be "non-saturating" or "minimax", got {self.loss!r}')
        for name in ("n_latent", "width", "depth", "n_steps", "batch_size"):
            if name != "depth" or getattr(self, name) is not None:
                check_scalar(getattr(self, name), name, Integral, min_val=1)
        check_scalar(self.lr, "lr", Real, min_val=0, include_boundaries="neither")

    def _build(self) -> nn.ModuleDict:
        shape = self._tensor_shape
        if len(shape) == 1:
            raise ValueError(
                f"DCGAN takes images, and these are vectors of {shape[0]} values: give image_shape "
                "if they are rows of pixels, or take GAN"
            )
        depth = self.depth or max(1, ceil(log2(min(shape[1:]) / _FIRST)))
        networks = nn.ModuleDict(
            {
                "generator": make_generator(shape, self.n_latent, width=self.width, depth=depth),
                "discriminator": make_encoder(shape, 1, width=self.width, depth=depth),
            }
        )
        start_as_dcgan(networks)
        return networks
