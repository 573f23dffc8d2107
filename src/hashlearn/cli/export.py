"""Models for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from hashlearn.cli.options import AsJson
from hashlearn.cli.show import report


def export(
    model: Annotated[Path, typer.Argument(help="File of `hashlearn fit`.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File for the graph: .onnx.")],
    opset: Annotated[int, typer.Option(help="Version of the operators, from 13 on.")] = 17,
    input_dtype: Annotated[
        str | None,
        typer.Option(
            help="Kind of the items' numbers, uint8 or float32. Default: uint8 for images, unless "
            "a hasher of images learned from others, and float32 for vectors."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a model as an ONNX graph that gives packed codes where hashlearn is not installed.

    Its input is named items, its outputs codes (packed bytes) and values (before the sign). Texts
    have no such graph.

    Example: `hashlearn export photos.model -o photos.onnx`
    """  # numpydoc ignore=PR01
    from hashlearn.cli.files import check_output
    from hashlearn.integrations.onnx import export_onnx
    from hashlearn.models import hasher_of, load

    check_output(output, (".onnx",))
    fitted = load(model)
    export_onnx(fitted, output, opset=opset, input_dtype=input_dtype)
    hasher, n_stored = hasher_of(fitted), output.stat().st_size
    name = type(hasher).__name__
    report(
        {"graph": str(output), "method": name.lower(), "n_bits": hasher.n_bits, "bytes": n_stored},
        f"{name} with {hasher.n_bits} bits as an ONNX graph, {n_stored:,} bytes: {output}",
        as_json=as_json,
    )
