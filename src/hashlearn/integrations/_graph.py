"""An ONNX graph while it is written."""

from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

FORMAT = 1
"""Number of the conventions of a graph: names, shapes and kinds of what goes in and out."""

_DOCUMENTATION = (
    "Binary codes of items. codes: packed bytes, bit j is bit j % 8 of byte j // 8, the least "
    "significant first; unused bits are 0. values: bit j is 1 where value j is at least 0."
)

Operand = str | float | NDArray[Any]
"""What a node takes: an output by its name, or a constant; a number is one in single precision."""


class Graph:
    """Collect nodes and constants, and name them.

    Its `largest` is the number that whole numbers of items are divided by, for the first step.
    """

    def __init__(self, onnx: Any) -> None:
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs: list[Any] = []
        self.largest: int | None = None

    def read_items(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
        """Declare the input, and give its numbers as float32."""
        self.inputs.append(self._declare(name, dtype, shape))
        if dtype == np.float32:
            return name
        if dtype.kind in "iu" and len(shape) > 1:
            self.largest = int(np.iinfo(dtype).max)
        return self.cast(name, np.float32)

    def add(self, kind: str, *inputs: Operand, name: str | None = None, **attributes: Any) -> str:
        """Add a node, and give the name of its output."""
        return self._add(kind, inputs, [name or self._new_name(kind)], attributes)[0]

    def add_pair(self, kind: str, *inputs: Operand, **attributes: Any) -> list[str]:
        """Add a node with two outputs, and give their names."""
        name = self._new_name(kind)
        return self._add(kind, inputs, [name, f"{name}_too"], attributes)

    def cast(self, x: str, dtype: Any, name: str | None = None) -> str:
        """Turn numbers into another kind."""
        kind = self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.add("Cast", x, name=name, to=kind)

    def linear(self, x: str, weights: NDArray[Any], bias: NDArray[Any]) -> str:
        """Compute linear functions, one a row of the weights."""
        return self.add("Gemm", x, as_single(weights), as_single(bias), transB=1)

    def sum_of_squares(self, x: str) -> str:
        """Add up the squares of each row, as a column."""
        return self.add("ReduceSum", self.add("Mul", x, x), np.array([1]), keepdims=1)

    def finish(self, outputs: list[tuple[str, Any, int]], opset: int, method: str) -> Any:
        """Make the model, with its metadata."""
        helper = self.onnx.helper
        declared = [self._declare(name, np.dtype(dtype), (size,)) for name, dtype, size in outputs]
        graph = helper.make_graph(
            self.nodes, f"hashlearn_{method}", self.inputs, declared, initializer=self.constants
        )
        opsets = [helper.make_opsetid("", opset)]
        library = version("hashlearn")
        model = helper.make_model(
            graph,
            opset_imports=opsets,
            ir_version=helper.find_min_ir_version_for(opsets),
            producer_name="hashlearn",
            producer_version=library,
            doc_string=_DOCUMENTATION,
        )
        n_bits = next(size for name, _, size in outputs if name == "values")
        facts = {"method": method, "n_bits": n_bits, "format": FORMAT, "library_version": library}
        helper.set_model_props(model, {name: str(value) for name, value in facts.items()})
        return model

    def _add(
        self,
        kind: str,
        inputs: tuple[Operand, ...],
        names: list[str],
        attributes: dict[str, Any],
    ) -> list[str]:
        helper = self.onnx.helper
        sources = [part if isinstance(part, str) else self._keep(part) for part in inputs]
        node = helper.make_node(kind, sources, names, name=f"make_{names[0]}")
        node.attribute.extend(helper.make_attribute(*pair) for pair in attributes.items())
        self.nodes.append(node)
        return names

    def _declare(self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Any:
        helper = self.onnx.helper
        kind = helper.np_dtype_to_tensor_dtype(dtype)
        return helper.make_tensor_value_info(name, kind, ["n", *map(int, shape)])

    def _keep(self, number: float | NDArray[Any]) -> str:
        name = f"constant_{len(self.constants)}"
        array = np.array(number, None if isinstance(number, np.ndarray) else np.float32, order="C")
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def _new_name(self, kind: str) -> str:
        return f"{kind.lower()}_{len(self.nodes)}"


def as_single(array: Any) -> NDArray[np.float32]:
    """Round numbers to single precision."""
    return np.asarray(array, np.float32)
