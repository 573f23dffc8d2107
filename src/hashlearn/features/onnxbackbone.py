"""Images or texts to features of a network in an ONNX file."""

import json
import re
from numbers import Integral
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_scalar

from hashlearn.engine import available_threads
from hashlearn.features._onnx import (
    ImageNetwork,
    TextNetwork,
    choose_output,
    find_target,
    kind_of,
    open_session,
    read_network,
    read_tokenizer,
)
from hashlearn.features._preparation import convention, make_preparation
from hashlearn.features.backbone import Backbone, Kind, Network

CONFIG = "preprocessor_config.json"
"""File beside a network of images that says how to prepare them."""

TOKENIZER = "tokenizer.json"
"""File beside a network of texts."""

METADATA = "preprocessor_config"
"""Key of the same JSON in the network's own metadata."""


class OnnxBackbone(Backbone):
    """Compute features of images or texts with a network in an ONNX file.

    The network is taken into the fitted backbone, and so into a saved model: it runs where the file
    is not, through ONNX Runtime.

    Images are prepared as ``preprocessor_config.json`` beside the file says, in the convention of
    Hugging Face, or the same JSON in the network's metadata under ``preprocessor_config``; what is
    given here comes first. Layout, type and number of channels are the network's own, and so is the
    size where it takes one only. Texts are split by the ``tokenizer.json`` beside the file.

    Parameters
    ----------
    model : str or path-like
        The ``.onnx`` file. Weights in files beside it are taken in too, up to 2 GB together.
    output : str, default=None
        Output to take. None: the only one, or the one that is named ``features``.
    size : int or tuple of int (height, width), default=None
        Size to bring images to; one number is that of the shorter side.
    crop : int or tuple of int (height, width), default=None
        Size of the middle part to take after that.
    resample : {"nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"}, default=None
        How to resize. None is bilinear if no file says otherwise.
    scale : float, default=None
        Factor of pixels 0 to 255. None is 1/255, or 1 for a network of whole numbers.
    mean : sequence of float, default=None
        Number to subtract from each channel after that, or from all, in the network's order of
        channels.
    std : sequence of float, default=None
        Number to divide each channel by after that.
    channels : {"rgb", "bgr"}, default=None
        Order of the channels. None is RGB if no file says otherwise (``channel_order``).
    max_length : int, default=None
        Most tokens of a text; the rest is left out. None is the tokenizer's own limit, or 512.
    batch_size : int, default=32
        Items that the network is given at a time. More need more memory.
    device : str, default="cpu"
        ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.
    n_threads : int, default=None
        Threads of the network on the processor. None takes all processors of this process.

    Attributes
    ----------
    network_ : ndarray of shape (n_bytes,), uint8
        The ONNX file, with all weights.
    output_ : str
        Output that is taken.
    preprocessing_ : str or None
        How images are prepared: JSON in the convention of Hugging Face.
    tokenizer_ : ndarray of shape (n_bytes,), uint8, or None
        The tokenizer, with the limit of length.
    item_kind_ : str
        What the network is given: ``"images"`` or ``"texts"``.
    n_features_out_ : int
        Number of features.

    Notes
    -----
    An output of one row a token is averaged over the tokens of a text, or over all tokens of an
    image; one that is laid out in space, as the input is, over space. ONNX Runtime adds up in
    float32 in an order of its own: the last digits of a row depend on its batch, on the number of
    threads and on the processor.

    Examples
    --------
    >>> backbone = OnnxBackbone("resnet50.onnx", size=256, crop=224)
    >>> backbone.check_source()
    Traceback (most recent call last):
    FileNotFoundError: there is no file resnet50.onnx
    """

    network_: NDArray[np.uint8]
    output_: str
    preprocessing_: str | None
    tokenizer_: NDArray[np.uint8] | None

    def __init__(
        self,
        model: Any,
        *,
        output: str | None = None,
        size: int | tuple[int, int] | None = None,
        crop: int | tuple[int, int] | None = None,
        resample: str | None = None,
        scale: float | None = None,
        mean: Any = None,
        std: Any = None,
        channels: Literal["rgb", "bgr"] | None = None,
        max_length: int | None = None,
        batch_size: int = 32,
        device: str = "cpu",
        n_threads: int | None = None,
    ) -> None:
        self.model = model
        self.output = output
        self.size = size
        self.crop = crop
        self.resample = resample
        self.scale = scale
        self.mean = mean
        self.std = std
        self.channels = channels
        self.max_length = max_length
        self.batch_size = batch_size
        self.device = device
        self.n_threads = n_threads

    def check_source(self) -> None:
        """Look whether the file is there.

        Raises
        ------
        FileNotFoundError
            If it is not.
        """
        if not Path(self.model).is_file():
            raise FileNotFoundError(f"there is no file {self.model}")

    def _learn(self, kind: Kind) -> Network:
        chosen = self._check_parameters()
        path = Path(self.model)
        data = read_network(path)
        session = self._open(data)
        if (takes := kind_of(session, path.name)) != kind:
            raise ValueError(f"{path} takes {takes}, and these are {kind}")
        self.output_ = choose_output(session, path.name, self.output)
        self.network_ = np.frombuffer(data, np.uint8)
        self.preprocessing_ = self.tokenizer_ = None
        if kind == "texts":
            beside = path.with_name(TOKENIZER)
            if not beside.is_file():
                raise FileNotFoundError(
                    f"{path} takes texts, and needs {beside}, which is not there"
                )
            text = beside.read_text(encoding="utf-8")
            tokenizer = read_tokenizer(text, str(beside), self.max_length)
            self.tokenizer_ = np.frombuffer(tokenizer.to_str().encode(), np.uint8)
        else:
            beside = path.with_name(CONFIG)
            inside = session.get_modelmeta().custom_metadata_map.get(METADATA)
            text = beside.read_text(encoding="utf-8") if beside.is_file() else inside
            self.preprocessing_ = json.dumps(_read_config(text, path) | chosen)
        return self._assemble(session)

    def _load(self) -> Network:
        return self._assemble(self._open(self.network_.tobytes()))

    def _assemble(self, session: Any) -> Network:
        """Put what was learned around an open network."""
        name = Path(self.model).name
        if self.tokenizer_ is not None:
            text = self.tokenizer_.tobytes().decode()
            tokenizer = read_tokenizer(text, f"the tokenizer of {name}", None)
            return TextNetwork(session, name, self.output_, tokenizer)
        target = find_target(session, name)
        preparation = make_preparation(_read_config(self.preprocessing_, name), target)
        return ImageNetwork(session, name, self.output_, preparation)

    def _open(self, data: bytes) -> Any:
        n_threads = available_threads() if self.n_threads is None else int(self.n_threads)
        name = Path(self.model).name
        return open_session(data, name, device=self.device, n_threads=n_threads)

    def _check_parameters(self) -> dict[str, Any]:
        """Check everything before work; give the preparation of images that was chosen."""
        for name in ("max_length", "n_threads"):
            if getattr(self, name) is not None:
                check_scalar(getattr(self, name), name, Integral, min_val=1)
        if not re.fullmatch(r"cpu|cuda(:\d+)?", str(self.device)):
            raise ValueError(f'device must be "cpu", "cuda" or as "cuda:1", got {self.device!r}')
        names = ("size", "crop", "resample", "scale", "mean", "std", "channels")
        return convention(**{name: getattr(self, name) for name in names})


def _read_config(text: str | None, name: Any) -> dict[str, Any]:
    """Read a configuration; there may be none."""
    if text is None:
        return {}
    try:
        config = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"the preprocessing of {name} is no JSON: {error}") from error
    if not isinstance(config, dict):
        raise ValueError(f"the preprocessing of {name} must be a JSON object, got {config!r:.60}")
    return config
