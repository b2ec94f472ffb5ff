"""Account data as an export gives it: the last twelve months, to the minute, without a URI.

Every row is one true play, listed once (only extended exports repeat rows), with its time truncated to the minute. Left
out are plays without ms_played, and plays of which nothing but the minute could be matched with another archive (see
`_can_be_known`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import Literal

from myi_pipeline.simulator.archive_truth import ArchiveTruth, FileTruth
from myi_pipeline.simulator.catalogue import Thing
from myi_pipeline.simulator.listener import Listener
from myi_pipeline.simulator.plays import RawPlay, TruePlay
from myi_pipeline.simulator.spec import Catalogue
from myi_pipeline.simulator.zip_writer import ZipWriter

AccountNames = Literal["old", "new"]

ROWS_PER_FILE = 10_000
FOLDER_NEW = "Spotify Account Data"
FOLDER_OLD = "MyData"

_SORTS = {"track": "music", "episode": "podcast", "chapter": "audiobook"}
_OLD_SORTS = {"track": "music", "episode": "music"}
_UNKNOWN = {"artistName": "Unknown Artist", "trackName": "Unknown Track"}


def write_account_archive(
    path: Path,
    listener: Listener,
    *,
    until: date,
    names: AccountNames = "new",
    folder: str | None = None,
    catalogue: Catalogue | None = None,
    rows_per_file: int = ROWS_PER_FILE,
) -> ArchiveTruth:
    """Writes the plays of the 365 UTC days up to and including `until`.

    `names`: 'new' gives StreamingHistory_music_N, _podcast_N and _audiobook_N; 'old' gives StreamingHistoryN, with
    episodes listed as tracks of an artist and no audiobooks. `catalogue` (default: same as `names`) decides whether
    renamed tracks have their new titles and removed ones none.
    """
    catalogue = catalogue or names
    folder = folder if folder is not None else (FOLDER_OLD if names == "old" else FOLDER_NEW)
    prefix = f"{folder}/" if folder else ""
    plays = partial(_plays_in, listener, until=until, with_books=names == "new")
    sorts = _SORTS if names == "new" else _OLD_SORTS
    things = listener.shelf.things
    waiting: dict[str, list[bytes]] = {sort: [] for sort in sorts.values()}
    numbers: Counter[str] = Counter()
    quirks: Counter[str] = Counter()
    files: list[FileTruth] = []
    spans: list[int] = []

    with ZipWriter(path) as archive:

        def write(sort: str) -> None:
            number, rows = numbers[sort], waiting[sort]
            stem = "StreamingHistory" if names == "old" else f"StreamingHistory_{sort}_"
            name = f"{prefix}{stem}{number}.json"
            size = archive.add(name, (b"[\n  ", b",\n  ".join(rows), b"\n]"))
            files.append(FileTruth(name=name, rows=len(rows), identical=0, quarantined={}, unpacked_bytes=size))
            numbers[sort] += 1
            rows.clear()

        for raw in plays():
            thing = things[raw.thing]
            sort = sorts[thing.kind]
            if len(waiting[sort]) >= rows_per_file:
                write(sort)
            waiting[sort].append(_row(raw, thing, catalogue, names))
            quirks[thing.kind] += 1
            spans[1:] = [raw.played_at]
        for sort, rows in waiting.items():
            if rows:
                write(sort)
        others = _neighbours(listener, until)
        for name, document in others.items():
            archive.add(prefix + name, (json.dumps(document, ensure_ascii=False, indent=2).encode(),))
    ends = [datetime.fromtimestamp(second // 60 * 60, UTC) for second in spans]
    return ArchiveTruth(
        path=path,
        kind="account_history",
        files=tuple(files),
        other_files=tuple(prefix + name for name in others),
        quirks=quirks,
        first_played_at=ends[0] if ends else None,
        last_played_at=ends[-1] if ends else None,
        replay=partial(_true_plays, listener, plays, catalogue, names),
    )


def _plays_in(listener: Listener, *, until: date, with_books: bool) -> Iterator[RawPlay]:
    stop = int(datetime.combine(until + timedelta(days=1), time(), UTC).timestamp())
    start = stop - 365 * 86_400
    things = listener.shelf.things
    for raw in listener.raw_plays():
        if raw.played_at >= stop:
            return
        if raw.played_at < start or raw.ms_played is None:
            continue
        thing = things[raw.thing]
        if _can_be_known(raw, thing) and (thing.kind != "chapter" or with_books):
            yield raw


def _can_be_known(raw: RawPlay, thing: Thing) -> bool:
    """Whether the play can be matched in an archive of another kind or catalogue."""
    match thing.defect:
        case "unnamed":
            return False
        case "unknown" | "removed":
            return bool(raw.ms_played)
        case "renamed":
            # Matched by artist, which extended archives omit on compilations; a minute can contain several skips.
            return thing.artist == thing.creator and (raw.ms_played or 0) >= 30_000
    return True


def _row(raw: RawPlay, thing: Thing, catalogue: Catalogue, names: AccountNames) -> bytes:
    end_time = datetime.fromtimestamp(raw.played_at, UTC).strftime("%Y-%m-%d %H:%M")
    title = thing.title_in(catalogue)
    row: dict[str, object] = {"endTime": end_time}
    if thing.is_unknown(catalogue):
        row |= _UNKNOWN
    elif thing.kind == "track":
        row |= {"artistName": thing.artist, "trackName": title}
    elif names == "old":
        row |= {"artistName": thing.collection, "trackName": title}
    elif thing.kind == "episode":
        row |= {"podcastName": thing.collection, "episodeName": title}
    else:
        row |= {"authorName": thing.artist, "audiobookName": thing.collection, "chapterName": title}
    row["msPlayed"] = raw.ms_played
    return json.dumps(row, ensure_ascii=False).encode()


def _true_plays(
    listener: Listener, plays: partial[Iterator[RawPlay]], catalogue: Catalogue, names: AccountNames
) -> Iterator[TruePlay]:
    for raw in plays():
        thing = listener.shelf.things[raw.thing]
        if names == "old" and thing.kind == "episode":
            thing = thing._replace(kind="track", artist=thing.collection)
        unknown = thing.is_unknown(catalogue)
        yield TruePlay(
            played_at=datetime.fromtimestamp(raw.played_at // 60 * 60, UTC),
            ms_played=raw.ms_played,
            kind="unknown" if unknown else thing.kind,
            uri=None,
            title=None if unknown else thing.title_in(catalogue),
            creator=None if unknown or thing.kind == "episode" else thing.artist,
            collection=None if thing.kind == "track" else thing.collection,
            platform=None,
            conn_country=None,
            reason_start=None,
            reason_end=None,
            shuffle=None,
            skipped=None,
            offline=None,
            offline_at=None,
            incognito=None,
            source="account_history",
            identity=raw.identity,
        )


def _neighbours(listener: Listener, until: date) -> dict[str, object]:
    tracks = [thing for thing in listener.shelf.things[:200] if thing.uri and thing.title and thing.kind == "track"]
    entries = [
        {
            "track": {
                "trackName": thing.title,
                "artistName": thing.artist,
                "albumName": thing.collection,
                "trackUri": thing.uri,
            },
            "addedDate": until.isoformat(),
        }
        for thing in tracks[:20]
    ]
    return {
        "Playlist1.json": {"playlists": [{"name": "Slow mornings", "items": entries, "numberOfFollowers": 0}]},
        "YourLibrary.json": {
            "tracks": [
                {"artist": thing.artist, "album": thing.collection, "track": thing.title, "uri": thing.uri}
                for thing in tracks[:50]
            ],
            "albums": [],
            "shows": [],
        },
        "Userdata.json": {
            "username": f"listener-{listener.spec.listener}",
            "country": listener.spec.home_country,
            "creationTime": listener.spec.first_day.isoformat(),
        },
    }
