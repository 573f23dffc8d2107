"""What travels as JSON. The docstrings are also what ``/api/v1/openapi.json`` says."""

import inspect
import re
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hashlearn.collection.entries import MAX_KEY

Key = Annotated[str, Field(min_length=1, max_length=MAX_KEY)]
Vector = Annotated[list[float], Field(min_length=1, fail_fast=True)]  # a million errors are one
Metadata = dict[str, Any]
Where = Annotated[dict[str, Any], Field(max_length=32)]
Hex = Annotated[str, Field(pattern=r"^([0-9a-fA-F]{2})+$")]

CONTENTS = ("image", "text", "vector")
"""Fields that hold an item itself."""


def _described(schema: dict[str, Any], model: type["Schema"]) -> None:
    """Take descriptions from the docstring, so that each is written once."""
    text = inspect.getdoc(model) or ""
    schema["description"] = " ".join(text.partition("\n\n")[0].split())
    for name, description in re.findall(r"^(\w+) : .*\n((?:    .*\n?)+)", text, re.MULTILINE):
        schema["properties"][name]["description"] = " ".join(description.split())
    if model.examples:
        schema["examples"] = model.examples


class Schema(BaseModel):
    """Take nothing but what is declared."""

    model_config = ConfigDict(
        strict=True, extra="forbid", allow_inf_nan=False, frozen=True, json_schema_extra=_described
    )
    examples: ClassVar[list[dict[str, Any]]] = []


class _Content(Schema):
    def content(self) -> tuple[str, Any] | None:
        """Say which of image, text and vector is given, and give it."""
        given = [
            (name, getattr(self, name)) for name in CONTENTS if getattr(self, name) is not None
        ]
        if len(given) > 1:
            raise ValueError(f"give one of {', '.join(CONTENTS)}, not several")
        return given[0] if given else None


class NewItem(_Content):
    """An item that is to be added: exactly one of image, text and vector.

    Parameters
    ----------
    key : str, default=None
        Its name in the collection. Without, one is made of what the item is.
    source : str, default=None
        Where it comes from. This is only kept: nothing is opened.
    caption : str, default=None
        What people read of it.
    label : str, default=None
        Its class.
    metadata : dict, default=None
        Whatever else is known of it.
    image : str, default=None
        An image file (PNG, JPEG, GIF, WebP, TIFF, BMP or PPM), in base64.
    text : str, default=None
        A text.
    vector : list of float, default=None
        The numbers of a vector.
    """

    key: Key | None = None
    source: str | None = None
    caption: str | None = None
    label: str | None = None
    metadata: Metadata | None = None
    image: str | None = None
    text: str | None = None
    vector: Vector | None = None
    examples: ClassVar[list[dict[str, Any]]] = [
        {"key": "cats/1", "text": "a cat sleeps", "label": "cat", "metadata": {"year": 2024}}
    ]

    @model_validator(mode="after")
    def _has_content(self) -> Self:
        if self.content() is None:
            raise ValueError(f"give one of {', '.join(CONTENTS)}")
        return self


class NewItems(Schema):
    """Items that are to be added: all, or after an error none.

    Parameters
    ----------
    items : list of NewItem
        The items. Either each has a key or none has.
    """

    items: Annotated[list[NewItem], Field(min_length=1, fail_fast=True)]
    examples: ClassVar[list[dict[str, Any]]] = [{"items": NewItem.examples}]

    @model_validator(mode="after")
    def _are_alike(self) -> Self:
        if len({item.key is None for item in self.items}) > 1:
            raise ValueError("either each item has a key or none has")
        return self


class ItemChange(_Content):
    """What shall be different of an item. What is not given stays; null takes a text away.

    Parameters
    ----------
    source : str, default=None
        Where it comes from. This is only kept: nothing is opened.
    caption : str, default=None
        What people read of it.
    label : str, default=None
        Its class.
    metadata : dict, default=None
        All metadata anew.
    image : str, default=None
        The item anew: an image file, in base64.
    text : str, default=None
        The item anew: a text.
    vector : list of float, default=None
        The item anew: the numbers of a vector.
    """

    source: str | None = None
    caption: str | None = None
    label: str | None = None
    metadata: Metadata | None = None
    image: str | None = None
    text: str | None = None
    vector: Vector | None = None
    examples: ClassVar[list[dict[str, Any]]] = [{"label": "cat", "metadata": {"year": 2025}}]

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("give at least one field to change")
        self.content()
        return self


class Search(_Content):
    """What to search for: exactly one of key, image, text, vector and code.

    Parameters
    ----------
    key : str, default=None
        Key of an item, which is left out of what is found.
    image : str, default=None
        An image file, in base64.
    text : str, default=None
        A text.
    vector : list of float, default=None
        The numbers of a vector.
    code : str, default=None
        A packed code in hexadecimal digits: bit j of it is bit j % 8 of byte j // 8.
    k : int, default=20
        How many items at most. Null takes all within the radius.
    radius : int, default=None
        Largest distance in bits. Null sets none.
    where : dict, default=None
        Conditions on fields, all of which must hold: a value, a list of values, or an object of
        min, max, not and contains.
    rerank : bool, default=False
        Whether to rank the nearest by their weighted distance, which tells what is lost by rounding
        the query to bits.
    """

    key: Key | None = None
    image: str | None = None
    text: str | None = None
    vector: Vector | None = None
    code: Hex | None = None
    k: int | None = Field(20, ge=1)
    radius: int | None = Field(None, ge=0)
    where: Where | None = None
    rerank: bool = False
    examples: ClassVar[list[dict[str, Any]]] = [
        {"key": "cats/1", "k": 5, "where": {"year": {"min": 2020}}}
    ]

    @property
    def is_light(self) -> bool:
        """Whether nothing has to be encoded."""
        return not self.rerank and (self.key is not None or self.code is not None)

    @model_validator(mode="after")
    def _asks_one_thing(self) -> Self:
        given = [name for name in ("key", "code", *CONTENTS) if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of key, image, text, vector and code; got {given}")
        if self.k is None and self.radius is None:
            raise ValueError("give k, radius, or both")
        if self.code is not None and self.rerank:
            raise ValueError("a code cannot be re-ranked: it has no values before the sign")
        return self
