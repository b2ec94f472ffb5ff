"""Listening that is drawn once, for what is computed from it a second time: two listeners, a year and a half, a hole
between two archives, a podcast, a book, a removed track, some plays of unknown length.

Nothing here reads a mart; what the words mean is written from docs/marts.md.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import psycopg

from myi_pipeline.catalogue.plays import ContentKind
from myi_pipeline.postgres.connections import Role
from tests.dbt.conftest import Marts, emptied

ZONE = ZoneInfo("Europe/Berlin")
SILENCE = timedelta(minutes=30)
ASKED_AT = datetime(2024, 5, 20, 9, tzinfo=UTC)
RANKED = ("Beta", "Nobody's", "Alpha")
FOREVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Song:
    """A track, an episode of the show `album`, or what nobody knows any more."""

    title: str
    artist: str
    album: str
    kind: str = "track"


@dataclass(frozen=True)
class Context:
    platform: str
    family: str
    country: str


@dataclass(frozen=True)
class Heard:
    song: Song
    played_at: datetime
    ms_played: int | None
    skipped: bool | None = None
    shuffle: bool | None = None
    context: Context | None = None

    @property
    def started_at(self) -> datetime:
        return self.played_at - timedelta(milliseconds=self.ms_played or 0)

    @property
    def source(self) -> int:
        return 3 if self.ms_played is None else 1

    @property
    def local(self) -> datetime:
        return self.played_at.astimezone(ZONE)

    @property
    def day(self) -> date:
        return self.local.date()

    @property
    def month(self) -> date:
        return self.day.replace(day=1)

    @property
    def counts(self) -> bool:
        # What Spotify lists as recently played counts; nothing here is known to be shorter than a minute.
        return self.ms_played is None or self.ms_played >= 30_000

    @property
    def is_track(self) -> bool:
        return self.song.kind == "track"


SONGS = [
    Song(f"{artist} {number}", artist, f"{artist} album {number % 2}")
    for artist, tracks in (
        ("Alpha", 5),
        ("Beta", 4),
        ("Gamma", 3),
        ("Delta", 2),
        ("Epsilon", 1),
        ("Zeta", 4),
        ("Eta", 4),
    )
    for number in range(tracks)
]
EPISODES = [Song(f"Episode {number}", "", "The Show", "episode") for number in range(6)]
CHAPTERS = [Song(f"Chapter {number}", "", "The Book", "chapter") for number in range(2)]
REMOVED = Song("", "", "", "unknown")
# Of which albums Spotify has said how many tracks they have; of Alpha's second one there are two ids of one track.
TOTAL_TRACKS = {"Alpha album 0": 4, "Alpha album 1": 1, "Gamma album 0": 2}
CONTEXTS = (
    Context("iOS 12.4 (iPhone10,4)", "iOS", "DE"),
    Context("ios", "iOS", "FR"),
    Context("web_player windows 10;chrome 86;desktop", "Web player", "DE"),
    Context("Partner sonos_imx6 Sonos;Play1", "Speaker, TV or car", "ZZ"),
)
# By name; one holds a track twice.
PLAYLISTS = {"Mornings": SONGS[:8], "Evenings": [*SONGS[5:12], SONGS[5]], "Trains": SONGS[7:9], "Alone": SONGS[20:]}
# The archives end and begin here.
HOLE = (datetime(2024, 2, 20, 12, tzinfo=UTC), datetime(2024, 3, 10, 6, 30, tzinfo=UTC))


def draw(seed: int, plays: int) -> list[Heard]:
    """Plays one after another, in bursts with nights and idle days between; no new artist comes in the first weeks."""
    dice = random.Random(seed)
    heard: list[Heard] = []
    at = datetime(2022, 12, 29, 20, tzinfo=UTC)
    while len(heard) < plays:
        at += timedelta(seconds=dice.choices(
            (dice.randint(0, 1_700), dice.randint(1_900, 72_000), dice.randint(90_000, 1_200_000)), (72, 20, 8)
        )[0])  # fmt: skip
        ms_played = dice.randint(2_000, 400_000)
        at += timedelta(seconds=ms_played // 1000 + 1)
        if HOLE[0] < at < HOLE[1]:
            at = HOLE[1]
        known = SONGS[: 9 + len(heard) // 48]
        # A favourite comes again and again.
        song = heard[-1].song if heard and dice.random() < 0.25 else dice.choice(known)
        song = dice.choices((song, dice.choice(EPISODES), dice.choice(CHAPTERS), REMOVED), (87, 8, 2, 3))[0]
        skipped = dice.choices((True, False, None), (25, 60, 15))[0] if song.kind == "track" else None
        shuffle = dice.choices((True, False, None), (40, 50, 10))[0]
        context = dice.choice((*CONTEXTS, None))
        heard.append(Heard(song, at.replace(microsecond=0), ms_played, skipped, shuffle, context))
    # Polled, so far from the archive that none of its rows can be the same play.
    days = (heard[-1].played_at + timedelta(days=40 + number) for number in range(3))
    return heard + [Heard(SONGS[0], day, None) for day in days]


MINE, ANOTHERS = draw(7, 800), draw(8, 120)


def listen(marts: Marts) -> Marts:
    """Both listeners' plays in the marts."""
    # Only the second of two refreshes of one session is incremental; which one this is does not matter here.
    if not marts.sql("select completed_run_id from ops.mart_state where completed_run_id is not null"):
        marts.refreshed()
    emptied(marts)
    marts.sql("select ops.ensure_event_partitions('2022-12-01', '2024-12-01')")
    contents: dict[Song, int | None] = {
        song: marts.add_content(song.title, song.artist, uri=f"spotify:track:{number}", album=song.album)
        for number, song in enumerate(SONGS)
    }
    for number, song in enumerate((*EPISODES, *CHAPTERS)):
        kind = ContentKind[song.kind.upper()]
        contents[song] = marts.add_content(
            song.title, None, uri=f"spotify:episode:{number}", album=song.album, kind=kind
        )
    contents[REMOVED] = None
    for album, tracks in TOTAL_TRACKS.items():
        marts.sql("update raw.albums set total_tracks = %s where name = %s", tracks, album)
    marts._intern("artists", "artist_key", RANKED[1], "name", RANKED[1])
    contexts: dict[Context | None, int | None] = {None: None}
    for context in CONTEXTS:
        contexts[context] = marts.sql(
            "insert into raw.contexts (context_key, platform, conn_country) values (md5(%s)::uuid, %s, %s)"
            " on conflict (context_key) do update set platform = excluded.platform returning context_id",
            str(context), context.platform, context.country,
        )[0][0]  # fmt: skip
    with marts.warehouse.connect(Role.OWNER) as connection:
        for key, heard in (("me", MINE), ("another", ANOTHERS)):
            query = "insert into app.users (user_key, time_zone) values (%s, %s) returning user_id"
            found = connection.execute(query, (key, ZONE.key)).fetchone()
            assert found is not None
            _put(connection, found[0], heard, contents, contexts)
            for name, songs in PLAYLISTS.items():
                _list(connection, found[0], name, [contents[song] for song in songs])
            for rank, artist in enumerate(RANKED, start=1):
                connection.execute(
                    "insert into raw.top_items (user_id, taken_on, entity_kind, term, rank, artist_id, taken_at)"
                    " select %s, %s, 'artist', 'short_term', %s, artist_id, %s from raw.artists where name = %s",
                    (found[0], ASKED_AT.date(), rank, ASKED_AT, artist),
                )
    marts.refreshed()
    return marts


def _list(connection: psycopg.Connection[Any], user_id: int, name: str, contents: Sequence[int | None]) -> None:
    made = connection.execute(
        "insert into raw.playlists (user_id, provider, provider_playlist, first_seen_at)"
        " values (%s, 'file', %s, %s) returning playlist_id",
        (user_id, name, ASKED_AT),
    ).fetchone()
    assert made is not None
    connection.execute(
        "insert into raw.playlist_versions (playlist_id, version_no, seen_at, state, name, items_key, items)"
        " values (%s, 1, %s, 'readable', %s, md5('')::uuid, %s)",
        (made[0], ASKED_AT, name, len(contents)),
    )
    for position, content_id in enumerate(contents):
        connection.execute(
            "insert into raw.playlist_items (playlist_id, items_key, position, kind, content_id)"
            " values (%s, md5('')::uuid, %s, 'track', %s)",
            (made[0], position, content_id),
        )


def _put(
    connection: psycopg.Connection[Any],
    user_id: int,
    heard: Sequence[Heard],
    contents: dict[Song, int | None],
    contexts: dict[Context | None, int | None],
) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into raw.listening_events"
            " (user_id, played_at, content_id, ms_played, skipped, shuffle, context_id, source_id, batch_id)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s, 1)",
            [
                (user_id, each.played_at, contents[each.song], each.ms_played, each.skipped, each.shuffle,
                 contexts[each.context], each.source)
                for each in heard
            ],
        )  # fmt: skip
    archived = [each.played_at for each in heard if each.ms_played is not None]
    spans = ((archived[0], HOLE[0]), (HOLE[1], max(archived[-1], HOLE[1])))
    for number, span in enumerate(spans):
        connection.execute(
            "with import as (insert into app.imports (user_id, sha256, archive_name, kind)"
            " values (%s, sha256(%s), 'a', 'extended_history') returning import_id)"
            " insert into raw.covered_spans (user_id, import_id, source_id, covered_from, covered_to)"
            " select %s, import_id, 1, %s, %s from import",
            (user_id, bytes([number]), user_id, *span),
        )


def ms(plays: Iterable[Heard]) -> int:
    return sum(each.ms_played or 0 for each in plays)


def counted(plays: Iterable[Heard]) -> int:
    return sum(each.counts for each in plays)


def unknown(plays: Iterable[Heard]) -> int:
    return sum(each.ms_played is None for each in plays)


def tracks(plays: Iterable[Heard]) -> list[Heard]:
    return [each for each in plays if each.is_track]


def grouped(plays: Iterable[Heard], key: Callable[[Heard], Any]) -> list[tuple[Any, list[Heard]]]:
    found: dict[Any, list[Heard]] = defaultdict(list)
    for each in plays:
        found[key(each)].append(each)
    return sorted(found.items())


def days() -> list[date]:
    """From the first with a play to the last."""
    first, last = MINE[0].day, MINE[-1].day
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def months() -> list[date]:
    return sorted({day.replace(day=1) for day in days()})


def month_after(month: date) -> date:
    return (month + timedelta(days=32)).replace(day=1)


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=ZONE).astimezone(UTC)


def gaps_within(start: datetime, end: datetime) -> list[timedelta]:
    """How much of a span lies in each evident gap of MINE: the hole, and all that follows the last archive."""
    archived = [each.played_at for each in MINE if each.ms_played is not None]
    gaps = (HOLE, (archived[-1], FOREVER))
    return [min(gap[1], end) - max(gap[0], start) for gap in gaps if gap[0] < end and gap[1] > start]


def seconds(length: timedelta) -> Fraction:
    return Fraction(length // timedelta(microseconds=1), 1_000_000)
