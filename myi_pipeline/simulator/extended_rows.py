"""How one play of an extended history is written, key by key, in each vintage of the export.

A row is one JSON object in UTF-8. Its IP addresses are from the ranges reserved for documentation. Keys per vintage:
endsong and 2023 have 21, 2024 has 19 (no user name, no user agent), 2026 has 23 (audiobooks).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from myi_pipeline.simulator.catalogue import Thing
from myi_pipeline.simulator.habits import UNIX_DAY
from myi_pipeline.simulator.listener import Listener
from myi_pipeline.simulator.plays import Manner, Place, RawPlay
from myi_pipeline.simulator.spec import Catalogue, Vintage

_USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) made-up/1.0"
_CLOCK = [b'%02d:%02d:%02dZ"' % (s // 3600, s // 60 % 60, s % 60) for s in range(UNIX_DAY)]
_ADDRESSES = 16


class RowSpelling:
    """Writes plays as in one vintage. Fragments are made on first use and cached."""

    def __init__(
        self,
        listener: Listener,
        *,
        vintage: Vintage,
        catalogue: Catalogue,
        unknown_keys: tuple[str, ...],
    ) -> None:
        self.listener = listener
        self.personal = vintage in ("endsong", "2023")
        self.vintage = vintage
        self.catalogue: Catalogue = catalogue
        self._tail = b"".join(b",%b:%d" % (_json(key), len(key)) for key in unknown_keys) + b"}"
        self._days: dict[int, bytes] = {}
        self._things: dict[int, bytes] = {}
        self._heads: dict[int, bytes] = {}
        self._places: dict[int, bytes] = {}
        self._manners: dict[int, tuple[bytes, bytes]] = {}

    def row(self, play: RawPlay) -> bytes:
        """The row of a play, as JSON text."""
        played_at, ms, thing, place, manner, stamp, lot, _ = play
        day, second = divmod(played_at, UNIX_DAY)
        address = place * _ADDRESSES + int(lot * _ADDRESSES)
        try:
            date = self._days[day]
            head = self._heads[place]
            where = self._places[address]
            names = self._things[thing]
            reasons, hidden = self._manners[manner]
        except KeyError:
            self._learn(play, day, address)
            return self.row(play)
        return b"".join(
            (
                date,
                _CLOCK[second],
                head,
                b"" if ms is None else b',"ms_played":%d' % ms,
                where,
                names,
                reasons,
                b"null" if stamp is None else b"%d" % stamp,
                hidden,
            )
        )

    def _learn(self, play: RawPlay, day: int, address: int) -> None:
        listener = self.listener
        if day not in self._days:
            date = datetime.fromtimestamp(day * UNIX_DAY, UTC).date()
            self._days[day] = b'{"ts":"%bT' % date.isoformat().encode()
        if play.place not in self._heads:
            self._heads[play.place] = self._head(listener.places[play.place])
        if address not in self._places:
            self._places[address] = self._place(listener.places[play.place], address)
        if play.thing not in self._things:
            self._things[play.thing] = self._names(listener.shelf.things[play.thing])
        if play.manner not in self._manners:
            self._manners[play.manner] = self._reasons(listener.manners[play.manner])

    def _head(self, place: Place) -> bytes:
        platform = place.platform_old if self.catalogue == "old" else place.platform_new
        row = {"username": f"listener-{self.listener.spec.listener}"} if self.personal else {}
        return _fragment(row | {"platform": platform})

    def _place(self, place: Place, address: int) -> bytes:
        ip = f"192.0.2.{address % 250 + 1}" if address % 3 else f"2001:db8::{address:x}"
        if self.personal:
            return _fragment(
                {
                    "conn_country": place.country,
                    "ip_addr_decrypted": ip,
                    "user_agent_decrypted": _USER_AGENT,
                }
            )
        return _fragment({"conn_country": place.country, "ip_addr": ip})

    def _names(self, thing: Thing) -> bytes:
        known = not thing.is_unknown(self.catalogue)
        track, episode, chapter = (known and thing.kind == kind for kind in ("track", "episode", "chapter"))
        title = thing.title_in(self.catalogue)
        row: dict[str, object] = {
            "master_metadata_track_name": title if track else None,
            "master_metadata_album_artist_name": thing.creator if track else None,
            "master_metadata_album_album_name": thing.collection if track else None,
            "spotify_track_uri": thing.uri_in(self.catalogue) if track else None,
            "episode_name": title if episode else None,
            "episode_show_name": thing.collection if episode else None,
            "spotify_episode_uri": thing.uri if episode else None,
        }
        if self.vintage == "2026":
            row |= {
                "audiobook_title": thing.collection if chapter else None,
                "audiobook_uri": thing.collection_uri if chapter else None,
                "audiobook_chapter_uri": thing.uri if chapter else None,
                "audiobook_chapter_title": title if chapter else None,
            }
        return _fragment(row)

    def _reasons(self, manner: Manner) -> tuple[bytes, bytes]:
        before = {
            "reason_start": manner.reason_start,
            "reason_end": manner.reason_end,
            "shuffle": manner.shuffle,
            "skipped": manner.skipped,
            "offline": manner.offline,
        }
        return (
            _fragment(before) + b',"offline_timestamp":',
            _fragment({"incognito_mode": manner.incognito}) + self._tail,
        )


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _fragment(row: Mapping[str, object]) -> bytes:
    """The keys and values of a part of a row, each preceded by a comma."""
    return b"," + _json(row)[1:-1]
