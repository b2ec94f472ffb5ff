"""A random history of three listeners: what importers, people and late writers may do between two refreshes.

The same seed gives the same steps; `truth` is given for every user whose plays came by archives only.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import psycopg

from myi_pipeline.postgres.connections import Role
from myi_pipeline.simulator import (
    ArchiveTruth,
    Listener,
    TruePlay,
    build_listener,
    write_account_archive,
    write_extended_archive,
)
from myi_pipeline.simulator.account import AccountNames
from tests.integration.archives.conftest import SPEC
from tests.integration.archives.setups import Setup

FIRST, DAYS = date(2020, 10, 10), 35
LISTENERS = 3
ZONES = ("Europe/Berlin", "America/New_York", "Pacific/Kiritimati", "UTC")
# What no archive says at a full second: the plays of the writers that come late.
ODD = timedelta(milliseconds=500)
LATE_MS = 45_678


@cache
def listener(number: int) -> Listener:
    last = FIRST + timedelta(days=DAYS)
    return build_listener(
        replace(SPEC, seed=50 + number, listener=f"l{number}", first_day=FIRST, last_day=last, plays=400)
    )


@dataclass
class Person:
    user_id: int
    key: str
    number: int
    zone: str
    archives: dict[int, ArchiveTruth] = field(default_factory=dict)
    late: list[TruePlay] = field(default_factory=list)
    # Somebody took something away or renamed it: the archives no longer tell all.
    is_disturbed: bool = False


class History:
    def __init__(self, marts: Any, seed: int, folder: Path) -> None:
        self.marts, self.folder = marts, folder
        self.setup = Setup(marts.warehouse)
        self.dice = random.Random(seed)
        self.written: dict[tuple[Any, ...], ArchiveTruth] = {}
        self.people: list[Person] = []
        self.late: list[tuple[psycopg.Connection[Any], Person, TruePlay]] = []
        self.log: list[str] = []
        self.arrived = 0
        self.is_catalogue_changed = False
        for _ in range(LISTENERS):
            self._arrive()

    def _arrive(self) -> None:
        """Somebody whom nobody has listened like before: what others' archives called a track is called so for all."""
        number, zone = self.arrived, self.dice.choice(ZONES)
        self.arrived += 1
        user_id = self.marts.add_user(f"user-{number}", zone)
        person = Person(user_id, f"user-{number}", number, zone, is_disturbed=self.is_catalogue_changed)
        self.people.append(person)

    def _archive(self, number: int) -> ArchiveTruth:
        """One of few, so that histories repeat and overlap."""
        first, last = sorted(self.dice.sample([0, 8, 16, 24, DAYS], 2))
        since, until = FIRST + timedelta(days=first), FIRST + timedelta(days=last)
        how = self.dice.choice(["endsong", "2026", "account", "old account"])
        key = (number, how, until) if how.endswith("account") else (number, how, since, until)
        if key not in self.written:
            path, who = self.folder / f"{len(self.written)}.zip", listener(number)
            if how.endswith("account"):
                names: AccountNames = "new" if how == "account" else "old"
                self.written[key] = write_account_archive(path, who, until=until, names=names)
            else:
                self.written[key] = write_extended_archive(
                    path, who, since=since, until=until, vintage="endsong" if how == "endsong" else "2026"
                )
        return self.written[key]

    def import_archive(self) -> None:
        person = self.dice.choice(self.people)
        self._bring(person, self._archive(person.number))

    def import_again(self) -> None:
        person = self.dice.choice(self.people)
        if person.archives:
            self._bring(person, self.dice.choice(list(person.archives.values())))

    def import_two_at_once(self) -> None:
        person = self.dice.choice(self.people)
        archives = [self._archive(person.number) for _ in range(2)]
        with ThreadPoolExecutor(2) as elsewhere:
            futures: list[Future[None]] = [elsewhere.submit(self._bring, person, archive) for archive in archives]
            for future in futures:
                future.result()

    def _bring(self, person: Person, archive: ArchiveTruth) -> None:
        result = self.setup.bring(archive.path, person.key)
        assert result.status == "completed"
        assert result.import_id is not None
        person.archives.setdefault(result.import_id, archive)

    def delete_plays(self) -> None:
        person = self.dice.choice(self.people)
        start = datetime(2020, 10, 10, tzinfo=UTC) + timedelta(hours=self.dice.randrange(24 * DAYS))
        end = start + timedelta(hours=self.dice.choice([3, 24, 200]))
        where = self.dice.choice(["played_at between %s and %s", "played_at between %s and %s and source_id = 1"])
        self.marts.sql(f"delete from raw.listening_events where user_id = %s and {where}", person.user_id, start, end)
        person.is_disturbed = True

    def leave(self) -> None:
        person = self.dice.choice(self.people)
        for connection, whose, _ in self.late:
            if whose is person:
                connection.close()
        self.late = [each for each in self.late if each[1] is not person]
        self.marts.sql("delete from app.users where user_id = %s", person.user_id)
        self.people.remove(person)
        self._arrive()

    def move(self) -> None:
        person = self.dice.choice(self.people)
        person.zone = self.dice.choice(ZONES)
        self.marts.sql("update app.users set time_zone = %s where user_id = %s", person.zone, person.user_id)

    def change_the_catalogue(self) -> None:
        some = f"content_id % 5 = {self.dice.randrange(5)} and kind_id = 1"
        self.marts.sql(
            self.dice.choice(
                [
                    f"update raw.contents set title = title || '!', match_title = match_title || '!' where {some}",
                    f"update raw.contents set duration_ms = 50000 where {some}",
                    f"update raw.contents set artist_id = (select min(artist_id) from raw.artists) where {some}",
                    "update raw.albums set name = name || '!' where album_id % 3 = 0",
                    "delete from raw.content_aliases where content_id % 2 = 0",
                    "insert into raw.content_aliases select content_id, (select max(content_id) from raw.contents),"
                    f" 'relinked' from raw.contents where {some} and content_id not in (select canonical_id from"
                    " raw.content_aliases) and content_id < (select max(content_id) from raw.contents) and (select"
                    " max(content_id) from raw.contents) not in (select content_id from raw.content_aliases)"
                    " on conflict do nothing",
                ]
            )
        )
        self.is_catalogue_changed = True
        for person in self.people:
            person.is_disturbed = True

    def write_late(self) -> None:
        """A transaction that has written and does not commit yet."""
        person = self.dice.choice(self.people)
        minutes = timedelta(minutes=self.dice.randrange(24 * 60 * DAYS))
        at = datetime(2020, 10, 10, tzinfo=UTC) + minutes + ODD
        self.marts.sql("select ops.ensure_event_partitions('2020-10-01', '2020-12-31')")
        connection = self.marts.warehouse.connect(Role.OWNER)
        connection.execute(
            "insert into raw.listening_events (user_id, played_at, ms_played, source_id, batch_id)"
            " values (%s, %s, %s, 1, 0) on conflict do nothing",
            (person.user_id, at, LATE_MS),
        )
        unknown: Any = (None,) * 13
        self.late.append((connection, person, TruePlay(at, LATE_MS, "unknown", *unknown)))

    def commit_late(self) -> int:
        """How many of them there were."""
        for connection, person, play in self.late:
            connection.commit()
            connection.close()
            if play not in person.late:
                person.late.append(play)
        committed, self.late = len(self.late), []
        return committed

    def steps(self) -> list[Callable[[], None]]:
        return [
            *[self.import_archive] * 5, self.import_again, self.import_two_at_once, self.delete_plays,
            self.leave, self.move, self.change_the_catalogue, *[self.write_late] * 3,
        ]  # fmt: skip

    def step(self) -> None:
        step = self.dice.choice(self.steps())
        self.log.append(step.__name__)
        step()

    def close(self) -> None:
        for connection, _, _ in self.late:
            connection.close()
