"""JSON of limited size and depth, with errors that say where something is wrong."""

from __future__ import annotations

import json
from typing import NoReturn

from myi_pipeline.playlists.files.records import Source
from myi_pipeline.playlists.files.texts import decode


def parse(source: Source) -> object:
    """The document. Raises BadInput if it is not JSON, too large, or nested too deeply."""
    text = decode(source, is_json=True)
    # Even an empty object takes 64 bytes; there are at most as many values as commas and brackets.
    if text.count(",") + text.count("[") + text.count("{") > source.limits.max_values:
        raise source.refusal(f"more than {source.limits.max_values:,} values", rule="max_values")

    def refuse_constant(name: str) -> NoReturn:
        raise source.refusal(f"{name} is not a JSON number", rule="JSON")

    try:
        found: object = json.loads(text, parse_constant=refuse_constant)
    except json.JSONDecodeError as error:
        raise source.refusal(
            f"the file is not JSON: {error.msg}", at=f"line {error.lineno:,}, column {error.colno:,}", rule="JSON"
        ) from None
    except RecursionError:
        raise source.refusal("the JSON is nested too deeply", rule="max_depth") from None
    except ValueError:
        raise source.refusal("a number of more than 4,000 digits", rule="JSON") from None
    return found


def kind_of_value(value: object) -> str:
    """The JSON name of a value's type, for messages."""
    names = {bool: "a boolean", str: "text", dict: "an object", list: "a list", type(None): "null"}
    return names.get(type(value), "a number")


class Node:
    """A value with its path, such as `playlist.track[3].title`, for messages."""

    __slots__ = ("path", "source", "value")

    def __init__(self, source: Source, value: object, path: str) -> None:
        self.source, self.value, self.path = source, value, path

    def refuse(self, wanted: str) -> NoReturn:
        """Raises BadInput because the value is not what is wanted."""
        raise self.source.refusal(
            f"this must be {wanted}, not {kind_of_value(self.value)}", at=self.path, rule=f"{self.path}: {wanted}"
        )

    def get(self, key: str) -> Node:
        """A member of an object; null if there is none."""
        if not isinstance(self.value, dict):
            self.refuse("an object")
        return Node(self.source, self.value.get(key), f"{self.path}.{key}" if self.path else key)

    def items(self) -> list[Node]:
        """The members of a list; none for null."""
        if self.value is None:
            return []
        if not isinstance(self.value, list):
            self.refuse("a list")
        return [Node(self.source, each, f"{self.path}[{index}]") for index, each in enumerate(self.value)]

    def text(self) -> str | None:
        """The text; None for null."""
        if self.value is None:
            return None
        if not isinstance(self.value, str):
            self.refuse("text")
        return self.source.checked(self.value, at=self.path)

    def texts(self) -> list[str]:
        """The texts of a list, or a single text in its place."""
        if isinstance(self.value, str):
            return [self.source.checked(self.value, at=self.path)]
        return [text for each in self.items() if (text := each.text()) is not None]
