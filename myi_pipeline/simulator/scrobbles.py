"""What a listener scrobbled, in every file format of services and players, with the truth about it.

A scrobble is a track heard long enough to count: half of it, or four minutes (Last.fm's rule). The writers follow the
format descriptions and share no code with the readers.
"""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import NAMESPACE_URL, uuid5
from zoneinfo import ZoneInfo

from myi_pipeline.simulator.listener import Listener
from myi_pipeline.simulator.zip_writer import ZipWriter

_FOUR_MINUTES_MS: Final = 240_000
_TRACKS_A_PAGE: Final = 200
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Scrobble(NamedTuple):
    """One true scrobble. `started_at`: UTC, whole seconds; `length_ms`: of the track, in whole seconds; `uri` is
    Spotify's; `skipped`: a player's log marks it as skipped."""

    started_at: datetime
    title: str
    artist: str
    album: str | None
    length_ms: int
    uri: str
    skipped: bool = False

    @property
    def unix_time(self) -> int:
        return int(self.started_at.timestamp())

    @property
    def recording_mbid(self) -> str:
        return str(uuid5(NAMESPACE_URL, f"recording {self.artist} {self.title}"))

    @property
    def isrc(self) -> str:
        return f"QZABC{uuid5(NAMESPACE_URL, self.uri).int % 10_000_000:07}"


@dataclass(frozen=True, kw_only=True)
class ScrobblesTruth:
    """A file of scrobbles. `kind` is the source of its plays; `scrobbles` have times as precise as in the file."""

    path: Path
    kind: str
    scrobbles: tuple[Scrobble, ...]


def scrobbled(listener: Listener) -> Iterator[Scrobble]:
    """What a scrobbler on all of this listener's players would have reported, in time order. It does not see private
    sessions."""
    things = listener.shelf.things
    for raw in listener.raw_plays():
        thing = things[raw.thing]
        if thing.kind != "track" or raw.ms_played is None or thing.is_unknown("old"):
            continue
        if listener.manners[raw.manner].incognito:
            continue
        title, uri = thing.title_in("old"), thing.uri_in("old")
        if title is None or thing.creator is None or uri is None or thing.duration_ms < 30_000:
            continue
        if raw.ms_played < min(_FOUR_MINUTES_MS, thing.duration_ms / 2):
            continue
        yield Scrobble(
            started_at=datetime.fromtimestamp(raw.played_at - raw.ms_played // 1000, UTC),
            title=title,
            artist=thing.creator,
            album=thing.collection,
            length_ms=thing.duration_ms // 1000 * 1000,
            uri=uri,
        )


def write_scrobbles(path: Path, scrobbles: Iterable[Scrobble], *, form: str, zone: str = "UTC") -> ScrobblesTruth:
    """Writes a file of the given form (a key of FORMS); `zone`: the player's time zone, for forms with local times."""
    kept = sorted(scrobbles)
    kind, write, cut_s = FORMS[form]
    write(path, kept, zone)
    if cut_s > 1:
        kept = [each._replace(started_at=each.started_at - timedelta(seconds=each.unix_time % cut_s)) for each in kept]
    return ScrobblesTruth(path=path, kind=kind, scrobbles=tuple(kept))


def _written(moment: datetime, *, comma: bool) -> str:
    return f"{moment.day:02} {_MONTHS[moment.month - 1]} {moment.year}{',' if comma else ''} {moment:%H:%M}"


def _csv(rows: Iterable[Sequence[object]], *, quoting: int = csv.QUOTE_MINIMAL, delimiter: str = ",") -> str:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=quoting, delimiter=delimiter, lineterminator="\n").writerows(rows)  # type: ignore[arg-type]
    return text.getvalue()


def _lastfm_to_csv(path: Path, scrobbles: Sequence[Scrobble], zone: str) -> None:
    rows = ((s.artist, s.album or "", s.title, _written(s.started_at, comma=False)) for s in reversed(scrobbles))
    path.write_text(_csv(rows), encoding="utf-8", newline="")


def _lastfm_table(path: Path, scrobbles: Sequence[Scrobble], zone: str) -> None:
    header = ("uts", "utc_time", "artist", "artist_mbid", "album", "album_mbid", "track", "track_mbid")
    rows = (
        (s.unix_time, _written(s.started_at, comma=True), s.artist, "", s.album or "", "", s.title, "")
        for s in reversed(scrobbles)
    )
    path.write_text(_csv([header]) + _csv(rows, quoting=csv.QUOTE_ALL), encoding="utf-8", newline="")


def _lastfm_track(s: Scrobble) -> dict[str, Any]:
    return {
        "artist": {"mbid": "", "#text": s.artist},
        "streamable": "0",
        "image": [{"size": "small", "#text": ""}],
        "mbid": "",
        "album": {"mbid": "", "#text": s.album or ""},
        "name": s.title,
        "url": "https://www.last.fm/music/_",
        "date": {"uts": str(s.unix_time), "#text": _written(s.started_at, comma=True)},
    }


def _lastfm_pages(path: Path, scrobbles: Sequence[Scrobble], zone: str) -> None:
    newest = [_lastfm_track(s) for s in reversed(scrobbles)]
    pages = [newest[first : first + _TRACKS_A_PAGE] for first in range(0, len(newest), _TRACKS_A_PAGE)]
    document = [{"track": page, "@attr": {"page": str(number)}} for number, page in enumerate(pages, 1)]
    path.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")


def _lastfm_tracks(path: Path, scrobbles: Sequence[Scrobble], zone: str) -> None:
    path.write_text(json.dumps([_lastfm_track(s) for s in scrobbles], ensure_ascii=False, indent=1), encoding="utf-8")


def _lastfm_stats(path: Path, scrobbles: Sequence[Scrobble], zone: str) -> None:
    rows = [
        {"track": s.title, "artist": s.artist, "album": s.album or "", "albumId": "", "date": s.unix_time * 1000}
        for s in scrobbles
    ]
    path.write_text(json.dumps({"username": "made-up", "scrobbles": rows}, ensure_ascii=False), encoding="utf-8")


def _listen(s: Scrobble) -> dict[str, Any]:
    address = f"https://open.spotify.com/track/{s.uri.removeprefix('spotify:track:')}"
    info = {
        "duration_ms": s.length_ms,
        "isrc": s.isrc,
        "music_service": "spotify.com",
        "submission_client": "made-up scrobbler",
        **({"origin_url": address} if s.uri.startswith("spotify:track:") else {}),
    }
    names = {"artist_name": s.artist, "track_name": s.title, **({"release_name": s.album} if s.album else {})}
    return {
        "listened_at": s.unix_time,
        "inserted_at": s.unix_time + 300,
        "track_metadata": {**names, "additional_info": info, "mbid_mapping": {"recording_mbid": s.recording_mbid}},
    }


def _listenbrainz(path: Path, scrobbles: Sequence[Scrobble], zone: str) -> None:
    by_month: defaultdict[tuple[int, int], list[Scrobble]] = defaultdict(list)
    for s in scrobbles:
        by_month[s.started_at.year, s.started_at.month].append(s)
    with ZipWriter(path) as archive:
        archive.add("user.json", (b'{"user_id": 1, "username": "made-up"}\n',))
        for (year, month), listens in by_month.items():
            lines = (json.dumps(_listen(s), ensure_ascii=False).encode() + b"\n" for s in listens)
            archive.add(f"listens/{year}/{month}.jsonl", lines)
        archive.add("feedback.jsonl", (b'{"recording_msid": null, "score": 1, "created": 1700000000}\n',))


def _listenbrainz_list(path: Path, scrobbles: Sequence[Scrobble], zone: str) -> None:
    path.write_text(json.dumps([_listen(s) for s in scrobbles], ensure_ascii=False), encoding="utf-8")


def _maloja(path: Path, scrobbles: Sequence[Scrobble], zone: str) -> None:
    rows = [
        {
            "time": s.unix_time,
            "track": {
                "artists": [s.artist],
                "title": s.title,
                "album": {"artists": [s.artist], "albumtitle": s.album} if s.album else None,
                "length": s.length_ms // 1000,
            },
            "duration": None,
            "origin": "client:made-up",
        }
        for s in scrobbles
    ]
    document = {"maloja": {"export_time": scrobbles[-1].unix_time if scrobbles else 0}, "scrobbles": rows}
    path.write_text(json.dumps(document, indent=3), encoding="utf-8")


def _koito(path: Path, scrobbles: Sequence[Scrobble], zone: str) -> None:
    def aliases(name: str) -> list[dict[str, Any]]:
        return [
            {"alias": f"{name} (other)", "source": "MusicBrainz", "is_primary": False},
            {"alias": name, "source": "Canonical", "is_primary": True},
        ]

    listens = [
        {
            "listened_at": f"{s.started_at:%Y-%m-%dT%H:%M:%SZ}",
            "client": "made-up",
            "track": {"mbid": s.recording_mbid, "duration": s.length_ms // 1000, "aliases": aliases(s.title)},
            "album": {
                "image_url": "",
                "mbid": None,
                "aliases": aliases(s.album) if s.album else [],
                "various_artists": False,
            },
            "artists": [{"image_url": "", "mbid": None, "is_primary": True, "aliases": aliases(s.artist)}],
        }
        for s in scrobbles
    ]
    document = {"version": "1", "exported_at": "2026-01-01T00:00:00Z", "user": "made-up", "listens": listens}
    path.write_text(json.dumps(document, ensure_ascii=False, indent=2), encoding="utf-8")


def _scrobbler_log(path: Path, scrobbles: Sequence[Scrobble], zone: str) -> None:
    """A player writes its local time as if it were UTC."""
    lines = ["#AUDIOSCROBBLER/1.1", f"#TZ/{'UTC' if zone == 'UTC' else 'UNKNOWN'}", "#CLIENT/Made-up player 1.0"]
    for s in scrobbles:
        shown = s.started_at.astimezone(ZoneInfo(zone)).replace(tzinfo=UTC)
        fields = (s.artist, s.album or "", s.title, "", s.length_ms // 1000, "S" if s.skipped else "L")
        # A player cannot write a tab into a name.
        plain = (str(field).replace("\t", " ").replace("\n", " ") for field in fields)
        lines.append("\t".join((*plain, str(int(shown.timestamp())), s.recording_mbid)))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")


_Write = Callable[[Path, Sequence[Scrobble], str], None]
# The source of the plays, the writer, and the precision of the times in seconds.
FORMS: Final[Mapping[str, tuple[str, _Write, int]]] = {
    "lastfm_to_csv": ("lastfm_export_minutes", _lastfm_to_csv, 60),
    "lastfm_table": ("lastfm_export", _lastfm_table, 1),
    "lastfm_pages": ("lastfm_export", _lastfm_pages, 1),
    "lastfm_tracks": ("lastfm_export", _lastfm_tracks, 1),
    "lastfm_stats": ("lastfm_export", _lastfm_stats, 1),
    "listenbrainz": ("listenbrainz_export", _listenbrainz, 1),
    "listenbrainz_list": ("listenbrainz_export", _listenbrainz_list, 1),
    "maloja": ("maloja_export", _maloja, 1),
    "koito": ("koito_export", _koito, 1),
    "scrobbler_log": ("scrobbler_log", _scrobbler_log, 1),
}
