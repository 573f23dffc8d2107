"""Workers: they read pieces of data, encode them, and send back codes or one error."""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from time import perf_counter
from typing import Any

from threadpoolctl import threadpool_limits

from hashlearn.codefiles import COLUMN
from hashlearn.data.locations import naming
from hashlearn.integrations._cluster import Resources, given_threads, quiet, shown
from hashlearn.integrations._items import any_model, encode_table
from hashlearn.integrations._parquet import Writer, read_piece
from hashlearn.models import Model, file_bytes

_MOST_ATTEMPTS = 4  # more workers are not lost over the same rows
_ERRORS = {error.__name__: error for error in (ValueError, TypeError, ImportError, OSError)}


def load_in_worker(model: Any) -> Model:
    """Load a model, and take as many threads as Ray gives this process CPUs, if it is a worker."""
    threads = given_threads()
    if threads is None:
        return any_model(model)
    for name in ("HASHLEARN_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)  # for libraries that the model, or its first use, brings
    loaded = any_model(model)
    threadpool_limits(threads)
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(threads)
    return loaded


class Worker:
    """Read pieces of data, encode them, and send back rows, or the error that ends the run.

    What is sent is one row for each table, the table itself as bytes: its columns are none of
    Ray's business. An error that was raised would come back wrapped in pages of others.
    """

    def __init__(self, model: Any, attempts: Any, task: Mapping[str, Any]) -> None:
        import ray

        self._task, self._attempts, self._error = task, attempts, None
        try:
            content = ray.get(model) if isinstance(model, ray.ObjectRef) else model
            self._model = load_in_worker(content)
        except Exception as error:
            self._error = _worded(error)

    def __call__(self, batch: Any) -> Iterator[Any]:
        """Work on a table of pieces, each written as JSON."""
        for text in batch.column("piece").to_pylist():
            if self._error is None:
                try:
                    for rows, left_out in self._work(json.loads(text)):
                        yield _sent(_as_bytes(rows), left_out)
                except Exception as error:  # it is raised where it is read
                    self._error = _worded(error)
            if self._error is not None:
                yield _sent(error=self._error)

    def _work(self, piece: Mapping[str, Any]) -> Iterator[tuple[Any, list[str]]]:
        """Read and encode a piece, a table after the other."""
        import pyarrow
        import ray

        column, keep = self._task["column"], self._task["keep"]
        where = piece["path"] if "path" in piece else piece["paths"][0]
        if lost := ray.get(self._attempts.begin.remote(piece["number"])):
            raise RuntimeError(
                f"{lost} workers were lost over the same rows, of {where}: is the memory too "
                "small? try a smaller batch_size"
            )
        if "paths" in piece:
            table = pyarrow.table({"path": piece["paths"], "name": piece["names"]})
            rows, problems = encode_table(self._model, table, column, keep)
            yield rows.filter(rows.column(COLUMN).is_valid()), _known(problems)
            return
        with naming(where):
            task = self._task
            tables = read_piece(task["system"], piece, task["columns"], task["batch_size"])
            for table in tables:
                rows, problems = encode_table(self._model, table, column, keep)
                yield rows, [f"{where}: {problem}" for problem in _known(problems)]


class Attempts:
    """Count how often each piece was begun."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._begun: dict[int, int] = {}

    def begin(self, number: int) -> int:
        """Count one more; if these are too many, say how many failed, otherwise 0."""
        failed = self._begun.get(number, 0)
        self._begun[number] = failed + 1
        return failed if failed >= self._most else 0


def run(
    model: Model,
    task: Mapping[str, Any],
    pieces: Sequence[Mapping[str, Any]],
    n_rows: int,
    writer: Writer,
    resources: Resources,
) -> tuple[float, list[str]]:
    """Hand out pieces to workers, and write what they send in the order of the pieces.

    Gives the seconds that it took, and what was wrong with images.
    """
    import pyarrow
    import ray.data

    started = perf_counter()
    counter = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Attempts)
    arguments = {
        "model": ray.put(file_bytes(model)),
        "attempts": counter.remote(_MOST_ATTEMPTS),
        "task": task,
    }
    with quiet():
        data = ray.data.from_items(
            [{"piece": json.dumps(piece)} for piece in pieces], override_num_blocks=len(pieces)
        ).map_batches(
            Worker, fn_constructor_kwargs=arguments, batch_size=None, batch_format="pyarrow",
            num_cpus=resources.cpus, num_gpus=resources.gpus or None,
            compute=ray.data.ActorPoolStrategy(size=min(resources.workers, len(pieces))),
        )  # fmt: skip
        data.context.execution_options.preserve_order = True
        data.context.enable_progress_bars = False
    left_out: list[str] = []
    # Closed at once when an error ends the run: until then the workers keep their CPUs.
    batches: Any = iter(data.iter_batches(batch_size=None, batch_format="pyarrow"))
    with quiet(), shown(n_rows) as advance, closing(batches):
        try:
            for sent in (row for block in batches for row in block.to_pylist()):
                if sent["error"] is not None:
                    name, text = json.loads(sent["error"])
                    raise _ERRORS.get(name, RuntimeError)(text)
                rows = pyarrow.ipc.open_stream(sent["rows"]).read_all()
                writer.write(rows)
                left_out += sent["left_out"]
                advance(rows.num_rows + len(sent["left_out"]) * task.get("leave_out", False))
        except ray.exceptions.RayError as error:
            raise RuntimeError(f"Ray gave up: {str(error).strip().splitlines()[-1]}") from error
        writer.close()
    return perf_counter() - started, left_out


def _sent(rows: bytes | None = None, left_out: Sequence[str] = (), error: str | None = None) -> Any:
    import pyarrow

    schema = pyarrow.schema(
        {
            "rows": pyarrow.large_binary(),
            "left_out": pyarrow.list_(pyarrow.string()),
            "error": pyarrow.string(),
        }
    )
    sent = {"rows": [rows], "left_out": [list(left_out)], "error": [error]}
    return pyarrow.table(sent, schema=schema)


def _as_bytes(table: Any) -> bytes:
    import pyarrow

    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _worded(error: Exception) -> str:
    """Write down an error of this library or of a file so that it can be raised elsewhere."""
    kind = next((name for name, known in _ERRORS.items() if isinstance(error, known)), "")
    return json.dumps([kind, str(error) if kind else f"{type(error).__name__}: {error}"])


def _known(problems: Sequence[str | None]) -> list[str]:
    return [problem for problem in problems if problem is not None]
