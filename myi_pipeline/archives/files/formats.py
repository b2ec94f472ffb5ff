"""Every format of a play file, each described once: its names, how its bytes become rows, how its first rows are
recognised, and which reader it has. To add a format, add an entry here and a FileKind."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Final, Protocol

from myi_pipeline.archives.files import lastfm_rows, listenbrainz_rows, scrobbler_log_rows, self_hosted_rows
from myi_pipeline.archives.files.fields import Tally
from myi_pipeline.archives.files.json_rows import JsonRows
from myi_pipeline.archives.files.kinds import FileKind, base_name, place_in_series
from myi_pipeline.archives.files.members import Limits, Member
from myi_pipeline.archives.files.rows import KnownNames, RowReader
from myi_pipeline.archives.files.spotify_rows import AccountRows, ExtendedRows
from myi_pipeline.archives.files.text_rows import LOG_MARK, ZONE_MARK, JsonLines, LogRows, TableRows
from myi_pipeline.catalogue.plays import PlayRecord, QuarantinedRow, Source
from myi_pipeline.errors import BrokenFile

_SNIFFED_ROWS: Final = 10
# Enough for ten rows of any kind, and for one that is much longer than the others.
_SNIFFED_CHUNKS: Final = 8
# A page of user.getRecentTracks has up to 1,000 tracks with pictures: 1.2 MB.
_ROWS_A_PAGE: Final = 16

Row = dict[str, object]


class RowSource(Protocol):
    """The rows of one file in batches. Raises BrokenFile after all rows before the break have been yielded."""

    @property
    def bytes_read(self) -> int:
        """Unpacked bytes taken from the file."""

    def __iter__(self) -> Iterator[list[object]]:
        """Lists of rows, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What is needed to read a file's bytes as rows. `time_zone` is the zone of times that do not state one."""

    place: str
    max_row_bytes: int
    time_zone: str = "UTC"


Container = Callable[[Iterable[bytes], Opening], RowSource]


def _json_list(chunks: Iterable[bytes], how: Opening) -> RowSource:
    return JsonRows(chunks, place=how.place, max_row_bytes=how.max_row_bytes)


def _json_member(chunks: Iterable[bytes], how: Opening, *, name: str) -> RowSource:
    return JsonRows(chunks, place=how.place, max_row_bytes=how.max_row_bytes, in_member=name)


def _json_lines(chunks: Iterable[bytes], how: Opening) -> RowSource:
    return JsonLines(chunks, place=how.place, max_row_bytes=how.max_row_bytes)


def _table(chunks: Iterable[bytes], how: Opening) -> RowSource:
    return TableRows(chunks, place=how.place, max_row_bytes=how.max_row_bytes)


def _headless_table(chunks: Iterable[bytes], how: Opening) -> RowSource:
    columns = lastfm_rows.HEADLESS_COLUMNS
    return TableRows(chunks, place=how.place, max_row_bytes=how.max_row_bytes, columns=columns)


def _log(chunks: Iterable[bytes], how: Opening) -> RowSource:
    return LogRows(chunks, place=how.place, max_row_bytes=how.max_row_bytes, time_zone=how.time_zone)


class _Pages:
    """The tracks of a list of pages; each page is a list, or an object containing one."""

    def __init__(self, chunks: Iterable[bytes], how: Opening) -> None:
        self._pages = JsonRows(chunks, place=how.place, max_row_bytes=how.max_row_bytes * _ROWS_A_PAGE)

    @property
    def bytes_read(self) -> int:
        return self._pages.bytes_read

    def __iter__(self) -> Iterator[list[object]]:
        for pages in self._pages:
            for page in pages:
                # Anything that is not a page becomes one row, which is quarantined.
                if rows := lastfm_rows.tracks_of(page):
                    yield rows


_scrobbles = partial(_json_member, name="scrobbles")
_listens = partial(_json_member, name="listens")
_api_list = partial(_json_member, name="list")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFormat:
    """One format. `opens` turns bytes into rows, `fits` says whether a row has this format, `reader` turns rows into
    plays.

    `names` is a pattern of paths that no other file has, None if names say nothing. `series` and `era` show which files
    are never together in one export: two files of one `series` but two eras come from two exports. `place`: a file's
    place in its export.
    """

    kind: FileKind
    reader: type[RowReader]
    opens: Container
    fits: Callable[[Row], bool] = lambda row: False
    names: re.Pattern[str] | None = None
    series: str = ""
    era: int = 0
    place: Callable[[str], tuple[str, str]] = place_in_series
    needs_time_zone: bool = False

    @property
    def source(self) -> Source:
        """Who reported the plays of such a file."""
        return self.reader.source


def _spotify_name(start: str) -> re.Pattern[str]:
    # The end of each name is left open: browsers and people add " (1)", "_copy" and the like.
    return re.compile(rf"(?:.*/)?{start}(?![a-z])[^/]*\.json", re.IGNORECASE | re.DOTALL)


_spotify_list = partial(FileFormat, opens=_json_list)
_extended = partial(_spotify_list, reader=ExtendedRows, series="extended")
_account = partial(_spotify_list, reader=AccountRows, series="account")


def _is_extended(row: Row) -> bool:
    return "ts" in row and ("ms_played" in row or "spotify_track_uri" in row or "master_metadata_track_name" in row)


def _is_account(row: Row, *, named_by: tuple[str, str]) -> bool:
    return "endTime" in row and "msPlayed" in row and (named_by[0] in row or named_by[1] in row)


def _month_of_listens(path: str) -> tuple[str, str]:
    year, _, month = path.rpartition("/")
    return base_name(year), month


FORMATS: Final[dict[FileKind, FileFormat]] = {
    each.kind: each
    for each in (
        _extended(kind=FileKind.ENDSONG, names=_spotify_name("endsong"), era=1),
        _extended(
            kind=FileKind.EXTENDED_AUDIO, names=_spotify_name("streaming_history_audio"), fits=_is_extended, era=2
        ),
        _extended(kind=FileKind.EXTENDED_VIDEO, names=_spotify_name("streaming_history_video"), era=2),
        _account(
            kind=FileKind.ACCOUNT_MUSIC,
            names=_spotify_name("streaminghistory_music"),
            fits=partial(_is_account, named_by=("trackName", "artistName")),
            era=2,
        ),
        _account(
            kind=FileKind.ACCOUNT_PODCAST,
            names=_spotify_name("streaminghistory_podcast"),
            fits=partial(_is_account, named_by=("episodeName", "podcastName")),
            era=2,
        ),
        _account(
            kind=FileKind.ACCOUNT_AUDIOBOOK,
            names=_spotify_name("streaminghistory_audiobook"),
            fits=partial(_is_account, named_by=("chapterName", "audiobookName")),
            era=2,
        ),
        _account(kind=FileKind.ACCOUNT, names=_spotify_name("streaminghistory(?!_[a-z])"), era=1),
        FileFormat(
            kind=FileKind.LASTFM_TRACKS,
            reader=lastfm_rows.LastfmTracks,
            opens=_json_list,
            fits=lastfm_rows.looks_like_track,
        ),
        FileFormat(
            kind=FileKind.LASTFM_PAGES, reader=lastfm_rows.LastfmTracks, opens=_Pages, fits=lastfm_rows.looks_like_track
        ),
        FileFormat(
            kind=FileKind.LASTFM_STATS,
            reader=lastfm_rows.LastfmStats,
            opens=_scrobbles,
            fits=lastfm_rows.looks_like_stats,
        ),
        FileFormat(
            kind=FileKind.LASTFM_MINUTES,
            reader=lastfm_rows.LastfmHeadless,
            opens=_headless_table,
            fits=lastfm_rows.looks_headless,
        ),
        FileFormat(
            kind=FileKind.LASTFM_TABLE,
            reader=lastfm_rows.LastfmTable,
            opens=_table,
            fits=lastfm_rows.looks_like_table,
        ),
        FileFormat(
            kind=FileKind.LASTFM_TABLE_MINUTES,
            reader=lastfm_rows.LastfmTableOfMinutes,
            opens=_table,
            fits=lastfm_rows.looks_like_table_of_minutes,
        ),
        FileFormat(
            kind=FileKind.LISTENBRAINZ,
            reader=listenbrainz_rows.ListenBrainzListens,
            opens=_json_lines,
            fits=listenbrainz_rows.looks_like_listen,
            names=re.compile(r"(?:.*/)?listens/[0-9]{4}/[0-9]{1,2}\.jsonl", re.IGNORECASE | re.DOTALL),
            place=_month_of_listens,
        ),
        FileFormat(
            kind=FileKind.LISTENBRAINZ_LIST,
            reader=listenbrainz_rows.ListenBrainzListens,
            opens=_json_list,
            fits=listenbrainz_rows.looks_like_listen,
        ),
        FileFormat(
            kind=FileKind.MALOJA,
            reader=self_hosted_rows.MalojaScrobbles,
            opens=_scrobbles,
            fits=self_hosted_rows.looks_like_maloja,
        ),
        FileFormat(
            kind=FileKind.MALOJA_API,
            reader=self_hosted_rows.MalojaScrobbles,
            opens=_api_list,
            fits=self_hosted_rows.looks_like_maloja,
        ),
        FileFormat(
            kind=FileKind.KOITO,
            reader=self_hosted_rows.KoitoListens,
            opens=_listens,
            fits=self_hosted_rows.looks_like_koito,
        ),
        FileFormat(
            kind=FileKind.SCROBBLER_LOG,
            reader=scrobbler_log_rows.ScrobblerLog,
            opens=_log,
            fits=scrobbler_log_rows.looks_like_log_in_utc,
        ),
        FileFormat(
            kind=FileKind.SCROBBLER_LOG_LOCAL,
            reader=scrobbler_log_rows.ScrobblerLog,
            opens=_log,
            fits=scrobbler_log_rows.looks_like_local_log,
            needs_time_zone=True,
        ),
    )
}
# One such file is an archive by itself: none of these formats is split into several files.
WHOLE_SUFFIXES: Final = (".csv", ".log")
# The suffixes of files with plays; other files of a folder or a ZIP are not read.
READ_SUFFIXES: Final = (".json", ".jsonl", *WHOLE_SUFFIXES)


def format_by_name(path: str) -> FileFormat | None:
    """The format of a file by its path; None if the name says nothing."""
    return next((each for each in FORMATS.values() if each.names is not None and each.names.fullmatch(path)), None)


def kind_by_name(path: str) -> FileKind | None:
    """The kind of format_by_name."""
    found = format_by_name(path)
    return found.kind if found is not None else None


def format_by_content(member: Member, limits: Limits) -> tuple[FileFormat | None, str]:
    """The format of a file by its first rows, and what is wrong with one that has none."""
    head, problem = _head_of(member), ""
    by_container: dict[Container, list[FileFormat]] = {}
    for each in FORMATS.values():
        by_container.setdefault(each.opens, []).append(each)
    for container, formats in by_container.items():
        # A log is recognised by its header: rows alone would fit too many files.
        if container is _log and not _is_log(head):
            continue
        source = container(head, Opening(place=member.name, max_row_bytes=limits.max_row_bytes, time_zone=_ANY_ZONE))
        rows, why = _first_rows(source)
        problem = problem or why
        for row in rows:
            for each in formats:
                if isinstance(row, dict) and each.fits(row):
                    return each, ""
    return None, problem


_ANY_ZONE: Final = scrobbler_log_rows.ANY_ZONE


def _head_of(member: Member) -> list[bytes]:
    head: list[bytes] = []
    # A break is reported when the file is read, if what came before is of a known kind.
    with suppress(BrokenFile):
        head.extend(islice(member.chunks(), _SNIFFED_CHUNKS))
    return head


def _is_log(head: Sequence[bytes]) -> bool:
    start = b"".join(head[:1])[:100].replace(b"\0", b"").removeprefix(b"\xef\xbb\xbf").lstrip(b"\xff\xfe")
    return start.lstrip().startswith((LOG_MARK.encode(), ZONE_MARK.encode()))


def _first_rows(source: RowSource) -> tuple[list[object], str]:
    rows: list[object] = []
    try:
        for batch in source:
            rows += batch[: _SNIFFED_ROWS - len(rows)]
            if len(rows) >= _SNIFFED_ROWS:
                break
    except BrokenFile as error:
        # Broken before the end of the head, which is cut off on purpose.
        if not rows and error.offset < source.bytes_read:
            return [], str(error)
    return rows, ""


def export_numbers(files: Sequence[tuple[str, FileKind]]) -> list[int]:
    """The export that each play file is from: 0 for all of them, or 1, 2, ... if their names show that there are two
    exports.

    No export has two files of one kind and number, or names of two eras. With two exports, nothing says which file is
    from which, so each counts as an export by itself: a history is split into files by time, and the files of one
    export have no row in common.
    """
    places = [(kind, *FORMATS[kind].place(name)) for name, kind in files]
    eras = {(FORMATS[kind].series, FORMATS[kind].era) for _, kind in files if FORMATS[kind].series}
    has_two_eras = max(Counter(series for series, _ in eras).values(), default=0) > 1
    if len(set(places)) == len(places) and not has_two_eras:
        return [0] * len(files)
    return list(range(1, len(files) + 1))


class FileReader:
    """One play file of an archive, row by row; iterate it once.

    Raises BrokenFile if the file breaks; every row before the break has been yielded by then. All counters hold the
    values so far; `rows_read` runs ahead of the iteration by at most one buffer, and equals the rows yielded once it
    has ended.
    """

    def __init__(
        self,
        member: Member,
        *,
        kind: FileKind,
        limits: Limits,
        hash_account: Callable[[str], bytes],
        now: datetime,
        known: KnownNames,
        time_zone: str,
    ) -> None:
        self.rows_read = 0
        self._tally = Tally(hash_account=hash_account, max_keys=limits.max_unknown_keys)
        opening = Opening(place=member.name, max_row_bytes=limits.max_row_bytes, time_zone=time_zone)
        self._source = FORMATS[kind].opens(member.chunks(), opening)
        self._rows = FORMATS[kind].reader(now=now, max_chars=limits.max_text_chars, tally=self._tally, known=known)

    @property
    def bytes_read(self) -> int:
        """Unpacked bytes taken from the file."""
        return self._source.bytes_read

    @property
    def unknown_keys(self) -> Counter[str]:
        """How many rows had each key that no known format has; bounded, see Tally."""
        return self._tally.unknown_keys

    @property
    def account_hashes(self) -> set[bytes]:
        """The keyed hashes of the user names in the file; bounded."""
        return self._tally.account_hashes

    def __iter__(self) -> Iterator[PlayRecord | QuarantinedRow]:
        for rows in self._source:
            first = self.rows_read
            self.rows_read += len(rows)
            yield from self._rows.convert(rows, first=first)


@dataclass(frozen=True, slots=True)
class RowResults:
    """One result for each row, in order."""

    source: Source
    results: list[PlayRecord | QuarantinedRow]


def read_rows(rows: Sequence[object], *, kind: str, now: datetime, limits: Limits) -> RowResults:
    """Read rows that were parsed and stored before as if a file of this kind were read now."""
    reader = FORMATS[FileKind(kind)].reader
    tally = Tally(hash_account=lambda _: b"", max_keys=limits.max_unknown_keys)
    results = reader(now=now, max_chars=limits.max_text_chars, tally=tally).convert(rows, first=0)
    return RowResults(reader.source, results)
