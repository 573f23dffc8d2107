"""Models and codes for other programs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hashlearn.cli.options import AsJson
from hashlearn.cli.show import report

_OPTIONS = {
    ".onnx": ("--opset", "--input-dtype"),
    ".sql": ("--function", "--replace"),
    ".copy": ("--table",),
}


def export(
    source: Annotated[
        Path, typer.Argument(help="File of `hashlearn fit`; for .copy, file of codes.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File to write: .onnx, .sql or .copy.")
    ],
    opset: Annotated[
        int | None,
        typer.Option(help=".onnx: version of the operators, from 13 on. Default: 17."),
    ] = None,
    input_dtype: Annotated[
        str | None,
        typer.Option(
            help=".onnx: kind of the items' numbers, uint8 or float32. Default: uint8 for images, "
            "unless a hasher of images learned from others, and float32 for vectors."
        ),
    ] = None,
    function: Annotated[
        str | None,
        typer.Option(help=".sql: name of the function, perhaps schema.name. Default: hash_code."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help=".sql: replace a function of that name.")
    ] = False,
    table: Annotated[
        str | None,
        typer.Option(help=".copy: table that the statement shall name. Default: items."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a model as an ONNX graph or an SQL function, or codes for PostgreSQL's COPY.

    The input of an ONNX graph is named items, its outputs codes (packed bytes) and values (before
    the sign). Texts have no such graph. An SQL function takes a vector of pgvector and gives its
    code as bit(n); it can be made of methods that are linear. A file for COPY holds ids from 0 on,
    codes and, where there are any, names.

    Example: `hashlearn export photos.model -o photos.onnx`

    Example: `hashlearn export texts.model -o hash_code.sql`

    Example: `hashlearn export texts-codes.npz -o texts.copy`
    """  # numpydoc ignore=PR01
    from hashlearn.cli.files import check_output

    check_output(output, tuple(_OPTIONS))
    given = {
        "--opset": opset, "--input-dtype": input_dtype, "--function": function,
        "--replace": replace or None, "--table": table,
    }  # fmt: skip
    for option, value in given.items():
        if value is not None and option not in _OPTIONS[output.suffix]:
            raise ValueError(f"{option} cannot be given with a file that ends in {output.suffix}")
    if output.suffix == ".copy":
        facts, sentence = _write_copy(source, output, "items" if table is None else table)
    elif output.suffix == ".sql":
        name = "hash_code" if function is None else function
        facts, sentence = _write_function(source, output, name, replace)
    else:
        facts, sentence = _write_graph(source, output, 17 if opset is None else opset, input_dtype)
    n_stored = output.stat().st_size
    facts["bytes"] = n_stored
    report(facts, f"{sentence}, {n_stored:,} bytes: {output}", as_json=as_json)


def _write_graph(
    source: Path, output: Path, opset: int, input_dtype: str | None
) -> tuple[dict[str, Any], str]:
    from hashlearn.integrations.onnx import export_onnx
    from hashlearn.models import hasher_of, load

    model = load(source)
    export_onnx(model, output, opset=opset, input_dtype=input_dtype)
    hasher = hasher_of(model)
    name = type(hasher).__name__
    facts = {"graph": str(output), "method": name.lower(), "n_bits": hasher.n_bits}
    return facts, f"{name} with {hasher.n_bits} bits as an ONNX graph"


def _write_function(
    source: Path, output: Path, function: str, replace: bool
) -> tuple[dict[str, Any], str]:
    from hashlearn.integrations.pgvector import function_sql
    from hashlearn.models import hasher_of, load
    from hashlearn.storage import replacing

    model = load(source)
    text = function_sql(model, function, replace=replace)
    with replacing(output) as temporary:
        temporary.write_text(f"{text}\n", encoding="utf-8")
    hasher = hasher_of(model)
    name = type(hasher).__name__
    facts = {
        "sql": str(output), "function": function, "method": name.lower(), "n_bits": hasher.n_bits
    }  # fmt: skip
    return facts, f"{name} with {hasher.n_bits} bits as the SQL function {function}"


def _write_copy(source: Path, output: Path, table: str) -> tuple[dict[str, Any], str]:
    from hashlearn.cli.files import read_codes
    from hashlearn.integrations.pgcopy import copy_sql, write_copy

    codes, n_bits, names = read_codes(source, None)
    columns = {} if names is None else {"name": names}
    statement = copy_sql(table, columns)
    write_copy(output, codes, n_bits, columns=columns)
    facts = {"copy": str(output), "statement": statement, "n_codes": len(codes), "n_bits": n_bits}
    return facts, f"{len(codes):,} codes of {n_bits} bits for {statement.rstrip(';')}"
