"""Ana with a made-up TIDAL account that playlists are moved to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from myi_pipeline.people.manage_users import add_user
from myi_pipeline.playlists.migration import deciding, moving, store
from myi_pipeline.playlists.migration.applying import Applied
from myi_pipeline.playlists.migration.targets import Target
from myi_pipeline.playlists.store import store_playlist
from myi_pipeline.postgres.connections import Connection, Role, Warehouse
from myi_pipeline.providers import accounts
from myi_pipeline.providers.accounts import Provider
from myi_pipeline.providers.encryption_keys import KeyRing, require_keys
from myi_pipeline.providers.playlists import ListedTrack, PlaylistEntry, PlaylistHead
from myi_pipeline.providers.sign_in_rules import AccessToken, TokenGrant
from tests.integration.providers.conftest import AtTidal, at_tidal, tidal_track

__all__ = ["at_tidal"]

LONG_AGO = datetime(2019, 5, 1, 12, tzinfo=UTC)


@dataclass
class Mover:
    connection: Connection
    tidal: AtTidal
    user_id: int
    target: Target

    def source(self, numbers: list[int], **more: Any) -> int:
        """A playlist from a file with these songs; its number."""
        entries = [PlaylistEntry(track=song(number), added_at=LONG_AGO) for number in numbers]
        entries += more.pop("entries", [])
        stored = store_playlist(
            self.connection, user_id=self.user_id, account_id=None, provider="file",
            head=PlaylistHead(playlist_id="mine.m3u8", name="Mine"), entries=entries, now=LONG_AGO,
        )  # fmt: skip
        return stored.playlist_id

    def plan(
        self, playlist_id: int, *, into: str | None = None, is_equal: bool = False, name: str | None = None
    ) -> int:
        return self.planned(playlist_id, into=into, is_equal=is_equal, name=name).migration_id

    def planned(
        self, playlist_id: int, *, into: str | None = None, is_equal: bool = False, name: str | None = None
    ) -> moving.Planned:
        return moving.plan(
            self.connection, self.target, user_id=self.user_id, playlist_id=playlist_id, into=into, is_equal=is_equal,
            name=name, clock=self.tidal.clock, sleep=self.tidal.sleep,
        )  # fmt: skip

    def find(self, migration_id: int) -> store.Migration:
        return store.get_migration(self.connection, user_id=self.user_id, migration_id=migration_id)

    def run(self, migration_id: int, target: Target | None = None) -> Applied:
        return moving.run(
            self.connection, target or self.target, self.find(migration_id),
            clock=self.tidal.clock, sleep=self.tidal.sleep,
        )  # fmt: skip

    def decide(self, migration_id: int, position: int, kind: str, uri: str | None) -> None:
        deciding.decide(
            self.connection, migration=self.find(migration_id), position=position, kind=kind, uri=uri, now=LONG_AGO
        )

    def tracks(self, migration_id: int) -> list[str]:
        """What the target holds."""
        found = self.find(migration_id).target_playlist
        assert found is not None
        return self.tidal.tidal.world.playlists[found].track_ids

    def sign_in(self, warehouse: Warehouse) -> int:
        """Ana signs in to TIDAL, so that a job can ask it by itself; the account's number."""
        tidal, now = self.tidal.tidal, self.tidal.clock.now()
        access, refresh = tidal.sign_in.token_for("ana")
        grant = TokenGrant(AccessToken(access, now + timedelta(hours=1)), refresh, frozenset())
        return accounts.link_account(
            self.connection, require_keys(self.tidal.settings, warehouse), user_id=self.user_id,
            provider=Provider.TIDAL, provider_account="ana", name="Ana", client_id=tidal.sign_in.client_id,
            grant=grant, now=now,
        )  # fmt: skip

    @property
    def writes(self) -> int:
        return len(self.tidal.tidal.world.writes)


def song(number: int) -> ListedTrack:
    made = tidal_track(number)
    return ListedTrack(
        uri=f"file:///{number}", title=made.title, artists=made.artists, album=made.album, isrc=made.isrc,
    )  # fmt: skip


@pytest.fixture
def mover(at_tidal: AtTidal, warehouse: Warehouse) -> Iterator[Mover]:
    with warehouse.connect(Role.INGEST, autocommit=True) as connection:
        user_id = add_user(connection, user_key="ana", time_zone="UTC").user_id
        account_id = accounts.link_account(
            connection, KeyRing([bytes(32)]), user_id=user_id, provider=Provider.TIDAL, provider_account="ana",
            name="Ana", client_id="client", grant=None, now=LONG_AGO,
        )  # fmt: skip
        target = Target(account_id, "tidal", at_tidal.reader, at_tidal.writer, at_tidal.finder)
        yield Mover(connection, at_tidal, user_id, target)
