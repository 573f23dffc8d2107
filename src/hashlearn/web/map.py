"""A map of a collection: its codes in the plane in which they differ most."""

from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, FastAPI, Query, Request
from numpy.typing import NDArray
from pydantic_core import to_json
from starlette.responses import Response

from hashlearn.codes import unpack_bits
from hashlearn.collection import Collection
from hashlearn.web.answers import Problem
from hashlearn.web.api import PATH
from hashlearn.web.schemas import Schema

N_LABELS = 10
"""Labels that have a colour of their own; the most frequent ones."""

_SAMPLE = 10_000  # codes that the plane is computed from

MOST = 20_000
"""Items that a map shows at most."""

router = APIRouter(prefix=PATH)


class Map(Schema):
    """Items of a collection in the plane in which their codes differ most.

    Parameters
    ----------
    n_items : int
        Items of the collection, of which the map may show a part.
    n_bits : int
        Length of a code.
    generation : int
        Number of the hasher.
    share : float
        Share of the variance of the bits that the plane keeps.
    directions : list of list of float
        Weights of the bits, as -1 and 1, for x and y.
    centre : list of float
        What is taken away from x and y.
    labels : list of str
        The most frequent labels.
    keys : list of str
        Keys of the items that are shown.
    label : list of int
        Number of each one's label in `labels`; -1 for another one or none.
    x : list of float
        Coordinates across.
    y : list of float
        Coordinates upwards.
    """

    n_items: int
    n_bits: int
    generation: int
    share: float
    directions: list[list[float]]
    centre: list[float]
    labels: list[str]
    keys: list[str]
    label: list[int]
    x: list[float]
    y: list[float]


@dataclass(frozen=True, eq=False)
class Plane:
    """Hold the plane that codes are drawn in.

    Parameters
    ----------
    directions : ndarray of shape (2, n_bits), float64
        Two orthogonal directions of length 1; the second is zero where codes have one bit.
    centre : ndarray of shape (2,), float64
        Where the mean of the codes lies on them.
    share : float
        Share of the variance of all bits that the plane keeps, from 0 to 1.
    """

    directions: NDArray[np.float64]
    centre: NDArray[np.float64]
    share: float

    def project(self, codes: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Place codes in the plane.

        Parameters
        ----------
        codes : ndarray of shape (n, ceil(n_bits / 8)), uint8
            Packed codes.

        Returns
        -------
        ndarray of shape (n, 2), float64
            Coordinates.
        """
        return _signs(codes, self.directions.shape[1]) @ self.directions.T - self.centre


def find_plane(codes: NDArray[np.uint8], n_bits: int) -> Plane:
    """Find the plane in which codes differ most.

    Parameters
    ----------
    codes : ndarray of shape (n, ceil(n_bits / 8)), uint8
        Packed codes. The plane is that of 10,000 of them, evenly drawn, if there are more.
    n_bits : int
        Length of a code.

    Returns
    -------
    Plane
        The first two principal directions of the bits as -1 and 1. Of each, the largest component
        is positive, so that the same codes always give the same plane.
    """
    directions, values = np.zeros((2, n_bits)), np.zeros(n_bits)
    mean = np.zeros(n_bits)
    if len(codes):
        signs = _signs(codes[evenly(len(codes), _SAMPLE)], n_bits)
        mean = signs.mean(axis=0)
        signs -= mean
        values, vectors = np.linalg.eigh(signs.T @ signs)
        first = vectors[:, ::-1][:, :2].T
        largest = first[np.arange(len(first)), np.abs(first).argmax(axis=1)]
        directions[: len(first)] = first * np.sign(largest)[:, None]
    total = float(values.sum())
    share = float(values[-2:].sum()) / total if total > 0 else 0.0
    return Plane(directions, directions @ mean, share)


def evenly(n: int, n_wanted: int) -> NDArray[np.int64]:
    """Choose places evenly from the first to the last.

    Parameters
    ----------
    n : int
        Number of places.
    n_wanted : int
        How many to choose at most.

    Returns
    -------
    ndarray of shape (min(n, n_wanted),), int64
        Places, rising.
    """
    n_chosen = min(n, n_wanted)
    return np.arange(n_chosen, dtype=np.int64) * n // max(1, n_chosen)


def draw_map(collection: Collection, plane: Plane, n: int) -> dict[str, Any]:
    """Place items of a collection on its map.

    Parameters
    ----------
    collection : Collection
        Collection.
    plane : Plane
        Plane of its codes.
    n : int
        How many items at most, evenly drawn in the order in which they were added.

    Returns
    -------
    dict
        What `Map` says.
    """
    ids = collection.index.ids
    found = collection.with_ids(ids[evenly(len(ids), n)])
    items = [found[id_] for id_ in sorted(found)]
    codes = np.stack([item.code for item in items]) if items else None
    places = np.zeros((0, 2)) if codes is None else plane.project(codes)
    counts = Counter(item.label for item in items if item.label is not None)
    labels = sorted(sorted(counts), key=lambda label: -counts[label])[:N_LABELS]
    colours = {label: number for number, label in enumerate(sorted(labels))}
    return {
        "n_items": len(ids),
        "n_bits": collection.n_bits,
        "generation": collection.generation,
        "share": round(plane.share, 4),
        "directions": plane.directions.round(6).tolist(),
        "centre": plane.centre.round(6).tolist(),
        "labels": sorted(labels),
        "keys": [item.key for item in items],
        "label": [-1 if item.label is None else colours.get(item.label, -1) for item in items],
        "x": places[:, 0].round(4).tolist(),
        "y": places[:, 1].round(4).tolist(),
    }


@router.get(
    "/collections/{name}/map",
    responses={200: {"model": Map}, **{code: {"model": Problem} for code in (401, 404, 422, 504)}},
)
async def _map(
    name: str,
    request: Request,
    n: Annotated[int, Query(ge=1, le=MOST, description="How many items at most.")] = 5_000,
) -> Response:
    """Place items in the plane in which the codes of the collection differ most."""
    service = request.app.state.service
    collection = service.named(name)
    drawn = await service.read(_drawn, request.app, name, collection, n)
    return Response(to_json(drawn), media_type="application/json")


def _drawn(app: FastAPI, name: str, collection: Collection, n: int) -> dict[str, Any]:
    """Draw a map in the plane that was found before, as long as the codes are the same."""
    ids = collection.index.ids
    stamp = collection.generation, len(ids), int(ids[-1]) if len(ids) else -1
    known: dict[str, tuple[tuple[int, ...], Plane]] = app.state.planes
    if name not in known or known[name][0] != stamp:
        known[name] = stamp, find_plane(collection.index.codes, collection.n_bits)
    return draw_map(collection, known[name][1], n)


def _signs(codes: NDArray[np.uint8], n_bits: int) -> NDArray[np.float64]:
    return 2 * unpack_bits(codes, n_bits).astype(np.float64) - 1
