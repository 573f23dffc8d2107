"""Networks in ONNX files: read, opened by ONNX Runtime, and run over images or texts."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hashlearn.features._preparation import Preparation, Target
from hashlearn.features.backbone import Batch, Kind, Network

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

MOST_BYTES = 2**31 - 1
"""Bytes of a network that fit into one message, and so into a model."""

FEATURES = "features"
"""Name of the output that is taken where there are several and none was chosen."""

_TEXT_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_TYPES = {
    "tensor(uint8)": np.uint8, "tensor(float)": np.float32, "tensor(float16)": np.float16,
    "tensor(double)": np.float64, "tensor(int64)": np.int64, "tensor(int32)": np.int32,
}  # fmt: skip
_CHANNELS = (1, 3)
_NEEDED = "ONNX networks need onnxruntime, onnx and tokenizers: pip install 'hashlearn[onnx]'"


def read_network(path: Path) -> bytes:
    """Read an ONNX file as one message, with weights that lie in files beside it.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Returns
    -------
    bytes
        The network.

    Raises
    ------
    ImportError
        If onnx is not installed.
    ValueError
        If the file is damaged, or the network has more than 2 GB.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError, EncodeError
    except ImportError as error:
        raise ImportError(_NEEDED) from error
    too_large = f"{path} has more than 2 GB, which one model file does not hold; use a smaller one"
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(too_large)
    data = path.read_bytes()
    try:
        graph = onnx.ModelProto.FromString(data)
    except DecodeError as error:
        raise ValueError(f"{path} is damaged or not an ONNX file: {error}") from error
    try:
        onnx.load_external_data_for_model(graph, str(path.parent))
        return bytes(graph.SerializeToString())
    except (EncodeError, ValueError) as error:
        raise ValueError(f"{too_large}: {error}") from error
    except (OSError, onnx.checker.ValidationError) as error:
        raise ValueError(f"weights of {path} lie in a file that is not there: {error}") from error


def open_session(data: bytes, name: str, *, device: str, n_threads: int) -> "InferenceSession":
    """Open a network.

    Parameters
    ----------
    data : bytes
        The network.
    name : str
        What errors call it.
    device : str
        ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.
    n_threads : int
        Threads on the processor.

    Returns
    -------
    onnxruntime.InferenceSession
        The network, ready to run.

    Raises
    ------
    ImportError
        If ONNX Runtime is not installed.
    ValueError
        If the network is damaged, or there is no such device.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(_NEEDED) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.inter_op_num_threads = 1
    # Threads that wait by spinning would take the processor from who prepares the next items.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors: it would print warnings
    providers: list[Any] = ["CPUExecutionProvider"]
    if device != "cpu":
        available = onnxruntime.get_available_providers()
        if "CUDAExecutionProvider" not in available:
            raise ValueError(
                f"device={device!r} needs the package onnxruntime-gpu; this onnxruntime has "
                f"{', '.join(available)}"
            )
        place = {"device_id": int(device.partition(":")[2] or 0)}
        providers.insert(0, ("CUDAExecutionProvider", place))
    try:
        session = onnxruntime.InferenceSession(data, options, providers=providers)
    except Exception as error:  # its errors have no base of their own
        raise ValueError(f"{name} is damaged or not an ONNX network: {error}") from error
    if len(session.get_providers()) < len(providers):  # it falls back without an error
        raise ValueError(f"device={device!r} cannot be used here: CUDA did not start")
    return session


def kind_of(session: "InferenceSession", name: str) -> Kind:
    """Tell what a network takes.

    Raises
    ------
    ValueError
        If it takes neither images nor texts.
    """
    inputs = {entry.name: entry for entry in session.get_inputs()}
    if "input_ids" in inputs and set(inputs) <= set(_TEXT_INPUTS):
        return "texts"
    shapes = [entry.shape for entry in inputs.values()]
    if len(shapes) == 1 and len(shapes[0]) == 4:
        return "images"
    described = ", ".join(f"{key} {entry.type} {entry.shape}" for key, entry in inputs.items())
    raise ValueError(
        f"{name} takes {described}: neither images (one input of four axes) nor texts "
        f"({', '.join(_TEXT_INPUTS)})"
    )


def choose_output(session: "InferenceSession", name: str, wanted: str | None) -> str:
    """Choose the output to take.

    Raises
    ------
    ValueError
        If the wanted one is not there, or none was named and there are several.
    """
    names = [entry.name for entry in session.get_outputs()]
    if wanted is None and FEATURES in names:
        return FEATURES
    if wanted is None and len(names) == 1:
        return str(names[0])
    if wanted is None or wanted not in names:
        what = "several outputs" if wanted is None else f"no output {wanted!r}"
        raise ValueError(f"{name} has {what}; give output=, one of {', '.join(names)}")
    return wanted


def find_target(session: "InferenceSession", name: str) -> Target:
    """Read type and layout of a network's images.

    Raises
    ------
    ValueError
        If they are of another type, or of another number of channels than 1 or 3.
    """
    (entry,) = session.get_inputs()
    if entry.type not in _TYPES or "int32" in entry.type or "int64" in entry.type:
        raise ValueError(f"{name} takes {entry.type}; images are uint8 or floats")
    _, *sizes = [size if isinstance(size, int) else None for size in entry.shape]
    if sizes[0] in _CHANNELS or (sizes[0] is None and sizes[2] not in _CHANNELS):
        # a network that says nothing of its channels is taken for the usual one
        return Target(entry.name, _TYPES[entry.type], "nchw", sizes[0] or 3, sizes[1], sizes[2])
    if sizes[2] in _CHANNELS:
        return Target(entry.name, _TYPES[entry.type], "nhwc", sizes[2], sizes[0], sizes[1])
    raise ValueError(f"{name} takes images of the shape {entry.shape}; channels must be 1 or 3")


class _OnnxNetwork(Network):
    """What networks of images and of texts share: an open session and one of its outputs."""

    def __init__(self, session: "InferenceSession", name: str, output: str) -> None:
        self.session = session
        self.name = name
        self.output = output
        first = session.get_inputs()[0].shape[0]
        self.fixed_batch = first if isinstance(first, int) else None
        if self.fixed_batch is not None and self.fixed_batch != 1:
            raise ValueError(
                f"{name} takes batches of {first} items only; export it with a batch axis that "
                "is open, or of 1"
            )

    def outputs(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Run the session."""
        try:
            (values,) = self.session.run([self.output], dict(inputs))
        except Exception as error:  # its errors have no base of their own
            shapes = ", ".join(f"{key} {array.shape}" for key, array in inputs.items())
            raise ValueError(f"{self.name} cannot run on {shapes}: {error}") from error
        return np.asarray(values, dtype=np.float32)


class ImageNetwork(_OnnxNetwork):
    """A network of images."""

    def __init__(
        self, session: "InferenceSession", name: str, output: str, preparation: Preparation
    ) -> None:
        super().__init__(session, name, output)
        self.preparation = preparation

    def prepare(self, items: list[Any]) -> dict[str, NDArray[Any]]:
        """Make the input."""
        return {self.preparation.target.name: self.preparation(items)}

    def compute(self, inputs: Batch) -> NDArray[Any]:
        """Run, and average what is laid out in space or in tokens."""
        values = self.outputs(inputs)
        if values.ndim == 4:
            axes = (2, 3) if self.preparation.target.layout == "nchw" else (1, 2)
            values = np.mean(values, axis=axes)
        return values.mean(axis=1) if values.ndim == 3 else values


class TextNetwork(_OnnxNetwork):
    """A network of texts."""

    def __init__(
        self, session: "InferenceSession", name: str, output: str, tokenizer: "Tokenizer"
    ) -> None:
        super().__init__(session, name, output)
        padding = tokenizer.padding or {}
        self.padding = padding.get("pad_id", _pad_id(tokenizer))
        self.padding_type = padding.get("pad_type_id", 0)
        tokenizer.no_padding()  # a batch is padded here, to its longest
        self.tokenizer = tokenizer
        self.types = {entry.name: _TYPES[entry.type] for entry in session.get_inputs()}

    def prepare(self, items: list[Any]) -> dict[str, NDArray[Any]]:
        """Make token numbers; texts without tokens have one, which is masked."""
        found = self.tokenizer.encode_batch(items)
        shape = len(found), max(1, *(len(text.ids) for text in found))
        ids = np.full(shape, self.padding, np.int64)
        mask = np.zeros(shape, np.int64)
        types = np.full(shape, self.padding_type, np.int64)
        for row, text in enumerate(found):
            n = len(text.ids)
            ids[row, :n], mask[row, :n], types[row, :n] = text.ids, 1, text.type_ids
        made = dict(zip(_TEXT_INPUTS, (ids, mask, types), strict=True))
        # the mask is of use even where the network does not want it
        return {
            name: array.astype(self.types.get(name, np.int64))
            for name, array in made.items()
            if name in self.types or name == "attention_mask"
        }

    def compute(self, inputs: Batch) -> NDArray[Any]:
        """Run, and average over tokens what is one row a token."""
        values = self.outputs({name: inputs[name] for name in self.types})
        return mean_over_mask(values, inputs["attention_mask"]) if values.ndim == 3 else values


def mean_over_mask(values: NDArray[Any], mask: NDArray[Any]) -> NDArray[Any]:
    """Average tokens, without those that fill up.

    Parameters
    ----------
    values : ndarray of shape (n, n_tokens, d), float32
        One row a token.
    mask : ndarray of shape (n, n_tokens), int
        1 for a token of the text.

    Returns
    -------
    ndarray of shape (n, d), float32
        Means; zeros for a text without tokens.
    """
    weights = mask.astype(np.float32)
    sums: NDArray[Any] = np.einsum("ntd,nt->nd", values, weights)
    return sums / np.maximum(weights.sum(axis=1, keepdims=True), 1)  # type: ignore[no-any-return]


def read_tokenizer(text: str, name: str, max_length: int | None) -> "Tokenizer":
    """Read a tokenizer, and limit the length of texts.

    Parameters
    ----------
    text : str
        Content of a ``tokenizer.json``.
    name : str
        What errors call it.
    max_length : int or None
        Most tokens of a text; None leaves the tokenizer's own limit, or sets 512 if it has none.

    Returns
    -------
    tokenizers.Tokenizer
        The tokenizer.

    Raises
    ------
    ImportError
        If tokenizers is not installed.
    ValueError
        If it is damaged.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise ImportError(_NEEDED) from error
    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # it raises Exception itself
        raise ValueError(f"{name} is damaged or not a tokenizer: {error}") from error
    own = tokenizer.truncation
    if max_length is not None or own is None:
        tokenizer.enable_truncation(max_length=max_length or 512)
    return tokenizer


def _pad_id(tokenizer: "Tokenizer") -> int:
    for token in ("[PAD]", "<pad>"):
        if (number := tokenizer.token_to_id(token)) is not None:
            return int(number)
    return 0
