"""Write two small networks of images as ONNX files, for ``--features onnx:FILE``.

    python benchmarks/export_networks.py -o networks

reads SqueezeNet v1.1 (ncnn's form) and MobileNet v2 (TensorFlow Lite's, quantised to 8 bits) from
the folder ``weights`` of ``HASHLEARN_DATA``. Each file takes images, uint8 of the shape
(n, height, width, 3), and gives ``features``, the means over space of the last layer before the
classes, and ``logits``. Normalisation is part of the network; what is left to do outside, resizing,
stands in its metadata. Quantised weights are written as the real numbers that they stand for:
MobileNet's outputs are near those of the original, not equal. Needs hashlearn[onnx] and tflite.
"""

import json
import math
import os
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnx
import typer
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from rich.console import Console

from hashlearn.storage import replacing

Array = NDArray[Any]

SQUEEZENET = Path("squeezenet_v1.1") / "squeezenet_v1.1.param"
MOBILENET = Path("mobilenet_tflite") / "mobilenet_v2_1.0_224_quant.tflite"
BILINEAR = 2
OPSET = 17
MEAN = (123.0, 117.0, 104.0)  # of red, green and blue
HALF = b"\x47\x6b\x30\x01"


class Graph:
    """Collect the nodes and weights of a network."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node, and give the name of its output."""
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def keep(self, name: str, values: Any) -> str:
        """Add a constant, and give its name."""
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def read_pixels(self, mean: Any, scale: float) -> str:
        """Turn pixels, channels last, into centred floats, channels first."""
        pixels = self.add("Cast", ["images"], "floats", to=TensorProto.FLOAT)
        mean = self.keep("mean", np.asarray(mean, np.float32))
        values = self.add("Sub", [pixels, mean], "centred")
        values = self.add("Mul", [values, self.keep("scale", np.float32(scale))], "scaled")
        return self.add("Transpose", [values], "planes", perm=[0, 3, 1, 2])

    def add_means(self, source: str, output: str) -> None:
        """Average over space."""
        pooled = self.add("GlobalAveragePool", [source], f"{output}/pooled")
        self.add("Flatten", [pooled], output, axis=1)

    def write(self, path: Path, name: str, size: int, widths: dict[str, int]) -> None:
        """Check the network and write it, with what is left to do before it."""
        images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", size, size, 3])
        outputs = [
            helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", width])
            for output, width in widths.items()
        ]
        graph = helper.make_graph(self.nodes, name, [images], outputs, self.weights)
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
        side = {"height": size, "width": size}
        resizing = {"do_resize": True, "size": side, "resample": BILINEAR}
        steps = resizing | {"do_rescale": False, "do_normalize": False}
        helper.set_model_props(model, {"preprocessor_config": json.dumps(steps)})
        onnx.checker.check_model(model, full_check=True)
        with replacing(path) as temporary:
            temporary.write_bytes(model.SerializeToString())


def read_ncnn(path: Path) -> list[tuple[str, list[str], list[str], dict[int, int]]]:
    """Read the layers of a text graph: kind, inputs, outputs, numbers by their keys."""
    layers = []
    for line in path.read_text(encoding="ascii").splitlines()[2:]:
        kind, _, n_inputs, n_outputs, *rest = line.split()
        names, numbers = (
            rest[: int(n_inputs) + int(n_outputs)],
            rest[int(n_inputs) + int(n_outputs) :],
        )
        options = {int(key): int(value) for key, value in (pair.split("=") for pair in numbers)}
        layers.append((kind, names[: int(n_inputs)], names[int(n_inputs) :], options))
    return layers


def export_squeezenet(weights: Path, path: Path) -> None:
    """Write SqueezeNet v1.1."""
    graph, blob, at = Graph(), (weights / SQUEEZENET).with_suffix(".bin").read_bytes(), 0
    renamed = {"data": graph.read_pixels(MEAN, 1.0)}
    for kind, inputs, outputs, options in read_ncnn(weights / SQUEEZENET):
        names = [renamed.get(name, name) for name in inputs]
        if kind == "Convolution":
            kernel, bias, at = _take_convolution(blob, at, options)
            if inputs == ["data"]:
                kernel = kernel[:, ::-1]  # it takes blue first
            side, edge = options[1], options.get(4, 0)
            values = [
                *names,
                graph.keep(f"{outputs[0]}/w", kernel),
                graph.keep(f"{outputs[0]}/b", bias),
            ]
            made = graph.add(
                "Conv", values, f"{outputs[0]}/sums", kernel_shape=[side, side], pads=[edge] * 4,
                strides=[options.get(3, 1)] * 2,
            )  # fmt: skip
            graph.add("Relu", [made], outputs[0])
        elif kind == "Pooling" and not options.get(4):
            side, step = options[1], options[2]
            graph.add(
                "MaxPool",
                names,
                outputs[0],
                kernel_shape=[side] * 2,
                strides=[step] * 2,
                ceil_mode=1,
            )
        elif kind == "Pooling":
            graph.add_means("fire9/concat_drop9", "features")
            graph.add_means(names[0], "logits")
        elif kind == "Concat":
            graph.add("Concat", names, outputs[0], axis=1)
        elif kind == "Split":
            renamed |= dict.fromkeys(outputs, names[0])
    if at != len(blob):
        raise ValueError(f"{len(blob) - at} bytes of weights are left over")
    graph.write(path, "squeezenet_v1.1", 227, {"features": 512, "logits": 1000})


def _take_convolution(blob: bytes, at: int, options: dict[int, int]) -> tuple[Array, Array, int]:
    """Take the next weights: a mark, half-precision numbers filled up to 4 bytes, and biases."""
    if blob[at : at + 4] != HALF:
        raise ValueError(f"no mark of half precision at byte {at}")
    n_out, n = options[0], options[6]
    kernel = np.frombuffer(blob, "<f2", n, at + 4).astype(np.float32)
    at += 4 + math.ceil(2 * n / 4) * 4
    bias = np.frombuffer(blob, "<f4", n_out, at)
    return kernel.reshape(n_out, -1, options[1], options[1]), bias, at + 4 * n_out


class Tensors:
    """Read the tensors of a TensorFlow Lite network as real numbers."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.subgraph = model.Subgraphs(0)

    def name(self, number: int) -> str:
        """Give the name of a tensor."""
        return str(self.subgraph.Tensors(number).Name().decode()).partition(";")[0]

    def shape(self, number: int) -> list[int]:
        """Give the shape of a tensor."""
        return [int(size) for size in self.subgraph.Tensors(number).ShapeAsNumpy()]

    def scale(self, number: int) -> tuple[float, int]:
        """Give the real number of one step, and the step that is 0."""
        quantised = self.subgraph.Tensors(number).Quantization()
        if quantised.ScaleLength() != 1:
            raise ValueError(f"{self.name(number)} has a scale for each channel")
        return float(quantised.Scale(0)), int(quantised.ZeroPoint(0))

    def values(self, number: int) -> Array:
        """Give the real numbers that a quantised tensor stands for."""
        from tflite import TensorType

        tensor = self.subgraph.Tensors(number)
        steps = self.model.Buffers(tensor.Buffer()).DataAsNumpy()
        types = {TensorType.UINT8: "u1", TensorType.INT32: "<i4"}
        scale, zero = self.scale(number)
        whole = steps.view(types[tensor.Type()]).reshape(self.shape(number)).astype(np.float64)
        return ((whole - zero) * scale).astype(np.float32)


def export_mobilenet(weights: Path, path: Path) -> None:
    """Write MobileNet v2, its weights and biases as real numbers."""
    from tflite import BuiltinOperator, Model

    model = Model.GetRootAs((weights / MOBILENET).read_bytes(), 0)
    tensors, graph, kinds = Tensors(model), Graph(), BuiltinOperator
    first = int(tensors.subgraph.InputsAsNumpy()[0])
    scale, zero = tensors.scale(first)
    made = {first: graph.read_pixels([zero] * 3, scale)}
    for i in range(tensors.subgraph.OperatorsLength()):
        step = tensors.subgraph.Operators(i)
        inputs = [int(number) for number in step.InputsAsNumpy()]
        (output,) = (int(number) for number in step.OutputsAsNumpy())
        kind = model.OperatorCodes(step.OpcodeIndex())
        code = max(kind.BuiltinCode(), kind.DeprecatedBuiltinCode())
        if code in (kinds.CONV_2D, kinds.DEPTHWISE_CONV_2D):
            deep = code == kinds.DEPTHWISE_CONV_2D
            made[output] = _add_convolution(graph, tensors, step, made[inputs[0]], deep=deep)
        elif code == kinds.ADD:
            made[output] = graph.add("Add", [made[n] for n in inputs], tensors.name(output))
        elif code == kinds.AVERAGE_POOL_2D:
            made[output] = graph.add("GlobalAveragePool", [made[inputs[0]]], tensors.name(output))
            graph.add("Flatten", [made[output]], "features", axis=1)
        elif code == kinds.RESHAPE:
            graph.add("Flatten", [made[inputs[0]]], "logits", axis=1)
            made[output] = "logits"
        elif code != kinds.SOFTMAX:
            raise ValueError(f"an operator of the number {code} is not known here")
    graph.write(path, "mobilenet_v2", 224, {"features": 1280, "logits": 1001})


def _add_convolution(graph: Graph, tensors: Tensors, step: Any, source: str, *, deep: bool) -> str:
    from tflite import ActivationFunctionType, Conv2DOptions, DepthwiseConv2DOptions, Padding

    options = DepthwiseConv2DOptions() if deep else Conv2DOptions()
    table = step.BuiltinOptions()
    options.Init(table.Bytes, table.Pos)
    inputs, output = step.InputsAsNumpy(), int(step.OutputsAsNumpy()[0])
    name = tensors.name(output)
    # TensorFlow Lite has (out, h, w, in), and (1, h, w, channels) for one kernel a channel
    kernel = tensors.values(int(inputs[1])).transpose((3, 0, 1, 2) if deep else (0, 3, 1, 2))
    strides = [options.StrideH(), options.StrideW()]
    pads = [0, 0, 0, 0]
    if options.Padding() == Padding.SAME:
        sides = tensors.shape(int(inputs[0]))[1:3]
        before, after = zip(*map(_same_padding, sides, kernel.shape[2:], strides), strict=True)
        pads = [*before, *after]
    weights = (
        graph.keep(f"{name}/w", kernel),
        graph.keep(f"{name}/b", tensors.values(int(inputs[2]))),
    )
    sums = graph.add(
        "Conv", [source, *weights], f"{name}/sums", kernel_shape=list(kernel.shape[2:]), pads=pads,
        strides=strides, group=len(kernel) if deep else 1,
    )  # fmt: skip
    if options.FusedActivationFunction() == ActivationFunctionType.NONE:
        return sums
    if options.FusedActivationFunction() != ActivationFunctionType.RELU6:
        raise ValueError(f"{name} has another activation than ReLU6")
    if "six" not in {tensor.name for tensor in graph.weights}:
        graph.keep("zero", np.float32(0))
        graph.keep("six", np.float32(6))
    return graph.add("Clip", [sums, "zero", "six"], name)


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Pad so that the output has size / stride, rounded up; an odd pixel stands at the end."""
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def main(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the files.")],
) -> None:
    """Write both networks."""
    if not os.environ.get("HASHLEARN_DATA"):
        raise typer.BadParameter("HASHLEARN_DATA must name the folder that has weights/")
    weights = Path(os.environ["HASHLEARN_DATA"]) / "weights"
    output.mkdir(parents=True, exist_ok=True)
    for name, export in (
        ("squeezenet_v1.1", export_squeezenet),
        ("mobilenet_v2", export_mobilenet),
    ):
        path = output / f"{name}.onnx"
        export(weights, path)
        Console().print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    typer.run(main)
