"""How an answer from the marts looks on the wire: JSON or CSV, compressed or not, new or unchanged.

Invariant: an ETag names one sequence of bytes. It is derived from the user, the address, the format, the version of
that user's marts, when that was built (numbers come again after a restore, or on a replica that took over), and this
build of the package, so an unchanged answer is known once the version is read.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from hashlib import blake2b
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any
from urllib.parse import urlencode

import orjson
from starlette.requests import Request
from starlette.responses import Response

from myi_pipeline.web.problems import Problem
from myi_pipeline.web.reads.marts import Version

JSON, CSV = "application/json", "text/csv"
_TABLE = f"{CSV}; charset=utf-8; header=present"
# Below this a packet is not filled anyway; level 1 packs lists to a sixth in a third of the time of the usual level.
_PACK_FROM_BYTES, _PACK_LEVEL = 1_000, 1
# Where a spreadsheet may see the beginning of a formula: at that of a cell, and behind what may end one where commas do
# not (a semicolon in half of Europe, a tab, a line break that an import does not take for part of a text). Beside the
# usual signs those of full width, which spreadsheets in East Asia read as the usual ones.
_FORMULA = re.compile(r"""(?:^|(?<=[;\t\r\n]))(?=[\s"']{0,9}[=+\-@＝＋－＠])|^(?=[\t\r\n])""")
_NUMBER = re.compile(r"-?[0-9]+\Z")
# Versions are bigints.
_VERSION = re.compile(r'"([0-9]{1,18})-[0-9a-f]{24}(?:-gz)?"\Z')
_TAGS = re.compile(r'(?:W/)?("[^"]*")|(\*)')


@cache
def _build() -> bytes:
    """A digest of this package's code and statements: another build may answer differently."""

    def texts(folder: Traversable) -> Iterable[bytes]:
        for entry in sorted(folder.iterdir(), key=lambda each: each.name):
            if entry.is_dir():
                yield from texts(entry)
            elif entry.name.endswith((".py", ".sql")):
                yield entry.read_bytes()

    digest = blake2b(digest_size=8)
    for text in texts(files("myi_pipeline.web")):
        digest.update(text)
    return digest.digest()


def _preferences(header: str) -> dict[str, float]:
    """What an Accept header says: each name with its weight."""
    found: dict[str, float] = {}
    for part in header.lower().split(","):
        name, *parameters = (each.strip() for each in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    weight = float(parameter[2:])
                except ValueError:
                    weight = 0.0
        if name:
            found[name] = weight
    return found


def _media_type(accept: str | None, *, may_be_csv: bool) -> str:
    """JSON unless the client would rather have CSV where there is a table. Raises Problem 406."""
    if accept is None or accept == "*/*":
        return JSON
    wanted = _preferences(accept)

    def weight(kind: str) -> float:
        return wanted.get(kind, wanted.get(kind.partition("/")[0] + "/*", wanted.get("*/*", 0.0)))

    if may_be_csv and weight(CSV) > weight(JSON):
        return CSV
    if weight(JSON) > 0:
        return JSON
    raise Problem(406, "not-acceptable", f"Available as {JSON}{' or ' + CSV if may_be_csv else ''}.")


def accept_json(request: Request) -> None:
    """For what comes as JSON alone. Raises Problem 406."""
    _media_type(request.headers.get("accept"), may_be_csv=False)


def accept_list(request: Request) -> str:
    """JSON or CSV, for a list that has no tag. Raises Problem 406."""
    return _media_type(request.headers.get("accept"), may_be_csv=True)


def untagged_list(
    media_type: str,
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    *,
    beside: Mapping[str, object],
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A list that does not come from the marts; `beside` are further fields of its document."""
    if media_type == CSV:
        return Response(csv_of(rows, columns), media_type=_TABLE, headers=headers)
    body = orjson.dumps({**beside, "data": rows}, option=orjson.OPT_UTC_Z)
    return Response(body, media_type=JSON, headers=headers)


def json_answer(content: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A document that does not come from the marts."""
    body = orjson.dumps(content, option=orjson.OPT_UTC_Z)
    return Response(body, status_code=status, media_type=JSON, headers=headers)


def known_tags(request: Request) -> frozenset[str]:
    """What If-None-Match names, to be compared weakly: a proxy that packs an answer may have marked its tag as weak."""
    given = request.headers.getlist("if-none-match")
    return frozenset(tag or star for tag, star in _TAGS.findall(",".join(given))) if given else frozenset()


def is_known(tag: str, known: frozenset[str]) -> bool:
    return tag in known or "*" in known


def newest_version(known: frozenset[str]) -> int:
    """The newest version of the marts that any of these tags names, as `agree` makes them; 0 without one."""
    return max((int(found[1]) for tag in known if (found := _VERSION.match(tag))), default=0)


@dataclass(frozen=True)
class Reply:
    """The form of one answer, agreed before anything is read."""

    media_type: str
    tag: str
    may_pack: bool
    known_tags: frozenset[str]

    @property
    def is_known(self) -> bool:
        return any(is_known(tag, self.known_tags) for tag in (self._tag(packed=False), *self._packed_tags()))

    def not_modified(self) -> Response:
        known = next((tag for tag in self._packed_tags() if tag in self.known_tags), self._tag(packed=False))
        return Response(status_code=304, headers={"etag": known, "vary": "Accept, Accept-Encoding"})

    def document(self, content: object, *, headers: Mapping[str, str] | None = None) -> Response:
        return self._send(orjson.dumps(content, option=orjson.OPT_UTC_Z), headers or {})

    def table(
        self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, headers: Mapping[str, str] | None = None
    ) -> Response:
        return self._send(csv_of(rows, columns), headers or {})

    def _packed_tags(self) -> tuple[str, ...]:
        return (self._tag(packed=True),) if self.may_pack else ()

    def _tag(self, *, packed: bool) -> str:
        return f'"{self.tag}-gz"' if packed else f'"{self.tag}"'

    def _send(self, body: bytes, more: Mapping[str, str]) -> Response:
        packed = self.may_pack and len(body) >= _PACK_FROM_BYTES
        headers = {**more, "etag": self._tag(packed=packed), "vary": "Accept, Accept-Encoding"}
        if packed:
            # Without a time in it: the same answer is the same bytes.
            body = gzip.compress(body, _PACK_LEVEL, mtime=0)
            headers["content-encoding"] = "gzip"
        return Response(body, media_type=_TABLE if self.media_type == CSV else self.media_type, headers=headers)


def agree(
    request: Request, *, user_id: int, version: Version, varies_by: Sequence[object] = (), may_be_csv: bool = False
) -> Reply:
    """The form of the answer. `varies_by` is what it depends on besides marts and address: today's date, a login."""
    headers, scope = request.headers, request.scope
    media_type = _media_type(headers.get("accept"), may_be_csv=may_be_csv)
    built = version.refreshed_at.isoformat() if version.refreshed_at is not None else ""
    parts = (
        user_id,
        version.number,
        built,
        media_type,
        scope["path"],
        scope["query_string"].decode("latin-1"),
        *varies_by,
    )
    digest = blake2b("\0".join(map(str, parts)).encode(), key=_build(), digest_size=12).hexdigest()
    return Reply(
        media_type=media_type,
        tag=f"{version.number or 0}-{digest}",
        may_pack=_preferences(headers.get("accept-encoding", "")).get("gzip", 0.0) > 0,
        known_tags=known_tags(request),
    )


def csv_of(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> bytes:
    """RFC 4180 with a header; texts are quoted, numbers and dates are not.

    A text that a spreadsheet would run as a formula gets an apostrophe in front of that.
    """
    lines = [",".join(columns), *(",".join(_cell(column, row[column]) for column in columns) for row in rows), ""]
    return "\r\n".join(lines).encode("utf-8", "replace")


def _cell(column: str, value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case list():
            return _cell(column, "; ".join(map(str, value)))
        case str():
            # Some ids are texts in JSON, where a number of 64 bits would lose digits.
            if column.endswith("_id") and _NUMBER.match(value):
                return value
            return '"' + _FORMULA.sub("'", value).replace('"', '""') + '"'
        case _:
            return str(value)


def link(request: Request, relation: str, **changes: str | None) -> str:
    """One part of a Link header: this request with other values of its query."""
    query = {**request.query_params, **changes}
    text = urlencode({name: value for name, value in query.items() if value is not None})
    return f'<{request.scope["path"]}{"?" + text if text else ""}>; rel="{relation}"'
