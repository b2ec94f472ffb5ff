"""An export of MYI as a file: a ZIP with `manifest.json`, which lists each part with its rows, size and SHA-256.

Format version 1. Parts are `.ndjson`, one JSON object per line; `marts/` is for people and programs that read tables,
and is never imported. A reader of a later version reads every earlier one; a part that an export does not have has no
rows. Members are unpacked behind the guards of zip_files, and an export is trusted only as a whole: `check` reads it
all before anybody takes the first row.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

from myi_pipeline.archives.files.members import Limits
from myi_pipeline.archives.files.remote import RemoteFile
from myi_pipeline.archives.files.zip_files import ZIP_MARKS, ZipMember, open_zip
from myi_pipeline.errors import BadInput, BrokenFile, UnsafeArchive

FORMAT: Final = "myi-export"
FORMAT_VERSION: Final = 1
# In app.imports.kind.
EXPORT_KIND: Final = "myi_export"
MANIFEST: Final = "manifest.json"
ROWS: Final = ".ndjson"
MARTS_FOLDER: Final = "marts/"
EVENTS_FOLDER: Final = "events"
_MOST_MANIFEST_BYTES: Final = 4 * 1024 * 1024
# A row in quarantine, kept whole, is the longest: a row of an archive has at most 1 MiB, and JSON may escape it.
_MOST_ROW_BYTES: Final = 4 * 1024 * 1024
_HASH_BYTES: Final = 1024 * 1024
_RULE: Final = "an export of MYI, unchanged"
# The tables for people, which are not imported, are several times as large as everything else.
_TIMES_AN_ARCHIVE: Final = 8


@dataclass(frozen=True, kw_only=True)
class PartFacts:
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """`polled_until`: where a span that was open then ends; None: none was open. `marts_are_current`: whether the
    tables contained everything in raw; None: there are none."""

    format_version: int
    made_by: str
    made_at: datetime
    user_key: str
    parts: Mapping[str, PartFacts]
    marts_are_current: bool | None = None
    polled_until: datetime | None = None

    def as_json(self, more: Mapping[str, object]) -> bytes:
        """`more` is for people."""
        document = {
            "format": FORMAT,
            "format_version": self.format_version,
            "made_by": self.made_by,
            "made_at": self.made_at.isoformat(),
            "user_key": self.user_key,
            "marts_are_current": self.marts_are_current,
            "polled_until": self.polled_until.isoformat() if self.polled_until else None,
            **more,
            "parts": {
                name: {"rows": facts.rows, "bytes": facts.bytes, "sha256": facts.sha256}
                for name, facts in self.parts.items()
            },
        }
        return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"


class ExportPackage:
    """An opened export; the file stays open as long as it is used."""

    def __init__(self, name: str, members: Mapping[str, ZipMember], manifest: Manifest, sha256: bytes) -> None:
        self.name, self.manifest, self.sha256 = name, manifest, sha256
        self._members = members
        self.bytes_total = sum(facts.bytes for facts in manifest.parts.values())

    def check(self, on_bytes: Callable[[int], None] = lambda _: None, *, with_marts: bool = True) -> None:
        """Read every part and compare it with the manifest. Raises BadInput, before anything is imported.

        Without the tables for people, the limits of any archive apply to what is unpacked.
        """
        done = 0
        for name, facts in self.manifest.parts.items():
            if name.startswith(MARTS_FOLDER) and not with_marts:
                continue
            digest, size, rows = hashlib.sha256(), 0, 0
            for chunk in self._chunks(name):
                digest.update(chunk)
                size += len(chunk)
                rows += chunk.count(b"\n")
                done += len(chunk)
                on_bytes(done)
            if digest.hexdigest() != facts.sha256 or size != facts.bytes:
                raise BadInput(
                    f"{self.name}: {name} has been changed since the export: its checksum differs.",
                    place=name,
                    rule="the SHA-256 in the manifest",
                )
            if name.endswith(ROWS) and rows != facts.rows:
                raise BadInput(
                    f"{self.name}: {name} has {rows:,} rows, and the manifest says {facts.rows:,}.",
                    place=name,
                    rule=_RULE,
                )

    def names(self, folder: str) -> list[str]:
        """The parts in a folder (`events/`), in order."""
        return sorted(name for name in self.manifest.parts if name.startswith(folder))

    def lines(self, name: str) -> Iterator[bytes]:
        """The rows of a part without their line ends; none if the export has no such part.

        Raises BrokenFile, and BadInput for a row that is longer than any in an export.
        """
        if name not in self.manifest.parts:
            return
        held: list[bytes] = []
        size, number = 0, 1
        for chunk in self._chunks(name):
            *ends, rest = chunk.split(b"\n")
            for end in ends:
                yield b"".join((*held, end))
                held.clear()
                size, number = 0, number + 1
            held.append(rest)
            size += len(rest)
            if size > _MOST_ROW_BYTES:
                raise BadInput(
                    f"{self.name}: row {number:,} of {name} is longer than {_MOST_ROW_BYTES:,} bytes.",
                    place=name,
                    rule=f"rows of at most {_MOST_ROW_BYTES:,} bytes",
                )
        if size:
            yield b"".join(held)

    def _chunks(self, name: str) -> Iterator[bytes]:
        member = self._members.get(name)
        if member is None or not member.can_be_unpacked:
            raise BadInput(f"{self.name}: the part {name} is missing.", place=name, rule=_RULE)
        return member.chunks()


def is_export(path: Path | RemoteFile) -> bool:
    """Whether a file claims to be an export of MYI, of any version: reads only the ZIP's directory."""
    try:
        with path.open("rb") as handle:
            if handle.read(4) not in ZIP_MARKS:
                return False
            members = {member.name: member for member in open_zip(handle, place=path.name, limits=_limits(Limits()))}
            return MANIFEST in members and _document(members[MANIFEST], path.name).get("format") == FORMAT
    except (OSError, BadInput):
        return False


@contextmanager
def open_export(path: Path | RemoteFile, *, limits: Limits) -> Iterator[ExportPackage]:
    """Raises BadInput (UnsafeArchive) if it is not an export, was cut off, or was made by a newer version."""
    name = path.name
    try:
        handle = path.open("rb")
    except OSError as error:
        raise BadInput(f"{name}: cannot be read ({error.strerror}).", place=name, rule="a readable file") from error
    with handle:
        try:
            members = {member.name: member for member in open_zip(handle, place=name, limits=_limits(limits))}
        except BadInput as error:
            raise BadInput(
                f"{name}: is not a complete ZIP; was the download interrupted? ({error})", place=name, rule=error.rule
            ) from None
        if MANIFEST not in members:
            raise BadInput(f"{name}: is not an export of MYI: it has no {MANIFEST}.", place=name, rule=_RULE)
        taken_in = sum(member.size for member in members.values() if not member.name.startswith(MARTS_FOLDER))
        if taken_in > limits.max_total_bytes:
            raise UnsafeArchive(
                f"{name}: its content unpacks to {taken_in:,} bytes; {limits.max_total_bytes:,} are allowed.",
                place=name,
                rule="max_total_bytes",
            )
        manifest = _manifest(_document(members[MANIFEST], name), name)
        yield ExportPackage(name, members, manifest, _sha256(handle))


def _limits(limits: Limits) -> Limits:
    total = limits.max_total_bytes * _TIMES_AN_ARCHIVE
    return replace(limits, max_file_bytes=total, max_total_bytes=total)


def _sha256(handle: BinaryIO) -> bytes:
    handle.seek(0)
    digest = hashlib.sha256()
    while data := handle.read(_HASH_BYTES):
        digest.update(data)
    return digest.digest()


def _document(member: ZipMember, place: str) -> Mapping[str, Any]:
    """Raises BadInput."""
    if member.size > _MOST_MANIFEST_BYTES:
        raise BadInput(f"{place}: its {MANIFEST} is too long.", place=place, rule=_RULE)
    try:
        found = json.loads(b"".join(member.chunks()))
    except (ValueError, RecursionError, BrokenFile):
        raise BadInput(f"{place}: its {MANIFEST} cannot be read.", place=place, rule=_RULE) from None
    return found if isinstance(found, dict) else {}


def _manifest(told: Mapping[str, Any], place: str) -> Manifest:
    if told.get("format") != FORMAT:
        raise BadInput(f"{place}: is not an export of MYI: its {MANIFEST} does not say so.", place=place, rule=_RULE)
    version = told.get("format_version")
    if not isinstance(version, int) or version < 1:
        raise BadInput(f"{place}: its {MANIFEST} does not state its format.", place=place, rule=_RULE)
    if version > FORMAT_VERSION:
        raise BadInput(
            f"{place}: was made by a newer version, {told.get('made_by')}: its format is {version}, and this one reads"
            f" up to {FORMAT_VERSION}. Upgrade MYI first.",
            place=place,
            rule=f"format version {FORMAT_VERSION} or lower",
        )
    try:
        return Manifest(
            format_version=version,
            made_by=str(told["made_by"]),
            made_at=datetime.fromisoformat(told["made_at"]),
            user_key=str(told["user_key"]),
            marts_are_current=told.get("marts_are_current"),
            polled_until=datetime.fromisoformat(until) if (until := told.get("polled_until")) else None,
            parts={
                str(name): PartFacts(rows=int(part["rows"]), bytes=int(part["bytes"]), sha256=str(part["sha256"]))
                for name, part in told["parts"].items()
            },
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise BadInput(f"{place}: its {MANIFEST} is not the manifest of an export.", place=place, rule=_RULE) from None
