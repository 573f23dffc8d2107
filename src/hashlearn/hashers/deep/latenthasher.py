"""LatentHasher: codes of the values that a generative model keeps of an item."""

import warnings
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_scalar

from hashlearn import generative
from hashlearn._training import CollapseWarning, warn_of_equal_codes
from hashlearn.generative.base import GenerativeModel
from hashlearn.hashers.base import FloatArray
from hashlearn.hashers.deep._images import ImageHasher
from hashlearn.hashers.directions import principal_directions
from hashlearn.hashers.rotation import learn_rotation, random_rotation

ModelName = Literal["vae", "vaegan", "avb", "gan", "dcgan"]

_MODELS = {"vae": "VAE", "vaegan": "VAEGAN", "avb": "AVB", "gan": "GAN", "dcgan": "DCGAN"}
_MOST_ROWS = 10_000
"""Items by which thresholds and rotations are chosen."""


class LatentHasher(ImageHasher):
    r"""Hash by the signs of what a generative model keeps of an item.

    A method of this library: none of the papers of these models makes codes, and this adapter is in
    none of them. A generative model is fitted, and its embedding :math:`e(x)`, of :math:`m` values,
    becomes the code

    .. math:: b(x) = [R^T P (e(x) - \mu) \ge 0],

    with the mean :math:`\mu`, the :math:`r` principal directions :math:`P` and the rotation
    :math:`R` of ITQ [1]_; or, without a rotation, one value becomes one bit, 1 where it is at least
    its median over the training items.

    Parameters
    ----------
    n_bits : int, default=32
        Length of the code :math:`r`, at most :math:`m`.
    model : {"vae", "vaegan", "avb", "gan", "dcgan"}, default="vae"
        Generative model [2]_ [3]_ [4]_. The first three embed an item as the mean of its posterior,
        a GAN as the features of its discriminator [5]_; ``"dcgan"`` is for images.
    n_latent : int, optional
        Latent values of the model. By default as many as bits where these are what is kept, else
        the model's own default.
    rotation : {"itq", "none"}, default="itq"
        How values become bits. ``"none"`` takes the values of most variance if there are more than
        bits.
    n_iter : int, default=50
        Rounds of ITQ.
    width : int, default=32
        Channels of the layer next to the image; each further one has twice as many. For vectors,
        an eighth of the units of a hidden layer.
    depth : int, optional
        Hidden layers of each network. By default the model's own.
    image_shape : tuple of int, optional
        (height, width) or (height, width, channels) of images that come as rows.
    n_steps : int, default=3000
        Steps of the model.
    batch_size : int, default=128
        Items a step, at least 2.
    lr : float, optional
        Step size of Adam. By default the model's own.
    checkpoint : path-like, optional
        File to keep the state of the training in, and to go on from if it is there.
    device : str, default="auto"
        PyTorch device; ``"auto"`` takes a GPU if there is one.
    random_state : int, RandomState instance or None, default=None
        Seed of the model, and of the rotation.

    Attributes
    ----------
    layers_ : dict of str to ndarray, float32
        The network, as :func:`~hashlearn.generative.networks.export_layers` writes it: its values
        are at least 0 where a bit is 1.
    history_ : dict of str to ndarray of shape (n_steps,), float32
        Curves of the model's training.
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
    The model itself is not kept: fit it by itself to draw items. A collapse of its samples is not
    warned of, as codes may be good all the same; a collapse of codes is. Thresholds and rotation
    are chosen by at most 10,000 items, drawn at random.

    Fit takes O(n_steps batch_size) passes through the model's networks, and ITQ's O(n m^2 + m^3 +
    n_iter n r^2) for at most 10,000 items n. Encoding an item takes a pass through one network and
    O(m r) where that is a discriminator.

    References
    ----------
    .. [1] Y. Gong and S. Lazebnik, 2011, "Iterative quantization: a procrustean approach to
       learning binary codes", CVPR.
    .. [2] D. P. Kingma and M. Welling, 2014, "Auto-encoding variational Bayes", ICLR.
    .. [3] A. B. L. Larsen, S. K. Sonderby, H. Larochelle and O. Winther, 2016, "Autoencoding
       beyond pixels using a learned similarity metric", ICML.
    .. [4] L. Mescheder, S. Nowozin and A. Geiger, 2017, "Adversarial variational Bayes: unifying
       variational autoencoders and generative adversarial networks", ICML.
    .. [5] A. Radford, L. Metz and S. Chintala, 2016, "Unsupervised representation learning with
       deep convolutional generative adversarial networks", ICLR.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(200, 8))
    >>> hasher = LatentHasher(n_bits=12, width=4, n_steps=40, random_state=0).fit(X)
    >>> hasher.encode(X).shape
    (200, 2)
    """

    history_: dict[str, FloatArray]

    def __init__(
        self,
        n_bits: int = 32,
        *,
        model: ModelName = "vae",
        n_latent: int | None = None,
        rotation: Literal["itq", "none"] = "itq",
        n_iter: int = 50,
        width: int = 32,
        depth: int | None = None,
        image_shape: tuple[int, ...] | None = None,
        n_steps: int = 3000,
        batch_size: int = 128,
        lr: float | None = None,
        checkpoint: Any = None,
        device: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.n_bits = n_bits
        self.model = model
        self.n_latent = n_latent
        self.rotation = rotation
        self.n_iter = n_iter
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
        if self.model not in _MODELS:
            raise ValueError(f"model must be one of {', '.join(_MODELS)}, got {self.model!r}")
        if self.rotation not in ("itq", "none"):
            raise ValueError(f'rotation must be "itq" or "none", got {self.rotation!r}')
        check_scalar(self.n_iter, "n_iter", Integral, min_val=0)
        check_scalar(self.batch_size, "batch_size", Integral, min_val=2)
        if self.lr is not None:
            check_scalar(self.lr, "lr", Real, min_val=0, include_boundaries="neither")
        if self.n_latent is not None:
            check_scalar(self.n_latent, "n_latent", Integral, min_val=1)
            if self._keeps_latent_values and self.n_latent < self.n_bits:
                raise ValueError(
                    f"a code has at most as many bits as the model keeps values: n_bits="
                    f"{self.n_bits}, n_latent={self.n_latent}"
                )

    @property
    def _keeps_latent_values(self) -> bool:
        return self.model in ("vae", "vaegan", "avb")

    def _make_model(self, random_state: int) -> GenerativeModel:
        """Make the model, with what was given of its arguments."""
        n_latent = self.n_latent
        if n_latent is None and self._keeps_latent_values:
            n_latent = self.n_bits
        optional = {"n_latent": n_latent, "depth": self.depth, "lr": self.lr}
        model: GenerativeModel = getattr(generative, _MODELS[self.model])(
            width=self.width,
            n_steps=self.n_steps,
            batch_size=self.batch_size,
            checkpoint=self.checkpoint,
            device=self.device,
            random_state=random_state,
            **{name: value for name, value in optional.items() if value is not None},
        )
        return model

    def _fit(
        self,
        X: FloatArray,
        y: NDArray[Any] | None,  # noqa: ARG002
        rng: np.random.RandomState,
    ) -> None:
        self._check_parameters()
        self._learn_scale(X)
        model = self._make_model(int(rng.randint(2**31 - 1)))
        items = X.reshape(len(X), *self.item_shape_)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CollapseWarning)
            model.fit(items)
        few = np.sort(rng.permutation(len(X))[:_MOST_ROWS])
        values = model.embed(items[few])
        if self.n_bits > values.shape[1]:
            raise ValueError(
                f"a code has at most as many bits as the model keeps values: n_bits={self.n_bits}, "
                f"and the discriminator has {values.shape[1]} features; take a larger width"
            )
        weights, bias = self._directions(values, rng)
        layers = dict(model.embedding_)
        if "output.weights" in layers:  # two linear layers in a row are one
            bias = bias + weights @ layers["output.bias"]
            weights = weights @ layers["output.weights"]
        self.layers_ = layers | {
            "output.weights": np.ascontiguousarray(weights, np.float32),
            "output.bias": np.asarray(bias, np.float32),
        }
        self.history_ = model.history_
        bits = self._project(X[few]) >= 0
        warn_of_equal_codes(bits, "try more steps, another model, or a smaller n_latent")

    def _directions(
        self, values: FloatArray, rng: np.random.RandomState
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Choose linear functions of the values whose signs are the bits."""
        if self.rotation == "none":
            widest = np.argsort(-values.var(axis=0, dtype=np.float64), kind="stable")
            kept = np.sort(widest[: self.n_bits])
            medians = np.median(values[:, kept].astype(np.float64), axis=0)
            return np.eye(values.shape[1])[kept], -medians
        n_directions = min(self.n_bits, *values.shape)
        mean, directions = principal_directions(values, n_directions, rng)
        P = np.zeros((self.n_bits, values.shape[1]))  # those that there are not are 0
        P[:n_directions] = directions
        V = (values - mean) @ P.T
        R, _ = learn_rotation(V, random_rotation(self.n_bits, rng), self.n_iter)
        weights = R.T @ P
        return weights, -weights @ mean
