import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from hashlearn.hashers.blocks import _blas, each_block, row_blocks


@pytest.mark.parametrize("shape", [(0, 5), (1, 5), (1500, 1024), (5000, 1000), (3, 1 << 21)])
def test_blocks_are_all_rows_once_in_their_order_and_of_bounded_size(shape):
    n_rows, n_columns = shape
    blocks = row_blocks(n_rows, n_columns)
    assert [row for block in blocks for row in range(n_rows)[block]] == list(range(n_rows))
    for block in blocks:
        rows = block.stop - block.start
        assert rows == 1 or rows * n_columns <= 1 << 20


@pytest.fixture(autouse=True)
def _libraries_are_looked_for_anew():
    """Other tests may have loaded more of them, such as faiss'."""
    np.ones((2, 2)) @ np.ones((2, 2))  # alone, this file has loaded none
    _blas.cache_clear()


def blas_threads():
    return {lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"}


@pytest.mark.parametrize("threads", [1, 2])
def test_results_come_in_order_and_blas_gets_its_threads_back(threads):
    with threadpool_limits(threads):
        before = blas_threads()
        found = list(each_block(lambda rows: (rows, blas_threads()), 20_000, 1024))
        assert blas_threads() == before
    assert [rows for rows, _ in found] == row_blocks(20_000, 1024)
    assert {n for _, inside in found for n in inside} == {1}


def test_a_blas_of_openmp_is_held_to_one_thread_in_every_worker():
    """As faiss brings one: what is set in one thread does not hold in the others."""
    pytest.importorskip("faiss")
    _blas.cache_clear()
    with threadpool_limits(2):
        assert "openmp" in {library.get("threading_layer") for library in threadpool_info()}
        assert all(found == {1} for found in each_block(lambda _: blas_threads(), 20_000, 1024))


def test_an_error_in_a_block_is_raised_and_blas_gets_its_threads_back():
    before = blas_threads()
    with pytest.raises(ZeroDivisionError):
        list(each_block(lambda rows: 1 / rows.start, 20_000, 1024))
    assert blas_threads() == before
