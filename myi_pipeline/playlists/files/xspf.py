"""XSPF, Xiph's XML playlist format. Files are checked against every rule of the specification (xspf_rules.py).

Facts without an XSPF element are written as in ListenBrainz' XSPF: `added_at` and `added_by` in the extension
`EXTENSION`, and the rest below `additional_metadata`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Final
from xml.sax.saxutils import escape

from myi_pipeline.playlists.files.markup import XML_NAMESPACE, XML_SPACE, Markup
from myi_pipeline.playlists.files.records import Playlist, Source, moment_of, written
from myi_pipeline.playlists.files.spiff import EXTENSION, Facts, as_uri, parts_of, playlist_entry
from myi_pipeline.playlists.files.texts import UNKNOWN
from myi_pipeline.playlists.files.xspf_rules import (
    CHILDREN,
    NAMESPACE,
    ROOT,
    Content,
    Element,
    is_date,
    is_uri,
    moment_of_date,
    number_of,
)
from myi_pipeline.providers.playlists import PlaylistEntry

_FREE_ATTRIBUTES: Final = tuple((XML_NAMESPACE, name) for name in ("base", "id", "lang", "space"))
_KEPT: Final = {
    "playlist": ("title", "creator", "annotation", "location", "identifier", "image", "date"),
    "track": ("location", "identifier", "title", "creator", "album", "trackNum", "duration"),
}


@dataclass
class _Open:
    """An element that is still open."""

    name: str
    rules: Element
    seen: set[str] = field(default_factory=set)
    text: list[str] = field(default_factory=list)
    application: str = ""


class _Reader:
    def __init__(self, source: Source, markup: Markup) -> None:
        self._source, self._markup = source, markup
        self._stack: list[_Open] = []
        self._version = "1"
        # Names of open elements inside an extension, innermost last; only text in EXTENSION is kept.
        self._foreign: list[str] = []
        self._foreign_text: list[str] = []
        self._head: dict[str, str] = {}
        self._track: dict[str, list[str]] = {}
        self._facts = Facts()
        self.entries: list[PlaylistEntry] = []

    def start(self, name: tuple[str, str], attributes: Mapping[tuple[str, str], str]) -> None:
        namespace, local = name
        if self._stack and self._stack[-1].rules.content is Content.ANY:
            self._foreign.append(local)
            self._foreign_text.clear()
            return
        if not self._stack:
            self._start_root(namespace, local, attributes)
            return
        above = self._stack[-1]
        rules = CHILDREN.get(above.name, {}).get(local) if namespace == NAMESPACE else None
        if above.rules.content is not Content.ELEMENTS:
            self._markup.refuse(
                f"`{above.name}` must not hold elements, but has `{local}`", rule=f"{above.name}: text only"
            )
        if rules is None:
            self._markup.refuse(f"`{local}` is not allowed in `{above.name}`", rule=f"elements of {above.name}")
        if rules.once and local in above.seen:
            self._markup.refuse(f"`{above.name}` has a second `{local}`", rule=f"{local}: at most once")
        if rules.content is Content.ANY and self._version == "0":
            self._markup.refuse("XSPF 0 has no `extension`", rule="elements of XSPF 0")
        above.seen.add(local)
        self._check_attributes(local, rules, attributes)
        if local == "track":
            self._track, self._facts = {}, Facts()
        self._stack.append(_Open(local, rules, application=attributes.get(("", "application"), "")))

    def _start_root(self, namespace: str, local: str, attributes: Mapping[tuple[str, str], str]) -> None:
        if local != "playlist":
            self._markup.refuse(f"the root element must be `playlist`, not `{local}`", rule="root element playlist")
        if namespace != NAMESPACE:
            what = f"is in the namespace {namespace}" if namespace else "has no namespace"
            self._markup.refuse(f"`playlist` {what}, not in {NAMESPACE}", rule=f"namespace {NAMESPACE}")
        self._check_attributes(local, ROOT, attributes)
        self._version = attributes[("", "version")]
        if self._version not in ("0", "1"):
            self._markup.refuse(f"the version must be 0 or 1, not {self._version!r:.20}", rule="version 0 or 1")
        self._stack.append(_Open(local, ROOT))

    def _check_attributes(self, local: str, rules: Element, attributes: Mapping[tuple[str, str], str]) -> None:
        for namespace, name in attributes:
            is_foreign = namespace not in ("", NAMESPACE, XML_NAMESPACE)
            if is_foreign or (namespace, name) in _FREE_ATTRIBUTES or (not namespace and name == rules.needs):
                continue
            self._markup.refuse(f"`{local}` must not have the attribute `{name}`", rule=f"attributes of {local}")
        if rules.needs and ("", rules.needs) not in attributes:
            self._markup.refuse(f"`{local}` lacks its attribute `{rules.needs}`", rule=f"{local} with {rules.needs}")
        if rules is not ROOT and rules.needs and not is_uri(attributes[("", rules.needs)]):
            self._note(f"`{rules.needs}` of `{local}` is not a URI")

    def text(self, data: str) -> None:
        if self._foreign:
            self._foreign_text.append(data)
        elif self._stack[-1].rules.content is Content.ELEMENTS:
            if data.strip(XML_SPACE):
                name = self._stack[-1].name
                self._markup.refuse(f"`{name}` must not hold text", rule=f"{name}: elements only")
        elif self._stack[-1].rules.content is not Content.ANY:
            self._stack[-1].text.append(data)

    def end(self, name: tuple[str, str]) -> None:
        if self._foreign:
            self._end_foreign()
            return
        closed = self._stack.pop()
        match closed.rules.content:
            case Content.ELEMENTS:
                self._end_elements(closed)
            case Content.ANY:
                if closed.application != EXTENSION:
                    self._note("the body of an extension is not kept")
            case _:
                self._end_text(closed)

    def _end_foreign(self) -> None:
        is_ours = self._stack[-1].application == EXTENSION and self._stack[-2].name == "track"
        if is_ours and (text := "".join(self._foreign_text)):
            self._facts.add(self._foreign, text)
        self._foreign_text.clear()
        self._foreign.pop()

    def _end_elements(self, closed: _Open) -> None:
        if closed.name == "playlist" and "trackList" not in closed.seen:
            self._markup.refuse("`playlist` lacks its `trackList`", rule="trackList: exactly once")
        if closed.name == "trackList" and self._version == "0" and not closed.seen:
            self._markup.refuse("XSPF 0 needs at least one `track`", rule="trackList of XSPF 0")
        if closed.name == "track":
            self.entries.append(playlist_entry(self._source, self._track, self._facts, at=self._markup.place))
            self._source.check_entries(len(self.entries))

    def _end_text(self, closed: _Open) -> None:
        text, above = "".join(closed.text), self._stack[-1].name
        match closed.rules.content:
            case Content.URI:
                # XML Schema collapses whitespace before anything else.
                text = " ".join(text.split())
                if text and not is_uri(text):
                    self._note(f"`{closed.name}` of `{above}` is not a URI")
            case Content.DATE:
                text = text.strip(XML_SPACE)
                if not (moment_of(text) if self._version == "0" else is_date(text)):
                    self._markup.refuse(
                        "`date` must be a time such as 2005-01-08T17:10:47-05:00", rule="date: dateTime"
                    )
            case Content.NUMBER:
                text = text.strip(XML_SPACE)
                if number_of(text) is None:
                    self._markup.refuse(
                        f"`{closed.name}` must be a whole number from 0", rule=f"{closed.name}: nonNegativeInteger"
                    )
            case _:
                pass
        if above == "track":
            self._track.setdefault(closed.name, []).append(text)
        elif above == "playlist":
            self._head.setdefault(closed.name, text)
        if text and closed.name not in _KEPT.get(above, ()):
            self._note(f"`{closed.name}` of `{above}` is not kept")

    def _note(self, what: str) -> None:
        self._source.note(what, at=self._markup.place)

    def playlist(self) -> Playlist:
        head = self._head
        date = head.get("date", "")
        return Playlist(
            name=head.get("title") or self._source.name,
            description=head.get("annotation") or None,
            creator=head.get("creator") or None,
            url=head.get("location") or head.get("identifier") or None,
            image_url=head.get("image") or None,
            created_at=moment_of_date(date) or moment_of(date),
            entries=tuple(self.entries),
        )


def read(source: Source) -> Playlist:
    """Raises BadInput with the line, the column and the broken rule."""
    markup = Markup(source)
    reader = _Reader(source, markup)
    markup.feed_to(reader)
    return reader.playlist()


def write(playlist: Playlist, out: BinaryIO) -> None:
    """Writes elements in the order of the specification: it allows any, but says that some readers need this one."""
    out.write(b'<?xml version="1.0" encoding="UTF-8"?>\n')
    out.write(f'<playlist version="1" xmlns="{NAMESPACE}">\n'.encode())
    head = (
        ("title", playlist.name or None),
        ("creator", playlist.creator),
        ("annotation", playlist.description),
        ("location", as_uri(playlist.url) if playlist.url else None),
        ("image", as_uri(playlist.image_url) if playlist.image_url else None),
        ("date", written(playlist.created_at) if playlist.created_at else None),
    )
    for name, text in head:
        if text is not None:
            out.write(f"  {_element(name, text)}\n".encode())
    out.write(b"  <trackList>\n")
    for each in playlist.entries:
        out.write(b"    <track>\n")
        for line in _track(each):
            out.write(f"      {line}\n".encode())
        out.write(b"    </track>\n")
    out.write(b"  </trackList>\n</playlist>\n")


def _track(each: PlaylistEntry) -> Iterator[str]:
    fields, facts = parts_of(each)
    for name in ("location", "identifier", "title", "creator", "album", "trackNum", "duration"):
        if name in fields:
            yield _element(name, fields[name])
    if not facts:
        return
    yield f'<extension application="{EXTENSION}">'
    yield from (f"  {_element(name, text)}" for name, text in facts if name in ("added_at", "added_by"))
    more = [(name, text) for name, text in facts if name not in ("added_at", "added_by")]
    if more:
        yield "  <additional_metadata>"
        yield from (f"    {_element(name, text)}" for name, text in more)
        yield "  </additional_metadata>"
    yield "</extension>"


_NOT_IN_XML: Final = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _element(name: str, text: str) -> str:
    # Unless written as a character reference, a carriage return is read as a line feed.
    body = escape(_NOT_IN_XML.sub(UNKNOWN, text), {"\r": "&#13;"})
    return f"<{name}>{body}</{name}>"
