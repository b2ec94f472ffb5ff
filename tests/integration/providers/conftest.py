"""Made-up services that keep playlists, and the real clients in front of them, on one clock and one database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from myi_pipeline.postgres.connections import Warehouse
from myi_pipeline.providers.open_playlist_services import PlaylistServices, open_playlist_services
from myi_pipeline.providers.sign_in_rules import AccessToken
from myi_pipeline.providers.tidal.client import TidalFinder, TidalReader
from myi_pipeline.providers.tidal.writer import TidalWriter
from myi_pipeline.providers.youtube_music.client import YouTubeMusicPlaylists
from myi_pipeline.settings import Settings
from myi_pipeline.simulator.deezer import DeezerTrack, DeezerWorld, running_deezer
from myi_pipeline.simulator.live import MovableClock
from myi_pipeline.simulator.services.oauth import OAuthServer
from myi_pipeline.simulator.tidal import SimulatedTidal, TidalAccount, TidalTrack, running_tidal
from myi_pipeline.simulator.youtube import SimulatedYouTube, Video, YouTubeWorld, running_youtube


@dataclass
class AccountTokens:
    """A TokenSource that refreshes at the made-up token endpoint's own counter, as whoever keeps accounts would."""

    sign_in: OAuthServer
    account: str
    clock: MovableClock
    scopes: tuple[str, ...] | None = None
    held: AccessToken | None = None
    rejections: int = 0

    def __call__(self, rejected: AccessToken | None = None) -> AccessToken:
        if rejected is not None:
            self.rejections += 1
        held = self.held
        if held is None or held == rejected or not held.is_good(self.clock.now(), margin=timedelta(0)):
            access, _ = self.sign_in.token_for(self.account, scopes=self.scopes)
            held = self.held = AccessToken(access, self.clock.now() + self.sign_in.access_life)
        return held


@dataclass
class Slept:
    """Waits move the clock, and are noted."""

    clock: MovableClock
    waits: list[float] = field(default_factory=list)

    def __call__(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.clock.advance(seconds)


@dataclass
class AtTidal:
    """TIDAL, and what asks it for Ana."""

    tidal: SimulatedTidal
    services: PlaylistServices
    settings: Settings
    clock: MovableClock
    sleep: Slept
    ana: TidalAccount
    tokens: AccountTokens

    @property
    def reader(self) -> TidalReader:
        return self.services.tidal_reader(self.tokens, country="DE")

    @property
    def writer(self) -> TidalWriter:
        return self.services.tidal_writer(self.tokens, country="DE")

    @property
    def finder(self) -> TidalFinder:
        return self.services.tidal_finder(self.tokens, country="DE")

    def tokens_of(self, name: str, *scopes: str) -> AccountTokens:
        self.tidal.world.account(name)
        return AccountTokens(self.tidal.sign_in, name, self.clock, scopes or None)

    def add_tracks(self, count: int) -> list[str]:
        """Tracks 1 to `count`; their ids."""
        made = [tidal_track(number) for number in range(1, count + 1)]
        self.tidal.world.add_tracks(*made)
        return [each.track_id for each in made]


def tidal_track(number: int, **fields: Any) -> TidalTrack:
    named = {
        "track_id": str(number), "title": f"Song {number}", "artists": (f"Artist {number % 7}",),
        "album": f"Album {number % 11}", "isrc": f"DEA12{number:07d}",
    }  # fmt: skip
    return TidalTrack(**(named | fields))


def uris(*track_ids: str) -> list[str]:
    return [f"tidal:track:{each}" for each in track_ids]


@pytest.fixture
def at_tidal(warehouse: Warehouse, settings_for_tests: Settings) -> Iterator[AtTidal]:
    clock = MovableClock()
    sleep = Slept(clock)
    with ExitStack() as stack:
        tidal = stack.enter_context(running_tidal(clock=clock))
        settings = settings_for_tests.model_copy(
            update={
                "tidal_client_id": tidal.sign_in.client_id,
                "tidal_client_secret": SecretStr(tidal.sign_in.secret),
                "tidal_api_url": tidal.api_url,
                "tidal_login_url": tidal.login_url,
                "tidal_auth_url": tidal.auth_url,
                "tidal_requests_per_minute": 100_000,
            }
        )
        services = stack.enter_context(open_playlist_services(settings, warehouse, clock=clock, sleep=sleep))
        ana = tidal.world.account("ana")
        tokens = AccountTokens(tidal.sign_in, "ana", clock)
        yield AtTidal(tidal, services, settings, clock, sleep, ana, tokens)


@dataclass
class AtDeezer:
    """Deezer, and what asks it for what everybody may see."""

    world: DeezerWorld
    services: PlaylistServices
    settings: Settings
    clock: MovableClock
    sleep: Slept

    def add_tracks(self, count: int) -> list[int]:
        """Tracks 1 to `count`; their numbers."""
        self.world.add_tracks(*(deezer_track(number) for number in range(1, count + 1)))
        return list(range(1, count + 1))


def deezer_track(number: int, **fields: Any) -> DeezerTrack:
    named = {
        "track_id": number, "title": f"Song {number}", "artists": (f"Artist {number % 7}",),
        "isrc": f"DEA12{number:07d}",
    }  # fmt: skip
    return DeezerTrack(**(named | fields))


@pytest.fixture
def at_deezer(warehouse: Warehouse, settings_for_tests: Settings) -> Iterator[AtDeezer]:
    clock = MovableClock()
    sleep = Slept(clock)
    with running_deezer(clock=clock) as deezer:
        settings = settings_for_tests.model_copy(update={"deezer_url": deezer.url})
        with open_playlist_services(settings, warehouse, clock=clock, sleep=sleep) as services:
            yield AtDeezer(deezer.world, services, settings, clock, sleep)


@dataclass
class AtYouTube:
    """YouTube, and what asks it for Ana."""

    youtube: SimulatedYouTube
    services: PlaylistServices
    settings: Settings
    clock: MovableClock
    sleep: Slept
    tokens: AccountTokens

    @property
    def world(self) -> YouTubeWorld:
        return self.youtube.world

    @property
    def music(self) -> YouTubeMusicPlaylists:
        return self.services.youtube_music(self.tokens)

    def add_videos(self, count: int) -> list[str]:
        """Videos v1 to v`count`; their ids."""
        made = [
            Video(video_id=f"v{number}", title=f"Song {number}", channel=f"Artist {number % 7} - Topic")
            for number in range(1, count + 1)
        ]
        self.world.add_videos(*made)
        return [each.video_id for each in made]


@pytest.fixture
def at_youtube(warehouse: Warehouse, settings_for_tests: Settings) -> Iterator[AtYouTube]:
    # Nine in the morning UTC is one at night in California.
    clock = MovableClock(datetime(2026, 3, 2, 9, tzinfo=UTC))
    sleep = Slept(clock)
    with running_youtube(clock=clock) as youtube:
        settings = settings_for_tests.model_copy(
            update={
                "youtube_client_id": youtube.sign_in.client_id,
                "youtube_client_secret": SecretStr(youtube.sign_in.secret),
                "youtube_api_url": youtube.api_url,
                "youtube_login_url": youtube.url,
                "youtube_auth_url": youtube.url,
            }
        )
        youtube.world.account("ana")
        with open_playlist_services(settings, warehouse, clock=clock, sleep=sleep) as services:
            yield AtYouTube(youtube, services, settings, clock, sleep, AccountTokens(youtube.sign_in, "ana", clock))
