"""What is answered. The docstrings are also what ``/api/v1/openapi.json`` says."""

from typing import Any, ClassVar, Literal

from hashlearn.web.schemas import Schema

_ITEM: dict[str, Any] = {
    "key": "cats/1",
    "source": None,
    "caption": "a cat sleeps",
    "label": "cat",
    "metadata": {"year": 2024},
    "code": "a30f",
}


class Problem(Schema):
    """Why a request was not fulfilled.

    Parameters
    ----------
    detail : str
        One sentence.
    """

    detail: str
    examples: ClassVar[list[dict[str, Any]]] = [{"detail": "there is no item 'cats/1'"}]


class Health(Schema):
    """That the server is there.

    Parameters
    ----------
    status : {"ok"}
        Always the same.
    version : str
        Version of hashlearn.
    """

    status: Literal["ok"]
    version: str


class CollectionInfo(Schema):
    """A collection.

    Parameters
    ----------
    name : str
        Its name in paths.
    kind : {"images", "texts", "vectors"}
        What the items are.
    n_items : int
        How many there are.
    n_bits : int
        Length of a code.
    method : str
        Class of the hasher.
    generation : int
        Number of the hasher: 1 at first, one more after each rebuild.
    read_only : bool
        Whether nothing may be written.
    """

    name: str
    kind: Literal["images", "texts", "vectors"]
    n_items: int
    n_bits: int
    method: str
    generation: int
    read_only: bool


class Collections(Schema):
    """All collections.

    Parameters
    ----------
    collections : list of CollectionInfo
        The collections.
    """

    collections: list[CollectionInfo]


class FieldValue(Schema):
    """A value of a field.

    Parameters
    ----------
    value : str, int, float or bool
        The value.
    n : int
        How many items have it.
    """

    value: str | int | float | bool
    n: int


class CollectionDetails(CollectionInfo):
    """A collection and the fields by which its items can be found.

    Parameters
    ----------
    name : str
        Its name in paths.
    kind : {"images", "texts", "vectors"}
        What the items are.
    n_items : int
        How many there are.
    n_bits : int
        Length of a code.
    method : str
        Class of the hasher.
    generation : int
        Number of the hasher: 1 at first, one more after each rebuild.
    read_only : bool
        Whether nothing may be written.
    fields : dict
        For label and each field of the metadata, its most frequent values.
    """

    fields: dict[str, list[FieldValue]]


class Item(Schema):
    """An item.

    Parameters
    ----------
    key : str
        Its name in the collection.
    source : str or None
        Where it comes from.
    caption : str or None
        What people read of it.
    label : str or None
        Its class.
    metadata : dict
        Whatever else is known of it.
    code : str
        Its packed code in hexadecimal digits.
    """

    key: str
    source: str | None
    caption: str | None
    label: str | None
    metadata: dict[str, Any]
    code: str
    examples: ClassVar[list[dict[str, Any]]] = [_ITEM]


class Items(Schema):
    """Some items, in the order in which they were added.

    Parameters
    ----------
    items : list of Item
        The items.
    next : str or None
        What to give as `after` to read on; null at the end.
    """

    items: list[Item]
    next: str | None


class Added(Schema):
    """What became of items that were to be added.

    Parameters
    ----------
    n_added : int
        Items that are new.
    n_known : int
        Items that were there already, the same in everything.
    """

    n_added: int
    n_known: int


class Hit(Schema):
    """One item that a search found.

    Parameters
    ----------
    item : Item
        The item.
    distance : int
        Bits in which its code differs from that of the query.
    weighted_distance : float or None
        What the search ranked by, if it did.
    differing_bits : list of int
        Numbers of these bits, from 0.
    """

    item: Item
    distance: int
    weighted_distance: float | None
    differing_bits: list[int]


class Found(Schema):
    """What a search found.

    Parameters
    ----------
    code : str
        Packed code of the query in hexadecimal digits.
    n_bits : int
        Length of a code.
    index_seconds : float
        What the search in the index took.
    hits : list of Hit
        Nearest first.
    """

    code: str
    n_bits: int
    index_seconds: float
    hits: list[Hit]
