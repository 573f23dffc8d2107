"""Data sets of the Hugging Face library `datasets`: vectors, texts or images in a column."""

from collections.abc import Iterator
from typing import Any

from hashlearn.data.columns import choose_columns
from hashlearn.data.images import Mode
from hashlearn.data.source import BATCH_ROWS, Batch, Source


def is_hugging_face(data: Any) -> bool:
    """Tell whether an object is a data set of `datasets`, without importing the library.

    Parameters
    ----------
    data : object
        Anything.

    Returns
    -------
    bool
        Whether it is.
    """
    return type(data).__module__.partition(".")[0] == "datasets" and hasattr(data, "with_format")


class HuggingFaceSource(Source):
    """Read a data set of `datasets`, one that is streamed too, a batch at a time.

    Parameters
    ----------
    data : datasets.Dataset or datasets.IterableDataset
        One split of a data set.
    column : str, default=None
        Column of the items: lists of numbers, texts, or images. None takes the only one of lists of
        numbers; without one, all columns of numbers.
    label_column : str, default=None
        Column of labels.
    name_column : str, default=None
        Column of item names.
    image_size : tuple of int (height, width), default=None
        Size to bring images to.
    mode : {"rgb", "grey"}, default="rgb"
        Whether images have three channels, or none.

    Raises
    ------
    ValueError
        If it is several splits, is empty, or a column is missing or holds something else.
    """

    def __init__(
        self,
        data: Any,
        *,
        column: str | None = None,
        label_column: str | None = None,
        name_column: str | None = None,
        image_size: tuple[int, int] | None = None,
        mode: Mode = "rgb",
    ) -> None:
        if isinstance(data, dict):
            raise ValueError(f"choose one of its splits: {', '.join(map(str, data))}")
        self._data = data.with_format("arrow")
        first = next(iter(self._data.iter(1)), None)
        if first is None:
            raise ValueError("the data set is empty")
        self.columns = choose_columns(
            first.schema, column, label_column, name_column, image_size, mode
        )
        info = data.info
        name = getattr(info, "dataset_name", None) or "dataset"
        super().__init__(name, f"Hugging Face datasets: {name}", self.columns.kind)

    def _count(self) -> int | None:
        return len(self._data) if hasattr(self._data, "__len__") else None

    def _identify(self) -> dict[str, Any] | None:
        mark = getattr(self._data, "_fingerprint", None)
        return None if mark is None else {"datasets": mark, "columns": self.columns.names}

    def batches(self, size: int = BATCH_ROWS, start: int = 0) -> Iterator[Batch]:  # noqa: D102
        if self.n_rows is not None and start >= self.n_rows:
            return
        rows = self._data.skip(start) if start else self._data
        for table in rows.iter(size):
            for part in table.combine_chunks().to_batches():
                yield self.columns.batch(part.select(self.columns.names), start)
                start += len(part)
