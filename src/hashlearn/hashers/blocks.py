"""Blocks of rows: what methods learn from many rows is added up a block after the other."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import TypeVar

from threadpoolctl import ThreadpoolController

T = TypeVar("T")

_BLOCK_ENTRIES = 1 << 20
"""Entries of a block: enough for BLAS, 8 MB in double precision."""


def row_blocks(n_rows: int, n_columns: int) -> list[slice]:
    """Divide the rows of a matrix into blocks of bounded memory.

    Parameters
    ----------
    n_rows : int
        Rows in all.
    n_columns : int
        Columns, at least 1.

    Returns
    -------
    list of slice
        Rows in their order; a block has at most about a million entries, or is one row.

    Examples
    --------
    >>> row_blocks(1500, 1024)
    [slice(0, 1024, None), slice(1024, 1500, None)]
    """
    size = max(1, _BLOCK_ENTRIES // n_columns)
    return [slice(start, min(start + size, n_rows)) for start in range(0, n_rows, size)]


def each_block(work: Callable[[slice], T], n_rows: int, n_columns: int) -> Iterator[T]:
    """Work on blocks of rows, on as many threads as BLAS may take.

    Parameters
    ----------
    work : callable
        Takes the rows of a block. Its products run on one thread of BLAS each.
    n_rows : int
        Rows in all.
    n_columns : int
        Columns, at least 1.

    Yields
    ------
    object
        What `work` returns, in the order of the blocks: a sum of it does not depend on the number
        of threads.

    Notes
    -----
    BLAS divides each product among its threads and lets them wait for one another many times, by
    spinning. Products of tall and narrow matrices gain little by that on an idle machine, and lose
    most of the time on a busy one.

    Examples
    --------
    >>> sum(each_block(lambda rows: rows.stop - rows.start, 5000, 1024))
    5000
    """
    blocks, blas = row_blocks(n_rows, n_columns), _blas()
    threads = max((library["num_threads"] for library in blas.info()), default=1)
    one_thread = partial(blas.limit, limits=1)  # in every worker: OpenMP counts by thread
    with one_thread(), ThreadPoolExecutor(threads, initializer=one_thread) as pool:
        for first in range(0, len(blocks), threads):  # no more results at a time than threads
            yield from pool.map(work, blocks[first : first + threads])


@cache
def _blas() -> ThreadpoolController:
    """Find the libraries that NumPy multiplies with."""
    return ThreadpoolController().select(user_api="blas")
