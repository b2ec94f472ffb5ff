"""Exports playlists to files: one playlist, or all of a user's as a ZIP with a manifest.

Lists are written one after the other, so a ZIP takes no more memory than its largest list. Each file is read back, and
the manifest says what its format could not represent.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any, BinaryIO, Final

from myi_pipeline import __version__
from myi_pipeline.errors import BadInput
from myi_pipeline.playlists.file_lists import kept_as_file
from myi_pipeline.playlists.files import FORMATS, write_playlists
from myi_pipeline.playlists.files.losses import not_said
from myi_pipeline.playlists.files.names import FileNames, file_stem
from myi_pipeline.playlists.kept import KeptHead, KeptVersion, list_heads, list_versions
from myi_pipeline.postgres.connections import Connection

MANIFEST: Final = "manifest.json"
_NEVER_READ: Final = "its entries were never read"
_TOO_LARGE: Final = "the file has more than {:,} bytes"


@dataclass(frozen=True, kw_only=True)
class ExportedList:
    """One list as written. `not_said`: name of each lost fact -> how often it is missing from the file."""

    file: str
    playlist_id: int
    name: str
    version_no: int
    seen_at: datetime
    state: str
    entries: int
    not_said: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    playlist_id: int
    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Exported:
    """The contents of a ZIP."""

    format: str
    made_at: datetime
    playlists: tuple[ExportedList, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def entries(self) -> int:
        return sum(each.entries for each in self.playlists)


def export_one(
    connection: Connection,
    out: BinaryIO,
    *,
    user_id: int,
    playlist_id: int,
    format_key: str,
    version_no: int | None = None,
    formula_guard: bool = True,
) -> ExportedList:
    """Write one list: its latest version unless another is given. Raises BadInput."""
    versions = list_versions(connection, user_id=user_id, playlist_id=playlist_id)
    version = next((each for each in versions if each.version_no == (version_no or versions[0].version_no)), None)
    if version is None:
        raise BadInput(f"the playlist has no version {version_no}", place="version", rule=f"1 to {len(versions)}")
    if version.items is None:
        raise BadInput(_NEVER_READ, place="version", rule="a version with entries")
    made, data = _written(
        connection,
        lambda name: f"{file_stem(name)}{FORMATS[format_key].suffixes[0]}",
        user_id=user_id,
        playlist_id=playlist_id,
        version=version,
        format_key=format_key,
        formula_guard=formula_guard,
    )
    out.write(data)
    return made


def export_all(
    connection: Connection,
    out: BinaryIO,
    *,
    user_id: int,
    format_key: str,
    now: datetime,
    formula_guard: bool = True,
    most_bytes: int | None = None,
) -> Exported:
    """Write a ZIP of all of a user's lists whose entries are known; `out` need not be seekable.

    Each list is written as it was when the export started, because a version never changes. Raises BadInput, also if
    the ZIP exceeds `most_bytes`.
    """
    names = FileNames()
    names.take(PurePosixPath(MANIFEST).stem, PurePosixPath(MANIFEST).suffix)
    suffix = FORMATS[format_key].suffixes[0]
    made: list[ExportedList] = []
    left_out: list[LeftOut] = []
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        size = 0
        for head in list_heads(connection, user_id=user_id):
            if head.items is None:
                left_out.append(LeftOut(playlist_id=head.playlist_id, name=head.name, reason=_NEVER_READ))
                continue
            written, data = _written(
                connection,
                lambda name: names.take(name, suffix),
                user_id=user_id,
                playlist_id=head.playlist_id,
                version=head,
                format_key=format_key,
                formula_guard=formula_guard,
            )
            size += _put(archive, written.file, data, now)
            if most_bytes is not None and size > most_bytes:
                raise BadInput(_TOO_LARGE.format(most_bytes), place="export", rule="export single playlists")
            made.append(written)
        result = Exported(format=format_key, made_at=now, playlists=tuple(made), left_out=tuple(left_out))
        _put(archive, MANIFEST, manifest_of(result), now)
    return result


def manifest_of(exported: Exported) -> bytes:
    """The manifest of a ZIP, as JSON."""
    document = {"made_by": f"MYI {__version__}", **asdict(exported)}
    return json.dumps(document, ensure_ascii=False, indent=2, default=_moment).encode("utf-8", "replace")


def _written(
    connection: Connection,
    file_of: Callable[[str], str],
    *,
    user_id: int,
    playlist_id: int,
    version: KeptVersion | KeptHead,
    format_key: str,
    formula_guard: bool,
) -> tuple[ExportedList, bytes]:
    playlist = kept_as_file(connection, user_id=user_id, playlist_id=playlist_id, version_no=version.version_no)
    out = io.BytesIO()
    write_playlists([playlist], out, format_key=format_key, formula_guard=formula_guard)
    data = out.getvalue()
    file = file_of(playlist.name)
    lost = not_said(playlist, data, format_key=format_key, file_stem=PurePosixPath(file).stem)
    made = ExportedList(
        file=file,
        playlist_id=playlist_id,
        name=playlist.name,
        version_no=version.version_no,
        seen_at=version.seen_at,
        state=version.state,
        entries=len(playlist.entries),
        not_said=lost,
    )
    return made, data


def _put(archive: zipfile.ZipFile, name: str, data: bytes, now: datetime) -> int:
    at = now.astimezone(UTC)
    info = zipfile.ZipInfo(name, (at.year, at.month, at.day, at.hour, at.minute, at.second))
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    archive.writestr(info, data)
    return info.compress_size


def _moment(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    raise TypeError(f"{type(value).__name__} is not in a manifest")
