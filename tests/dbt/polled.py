"""Polled plays, archive rows and scrobbles into raw, for tests: short ways to say what happened, and what came of it.

Belongs here: rows by hand. Not here: expectations.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

API, EXTENDED, ACCOUNT = 3, 1, 2
LASTFM, LISTENBRAINZ, LOG, LASTFM_API, PUSHED, LASTFM_MINUTES = 4, 5, 8, 9, 11, 12


def at(text: str) -> datetime:
    """A moment of March 2024 in UTC: '01 10:00:00.5' is the first."""
    return datetime.fromisoformat(f"2024-03-{text}+00:00")


class Person:
    """One listener with one song; times are March 2024's."""

    def __init__(self, marts: Any, key: str = "ada") -> None:
        self.marts = marts
        self.user = marts.add_user(key)
        self.song = marts.add_content(f"Song of {key}", uri=f"spotify:track:{key}")
        self.contexts: dict[str, int] = {}

    def polled(self, *times: str | datetime, song: int | None = None) -> None:
        """Events as polling stores them."""
        for time in times:
            moment = at(time) if isinstance(time, str) else time
            self.marts.add_play(self.user, moment, song or self.song, None, source=API, batch=9)

    def archived(
        self,
        end: str | datetime,
        ms_played: int = 180_000,
        *,
        song: int | None = 0,
        began: str | datetime | None = None,
        offline: bool = False,
        private: bool = False,
        platform: str = "",
    ) -> None:
        """A row of an extended history; `song` None is a removed track."""
        values = (
            self.user, at(end) if isinstance(end, str) else end, at(began) if isinstance(began, str) else began,
            self.song if song == 0 else song, ms_played, self.context(platform) if platform else None, offline, private,
        )  # fmt: skip
        self.marts.sql(
            "insert into raw.listening_events (user_id, played_at, offline_timestamp, content_id, ms_played,"
            " context_id, offline, incognito, source_id, batch_id) values (%s, %s, %s, %s, %s, %s, %s, %s, 1, 1)",
            *values,
        )

    def scrobbled(
        self,
        *starts: str | datetime,
        source: int = LASTFM,
        song: int | None = None,
        player: str = "",
        ms_played: int | None = None,
        batch: int = 5,
    ) -> None:
        """Scrobbles, each by the start of its play; `player` is what sent them."""
        for start in starts:
            values = (
                self.user, at(start) if isinstance(start, str) else start, song or self.song, ms_played,
                self.context(player) if player else None, source, batch,
            )  # fmt: skip
            self.marts.sql(
                "insert into raw.listening_events (user_id, played_at, content_id, ms_played, context_id, source_id,"
                " batch_id) values (%s, %s, %s, %s, %s, %s, %s) on conflict do nothing",
                *values,
            )

    def context(self, platform: str) -> int:
        if platform not in self.contexts:
            self.contexts[platform] = self.marts.sql(
                "insert into raw.contexts (context_key, platform) values (md5(%s)::uuid, %s)"
                " on conflict (context_key) do update set platform = excluded.platform returning context_id",
                platform, platform,
            )[0][0]  # fmt: skip
        return self.contexts[platform]

    def teach(self, clock: str, *, days: Iterable[int] = (20, 21), platform: str = "", late_s: float = 0.5) -> None:
        """Pairs of songs played once each, from which a clock can be learnt; at noon of each of `days`."""
        for day in days:
            name = f"{day}{clock}{platform}"
            other = self.marts.add_content(f"Taught {name}", uri=f"spotify:track:{name}")
            end = at(f"{day} 12:00:00")
            began = end - timedelta(minutes=3)
            self.archived(end, song=other, began=began, platform=platform)
            self.polled((end if clock == "end" else began) + timedelta(seconds=late_s), song=other)

    def pairs(self) -> list[tuple[str, str, str]]:
        """Polled time, archive's time and decision of the song's confirmed events, in order."""
        return [
            tuple(row)  # type: ignore[misc]
            for row in self.marts.sql(
                "select to_char(played_at, 'DD HH24:MI:SS.MS'), to_char(play_played_at, 'DD HH24:MI:SS'), decision"
                " from intermediate.int_plays__paired where user_id = %s and content_id = %s order by played_at",
                self.user, self.song,
            )
        ]  # fmt: skip

    def plays(self) -> list[tuple[Any, ...]]:
        """Time, source and confirmation of every play in the mart, in order."""
        return list(
            self.marts.read(
                "select to_char(played_at, 'DD HH24:MI:SS'), source, confirmed_by, ms_played, is_counted"
                " from marts.fct_plays where user_id = %s order by played_at",
                self.user,
            )
        )
