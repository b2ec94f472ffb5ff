"""Random histories of one true listening, polled, archived and scrobbled piece by piece, and what people do to it.

Belongs here: what may happen to raw. Not here: what the marts must then say.
Two short songs on repeat around three midnights, so that nearly every polled play has several rows that it might be.
Invariant: the same seed gives the same history.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import psycopg

from myi_pipeline.postgres.connections import Role
from tests.dbt.polled import LASTFM, LASTFM_MINUTES, LISTENBRAINZ, LOG, PUSHED, Person

FIRST = datetime(2024, 3, 1, 23, 52, tzinfo=UTC)
PLATFORMS = ("phone", "speaker")
# What a scrobbler's clock adds, in seconds; the log's device was never set.
SCROBBLERS = {LASTFM: 1, LISTENBRAINZ: 4, LOG: 7203, PUSHED: 0, LASTFM_MINUTES: 1}


class Heard(NamedTuple):
    """A play as it was; `synced_at` is when an archive says so, if not at its end."""

    began: datetime
    heard_s: int
    paused_s: int
    song: int
    platform: str
    synced_at: datetime | None

    @property
    def ended(self) -> datetime:
        return self.began + timedelta(seconds=self.heard_s + self.paused_s)


class RandomPolls:
    def __init__(self, marts: Any, seed: int) -> None:
        self.marts = marts
        self.random = random.Random(seed)
        self.people = [Person(marts, key) for key in ("ada", "bob")]
        self.other_id = marts.add_content("Known by another id", uri="spotify:track:other")
        self.again_id = marts.add_content("Song of ada", uri="spotify:track:again", album="Again")
        self.by_name = marts.add_content("Song of bob")
        # As scrobblers spell them.
        self.scrobbled = {
            self.people[0].song: marts.add_content("Song of Ada (Remastered)"),
            self.other_id: marts.add_content("Known by another id", "Artist feat. Another"),
        }
        # Which clock each device of each person really has.
        self.clocks = {(p.user, name): self.random.choice(["end", "start"]) for p in self.people for name in PLATFORMS}
        self.plays = {person.user: self._listening(person) for person in self.people}
        self.open: list[psycopg.Connection[Any]] = []

    def _listening(self, person: Person) -> list[Heard]:
        plays = []
        for day in range(3):
            moment = FIRST + timedelta(days=day, seconds=self.random.randrange(60))
            for _ in range(18):
                heard, paused = self.random.choice([9, 25, 31, 31, 200]), self.random.choice([0, 0, 0, 40, 1500])
                synced = moment + timedelta(hours=self.random.choice([2, 30])) if self.random.random() < 0.15 else None
                song = self.random.choice([person.song, person.song, self.other_id])
                plays.append(Heard(moment, heard, paused, song, self.random.choice(PLATFORMS), synced))
                moment = plays[-1].ended + timedelta(seconds=self.random.choice([1, 2, 2, 2400]))
        return plays

    def some(self) -> tuple[Person, list[Heard]]:
        """A few plays in a row, or all of them."""
        person = self.random.choice(self.people)
        plays = self.plays[person.user]
        start = self.random.randrange(len(plays))
        return person, plays[start : start + self.random.choice([1, 5, 20, 54])]

    def poll(self) -> None:
        """At times the list names the song by another id, plays a millisecond later, and short ones too."""
        person, plays = self.some()
        again, shortest = self.random.random() < 0.4, self.random.choice([30, 30, 8])
        song = self.random.choice([None, self.again_id]) if again else None
        moved = timedelta(milliseconds=self.random.choice([0, 1, 600]) if again else 0)
        person.polled(*(self.reported(person, play) + moved for play in plays if play.heard_s >= shortest), song=song)

    def poll_late(self) -> None:
        """A poll whose transaction commits after the next refresh."""
        person, plays = self.some()
        connection = self.marts.warehouse.connect(Role.OWNER)
        for play in plays[:5]:
            self.marts.add_play(
                person.user, self.reported(person, play), play.song, None, source=3, batch=9, connection=connection
            )
        self.open.append(connection)

    def reported(self, person: Person, play: Heard) -> datetime:
        moment = play.began if self.clocks[person.user, play.platform] == "start" else play.ended
        return moment + timedelta(milliseconds=400)

    def archive(self) -> None:
        person, plays = self.some()
        tells_start, batch = self.random.random() < 0.7, self.random.choice([1, 2])
        # Another archive may know the song by another id.
        songs = {person.song: self.random.choice([person.song, self.again_id])}
        for play in plays:
            song = songs.get(play.song, play.song)
            values = (
                person.user, play.synced_at or play.ended, song if self.random.random() < 0.95 else None,
                play.heard_s * 1000, person.context(play.platform),
                play.began if play.synced_at or tells_start else None, play.synced_at is not None,
            )  # fmt: skip
            self.marts.sql(
                "insert into raw.listening_events (user_id, played_at, content_id, ms_played, context_id,"
                " offline_timestamp, offline, source_id, batch_id) values (%s, %s, %s, %s, %s, %s, %s, 1, %s)"
                " on conflict do nothing",
                *values,
                batch,
            )

    def scrobble(self) -> None:
        """Anything from one play to a whole export; nothing that was heard for less than 20 s."""
        person, plays = self.some()
        source = self.random.choice(list(SCROBBLERS))
        player = {PUSHED: self.random.choice(["Navidrome", "Jellyfin"]), LOG: "Rockbox"}.get(source, "")
        batch, told = self.random.choice([5, 6]), self.random.choice([None, None, 31_000])
        for play in plays:
            if play.heard_s >= 20:
                start = play.began + timedelta(seconds=SCROBBLERS[source])
                if source == LASTFM_MINUTES:
                    start = start.replace(second=0)
                song = self.scrobbled.get(play.song, play.song)
                person.scrobbled(start, source=source, song=song, player=player, batch=batch, ms_played=told)

    def rename(self) -> None:
        """A scrobbler corrects what it calls a song."""
        self.marts.sql(
            "update raw.contents set title = %s where content_id = %s",
            self.random.choice(["Song of Ada (Remastered)", "Song of Ada", "Something else"]),
            self.random.choice(list(self.scrobbled.values())),
        )

    def account_data(self) -> None:
        person, plays = self.some()
        for play in plays:
            minute = (play.synced_at or play.ended).replace(second=0)
            self.marts.add_play(person.user, minute, self.by_name, play.heard_s * 1000, source=2, batch=2)

    def teach(self) -> None:
        """Doubtless pairs: a clock is learnt, or turns."""
        person = self.random.choice(self.people)
        platform, clock = self.random.choice(PLATFORMS), self.random.choice(["end", "start"])
        day, late_s = self.random.randrange(10, 29), self.random.choice([0.5, 6.0])
        uri = f"spotify:track:{day}{clock}{platform}"
        if self.marts.sql("select count(*) from raw.contents where uri = %s", uri) == [(0,)]:
            person.teach(clock, days=[day], platform=platform, late_s=late_s)

    def remove(self) -> None:
        person = self.random.choice(self.people)
        self.marts.sql(
            "delete from raw.listening_events where user_id = %s and source_id = any(%s)"
            " and hashtext(played_at::text || %s) %% 3 = 0",
            person.user, self.random.choice([[1], [3], [1, 2, 3], [4, 5, 8], [11, 12]]), str(self.random.random()),
        )  # fmt: skip

    def alias(self) -> None:
        self.marts.sql("delete from raw.content_aliases where content_id = %s", self.other_id)
        if self.random.random() < 0.7:
            song = self.random.choice(self.people).song
            self.marts.sql("insert into raw.content_aliases values (%s, %s, 'relinked')", self.other_id, song)

    def correct(self) -> None:
        """A play is hidden or moved, by whichever of its events stands for it now, or all that was said is undone."""
        user = self.random.choice(self.people).user
        if self.random.random() < 0.3:
            self.marts.sql("update app.corrections set undone_at = now() where user_id = %s", user)
            return
        action, shift = self.random.choice([("hide", None), ("delete", None), ("correct", 90_000), ("correct", -1_800)])
        self.marts.sql(
            "insert into app.corrections (user_id, action, shift_s, event_id, event_at)"
            " select user_id, %s::text, %s::int, play_id, reported_at from marts.fct_plays"
            " where user_id = %s order by hashint8(play_id) # %s limit 3",
            action, shift, user, self.random.randrange(99),
        )  # fmt: skip

    def steps(self) -> list[Callable[[], None]]:
        return [self.poll] * 3 + [self.archive] * 3 + [self.scrobble] * 4 + [self.teach] * 2 + [
            self.poll_late, self.account_data, self.remove, self.alias, self.rename, self.correct, self.correct,
        ]  # fmt: skip

    def step(self) -> None:
        """Some changes, a refresh, and then what was late."""
        for _ in range(self.random.randint(1, 4)):
            self.random.choice(self.steps())()
        self.marts.refreshed()
        for connection in self.open:
            connection.commit()
            connection.close()
        self.open.clear()
