"""Ana with a made-up account at each service that playlists can be moved to, all of it behind one face."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from myi_pipeline.people.manage_users import add_user
from myi_pipeline.playlists.migration import moving, store
from myi_pipeline.playlists.migration.applying import Applied
from myi_pipeline.playlists.migration.targets import Target, open_target
from myi_pipeline.playlists.store import store_playlist
from myi_pipeline.postgres.connections import Connection, Role, Warehouse
from myi_pipeline.providers import accounts
from myi_pipeline.providers.accounts import Provider
from myi_pipeline.providers.encryption_keys import require_keys
from myi_pipeline.providers.playlists import ListedTrack, PlaylistEntry, PlaylistHead
from myi_pipeline.providers.sign_in_rules import AccessToken, TokenGrant
from myi_pipeline.settings import Settings
from myi_pipeline.simulator.live import MovableClock, world_of
from myi_pipeline.simulator.services import ServiceFault
from myi_pipeline.simulator.services.oauth import OAuthServer
from tests.integration.playlists.conftest import Lists
from tests.integration.providers.conftest import AtTidal, AtYouTube, tidal_track

LONG_AGO = datetime(2019, 5, 1, 12, tzinfo=UTC)
# What befalls a write: its answer is lost, it never arrives, or the service says that it failed, and did it or not.
FAULTS = ("lost", "reset", "status")


@dataclass
class AtService(ABC):
    """`tracks`: what the service has, with its own URIs."""

    warehouse: Warehouse
    settings: Settings
    clock: MovableClock
    sleep: Callable[[float], None]
    connection: Connection
    user_id: int
    account_id: int
    tracks: list[ListedTrack]

    @property
    @abstractmethod
    def provider(self) -> Provider: ...

    @abstractmethod
    def make(self, name: str, uris: Sequence[str]) -> str:
        """A playlist that Ana made in the service's own app; its id."""
        ...

    @abstractmethod
    def all(self) -> dict[str, tuple[str, list[str]]]:
        """Every playlist of Ana's by its id: name, and what it really holds."""
        ...

    @abstractmethod
    def writes(self) -> int:
        """Requests to change something that came, done or not."""
        ...

    @abstractmethod
    def fail(self, kind: str, *, after: int = 0) -> None:
        """What befalls one write, after so many others."""
        ...

    @abstractmethod
    def forget_faults(self) -> None: ...

    @abstractmethod
    def sign_in_again(self, now: datetime | None = None) -> None:
        """A login that is good for an hour."""
        ...

    def uris(self, numbers: Sequence[int]) -> list[str]:
        return [str(self.tracks[number].uri) for number in numbers]

    def source(self, numbers: Sequence[int], *, name: str = "Mine", playlist: str | None = None) -> int:
        """A playlist with these tracks as it was gathered: of a file, or of this account, where it is `playlist`."""
        entries = [
            PlaylistEntry(
                track=self.tracks[number] if playlist else replace(self.tracks[number], uri=f"file:///{number}"),
                added_at=LONG_AGO,
            )
            for number in numbers
        ]
        return store_playlist(
            self.connection, user_id=self.user_id, account_id=self.account_id if playlist else None,
            provider=self.provider if playlist else "file",
            head=PlaylistHead(playlist_id=playlist or f"{name}.m3u8", name=name), entries=entries, now=LONG_AGO,
        ).playlist_id  # fmt: skip

    @contextmanager
    def target(self) -> Iterator[Target]:
        account = accounts.find_account(self.connection, account_id=self.account_id)
        assert account is not None
        with open_target(self.settings, self.warehouse, account, clock=self.clock, sleep=self.sleep) as target:
            yield target

    def plan(self, playlist_id: int, *, into: str | None = None, is_equal: bool = False) -> int:
        with self.target() as target:
            return moving.plan(
                self.connection, target, user_id=self.user_id, playlist_id=playlist_id, into=into, is_equal=is_equal,
                name=None, clock=self.clock, sleep=self.sleep,
            ).migration_id  # fmt: skip

    def run(self, migration_id: int) -> Applied:
        with self.target() as target:
            return moving.run(
                self.connection, target, self.find(migration_id), clock=self.clock, sleep=self.sleep
            )  # fmt: skip

    def find(self, migration_id: int) -> store.Migration:
        return store.get_migration(self.connection, user_id=self.user_id, migration_id=migration_id)

    def moved(self, migration_id: int) -> list[str]:
        """What the migration's target really holds."""
        found = self.find(migration_id).target_playlist
        assert found is not None
        return self.all()[found][1]


@dataclass
class MovingToTidal(AtService):
    at: AtTidal

    @property
    def provider(self) -> Provider:
        return Provider.TIDAL

    def make(self, name: str, uris: Sequence[str]) -> str:
        ids = [uri.rsplit(":", 1)[1] for uri in uris]
        return self.at.tidal.world.make_playlist(self.at.ana, name, tracks=ids).playlist_id

    def all(self) -> dict[str, tuple[str, list[str]]]:
        return {
            each.playlist_id: (each.name, [f"tidal:track:{track}" for track in each.track_ids])
            for each in self.at.tidal.world.playlists.values()
        }

    def writes(self) -> int:
        return len(self.at.tidal.world.writes)

    def fail(self, kind: str, *, after: int = 0) -> None:
        _fail(self.at.tidal.world.fail, kind, on="playlists", methods=("POST", "PATCH", "DELETE"), after=after)

    def forget_faults(self) -> None:
        self.at.tidal.world.forget_faults()

    def sign_in_again(self, now: datetime | None = None) -> None:
        _sign_in(self, self.at.tidal.sign_in, now)


@dataclass
class MovingToYouTube(AtService):
    at: AtYouTube

    @property
    def provider(self) -> Provider:
        return Provider.YOUTUBE_MUSIC

    def make(self, name: str, uris: Sequence[str]) -> str:
        ids = [uri.rsplit(":", 1)[1] for uri in uris]
        return self.at.world.make_playlist("ana", name, ids).playlist_id

    def all(self) -> dict[str, tuple[str, list[str]]]:
        return {
            each.playlist_id: (each.title, [f"youtube:video:{video}" for video in each.video_ids])
            for each in self.at.world.playlists.values()
            if not each.playlist_id.startswith("LL")
        }

    def writes(self) -> int:
        return len(self.at.world.writes)

    def fail(self, kind: str, *, after: int = 0) -> None:
        _fail(self.at.world.fail, kind, on="/playlist", methods=("POST", "PUT", "DELETE"), after=after)

    def forget_faults(self) -> None:
        self.at.world.forget_faults()

    def sign_in_again(self, now: datetime | None = None) -> None:
        _sign_in(self, self.at.youtube.sign_in, now)


@dataclass
class MovingToSpotify(AtService):
    lists: Lists
    made: int = 0

    @property
    def provider(self) -> Provider:
        return Provider.SPOTIFY

    def make(self, name: str, uris: Sequence[str]) -> str:
        world = world_of(self.lists.setup.simulator.spec)
        self.made += 1
        places = {track: place for place, track in enumerate(self.lists.tracks)}
        numbers = [places[world.by_track_id[uri.rsplit(":", 1)[1]].thing] for uri in uris]
        named = f"made{self.made:04d}"
        self.lists.put(named, self.lists.entries(numbers), name=name, public=False)
        return named

    def all(self) -> dict[str, tuple[str, list[str]]]:
        control = self.lists.setup.simulator.control
        return {
            playlist_id: (name, [uri or "" for uri in uris])
            for playlist_id, name, uris in control.playlists("listener-1")
        }

    def writes(self) -> int:
        return self.lists.setup.simulator.control.writes()

    def fail(self, kind: str, *, after: int = 0) -> None:
        control = self.lists.setup.simulator.control
        for method in ("POST", "PUT", "DELETE"):
            control.fail(kind, path="/v1/*playlists*", method=method, after=after)  # type: ignore[arg-type]

    def forget_faults(self) -> None:
        self.lists.setup.simulator.control.clear_faults()

    def sign_in_again(self, now: datetime | None = None) -> None:
        self.lists.sign_in(with_writes=True)


def _fail(
    fail: Callable[[ServiceFault], None], kind: str, *, on: str, methods: Sequence[str], after: int
) -> None:  # fmt: skip
    made: dict[str, Any] = {"lost": {"is_lost": True}, "reset": {"is_reset": True}, "status": {"status": 503}}[kind]
    for method in methods:
        fail(ServiceFault(**made, body="{}", on=f"{method} /{on.lstrip('/')}", after=after))


def _sign_in(at: AtService, server: OAuthServer, now: datetime | None) -> None:
    access, refresh = server.token_for("ana")
    token = AccessToken(access, (now or at.clock.now()) + timedelta(hours=1))
    accounts.link_account(
        at.connection, require_keys(at.settings, at.warehouse), user_id=at.user_id, provider=at.provider,
        provider_account="ana", name="Ana", client_id=server.client_id,
        grant=TokenGrant(token, refresh, frozenset()), now=at.clock.now(),
    )  # fmt: skip


@contextmanager
def moving_to_tidal(at: AtTidal, warehouse: Warehouse, *, tracks: int = 60) -> Iterator[MovingToTidal]:
    at.add_tracks(tracks)
    known = [
        ListedTrack(
            uri=f"tidal:track:{number}", title=f"Song {number}", artists=(f"Artist {number % 7}",),
            album=f"Album {number % 11}", isrc=tidal_track(number).isrc, duration_ms=200_000,
        )
        for number in range(1, tracks + 1)
    ]  # fmt: skip
    with warehouse.connect(Role.INGEST, autocommit=True) as connection:
        user_id = add_user(connection, user_key="ana", time_zone="UTC").user_id
        made = MovingToTidal(
            warehouse, at.settings, at.clock, at.sleep, connection, user_id, 0, known, at
        )  # fmt: skip
        yield _linked(made)


@contextmanager
def moving_to_youtube(at: AtYouTube, warehouse: Warehouse, *, videos: int = 20) -> Iterator[MovingToYouTube]:
    at.add_videos(videos)
    known = [
        ListedTrack(
            uri=f"youtube:video:v{number}", title=f"Song {number}", artists=(f"Artist {number % 7}",),
            duration_ms=200_000,
        )
        for number in range(1, videos + 1)
    ]  # fmt: skip
    with warehouse.connect(Role.INGEST, autocommit=True) as connection:
        user_id = add_user(connection, user_key="ana", time_zone="UTC").user_id
        made = MovingToYouTube(warehouse, at.settings, at.clock, at.sleep, connection, user_id, 0, known, at)
        yield _linked(made)


@contextmanager
def moving_to_spotify(lists: Lists, *, tracks: int = 60) -> Iterator[MovingToSpotify]:
    setup = lists.setup
    # What the service calls by another name than archives do is another test's matter.
    world = world_of(setup.simulator.spec)
    known = []
    for index in lists.tracks:
        track, thing = world.tracks[index], world.thing(index)
        title, artist = thing.title_in("new") or "", thing.artist or ""
        if track.archive_id == track.api_id and title.replace(" ", "").isalpha() and title.isascii():
            known.append(
                ListedTrack(
                    uri=f"spotify:track:{track.api_id}",
                    title=title,
                    artists=(artist,),
                    isrc=track.isrc,
                    duration_ms=thing.duration_ms,
                )
            )
    assert len(known) >= tracks
    lists.sign_in(with_writes=True)
    with setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        (account,) = accounts.list_accounts(connection, user_id=lists.user_id)
        yield MovingToSpotify(
            setup.warehouse, setup.settings, setup.clock, setup.sleep, connection, lists.user_id, account.account_id,
            known[:tracks], lists,
        )  # fmt: skip


def _linked(at: Any) -> Any:
    at.sign_in_again()
    (account,) = accounts.list_accounts(at.connection, user_id=at.user_id)
    at.account_id = account.account_id
    return at
