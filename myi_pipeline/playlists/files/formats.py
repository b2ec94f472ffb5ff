"""All formats of playlist files: name and suffixes, how the first bytes are recognised, and the functions that read and
write them. A new format is a new entry here.
"""

from __future__ import annotations

import re
import stat
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from myi_pipeline.errors import BadInput
from myi_pipeline.playlists.files import exportify, jspf, m3u, pls, soundiiz, spotify_account, tunemymusic, xspf
from myi_pipeline.playlists.files.other_files import describe
from myi_pipeline.playlists.files.records import Limits, Playlist, Source
from myi_pipeline.playlists.files.tables import Row, Table
from myi_pipeline.playlists.files.xspf_rules import NAMESPACE
from myi_pipeline.playlists.files.zip_members import MARKS, members

_HEAD_BYTES: Final = 65_536
_SNIFFED_ROWS: Final = 20
_TABLES: Final = (".csv", ".tsv")

Reader = Callable[[Source], tuple[Playlist, ...]]
Writer = Callable[[Sequence[Playlist], BinaryIO, bool], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFormat:
    """One format. `recognises` looks at a file's first bytes; a file that no format recognises is read as the first
    format with its suffix. `writes` takes the playlists (one, unless `holds_many`), and whether to guard against
    formulas. `series_of` gives from a file's place what stands for its name when its lists are looked for on the next
    import; without it, that is the place.
    """

    key: str
    label: str
    suffixes: tuple[str, ...]
    recognises: Callable[[bytes], bool]
    reads: Reader
    writes: Writer | None = None
    holds_many: bool = False
    series_of: Callable[[str], str] | None = None


def _begins(pattern: str) -> Callable[[bytes], bool]:
    start = re.compile(rf"(?:\xef\xbb\xbf)?\s*{pattern}".encode("latin-1"), re.IGNORECASE)
    return lambda head: start.match(_plain(head)) is not None


def _plain(head: bytes) -> bytes:
    """UTF-16 with a byte order mark as if it were ASCII, which is enough to recognise a file by its beginning."""
    return head[2:].replace(b"\0", b"") if head.startswith((b"\xff\xfe", b"\xfe\xff")) else head


def _is_xspf(head: bytes) -> bool:
    return _begins("<")(head) and NAMESPACE.encode() in _plain(head)


def _has_key(head: bytes, pattern: bytes, *others: bytes) -> bool:
    """Whether this key comes before the others that tell the kinds of JSON apart."""
    found = re.search(pattern, head)
    before = [re.search(other, head) for other in others]
    return (
        _begins(r"\{")(head)
        and found is not None
        and all(other is None or other.start() > found.start() for other in before)
    )


_JSPF_KEY: Final = rb'"playlist"\s*:\s*\{'
_LISTS_KEY: Final = rb'"playlists"\s*:\s*\['
_LIBRARY_KEY: Final = rb'"tracks"\s*:\s*\['


def _is_jspf(head: bytes) -> bool:
    return _has_key(head, _JSPF_KEY, _LISTS_KEY, _LIBRARY_KEY)


def _is_account_data(head: bytes) -> bool:
    return _has_key(head, _LISTS_KEY, _JSPF_KEY) or _has_key(head, _LIBRARY_KEY, _JSPF_KEY)


def _table(head: bytes) -> tuple[Table, list[Row]] | None:
    """The table at the beginning of a file, and its first rows; the last row may be cut off."""
    if _begins(r"[<{\[]|#EXT")(head):
        return None
    cut = head if len(head) < _HEAD_BYTES else head[: head.rfind(b"\n") + 1] or head
    rows: list[Row] = []
    try:
        table = Table(Source(place="", data=cut))
    except BadInput:
        return None
    with suppress(BadInput):
        rows.extend(islice(table.rows(), _SNIFFED_ROWS))
    return table, rows


def _is_exportify(head: bytes) -> bool:
    found = _table(head)
    return found is not None and exportify.fits(*found)


def _is_tunemymusic(head: bytes) -> bool:
    found = _table(head)
    return found is not None and tunemymusic.fits(found[0])


def _is_soundiiz(head: bytes) -> bool:
    found = _table(head)
    return found is not None and soundiiz.fits(found[0])


def _reader_of_one(read: Callable[[Source], Playlist]) -> Reader:
    return lambda source: (read(source),)


def _writer_of_one(write: Callable[[Playlist, BinaryIO], None]) -> Writer:
    return lambda playlists, out, _: write(playlists[0], out)


FORMATS: Final[dict[str, FileFormat]] = {
    each.key: each
    for each in (
        FileFormat(
            key="m3u8",
            label="M3U8",
            suffixes=(".m3u8",),
            recognises=_begins("#EXTM3U|#EXTINF:"),
            reads=_reader_of_one(m3u.read),
            writes=_writer_of_one(m3u.write),
        ),
        FileFormat(
            key="m3u",
            label="M3U",
            suffixes=(".m3u",),
            recognises=_begins("#EXTM3U|#EXTINF:"),
            reads=_reader_of_one(partial(m3u.read, allow_latin1=True)),
            writes=_writer_of_one(m3u.write),
        ),
        FileFormat(
            key="pls",
            label="PLS",
            suffixes=(".pls",),
            recognises=_begins(r"\[playlist\]"),
            reads=_reader_of_one(pls.read),
            writes=_writer_of_one(pls.write),
        ),
        FileFormat(
            key="xspf",
            label="XSPF",
            suffixes=(".xspf",),
            recognises=_is_xspf,
            reads=_reader_of_one(xspf.read),
            writes=_writer_of_one(xspf.write),
        ),
        FileFormat(
            key="jspf",
            label="JSPF",
            suffixes=(".jspf",),
            recognises=_is_jspf,
            reads=_reader_of_one(jspf.read),
            writes=_writer_of_one(jspf.write),
        ),
        FileFormat(
            key="spotify",
            label="Spotify's account data",
            suffixes=(),
            recognises=_is_account_data,
            reads=spotify_account.read,
            holds_many=True,
            series_of=spotify_account.series_of,
        ),
        FileFormat(
            key="tunemymusic",
            label="TuneMyMusic's CSV",
            suffixes=(".csv",),
            recognises=_is_tunemymusic,
            reads=tunemymusic.read,
            writes=lambda playlists, out, guard: tunemymusic.write(playlists, out, formula_guard=guard),
            holds_many=True,
        ),
        FileFormat(
            key="exportify",
            label="Exportify's CSV",
            suffixes=(".csv",),
            recognises=_is_exportify,
            reads=_reader_of_one(exportify.read),
            writes=lambda playlists, out, guard: exportify.write(playlists[0], out, formula_guard=guard),
        ),
        FileFormat(
            key="soundiiz",
            label="Soundiiz' CSV",
            suffixes=(".csv", ".tsv"),
            recognises=_is_soundiiz,
            reads=_reader_of_one(soundiiz.read),
            writes=lambda playlists, out, guard: soundiiz.write(playlists[0], out, formula_guard=guard),
        ),
    )
}
WRITABLE: Final = tuple(key for key, each in FORMATS.items() if each.writes is not None)
# Suffixes that decide if the bytes do not. Tables are recognised only by their header.
_BY_SUFFIX: Final = {suffix: each for each in FORMATS.values() for suffix in each.suffixes if suffix not in _TABLES}
_IN_ZIPS: Final = tuple(sorted({suffix for each in FORMATS.values() for suffix in each.suffixes}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The result of reading one file, or one file in a ZIP. `warnings`: what was not understood or is not kept."""

    place: str
    format: FileFormat
    playlists: tuple[Playlist, ...]
    warnings: tuple[str, ...]

    @property
    def series(self) -> str:
        """What stands for the file when its lists are looked for on the next import."""
        return self.format.series_of(self.place) if self.format.series_of is not None else self.place


def recognise(name: str, head: bytes) -> FileFormat | None:
    """The format of a file by its first bytes or, if they do not tell, by its suffix."""
    by_suffix = _BY_SUFFIX.get(PurePosixPath(name).suffix.lower())
    if by_suffix is not None and by_suffix.recognises(head):
        return by_suffix
    # A table's header can be anything, so a suffix says more than a header that fits.
    strong = [each for each in FORMATS.values() if ".csv" not in each.suffixes]
    if found := next((each for each in strong if each.recognises(head)), None):
        return found
    if by_suffix is not None and (describe(head) is None or by_suffix.key in ("xspf", "jspf")):
        return by_suffix
    return next((each for each in FORMATS.values() if each.recognises(head)), None)


def read_file(path: Path, *, limits: Limits | None = None) -> tuple[Reading, ...]:
    """Read a file: one reading, or one for each playlist file in a ZIP.

    Raises BadInput, which says what is wrong, where and by which rule; for a file of another kind, what it is and what
    MYI reads.
    """
    place = path.name
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            what = "a folder; name the files in it" if stat.S_ISDIR(mode) else "not a file"
            raise BadInput(f"{place}: this is {what}.", place=place, rule="a file")
        with path.open("rb") as handle:
            return read_open_file(handle, place=place, limits=limits)
    except OSError as error:
        raise BadInput(f"{place}: cannot be read: {error.strerror}.", place=place, rule="a readable file") from None


def read_open_file(handle: BinaryIO, *, place: str, limits: Limits | None = None) -> tuple[Reading, ...]:
    """The same for a file that is open or in memory; `place` is its name."""
    limits = limits or Limits()
    head = handle.read(len(MARKS[0]))
    handle.seek(0)
    if head in MARKS:
        return _read_zip(handle, place=place, limits=limits)
    data = handle.read(limits.max_bytes + 1)
    return (read_bytes(data, place=place, name=PurePosixPath(place).stem, limits=limits),)


def _read_zip(handle: BinaryIO, *, place: str, limits: Limits) -> tuple[Reading, ...]:
    found, left = [], limits.max_entries
    for name, data in members(handle, place=place, limits=limits, suffixes=_IN_ZIPS):
        reading = read_bytes(data, place=f"{place}/{name}", name=PurePosixPath(name).stem, limits=limits)
        left -= sum(len(playlist.entries) for playlist in reading.playlists)
        if left < 0:
            raise BadInput(
                f"{place}: more than {limits.max_entries:,} entries; at most that many are read.",
                place=place,
                rule="max_entries",
            )
        found.append(reading)
    return tuple(found)


def read_lists_beside_plays(paths: Sequence[Path], *, limits: Limits | None = None) -> tuple[Reading, ...]:
    """The playlists in an archive of listening history: those of Spotify's account data, the only one that has both.

    `paths` are a ZIP, a folder, or single files. Raises BadInput if there are some that cannot be read.
    """
    found: list[Reading] = []
    for path in paths:
        if path.is_dir():
            files = sorted(each for each in path.rglob("*.json") if spotify_account.holds_playlists([each.name]))
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                files = [path] if spotify_account.holds_playlists(archive.namelist()) else []
        else:
            files = [path] if spotify_account.holds_playlists([path.name]) else []
        for each in files:
            found += [reading for reading in read_file(each, limits=limits) if reading.format.key == "spotify"]
    return tuple(found)


def read_bytes(data: bytes, *, place: str, name: str, limits: Limits) -> Reading:
    """The same for bytes. `name` is the playlist's name if the file has none."""
    source = Source(place=place, data=data, name=name, limits=limits)
    if len(data) > limits.max_bytes:
        raise source.refusal(f"the file has more than {limits.max_bytes:,} bytes", rule="max_bytes")
    head = data[:_HEAD_BYTES]
    found = recognise(place, head)
    if found is None:
        what = describe(head)
        if what is None and PurePosixPath(place).suffix.lower() in _TABLES:
            # Either the table is broken, or columns are missing: say which.
            Table(source)
            raise source.refusal("the header has no columns of titles and artists", at="line 1", rule="title, artist")
        what = what or "This is not a playlist that MYI knows."
        raise BadInput(f"{place}: {what} {WANTED}", place=place, rule="a playlist file")
    playlists = found.reads(source)
    return Reading(place=place, format=found, playlists=playlists, warnings=source.notes.sentences())


def write_playlists(
    playlists: Sequence[Playlist], out: BinaryIO, *, format_key: str, formula_guard: bool = True
) -> None:
    """Write playlists in a format. Raises BadInput if it cannot be written, or not with this many playlists."""
    wanted = FORMATS[format_key]
    if wanted.writes is None:
        raise BadInput(f"{wanted.label} can be read but not written.", place=format_key, rule=", ".join(WRITABLE))
    if len(playlists) != 1 and not wanted.holds_many:
        raise BadInput(
            f"{wanted.label} holds one playlist, not {len(playlists):,}.", place=format_key, rule="one playlist"
        )
    wanted.writes(playlists, out, formula_guard)


WANTED: Final = (
    "MYI reads playlists as M3U8, M3U, PLS, XSPF, JSPF, CSV of Exportify, TuneMyMusic or Soundiiz, and those in "
    "Spotify's account data: its ZIP, Playlist1.json or YourLibrary.json."
)
