"""Random changes of raw, of every kind that moves a mart's row, dense where days, weeks, years and clocks turn.

Belongs here: what may happen to raw. Not here: what the marts must then say (marts_by_hand).
Invariant: the same seed gives the same changes.
"""

from __future__ import annotations

import random
import uuid
from datetime import UTC, date, datetime, time, timedelta

import psycopg

from tests.dbt.marts_by_hand import EVENT_ID, Connection

ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Apia", "UTC", "Pacific/Kiritimati")
# First days of stretches of five: Apia leaves out 2011-12-30; clocks change in Berlin and New York; ISO years turn;
# an ordinary fortnight in which streaks merge and split.
STRETCHES = [
    date(*ymd)
    for ymd in (
        (2011, 12, 28), (2020, 3, 27), (2020, 10, 23), (2020, 3, 6), (2020, 10, 30), (2019, 12, 29), (2020, 12, 30),
        (2021, 6, 10), (2021, 6, 15), (2021, 6, 20),
    )
]  # fmt: skip
HOURS_3 = 3 * 3_600_000
CONTENTS = 24
BATCHES = (1, 2, 3)


# A further version of a list of this name, with these entries.
NEW_VERSION = """
insert into raw.playlists (user_id, provider, provider_playlist, first_seen_at)
values (%(user)s, 'file', %(name)s, '2021-01-01Z') on conflict do nothing;
insert into raw.playlist_items (playlist_id, items_key, position, kind, content_id, original)
select
    p.playlist_id, %(key)s, i.position, case when i.content_id is null then 'local' else 'track' end, i.content_id,
    case when i.content_id is null then '{"title": "tape"}'::jsonb end
from raw.playlists as p cross join unnest(%(positions)s::int[], %(contents)s::int[]) as i (position, content_id)
where p.user_id = %(user)s and p.provider_playlist = %(name)s
on conflict do nothing;
insert into raw.playlist_versions (playlist_id, version_no, seen_at, state, name, items_key, items)
select p.playlist_id, count(v.version_id) + 1, now(), %(state)s, %(title)s, %(key)s, %(items)s
from raw.playlists as p left join raw.playlist_versions as v on v.playlist_id = p.playlist_id
where p.user_id = %(user)s and p.provider_playlist = %(name)s
group by p.playlist_id
"""


class RandomChanges:
    def __init__(self, connection: Connection, seed: int) -> None:
        self.random = random.Random(seed)
        self.connection = connection
        self.contents: list[int] = []

    def prepare(self, users: int = 5) -> None:
        for first in STRETCHES:
            months = sorted((first - timedelta(days=1), first + timedelta(days=6)))
            self.connection.execute("select ops.ensure_event_partitions(%s, %s)", months)
        artists, albums = [], []
        for number in range(6):
            query = "insert into raw.artists (name, artist_key) values (%s, %s) returning artist_id"
            artists.append(self.new_id(query, f"a{number}", uuid.UUID(int=number)))
        for number in range(12):
            query = "insert into raw.albums (artist_id, name, album_key) values (%s, %s, %s) returning album_id"
            albums.append(self.new_id(query, artists[number // 2], f"b{number}", uuid.UUID(int=number)))
        self.artists, self.albums = artists, albums
        for number in range(CONTENTS):
            # Every eighth is an episode, and one of those has an artist all the same: lists are of tracks alone.
            kind = 2 if number % 8 == 7 else 1
            album = None if number % 5 == 4 or kind == 2 else albums[number % 12]
            artist = artists[(number % 12) // 2] if kind == 1 or number == 7 else None
            # Two releases of each song, but of episodes one.
            song = number // 2 if number % 8 < 6 else number + CONTENTS
            key, duration = uuid.UUID(int=number), 40_000 if number % 3 == 0 else None
            content = self.new_id(
                "insert into raw.contents (content_key, kind_id, title, match_title, match_key, artist_id, album_id,"
                " duration_ms, names_played_at, names_batch_id) values (%s, %s, %s, %s, %s, %s, %s, %s, 'epoch', 1)"
                " returning content_id",
                key, kind, f"t{song}", f"t{song}", uuid.UUID(int=song), artist, album, duration,
            )  # fmt: skip
            self.contents.append(content)
        for number in range(users):
            self.add_user(f"user-{number}", ZONES[number % len(ZONES)])

    def new_id(self, query: str, *values: object) -> int:
        found = self.connection.execute(query.encode(), values).fetchone()
        assert found is not None
        return int(found[0])

    def add_user(self, key: str, zone: str) -> None:
        self.connection.execute("insert into app.users (user_key, time_zone) values (%s, %s)", (key, zone))

    def instant(self) -> datetime:
        day = self.random.choice(STRETCHES) + timedelta(days=self.random.randrange(5))
        # Close to midnight in UTC, in New York and Berlin, or at any time.
        hour = self.random.choice([0, 0, 23, 22, 4, 5, self.random.randrange(24)])
        moment = time(hour, self.random.choice([0, 1, 29, 30, 31, 59]), self.random.choice([0, 59]), tzinfo=UTC)
        return datetime.combine(day, moment)

    def users(self) -> list[int]:
        return [user for (user,) in self.connection.execute("select user_id from app.users order by 1").fetchall()]

    def add_plays(self) -> None:
        user = self.random.choice(self.users())
        moment = self.instant()
        for _ in range(self.random.choice([1, 1, 3, 8])):
            ms_played = self.random.choice([None, 0, 19_999, 20_000, 29_999, 30_000, 180_000, 1_800_000, HOURS_3])
            content = self.random.choice([None, *self.contents])
            self.connection.execute(
                "insert into raw.listening_events (user_id, played_at, source_id, content_id, ms_played, batch_id)"
                " values (%s, %s, 1, %s, %s, %s) on conflict do nothing",
                (user, moment, content, ms_played, self.random.choice(BATCHES)),
            )
            moment += timedelta(
                minutes=self.random.choice([0, 0, 3, 29, 30, 31, 45, 200]), seconds=self.random.choice([0, 1])
            )

    def hold_plays(self) -> None:
        """An archive that others came before, and that holds some of their rows as well; or one that is taken away."""
        user = self.random.choice(self.users())
        if self.random.random() < 0.3:
            self.connection.execute("delete from app.imports where user_id = %s and kind = 'mixed'", (user,))
            return
        self.connection.execute(
            "with import as (insert into app.imports (user_id, sha256, archive_name, kind, status, finished_at)"
            " values (%s, sha256(%s::text::bytea), 'a', 'mixed', 'completed', now()) returning import_id)"
            " insert into raw.event_holders"
            " (import_id, user_id, played_at, source_id, content_id, ms_played, occurrence)"
            " select import_id, user_id, played_at, source_id, content_id, ms_played, occurrence"
            " from import, raw.listening_events where user_id = %s and hashtext(played_at::text || %s) %% 2 = 0",
            (user, str(self.random.random()), user, str(self.random.random())),
        )

    def remove_plays(self) -> None:
        user = self.random.choice(self.users())
        moment = self.instant()
        match self.random.randrange(3):
            case 0:
                span = timedelta(hours=self.random.choice([1, 24, 72]))
                self.connection.execute(
                    "delete from raw.listening_events where user_id = %s and played_at between %s and %s",
                    (user, moment, moment + span),
                )
            case 1:
                self.connection.execute(
                    "delete from raw.listening_events where user_id = %s and content_id = %s",
                    (user, self.random.choice(self.contents)),
                )
            case _:
                self.connection.execute(
                    "delete from raw.listening_events where user_id = %s and played_at ="
                    " (select played_at from raw.listening_events where user_id = %s"
                    " order by md5(played_at::text || %s) limit 1)",
                    (user, user, str(self.random.random())),
                )

    def move_user(self) -> None:
        """For good, from some moment on, or not at all after all."""
        user, zone = self.random.choice(self.users()), self.random.choice(ZONES)
        match self.random.randrange(5):
            case 0:
                self.connection.execute("update app.users set time_zone = %s where user_id = %s", (zone, user))
            case 1:
                self.connection.execute(
                    "delete from app.user_time_zones where user_id = %s and valid_from > '-infinity' and"
                    " valid_from < %s", (user, self.instant()),
                )  # fmt: skip
            case _:
                self.connection.execute(
                    "insert into app.user_time_zones (user_id, valid_from, time_zone) values (%s, %s, %s)"
                    " on conflict (user_id, valid_from) do update set time_zone = excluded.time_zone",
                    (user, self.instant(), zone),
                )

    def replace_user(self) -> None:
        if len(self.users()) > 3:
            self.connection.execute("delete from app.users where user_id = %s", (self.random.choice(self.users()),))
        self.add_user(f"user-{self.random.randrange(10**9)}", self.random.choice(ZONES))

    def change_content(self) -> None:
        number = self.random.choice(self.contents)
        match self.random.randrange(3):
            case 0:
                artist = self.random.choice([None, *self.artists])
                query = "update raw.contents set artist_id = %s where content_id = %s"
                self.connection.execute(query, (artist, number))
            case 1:
                album = self.random.choice([None, *self.albums])
                self.connection.execute("update raw.contents set album_id = %s where content_id = %s", (album, number))
            case _:
                duration = self.random.choice([None, 40_000, 300_000])
                query = "update raw.contents set duration_ms = %s where content_id = %s"
                self.connection.execute(query, (duration, number))

    def change_genres(self) -> None:
        """What MusicBrainz says: recordings of tracks, their artists and dates, votes, and what is a genre."""
        recordings = [uuid.UUID(int=1_000 + number) for number in range(8)]
        artists = [uuid.UUID(int=2_000 + number) for number in range(4)]
        recording, artist = self.random.choice(recordings), self.random.choice(artists)
        execute = self.connection.execute
        execute(
            "insert into raw.musicbrainz_artists (artist_mbid, name, told_at) values (%s, 'n', now())"
            " on conflict do nothing",
            (artist,),
        )
        execute(
            "insert into raw.musicbrainz_recordings as r (recording_mbid, title, first_release_date, told_at)"
            " values (%s, 't', %s, now()) on conflict (recording_mbid) do update"
            " set first_release_date = excluded.first_release_date",
            (recording, self.random.choice([None, "1969", "1999-05", "2020-01-31"])),
        )
        match self.random.randrange(7):
            case 0:
                execute(
                    "insert into raw.found_recordings values (%s, %s, 'isrc', now()) on conflict (content_id)"
                    " do update set recording_mbid = excluded.recording_mbid",
                    (self.random.choice(self.contents), recording),
                )
            case 1:
                execute(
                    "insert into raw.musicbrainz_credits values (%s, %s, %s, 'n', '') on conflict"
                    " (recording_mbid, place) do update set artist_mbid = excluded.artist_mbid",
                    (recording, self.random.choice([1, 2]), artist),
                )
            case 2 | 3:
                tag = f"g{self.random.randrange(6)}"
                is_genre = self.random.random() < 0.8
                execute(
                    "insert into raw.musicbrainz_tags (tag, is_genre) values (%s, %s) on conflict do nothing",
                    (tag, is_genre),
                )
                kind, mbid = self.random.choice([("recording", recording), ("artist", artist)])
                execute(
                    "insert into raw.musicbrainz_votes select %s, %s, tag_id, %s from raw.musicbrainz_tags"
                    " where tag = %s on conflict (entity_kind, entity_mbid, tag_id)"
                    " do update set votes = excluded.votes",
                    (kind, mbid, self.random.choice([1, 2, 2, 9, 0, -1]), tag),
                )
            case 4:
                execute("delete from raw.musicbrainz_votes where entity_mbid in (%s, %s)", (recording, artist))
            case 5:
                execute(
                    "update raw.musicbrainz_tags set is_genre = not is_genre where tag = %s",
                    (f"g{self.random.randrange(6)}",),
                )
            case _:
                year, album = self.random.choice([None, 1980, 2010]), self.random.choice(self.albums)
                execute("update raw.albums set release_year = %s where album_id = %s", (year, album))

    def change_alias(self) -> None:
        # From the first half to the second, so that no alias has an alias.
        half = CONTENTS // 2
        alias, canonical = self.random.choice(self.contents[:half]), self.random.choice(self.contents[half:])
        self.connection.execute("delete from raw.content_aliases where content_id = %s", (alias,))
        if self.random.random() < 0.7:
            self.connection.execute("insert into raw.content_aliases values (%s, %s, 'relinked')", (alias, canonical))

    def change_coverage(self) -> None:
        user = self.random.choice(self.users())
        first = self.instant()
        self.connection.execute(
            "with import as (insert into app.imports (user_id, sha256, archive_name, kind, status, finished_at)"
            " values (%s, sha256(%s::text::bytea), 'a', 'mixed', 'completed', now()) returning import_id)"
            " insert into raw.covered_spans (user_id, import_id, source_id, covered_from, covered_to, kind, package_id)"
            " select %s, import_id, 1, %s, %s, %s, %s from import",
            (
                user, str(self.random.random()), user, first,
                first + timedelta(days=self.random.choice([0, 3, 400])),
                self.random.choice(["music", "music", "video", "podcasts"]), self.random.choice([None, 1, 2]),
            ),
        )  # fmt: skip
        if self.random.random() < 0.3:
            self.connection.execute(
                "delete from app.imports where user_id = %s and import_id % 3 = 0".replace("% 3", "%% 3"), (user,)
            )

    def change_polling(self) -> None:
        """Spans of polling, open ones too, with gaps of all lengths that may overlap or lie outside."""
        user = self.random.choice(self.users())
        first = self.instant()
        last = first + timedelta(days=self.random.choice([0, 2, 40]))
        if self.random.random() < 0.5:
            open_end = self.random.random() < 0.4
            self.connection.execute(
                "insert into raw.polled_spans (user_id, polled_from, polled_to) values (%s, %s, %s)"
                " on conflict (user_id) where polled_to is null do nothing",
                (user, first, None if open_end else last),
            )
        else:
            self.connection.execute(
                "insert into raw.poll_gaps (user_id, gap_start, gap_end, reason, noted_at) values (%s, %s, %s, %s, %s)"
                " on conflict (user_id) where gap_end is null do nothing",
                (user, first, self.random.choice([None, last, last]), self.random.choice(["outage", "paused"]), last),
            )
        if self.random.random() < 0.2:
            table = self.random.choice(["polled_spans", "poll_gaps"])
            self.connection.execute(f"delete from raw.{table} where user_id = %s".encode(), (user,))

    def correct(self) -> None:
        """Something is said of a user's plays, of one of them or of all that are like it; or taken back."""
        user = self.random.choice(self.users())
        if self.random.random() < 0.4:
            self.connection.execute(
                "update app.corrections set undone_at = now() where undone_at is null and user_id = %s"
                " and correction_id %% 2 = %s",
                (user, self.random.randrange(2)),
            )
            return
        described: dict[str, object] = {"from_at": None, "until_at": None, "artist_id": None, "kind": None}
        first = self.instant()
        match self.random.randrange(4):
            case 0:
                found = self.connection.execute(
                    f"select played_at, {EVENT_ID} from raw.listening_events where user_id = %s"
                    " order by md5(played_at::text || %s) limit 1".encode(),
                    (user, str(self.random.random())),
                ).fetchone()
                if found is None:
                    return
                described |= {"event_at": found[0], "event_id": found[1]}
            case 1:
                described |= {"from_at": first, "until_at": first + timedelta(hours=self.random.choice([1, 30, 9_000]))}
            case 2:
                described |= {"artist_id": self.random.choice(self.artists)}
            case _:
                described |= {"kind": self.random.choice(["track", "episode", "unknown"]), "from_at": first}
        action = self.random.choice(["hide", "delete", "correct", "correct"])
        values = {"user_id": user, "action": action, **described}
        if action == "correct":
            values["shift_s"] = self.random.choice([-90_000, -3_600, 1, 1_800, 90_000, 31_000_000])
            if self.random.random() < 0.5:
                values["to_content_id"] = self.random.choice(self.contents)
        try:
            with self.connection.transaction():
                self.connection.execute(
                    f"insert into app.corrections ({', '.join(values)})"
                    f" values ({', '.join(['%s'] * len(values))})".encode(),
                    list(values.values()),
                )
        except psycopg.Error as error:
            # An artist or a content that this user never played.
            if error.sqlstate != "MYI03":
                raise

    def decide_song(self) -> None:
        """A user says that two tracks are one song, or that one stands by itself; or takes a word back."""
        user = self.random.choice(self.users())
        if self.random.random() < 0.3:
            self.connection.execute(
                "delete from app.recording_decisions where user_id = %s and decision_id %% 2 = %s",
                (user, self.random.randrange(2)),
            )
            return
        one, other = self.random.sample(self.contents[:8], 2)
        is_same = self.random.random() < 0.7
        self.connection.execute(
            "insert into app.recording_decisions (user_id, decision, content_id, other_id) values (%s, %s, %s, %s)",
            (user, "same" if is_same else "apart", one, other if is_same else None),
        )

    def change_playlists(self) -> None:
        """Somebody's list differs: what stands on it, its name, or whether it can be read."""
        values = {"user": self.random.choice(self.users()), "name": f"list {self.random.randrange(2)}"}
        listed = [
            (position, self.random.choice([*self.contents[:8], None]))
            for position in range(self.random.choice([0, 1, 3, 8]))
        ]
        values |= {
            "positions": [position for position, _ in listed],
            "contents": [content for _, content in listed],
            "key": uuid.uuid5(uuid.NAMESPACE_OID, repr(listed)),
            "items": len(listed),
            "title": self.random.choice("ab"),
            "state": self.random.choice(["readable"] * 4 + ["unreadable", "gone"]),
        }
        for statement in NEW_VERSION.split(";"):
            self.connection.execute(statement.encode(), values)

    def step(self) -> None:
        """Some changes at once, as the transactions between two mart runs make them."""
        changes = (
            [self.add_plays] * 10 + [self.remove_plays] * 5 + [self.change_content, self.change_alias] * 2
            + [self.hold_plays] * 2 + [self.replace_user, self.change_coverage, self.change_coverage]
            + [self.change_polling, self.move_user] * 3 + [self.correct] * 4 + [self.change_genres] * 6
            + [self.change_playlists] * 4 + [self.decide_song] * 4
        )  # fmt: skip
        for _ in range(self.random.choice([1, 2, 5, 12, 30])):
            self.random.choice(changes)()
