"""The marts counted in plain Python from what raw holds: one slow, obvious pass over everything.

Belongs here: what each mart has to say about a set of plays, and which rows of several archives are one. Not here: how
plays of other sources are resolved, which has its own tests. Nothing is shared with the models.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby, pairwise
from typing import Any
from zoneinfo import ZoneInfo

import psycopg

Rows = set[tuple[Any, ...]]
Connection = psycopg.Connection[Any]

SILENCE = timedelta(minutes=30)
FOREVER = datetime(9999, 1, 1, tzinfo=UTC)
BY_KIND = ", ".join(
    f"{name}_{figure}" for figure in ("ms_played", "counted_plays") for name in ("music", "podcast", "audiobook")
)
# What each mart is compared by, in the order of the tuples below.
COLUMNS = {
    "agg_day_user": "user_id, local_date, plays, counted_plays, ms_played, unknown_plays, distinct_tracks,"
    f" distinct_artists, {BY_KIND}",
    "agg_hour_user": "user_id, local_date, local_hour, plays, counted_plays, ms_played",
    "agg_clock_user": "user_id, year_start, weekday, local_hour, plays, counted_plays, ms_played",
    "agg_period_user": "user_id, period, period_start, days, plays, counted_plays, ms_played, unknown_plays,"
    f" first_local_date, last_local_date, {BY_KIND}",
    **{
        f"agg_period_{entity}s": f"user_id, period, period_start, {entity}_id, plays, counted_plays, ms_played, "
        "first_played_at, last_played_at"
        for entity in ("track", "artist", "album", "recording")
    },
    "agg_period_genres": "user_id, period, period_start, genre_id, plays, counted_plays, ms_played, counted_sixths",
    "bridge_track_genres": "track_id, genre_id, place, votes, told_by, sixths",
    "dim_tracks": "track_id, release_year",
    "fct_sessions": "user_id, session_id, started_at, ended_at, local_date, plays, counted_plays, ms_played,"
    " longest_repeat, repeated_track_id, longest_repeat_of_recording, repeated_recording_id",
    "agg_streaks": "user_id, streak_start, streak_end, days, plays",
    "fct_first_plays": "user_id, entity_kind, entity_id, first_played_at, first_local_date, play_id",
    "fct_coverage_gaps": "user_id, gap_start, gap_end, reason, is_evident",
    "fct_covered_spans": "user_id, kind, covered_from, covered_to",
}


@dataclass(frozen=True)
class Play:
    user_id: int
    play_id: int
    played_at: datetime
    local: datetime
    ms_played: int | None
    kind: str
    content_id: int | None
    artist_id: int | None
    album_id: int | None
    duration_ms: int | None
    recording_id: int | None

    @property
    def heard_from(self) -> datetime:
        return self.played_at - timedelta(milliseconds=self.ms_played or 0)

    @property
    def is_counted(self) -> bool:
        half = 30_000 if self.duration_ms is None else self.duration_ms / 2
        return self.ms_played is not None and self.ms_played >= min(30_000, half)

    def entity(self, kind: str) -> int | None:
        if self.kind != "track":
            return None
        return {
            "track": self.content_id, "recording": self.recording_id, "artist": self.artist_id, "album": self.album_id,
        }[kind]  # fmt: skip


def plays_of(connection: Connection) -> list[Play]:
    """Every play of a user who exists, with its canonical content, in time order."""
    zones = defaultdict(list)
    moves = "select user_id, nullif(valid_from, '-infinity'), time_zone from app.user_time_zones order by 1, valid_from"
    for user, since, zone in connection.execute(moves):
        zones[user].append((since or datetime.min.replace(tzinfo=UTC), ZoneInfo(zone)))
    aliases: dict[int, int] = dict(
        connection.execute("select content_id, canonical_id from raw.content_aliases").fetchall()
    )
    contents = {
        row[0]: row[1:]
        for row in connection.execute(
            "select content_id, kind, artist_id, album_id, duration_ms, title, match_key"
            " from raw.contents inner join raw.content_kinds using (kind_id)"
        )
    }
    holders = defaultdict(set)
    for event_id, archive in connection.execute(HOLDERS):
        holders[event_id].add(archive)
    moments = defaultdict(list)
    for user, played_at, content, ms_played, event_id, batch in connection.execute(EVENTS).fetchall():
        moments[user, played_at, ms_played].append((content, event_id, {batch, *holders[event_id]}))
    standing = []
    for (user, played_at, ms_played), events in moments.items():
        songs = {content: contents[aliases.get(content, content)][5] for content, *_ in events if content is not None}
        # The order of titles, then of numbers; what has no name comes last.
        events.sort(key=lambda event: (event[0] is None, event[0] is not None and (contents[event[0]][4], event[0])))
        standing += [(user, played_at, content, ms_played, event_id) for content, event_id in told_once(events, songs)]

    def kind_and_artist(content: Any) -> tuple[str, int | None]:
        kind, artist, *_ = contents.get(aliases.get(content, content), ("unknown", None))
        return kind, artist

    standing = corrected(connection, standing, kind_and_artist)
    recordings = recordings_of(connection)
    plays = []
    standing.sort(key=lambda event: (event[0], event[1], event[4]))
    for user, played_at, content, ms_played, play_id in standing:
        canonical = aliases.get(content, content)
        kind, artist, album, duration, *_ = contents.get(canonical, ("unknown", None, None, None))
        local = played_at.astimezone([zone for since, zone in zones[user] if since <= played_at][-1])
        recording = recordings.get((user, canonical), recordings.get((None, canonical), canonical))
        plays.append(
            Play(user, play_id, played_at, local, ms_played, kind, canonical, artist, album, duration, recording)
        )
    return plays


def recordings_of(connection: Connection) -> dict[tuple[int | None, int], int]:
    """The recording of each track, by the rules (of no user) and as a user decided; both have tests of their own."""
    ruled = connection.execute("select null::int, content_id, recording_id from ops.content_recordings").fetchall()
    decided = connection.execute("select user_id, content_id, recording_id from ops.user_recordings").fetchall()
    return {(user, content): recording for user, content, recording in (*ruled, *decided)}


EVENT_ID = (
    "hash_record_extended(row(user_id, source_id, timestamptz_send(played_at), content_id, ms_played, occurrence), 0)"
)
EVENTS = f"select user_id, played_at, content_id, ms_played, {EVENT_ID}, batch_id from raw.listening_events".encode()
HOLDERS = f"select {EVENT_ID}, import_id from raw.event_holders".encode()
CORRECTIONS = b"""
select user_id, action, event_id, from_at, until_at, artist_id, kind, shift_s, to_content_id
from app.corrections where undone_at is null order by correction_id
"""


def corrected(
    connection: Connection, events: Iterable[tuple[Any, ...]], kind_and_artist: Callable[[Any], tuple[Any, Any]]
) -> list[tuple[Any, ...]]:
    """Events that stand for plays, after what their listeners said of them. An event stands with those that it stands
    for: whoever names another event of the play names the play."""
    said = connection.execute(CORRECTIONS).fetchall()
    members: dict[int, int] = dict(
        connection.execute("select event_id, play_id from intermediate.int_plays__resolved").fetchall()
    )
    left = []
    for user, played_at, content, ms_played, play_id in events:
        kind, artist = kind_and_artist(content)
        shift, other, is_left = timedelta(), content, True
        for of_user, action, event, from_at, until_at, of_artist, of_kind, shift_s, to_content in said:
            if of_user != user or (event is not None and members.get(event, event) != play_id):
                continue
            if (from_at or played_at) > played_at or (until_at and until_at <= played_at):
                continue
            if of_artist not in (None, artist) or of_kind not in (None, kind):
                continue
            is_left = is_left and action == "correct"
            shift = timedelta(seconds=shift_s) if shift_s is not None else shift
            other = to_content if to_content is not None else other
        if is_left:
            left.append((user, played_at + shift, other, ms_played, play_id))
    return left


def told_once(events: list[tuple[Any, ...]], songs: dict[int, Any]) -> list[tuple[int | None, int]]:
    """Among rows of one moment and length, those that stand for a play: each row joins the first play of its song that
    no archive of its own has too, and a row without a name the first play of any song."""
    plays: list[tuple[int | None, int, set[int], bool]] = []
    for content, event_id, archives in events:
        for number, (told, standing_id, tellers, is_lent) in enumerate(plays):
            if tellers & archives:
                continue
            if content is None and told is not None and not is_lent:
                plays[number] = told, standing_id, tellers | archives, True
                break
            if content is not None and songs[told] == songs[content] and told != content:
                plays[number] = told, standing_id, tellers | archives, False
                break
        else:
            plays.append((content, event_id, set(archives), False))
    return [(content, event_id) for content, event_id, *_ in plays]


def expected(connection: Connection) -> dict[str, Rows]:
    plays = plays_of(connection)
    rows: dict[str, Rows] = {
        "agg_day_user": {(*key, *day_figures(group)) for key, group in grouped(plays, day_of).items()},
        "agg_hour_user": set(hours(plays, hour_of)),
        "agg_clock_user": set(hours(plays, weekly_hour_of)),
        "agg_period_user": set(periods_of_users(plays)),
        "fct_sessions": set(sessions(plays)),
        "agg_streaks": set(streaks(plays)),
        "fct_first_plays": set(first_plays(plays)),
        "fct_coverage_gaps": set(coverage_gaps(connection)),
        "fct_covered_spans": set(covered_spans(connection)),
    }
    for entity in ("track", "artist", "album", "recording"):
        rows[f"agg_period_{entity}s"] = set(period_rows(plays, entity))
    genres = genres_of_tracks(connection)
    rows["bridge_track_genres"] = {(track, *genre) for track, found in genres.items() for genre in found}
    rows["agg_period_genres"] = set(genre_rows(plays, genres))
    rows["dim_tracks"] = set(release_years(connection))
    return rows


def found(connection: Connection, schema: str = "marts") -> dict[str, Rows]:
    rows = {}
    for mart, columns in COLUMNS.items():
        listed = connection.execute(f"select {columns} from {schema}.{mart}".encode()).fetchall()
        rows[mart] = set(listed)
        assert len(rows[mart]) == len(listed), f"{mart} holds a row twice"
    return rows


def grouped(plays: Iterable[Play], key: Callable[[Play], tuple[Any, ...]]) -> dict[tuple[Any, ...], list[Play]]:
    groups = defaultdict(list)
    for play in plays:
        groups[key(play)].append(play)
    return groups


def day_of(play: Play) -> tuple[int, date]:
    return play.user_id, play.local.date()


def hour_of(user_id: int, local: datetime) -> tuple[Any, ...]:
    return user_id, local.date(), local.hour


def weekly_hour_of(user_id: int, local: datetime) -> tuple[Any, ...]:
    return user_id, local.date().replace(month=1, day=1), local.isoweekday(), local.hour


def hours(plays: list[Play], key: Callable[[int, datetime], tuple[Any, ...]]) -> Iterable[tuple[Any, ...]]:
    """A play where it ended; what was heard of one that is longer than an hour in steps of ten seconds."""
    found: defaultdict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0, 0])
    for play in plays:
        ended = found[key(play.user_id, play.local)]
        ended[0] += 1
        ended[1] += play.is_counted
        left = play.ms_played or 0
        if left <= 3_600_000:
            ended[2] += left
            left = 0
        at = play.heard_from
        while left:
            step = min(10_000 - int(at.timestamp() * 1000) % 10_000, left)
            found[key(play.user_id, at.astimezone(play.local.tzinfo))][2] += step
            left -= step
            at += timedelta(milliseconds=step)
    return [(*of, *figures) for of, figures in found.items()]


def sums(plays: list[Play]) -> tuple[int, int, int]:
    return len(plays), sum(play.is_counted for play in plays), sum(play.ms_played or 0 for play in plays)


def day_figures(plays: list[Play]) -> tuple[int, ...]:
    unknown = sum(play.ms_played is None for play in plays)
    tracks, artists = ({play.entity(kind) for play in plays} - {None} for kind in ("track", "artist"))
    return *sums(plays), unknown, len(tracks), len(artists), *by_kind(plays)


def by_kind(plays: list[Play]) -> tuple[int, ...]:
    """First the milliseconds of each kind, then the counted plays."""
    kinds = [sums([play for play in plays if play.kind == kind]) for kind in ("track", "episode", "chapter")]
    return *(ms_played for _, _, ms_played in kinds), *(counted for _, counted, _ in kinds)


def periods_of(day: date) -> Iterable[tuple[str, date]]:
    yield "week", day - timedelta(days=day.isocalendar().weekday - 1)
    yield "month", day.replace(day=1)
    yield "year", day.replace(month=1, day=1)
    yield "all", date(1970, 1, 1)


def periods_of_users(plays: list[Play]) -> Iterable[tuple[Any, ...]]:
    groups = defaultdict(list)
    for play in plays:
        for period, start in periods_of(play.local.date()):
            groups[play.user_id, period, start].append(play)
    for key, group in groups.items():
        days = {play.local.date() for play in group}
        unknown = sum(play.ms_played is None for play in group)
        yield *key, len(days), *sums(group), unknown, min(days), max(days), *by_kind(group)


def period_rows(plays: list[Play], entity: str) -> Iterable[tuple[Any, ...]]:
    groups = defaultdict(list)
    for play in plays:
        if (entity_id := play.entity(entity)) is not None:
            for period, start in periods_of(play.local.date()):
                groups[play.user_id, period, start, entity_id].append(play)
    for key, group in groups.items():
        yield *key, *sums(group), group[0].played_at, group[-1].played_at


Genres = dict[int, list[tuple[int, int, int, str, int]]]


def genres_of_tracks(connection: Connection) -> Genres:
    """Of each canonical track: genre, place, votes, who told, sixths."""
    is_genre = dict(connection.execute("select tag_id, is_genre from raw.musicbrainz_tags"))
    votes: defaultdict[tuple[str, Any], dict[int, int]] = defaultdict(dict)
    for kind, mbid, tag, count in connection.execute(
        "select entity_kind, entity_mbid, tag_id, votes from raw.musicbrainz_votes"
    ):
        if is_genre[tag] and count > 0:
            votes[kind, mbid][tag] = count
    artists = defaultdict(set)
    for recording, artist in connection.execute("select recording_mbid, artist_mbid from raw.musicbrainz_credits"):
        artists[recording].add(artist)
    genres: Genres = {}
    for track, recording in connection.execute(FOUND_TRACKS):
        told_by, found = "recording", votes["recording", recording]
        if not found:
            told_by, found = "artist", {}
            for artist in artists[recording]:
                for tag, count in votes["artist", artist].items():
                    found[tag] = found.get(tag, 0) + count
        ranked = sorted(found.items(), key=lambda each: (-each[1], each[0]))[:3]
        genres[track] = [
            (tag, place, count, told_by, 6 // len(ranked)) for place, (tag, count) in enumerate(ranked, start=1)
        ]
    return genres


FOUND_TRACKS = """
select f.content_id, f.recording_mbid
from raw.found_recordings as f inner join raw.contents as c using (content_id)
where c.kind_id = 1 and content_id not in (select content_id from raw.content_aliases)
"""


def genre_rows(plays: list[Play], genres: Genres) -> Iterable[tuple[Any, ...]]:
    groups = defaultdict(list)
    for play in plays:
        track = play.entity("track")
        for genre, _, _, _, sixths in genres.get(track, []) if track is not None else []:
            for period, start in periods_of(play.local.date()):
                groups[play.user_id, period, start, genre].append((play, sixths))
    for key, group in groups.items():
        yield *key, *sums([play for play, _ in group]), sum(sixths for play, sixths in group if play.is_counted)


def release_years(connection: Connection) -> Iterable[tuple[Any, ...]]:
    first = dict(connection.execute("select recording_mbid, first_release_year from raw.musicbrainz_recordings"))
    found = dict(connection.execute("select content_id, recording_mbid from raw.found_recordings"))
    albums = dict(connection.execute("select album_id, release_year from raw.albums"))
    for track, album in connection.execute(
        "select content_id, album_id from raw.contents where kind_id = 1"
        " and content_id not in (select content_id from raw.content_aliases)"
    ):
        years = [first.get(found.get(track)), albums.get(album)]
        yield track, min((year for year in years if year is not None), default=None)


def sessions(plays: list[Play]) -> Iterable[tuple[Any, ...]]:
    for of_user in grouped(plays, lambda play: (play.user_id,)).values():
        group = sorted(of_user, key=lambda play: (play.played_at, play.heard_from, play.play_id))
        ends = [n for n, (one, other) in enumerate(pairwise(group), 1) if other.heard_from - one.played_at > SILENCE]
        for start, end in pairwise([0, *ends, len(group)]):
            first, last = group[start], group[end - 1]
            times = first.heard_from, last.played_at, first.local.date()
            heard = group[start:end]
            repeats = *longest_repeat(heard, "track"), *longest_repeat(heard, "recording")
            yield first.user_id, first.play_id, *times, *sums(heard), *repeats


def longest_repeat(plays: list[Play], entity: str) -> tuple[int, int | None]:
    """The most counted plays of one in a row, and which: of several the one with the largest number."""
    runs = groupby((play for play in plays if play.is_counted), lambda play: play.entity(entity))
    counts = [(len(list(run)), number) for number, run in runs if number is not None]
    most, number = max(counts, default=(0, None))
    return (most, number) if most else (0, None)


def streaks(plays: list[Play]) -> Iterable[tuple[Any, ...]]:
    counts = {key: len(group) for key, group in grouped(plays, day_of).items()}
    for (user, day), _ in sorted(counts.items()):
        if (user, day - timedelta(days=1)) in counts:
            continue
        days = [day]
        while (user, days[-1] + timedelta(days=1)) in counts:
            days.append(days[-1] + timedelta(days=1))
        yield user, day, days[-1], len(days), sum(counts[user, each] for each in days)


def first_plays(plays: list[Play]) -> Iterable[tuple[Any, ...]]:
    seen = set()
    for play in plays:
        for entity in ("track", "recording", "artist", "album"):
            key = play.user_id, entity, play.entity(entity)
            if key[2] is not None and key not in seen:
                seen.add(key)
                yield *key, play.played_at, play.local.date(), play.play_id


def coverage_gaps(connection: Connection) -> Iterable[tuple[Any, ...]]:
    """Each stretch between two moments at which anything begins or ends by itself; then like is joined."""
    covered = "select user_id, covered_from, covered_to, package_id from raw.covered_spans where kind"
    archives, others = spans_of(connection, f"{covered} = 'music'"), spans_of(connection, f"{covered} <> 'music'")
    polling = spans_of(connection, "select user_id, polled_from, polled_to from raw.polled_spans")
    missed = spans_of(connection, "select user_id, gap_start, gap_end, reason from raw.poll_gaps order by 2, 4")
    for user in {*archives, *others, *polling}:
        ends_of_archives = {moment for span in archives[user] for moment in span[:2]}
        ends_of_polling = {moment for span in polling[user] for moment in span[:2]}
        ends = ends_of_archives | ends_of_polling
        inner = {moment for span in (*others[user], *missed[user]) for moment in span[:2]}
        moments = sorted({*ends, *inner, FOREVER})
        first = min([*ends, *(span[0] for span in others[user])])
        gaps: list[list[Any]] = []
        for start, end in pairwise(moments[moments.index(first) :]):
            if holding(archives[user], start, end):
                continue
            reason = None
            if holding(polling[user], start, end):
                within = holding(missed[user], start, end)
                reason = within[0][2] if within else "polled_only"
            elif holding(others[user], start, end):
                reason = "other_kinds_only"
            if gaps and gaps[-1][1] == start and gaps[-1][2] == reason and start not in ends:
                gaps[-1][1] = end
            else:
                gaps.append([start, end, reason])
        for start, end, reason in gaps:
            is_last = end == FOREVER
            if reason is None and is_last:
                reason = "after_polling" if start in ends_of_polling else "after_last_archive"
            elif reason is None:
                before = {span[2] for span in archives[user] if span[1] == start}
                after = {span[2] for span in archives[user] if span[0] == end}
                lacks_files = bool(before & after - {None})
                reason = "missing_files" if lacks_files else "between_archives"
                reason = "not_polled" if {start, end} & ends_of_polling else reason
            yield user, start, None if is_last else end, reason, reason != "polled_only"


def covered_spans(connection: Connection) -> Iterable[tuple[Any, ...]]:
    """Spans of one kind that meet, as one."""
    found: list[list[Any]] = []
    query = "select user_id, kind, covered_from, covered_to from raw.covered_spans order by 1, 2, 3"
    for user, kind, start, end in connection.execute(query):
        if found and found[-1][:2] == [user, kind] and start <= found[-1][3]:
            found[-1][3] = max(found[-1][3], end)
        else:
            found.append([user, kind, start, end])
    return [tuple(span) for span in found]


def spans_of(connection: Connection, query: str) -> dict[int, list[tuple[Any, ...]]]:
    spans = defaultdict(list)
    for user, start, end, *rest in connection.execute(query.encode()):
        spans[user].append((start, end or FOREVER, *rest))
    return spans


def holding(spans: list[tuple[Any, ...]], start: datetime, end: datetime) -> list[tuple[Any, ...]]:
    return [span for span in spans if span[0] <= start and span[1] >= end]
