"""From requests to collections and back: the work behind the routes, in threads."""

from collections.abc import Iterable, Mapping
from time import perf_counter
from typing import Any

import numpy as np
from starlette.exceptions import HTTPException

from hashlearn import collection as collections
from hashlearn.collection import Collection
from hashlearn.collection.contents import small_picture
from hashlearn.collection.items import differing_bits
from hashlearn.models import hasher_of
from hashlearn.web.schemas import ItemChange, NewItem, Search
from hashlearn.web.service import Service
from hashlearn.web.uploads import decoded

_TEXTS = ("source", "caption", "label")
MOST_CONDITIONS = 32
"""Conditions of one search."""

_MOST_VALUES = 1000
_LONGEST = 1024


def told(service: Service, name: str) -> dict[str, Any]:
    """Describe a collection.

    Parameters
    ----------
    service : Service
        The service.
    name : str
        Name of the collection.

    Returns
    -------
    dict
        What `CollectionInfo` says.
    """
    collection = service.named(name)
    return {
        "name": name,
        "kind": collection.kind,
        "n_items": len(collection),
        "n_bits": collection.n_bits,
        "method": type(hasher_of(collection.model)).__name__,
        "generation": collection.generation,
        "read_only": service.is_read_only(collection),
    }


def all_told(service: Service) -> list[dict[str, Any]]:
    """Describe all collections.

    Parameters
    ----------
    service : Service
        The service.

    Returns
    -------
    list of dict
        What `CollectionInfo` says of each.
    """
    return [told(service, name) for name in service.collections]


def told_in_full(service: Service, name: str) -> dict[str, Any]:
    """Describe a collection and its fields.

    Parameters
    ----------
    service : Service
        The service.
    name : str
        Name of the collection.

    Returns
    -------
    dict
        What `CollectionDetails` says.
    """
    fields = service.named(name).fields()
    return told(service, name) | {
        "fields": {
            field: [{"value": value, "n": n} for value, n in values.items()]
            for field, values in fields.items()
        }
    }


def as_json(item: collections.Item) -> dict[str, Any]:
    """Bring an item to the form in which it travels.

    Parameters
    ----------
    item : Item
        Item.

    Returns
    -------
    dict
        Its values.
    """
    return {
        "key": item.key,
        "source": item.source,
        "caption": item.caption,
        "label": item.label,
        "metadata": item.metadata,
        "code": item.code.tobytes().hex(),
    }


def listed(
    collection: Collection, n: int, after: str | None, where: Mapping[str, Any] | None
) -> dict[str, Any]:
    """List items.

    Parameters
    ----------
    collection : Collection
        Collection.
    n : int
        How many at most.
    after : str or None
        Key after which to begin.
    where : mapping or None
        Conditions.

    Returns
    -------
    dict
        What `Items` says.
    """
    found = collection.list(n + 1, after=after, where=checked(where))
    items = [as_json(item) for item in found[:n]]
    return {"items": items, "next": items[-1]["key"] if len(found) > n else None}


def content(collection: Collection, key: str, small: bool) -> collections.Content:
    """Read what is kept of an item itself.

    Parameters
    ----------
    collection : Collection
        Collection.
    key : str
        Key of the item.
    small : bool
        Whether a small picture will do.

    Returns
    -------
    Content
        The content.

    Raises
    ------
    HTTPException
        With 404 if nothing is kept.
    """
    found = collection.content(key)
    if found is None:
        raise HTTPException(404, f"nothing is kept of the item {key[:80]!r} itself")
    return small_picture(found) if small else found


def search(service: Service, name: str, asked: Search) -> dict[str, Any]:
    """Search a collection.

    Parameters
    ----------
    service : Service
        The service.
    name : str
        Name of the collection.
    asked : Search
        What to search for.

    Returns
    -------
    dict
        What `Found` says.

    Raises
    ------
    HTTPException
        With 422 if more is asked for than the limits allow.
    """
    collection, limits = service.named(name), service.limits
    if asked.k is not None and asked.k > limits.max_k:
        raise HTTPException(422, f"k is at most {limits.max_k:,}, got {str(asked.k)[:40]}")
    found = _find(service, name, collection, asked)
    if asked.k is None and len(found) > limits.max_results:
        raise HTTPException(
            422,
            f"more than {limits.max_results:,} items are within {asked.radius} bits; "
            "give k, or a smaller radius",
        )
    service.metrics.searched(name, found.index_seconds)
    return {
        "code": found.code.tobytes().hex(),
        "n_bits": found.n_bits,
        "index_seconds": found.index_seconds,
        "hits": [
            {
                "item": as_json(hit.item),
                "distance": hit.distance,
                "weighted_distance": hit.weighted_distance,
                "differing_bits": bits,
            }
            for hit, bits in zip(found.hits, _differing_bits(found), strict=True)
        ],
    }


def _find(service: Service, name: str, collection: Collection, asked: Search) -> collections.Found:
    limits = service.limits
    radius = None if asked.radius is None else min(asked.radius, collection.n_bits)
    k = limits.max_results + 1 if asked.k is None else asked.k  # one more tells that there are more
    options: dict[str, Any] = {"radius": radius, "where": checked(asked.where)}
    if asked.code is not None:
        code = np.frombuffer(bytes.fromhex(asked.code), np.uint8)
        return collection.search_code(code, k, **options)
    options["rerank"] = asked.rerank
    if asked.key is not None:
        return collection.search_key(asked.key, k, **options)
    content = asked.content()
    assert content is not None  # the schema sees to it
    start = perf_counter()
    with decoded([content], collection.kind, limits.max_pixels) as (item,):
        found = collection.search(item, k, **options)
    service.metrics.encoded(name, perf_counter() - start - found.index_seconds)
    return found


def _differing_bits(found: collections.Found) -> list[list[int]]:
    if not found.hits:
        return []
    codes = np.stack([hit.item.code for hit in found.hits])
    return differing_bits(found.code, codes, found.n_bits)


def add(
    collection: Collection, service: Service, name: str, items: list[NewItem]
) -> dict[str, int]:
    """Add items.

    Parameters
    ----------
    collection : Collection
        Collection.
    service : Service
        The service.
    name : str
        Name of the collection.
    items : list of NewItem
        The items.

    Returns
    -------
    dict
        What `Added` says.
    """
    start = perf_counter()
    contents = [content for item in items if (content := item.content()) is not None]
    with decoded(contents, collection.kind, service.limits.max_pixels) as values:
        keys = [item.key for item in items if item.key is not None]
        added = collection.add(
            values,
            keys=keys or None,
            sources=[item.source for item in items],
            captions=[item.caption for item in items],
            labels=[item.label for item in items],
            metadata=[item.metadata or {} for item in items],
        )
    service.metrics.encoded(name, perf_counter() - start)
    return {"n_added": added.n_added, "n_known": added.n_known}


def change(
    collection: Collection, service: Service, name: str, key: str, wanted: ItemChange
) -> dict[str, Any]:
    """Change an item.

    Parameters
    ----------
    collection : Collection
        Collection.
    service : Service
        The service.
    name : str
        Name of the collection.
    key : str
        Key of the item.
    wanted : ItemChange
        What shall be different.

    Returns
    -------
    dict
        The item as it is now.
    """
    given = wanted.model_fields_set
    columns: dict[str, Any] = {
        f"{field}s": [getattr(wanted, field)] for field in _TEXTS if field in given
    }
    if "metadata" in given:
        columns["metadata"] = [wanted.metadata or {}]
    content = wanted.content()
    if content is None:
        collection.update([key], **columns)
    else:
        start = perf_counter()
        with decoded([content], collection.kind, service.limits.max_pixels) as items:
            collection.update([key], items, **columns)
        service.metrics.encoded(name, perf_counter() - start)
    return as_json(collection.get([key])[0])


def checked(where: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Refuse conditions that are longer than any person's.

    Parameters
    ----------
    where : mapping or None
        Conditions.

    Returns
    -------
    mapping or None
        The same.

    Raises
    ------
    HTTPException
        With 422 if one has too many values, or too long ones.
    """
    for name, condition in (where or {}).items():
        for value in (name, *_values(condition)):
            if isinstance(value, str) and len(value) > _LONGEST:
                raise HTTPException(422, f"conditions have texts of up to {_LONGEST} characters")
            if isinstance(value, list) and len(value) > _MOST_VALUES:
                raise HTTPException(422, f"a condition has at most {_MOST_VALUES} values")
    return where


def _values(condition: Any) -> Iterable[Any]:
    """Give a condition, what it holds, and what that holds: conditions are no deeper."""
    yield condition
    held = condition.values() if isinstance(condition, dict) else condition
    if isinstance(held, str) or not isinstance(held, Iterable):
        return
    for value in held:
        yield value
        if isinstance(value, list):
            yield from value
