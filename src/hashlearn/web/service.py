"""What every route needs: the collections, the limits, and threads to work in."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from starlette.exceptions import HTTPException

from hashlearn.collection import Collection
from hashlearn.web.errors import refusing
from hashlearn.web.limits import Limits
from hashlearn.web.metrics import Metrics

T = TypeVar("T")

_READERS = 2  # more of them wait for one another: Python runs one at a time
_ENCODERS = 2  # networks and large images take long, and all processors
_WRITERS = 2  # one encodes while the other writes


class Service:
    """Hold collections and run what is asked of them.

    Work runs in threads of its own, which stay: each has its connection to the database. What
    encodes items and what writes have their own, so that neither a large image nor a write that
    waits for another process keeps a search by key waiting. A request that is given up leaves its
    work to end by itself.

    Parameters
    ----------
    collections : mapping of str to Collection
        Collections by the names that they have in paths.
    read_only : bool
        Whether nothing may be written.
    limits : Limits
        Limits of requests.
    """

    def __init__(
        self, collections: Mapping[str, Collection], *, read_only: bool, limits: Limits
    ) -> None:
        self.collections = collections
        self.limits = limits
        self.metrics = Metrics(collections)
        self._read_only = read_only
        self._readers = ThreadPoolExecutor(_READERS, "read")
        self._encoders = ThreadPoolExecutor(_ENCODERS, "encode")
        self._writers = ThreadPoolExecutor(_WRITERS, "write")

    def named(self, name: str) -> Collection:
        """Find a collection.

        Parameters
        ----------
        name : str
            Its name.

        Returns
        -------
        Collection
            The collection.

        Raises
        ------
        HTTPException
            With 404 if there is none.
        """
        if name not in self.collections:
            raise HTTPException(404, f"there is no collection {name[:80]!r}")
        return self.collections[name]

    def is_read_only(self, collection: Collection) -> bool:
        """Tell whether nothing may be written into a collection.

        Parameters
        ----------
        collection : Collection
            The collection.

        Returns
        -------
        bool
            Whether it, or the whole service, is for reading only.
        """
        return self._read_only or collection.read_only

    async def read(self, work: Callable[..., T], *arguments: Any) -> T:
        """Run something that reads.

        Parameters
        ----------
        work : callable
            What to run.
        *arguments : object
            Its arguments.

        Returns
        -------
        object
            What it gives.

        Raises
        ------
        HTTPException
            In the place of what a collection raises about its input.
        """
        return await self._run(self._readers, work, *arguments)

    async def encode(self, work: Callable[..., T], *arguments: Any) -> T:
        """Run something that encodes items and then reads.

        Parameters
        ----------
        work : callable
            What to run.
        *arguments : object
            Its arguments.

        Returns
        -------
        object
            What it gives.

        Raises
        ------
        HTTPException
            In the place of what a collection raises about its input.
        """
        return await self._run(self._encoders, work, *arguments)

    async def write(self, collection: Collection, work: Callable[..., T], *arguments: Any) -> T:
        """Run something that writes.

        Parameters
        ----------
        collection : Collection
            Where it writes.
        work : callable
            What to run.
        *arguments : object
            Its arguments after the collection.

        Returns
        -------
        object
            What it gives.

        Raises
        ------
        HTTPException
            In the place of what a collection raises about its input, and with 403 if nothing may be
            written.
        """
        if self.is_read_only(collection):
            raise HTTPException(403, "the collection is open for reading only")
        return await self._run(self._writers, work, collection, *arguments)

    async def _run(self, pool: ThreadPoolExecutor, work: Callable[..., T], *arguments: Any) -> T:
        def run() -> T:
            with refusing():
                return work(*arguments)

        return await asyncio.get_running_loop().run_in_executor(pool, run)

    def close(self) -> None:
        """Wait for all work, also of requests that were given up, and close the collections."""
        for pool in (self._readers, self._encoders, self._writers):
            pool.shutdown()
        for collection in self.collections.values():
            collection.close()
