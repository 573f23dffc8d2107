"""Models as ONNX graphs, which compute codes where neither this library nor Python is installed."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.utils.validation import check_is_fitted

from hashlearn.codes import n_bytes
from hashlearn.features import Pixels
from hashlearn.hashers.base import Hasher
from hashlearn.integrations._graph import Graph, as_single
from hashlearn.models import Model, hasher_of, steps_of
from hashlearn.storage import replacing

_LOWEST_OPSET = 13  # from here on Squeeze, Unsqueeze and ReduceSum take axes as an input
_DTYPES = ("uint8", "float32")


def export_onnx(
    model: Model,
    path: str | os.PathLike[str],
    *,
    opset: int = 17,
    input_dtype: str | None = None,
    check: bool = True,
) -> None:
    """Write a fitted model as an ONNX graph from items to packed codes.

    The graph has the input ``items``, n of them, and the outputs ``codes`` of shape
    (n, ceil(n_bits / 8)), uint8, as ``encode`` gives them, and ``values`` of shape (n, n_bits),
    float32, as the hasher's ``project`` does. Its metadata say method, n_bits, this format's number
    and the version of the library.

    Parameters
    ----------
    model : Hasher or Pipeline
        Fitted hasher, or pipeline of features that ends in one.
    path : path-like
        File to create or replace.
    opset : int, default=17
        Version of the operators, from 13 to the newest that the onnx package knows. Programs that
        run graphs take old ones longer than new ones.
    input_dtype : {"uint8", "float32"}, default=None
        Kind of the items' numbers. None: as a hasher of images learned from, uint8 for images that
        pass through :class:`~hashlearn.features.Pixels`, float32 for vectors. Whole numbers of
        images are divided by their largest in the graph, as the model does.
    check : bool, default=True
        Whether onnx checks the graph before the file is written.

    Raises
    ------
    ImportError
        If onnx is not installed.
    TypeError
        If the method, or a feature, cannot be exported; the message names those that can.
    ValueError
        If `opset` or `input_dtype` is not allowed.
    FileNotFoundError
        If the folder of `path` does not exist.
    IsADirectoryError
        If `path` is a folder.
    sklearn.exceptions.NotFittedError
        If the model is not fitted.

    Notes
    -----
    The library adds up in double precision and in a fixed order, ONNX in single precision and in
    any. So a bit may differ where its value is within rounding of 0; which ones depends on the
    program and the machine that run the graph. With AGH a rounding may also choose another anchor,
    or another side of a function. Items that are not finite, which the library refuses, get codes
    without a meaning.
    """
    onnx = _import_onnx()
    newest = onnx.defs.onnx_opset_version()
    if type(opset) is not int or not _LOWEST_OPSET <= opset <= newest:
        raise ValueError(f"opset must be from {_LOWEST_OPSET} to {newest}, got {opset!r}")
    if input_dtype not in (None, *_DTYPES):
        raise ValueError(f"input_dtype must be one of {', '.join(_DTYPES)}; got {input_dtype!r}")
    steps = steps_of(model)
    writers = [*map(_writer_of_features, steps[:-1]), _writer_of_hasher(steps[-1])]
    for step in steps:
        check_is_fitted(step)
    shape, learned_from = _items_of(steps[0])
    dtype = np.dtype(learned_from if input_dtype is None else input_dtype)
    graph = Graph(onnx)
    x = graph.read_items("items", shape, dtype)
    for step, write in zip(steps, writers, strict=True):
        x = write(graph, step, x)
        graph.largest = None
    hasher = hasher_of(model)
    graph.add("Identity", x, name="values")
    _pack(graph, hasher.n_bits)
    outputs = [("codes", np.uint8, n_bytes(hasher.n_bits)), ("values", np.float32, hasher.n_bits)]
    proto = graph.finish(outputs, opset, type(hasher).__name__.lower())
    if check:
        onnx.checker.check_model(proto, full_check=True)
    with replacing(path) as temporary:
        temporary.write_bytes(proto.SerializeToString(deterministic=True))


Writer = Callable[[Graph, Any, str], str]


def _pack(graph: Graph, n_bits: int) -> None:
    """Make bytes of the values' signs; sums of powers of two up to 128 are exact anywhere."""
    bits = graph.cast(graph.add("GreaterOrEqual", "values", 0.0), np.float32)
    unused = 8 * n_bytes(n_bits) - n_bits
    if unused:
        bits = graph.add("Pad", bits, np.array([0, 0, 0, unused]))
    groups = graph.add("Reshape", bits, np.array([0, n_bytes(n_bits), 8]))
    weighted = graph.add("Mul", groups, as_single(1 << np.arange(8)))
    graph.cast(graph.add("ReduceSum", weighted, np.array([2]), keepdims=0), np.uint8, name="codes")


def _items_of(step: Any) -> tuple[tuple[int, ...], str]:
    """Give the shape of an item, and the kind of its numbers."""
    if isinstance(step, Pixels):
        shape = tuple(step.image_shape_)
        return shape, "uint8" if len(shape) > 1 else "float32"
    shape = tuple(getattr(step, "item_shape_", (step.n_features_in_,)))
    whole = len(shape) > 1 and np.dtype(step.item_dtype_).kind in "iu"
    return shape, step.item_dtype_ if whole else "float32"


def _writer_of_features(step: Any) -> Writer:
    if type(step) in _FEATURES:
        return _FEATURES[type(step)]
    name = type(step).__name__
    advice = "; export the hasher alone" if name == "OnnxBackbone" else ""
    known = ", ".join(kind.__name__ for kind in _FEATURES)
    raise TypeError(f"cannot export the features {name}{advice}; features that can be: {known}")


def _writer_of_hasher(hasher: Any) -> Writer:
    """Find what writes a hasher's values: the class that computes them decides, not its name."""
    if not isinstance(hasher, Hasher):
        raise TypeError(f"the last step must be a hasher, got {hasher!r}")
    owner = next(kind for kind in type(hasher).__mro__ if "_project" in vars(kind))
    is_own = owner.__module__.startswith("hashlearn.hashers.")
    if is_own and owner.__name__ in _HASHERS and type(hasher).transform is Hasher.transform:
        return _HASHERS[owner.__name__]
    others = [name for name in _HASHERS if name not in _GENERAL]
    raise TypeError(
        f"cannot export {type(hasher).__name__}; methods that can be exported: all that are linear "
        f"functions or networks of layers, and {', '.join(others)}"
    )


def _pixels(graph: Graph, step: Pixels, x: str) -> str:
    rows = graph.add("Flatten", _whole_to_share(graph, x), axis=1)
    return graph.add("Sub", rows, as_single(step.mean_))


def _standardize(graph: Graph, step: StandardScaler, x: str) -> str:
    if step.with_mean:
        x = graph.add("Sub", x, as_single(step.mean_))
    return graph.add("Div", x, as_single(step.scale_)) if step.with_std else x


def _normalize(graph: Graph, step: Normalizer, x: str) -> str:
    sizes = graph.add("Abs", x)
    if step.norm == "l2":
        lengths = graph.add("Sqrt", graph.sum_of_squares(x))
    elif step.norm == "l1":
        lengths = graph.add("ReduceSum", sizes, np.array([1]), keepdims=1)
    else:
        lengths = graph.add_pair("TopK", sizes, np.array([1]))[0]
    is_zero = graph.add("Equal", lengths, 0.0)
    return graph.add("Div", x, graph.add("Where", is_zero, 1.0, lengths))


def _components(graph: Graph, step: Any, x: str) -> str:
    W = np.asarray(step.components_, np.float64)
    if isinstance(step, TruncatedSVD):
        return graph.linear(x, W, np.zeros(len(W)))
    if step.whiten:
        W = W / np.sqrt(step.explained_variance_)[:, None]
    return graph.linear(graph.add("Sub", x, as_single(step.mean_)), W, np.zeros(len(W)))


def _linear(graph: Graph, hasher: Any, x: str) -> str:
    return graph.linear(x, hasher.weights_, hasher.bias_)


def _layers(graph: Graph, hasher: Any, x: str) -> str:
    """Write a network of ``make_encoder``'s kind, whose last layer takes channels last."""
    from hashlearn.generative.networks import SLOPE  # imports torch, as the hasher's class did

    x = _centred(graph, hasher, _whole_to_share(graph, x))
    shape = tuple(hasher.item_shape_)
    if len(shape) > 1:  # images, or rows that are such
        height, width = shape[:2]
        image = np.array([0, height, width, shape[2] if len(shape) == 3 else 1])
        x = graph.add("Transpose", graph.add("Reshape", x, image), perm=[0, 3, 1, 2])
    for weights, bias in _hidden(hasher.layers_):
        if weights.ndim == 4:
            size = weights.shape[2]
            edges = [size // 2] * 4
            x = graph.add(
                "Conv", x, as_single(weights), as_single(bias), pads=edges, strides=[2, 2]
            )
        else:
            x = graph.linear(x, weights, bias)
        x = graph.add("LeakyRelu", x, alpha=SLOPE)
    if len(shape) > 1:
        x = graph.add("Flatten", graph.add("Transpose", x, perm=[0, 2, 3, 1]), axis=1)
    return graph.linear(x, hasher.layers_["output.weights"], hasher.layers_["output.bias"])


def _tanh_layers(graph: Graph, hasher: Any, x: str) -> str:
    x = _centred(graph, hasher, x)
    for weights, bias in _hidden(hasher.layers_):
        x = graph.add("Tanh", graph.linear(x, weights, bias))
    return graph.linear(x, hasher.layers_["output.weights"], hasher.layers_["output.bias"])


def _two_autoencoders(graph: Graph, hasher: Any, x: str) -> str:
    h = _layers(graph, hasher, x)
    if not hasher.autoencoders_:
        return h
    errors = []
    for m in (0, 1):
        a, c, u, v = (as_single(hasher.autoencoders_[name][:, m]) for name in "acuv")
        curve = graph.add("Tanh", graph.add("Mul", graph.add("Sub", h, c), u))
        made = graph.add("Add", graph.add("Mul", curve, v), a)
        error = graph.add("Sub", h, made)
        errors.append(graph.add("Mul", error, error))
    return graph.add("Sub", *errors)


def _waves(graph: Graph, hasher: Any, x: str) -> str:
    """Bring a phase to a sine that has its sign, as the method does."""
    phases = graph.linear(x, hasher.weights_, hasher.bias_)
    turns = graph.add("Floor", graph.add("Mul", phases, 0.5))
    rest = graph.add("Sub", phases, graph.add("Mul", turns, 2.0))
    turned = graph.add("Abs", graph.add("Sub", rest, 1.0))
    return graph.add("Sin", graph.add("Mul", graph.add("Sub", turned, 0.5), np.pi))


def _balls(graph: Graph, hasher: Any, x: str) -> str:
    """Write the squared radius without the squared distance, from the centres' mean on."""
    shift = hasher.centers_.mean(axis=0, dtype=np.float64).astype(np.float32)
    centers = hasher.centers_.astype(np.float64) - shift
    rows = graph.add("Sub", x, shift)
    bias = hasher.squared_radii_ - np.square(centers).sum(axis=1)
    return graph.add("Sub", graph.linear(rows, 2 * centers, bias), graph.sum_of_squares(rows))


def _anchors(graph: Graph, hasher: Any, x: str) -> str:
    """Write the functions on the nearest anchors, and with two layers what cuts them again."""
    shift = hasher.anchors_.mean(axis=0, dtype=np.float64).astype(np.float32)
    anchors = hasher.anchors_.astype(np.float64) - shift
    # Squared distances but for the vector's own length, which all anchors share.
    squares = np.square(anchors).sum(axis=1)
    distances = graph.linear(graph.add("Sub", x, shift), -2 * anchors, squares)
    n_nearest = np.array([min(hasher.n_nearest, len(anchors))])
    near, places = graph.add_pair("TopK", distances, n_nearest, axis=1, largest=0, sorted=1)
    beyond = graph.add("Sub", near, graph.add("Gather", near, np.array([0]), axis=1))
    # With a bandwidth of 0 the nearest takes all.
    slope = -min(1 / max(hasher.bandwidth_**2, 1e-300), float(np.finfo(np.float32).max))
    weights = graph.add("Softmax", graph.add("Mul", beyond, slope), axis=1)
    functions = graph.add("Gather", as_single(hasher.functions_), places, axis=0)
    each = graph.add("MatMul", graph.add("Unsqueeze", weights, np.array([1])), functions)
    values = graph.add("Squeeze", each, np.array([1]))
    if hasher.n_layers == 1:
        return values
    first, second = as_single(hasher.thresholds_)
    cut = graph.add(
        "Where",
        graph.add("GreaterOrEqual", values, 0.0),
        graph.add("Sub", values, first),
        graph.add("Sub", second, values),
    )
    both = graph.add("Concat", values, cut, axis=1)
    return graph.add("Slice", both, np.array([0]), np.array([hasher.n_bits]), np.array([1]))


def _whole_to_share(graph: Graph, x: str) -> str:
    """Divide whole numbers of images by the largest of their kind."""
    return x if graph.largest is None else graph.add("Div", x, float(graph.largest))


def _centred(graph: Graph, hasher: Any, x: str) -> str:
    return graph.add("Div", graph.add("Sub", x, hasher.shift_), float(hasher.scale_))


def _hidden(layers: dict[str, NDArray[Any]]) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    n_hidden = sum(name.endswith("weights") for name in layers) - 1
    return [(layers[f"{i}.weights"], layers[f"{i}.bias"]) for i in range(n_hidden)]


_FEATURES: dict[type, Writer] = {
    Pixels: _pixels,
    StandardScaler: _standardize,
    Normalizer: _normalize,
    PCA: _components,
    TruncatedSVD: _components,
}

# By the class that computes the values; those of networks cannot be imported without torch.
_GENERAL: dict[str, Writer] = {"LinearHasher": _linear, "ImageHasher": _layers}
_HASHERS: dict[str, Writer] = {
    **_GENERAL,
    "DH": _tanh_layers,
    "DBDMQ": _two_autoencoders,
    "SH": _waves,
    "SpH": _balls,
    "AGH": _anchors,
}


def _import_onnx() -> Any:
    try:
        import onnx
    except ModuleNotFoundError as error:
        raise ImportError("the export needs onnx: pip install 'hashlearn[onnx]'") from error
    return onnx
