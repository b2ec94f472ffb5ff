"""Reads XML as safely as possible: with expat alone, and without a DOCTYPE.

Without a DOCTYPE a file cannot declare entities, so nothing is expanded (billion laughs, quadratic blowup) and nothing
is fetched. Depth, the length of each text and the size of the file are limited.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NoReturn, Protocol
from xml.parsers import expat

from myi_pipeline.playlists.files.records import Source

XML_SPACE: Final = " \t\r\n"
XML_NAMESPACE: Final = "http://www.w3.org/XML/1998/namespace"
_MAX_ATTRIBUTES: Final = 100


class Handler(Protocol):
    """Receives the elements. Names are (namespace, local name); the namespace is empty if there is none."""

    def start(self, name: tuple[str, str], attributes: Mapping[tuple[str, str], str]) -> None: ...

    def text(self, data: str) -> None: ...

    def end(self, name: tuple[str, str]) -> None: ...


class Markup:
    """One document, which is fed to a handler. `refuse` is for the handler's own rules."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._depth = 0
        self._text_chars = 0
        # Separates namespace and local name; neither can contain a space.
        self._parser = expat.ParserCreate(namespace_separator=" ")

    @property
    def place(self) -> str:
        """The current position in the file."""
        return f"line {self._parser.CurrentLineNumber:,}, column {self._parser.CurrentColumnNumber + 1:,}"

    def refuse(self, what: str, *, rule: str) -> NoReturn:
        """Raises BadInput with the current position."""
        raise self._source.refusal(what, at=self.place, rule=rule)

    def feed_to(self, handler: Handler) -> None:
        """Raises BadInput if the file is not XML, has a DOCTYPE, or breaks a rule of the handler."""

        def start(name: str, attributes: list[str]) -> None:
            self._depth += 1
            self._text_chars = 0
            if self._depth > self._source.limits.max_depth:
                self.refuse(f"elements nested more than {self._source.limits.max_depth} deep", rule="max_depth")
            if len(attributes) > 2 * _MAX_ATTRIBUTES:
                self.refuse(f"an element with more than {_MAX_ATTRIBUTES} attributes", rule="max_attributes")
            pairs = zip(attributes[::2], attributes[1::2], strict=True)
            handler.start(_split(name), {_split(key): value for key, value in pairs})

        def end(name: str) -> None:
            handler.end(_split(name))
            self._depth -= 1
            self._text_chars = 0

        def text(data: str) -> None:
            self._text_chars += len(data)
            if self._text_chars > self._source.limits.max_text_chars:
                self.refuse(
                    f"a text of more than {self._source.limits.max_text_chars:,} characters", rule="max_text_chars"
                )
            handler.text(data)

        def doctype(*_: object) -> None:
            self.refuse("a DOCTYPE, which playlists do not need and which can do harm", rule="XML without DOCTYPE")

        parser = self._parser
        parser.ordered_attributes = True
        parser.buffer_text = True
        parser.StartElementHandler = start
        parser.EndElementHandler = end
        parser.CharacterDataHandler = text
        parser.StartDoctypeDeclHandler = doctype
        try:
            # All at once: fed in pieces, a comment or attribute of many megabytes would be rescanned with each piece.
            parser.Parse(self._source.data, True)
        except expat.ExpatError as error:
            raise self._source.refusal(
                f"the file is not well-formed XML: {expat.errors.messages.get(error.code, 'an error')}",
                at=f"line {error.lineno:,}, column {error.offset + 1:,}",
                rule="well-formed XML",
            ) from None
        except (LookupError, ValueError):
            raise self._source.refusal(
                "the XML is in an encoding that cannot be read", at="line 1", rule="UTF-8, UTF-16 or ISO 8859-1"
            ) from None


def _split(name: str) -> tuple[str, str]:
    namespace, _, local = name.rpartition(" ")
    return namespace, local
