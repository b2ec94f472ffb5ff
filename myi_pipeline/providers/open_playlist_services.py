"""Services with playlists: the clients that sign in, read, write and search at each.

The caller supplies a TokenSource for each account: it hands out a valid access token, and a fresh one after the service
refused it. Spotify's come from its logins, which are also used for polling: `spotify`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from myi_pipeline.errors import BadInput
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.providers.accounts import Provider, ProviderAccount, open_access
from myi_pipeline.providers.asking import PacedGate
from myi_pipeline.providers.deezer.client import DeezerApi, DeezerFinder, DeezerReader
from myi_pipeline.providers.governor import (
    Governor,
    service_limits,
    tidal_client,
    youtube_client,
)
from myi_pipeline.providers.oauth_tokens import App, HeldTokens, TokenEndpoint
from myi_pipeline.providers.pacing import Pace
from myi_pipeline.providers.playlists import PlaylistReader
from myi_pipeline.providers.service_tools import ServiceTools, open_tools
from myi_pipeline.providers.sign_in_rules import AccessToken, SignIn, TokenSource
from myi_pipeline.providers.spotify.open_spotify import Spotify
from myi_pipeline.providers.spotify.playlists import SpotifyPlaylists
from myi_pipeline.providers.tidal.api import TidalApi
from myi_pipeline.providers.tidal.client import TidalFinder, TidalReader
from myi_pipeline.providers.tidal.sign_in import CONSOLE as TIDAL_CONSOLE
from myi_pipeline.providers.tidal.sign_in import TidalSignIn, tidal_app
from myi_pipeline.providers.tidal.writer import TidalWriter
from myi_pipeline.providers.transport import utc_now
from myi_pipeline.providers.youtube_music.api import YouTubeApi
from myi_pipeline.providers.youtube_music.client import YouTubeMusicPlaylists
from myi_pipeline.providers.youtube_music.day_quota import Kind, MigrationPlan, plan_migration
from myi_pipeline.providers.youtube_music.sign_in import CONSOLE as YOUTUBE_CONSOLE
from myi_pipeline.providers.youtube_music.sign_in import YouTubeSignIn, youtube_app
from myi_pipeline.providers.youtube_music.units import DayUnits, daily_limits
from myi_pipeline.settings import Settings


class PlaylistServices:
    """What open_playlist_services yields. Thread-safe."""

    def __init__(self, tools: ServiceTools) -> None:
        self.keys = tools.keys
        self.spotify = Spotify(tools)
        self._tools = tools
        self._settings = tools.settings
        self._http = tools.http
        self._clock = tools.clock
        self._sleep = tools.sleep
        self._tidal_app: HeldTokens | None = None

    def sign_in(self, provider: Provider) -> SignIn:
        """Raises BadInput if this service has no login here, or is not set up."""
        if provider is Provider.TIDAL:
            return self.tidal_sign_in()
        if provider is Provider.YOUTUBE_MUSIC:
            return self.youtube_sign_in()
        raise BadInput(f"{provider.label} has no sign-in of this kind", place="service")

    def tokens_of(self, account: ProviderAccount) -> HeldTokens:
        """The account's own access tokens. Raises BadInput if its service is not set up here."""
        refresh = self.sign_in(account.provider).refresh

        def fetch(rejected: AccessToken | None) -> AccessToken:
            with self._tools.logins.connection() as connection:
                return open_access(
                    connection, self.keys, account, refresh=refresh, now=self._clock(), rejected=rejected
                )  # fmt: skip

        return HeldTokens(fetch, clock=self._clock)

    def reader(self, account: ProviderAccount) -> PlaylistReader:
        """A reader for a linked account. Raises BadInput if its service is not set up here."""
        if account.provider is Provider.SPOTIFY:
            return SpotifyPlaylists(self.spotify, account)
        if account.provider is Provider.DEEZER:
            return self.deezer_reader(account.provider_account)
        if account.provider is Provider.YOUTUBE_MUSIC:
            return self.youtube_music(self.tokens_of(account))
        return self.tidal_reader(self.tokens_of(account))

    def tidal_sign_in(self) -> TidalSignIn:
        """Raises BadInput without a client id."""
        return TidalSignIn(
            self._http,
            self._app_of_tidal(),
            login_url=self._settings.tidal_login_url,
            api_url=self._settings.tidal_api_url,
            gate=self._tidal_gate(),
            clock=self._clock,
        )

    def tidal_reader(self, tokens: TokenSource | None = None, *, country: str | None = None) -> TidalReader:
        """Without `tokens`, it reads public lists by their id. Raises BadInput if TIDAL is not set up here."""
        return TidalReader(self._tidal(tokens), country=country)

    def tidal_writer(self, tokens: TokenSource, *, country: str | None = None) -> TidalWriter:
        return TidalWriter(self._tidal(tokens), country=country)

    def tidal_finder(self, tokens: TokenSource | None = None, *, country: str | None = None) -> TidalFinder:
        """Without an account's `tokens`, it uses the app's own, which need its secret."""
        return TidalFinder(self._tidal(tokens), country=country)

    def youtube_sign_in(self) -> YouTubeSignIn:
        """Raises BadInput without a client id and its secret."""
        return YouTubeSignIn(
            self._http,
            self._app_of_youtube(),
            login_url=self._settings.youtube_login_url,
            api_url=self._settings.youtube_api_url,
            gate=self._youtube_gate(),
            units=self.youtube_units(),
            clock=self._clock,
            is_published=self._settings.youtube_published,
            sleep=self._sleep,
        )

    def youtube_music(self, tokens: TokenSource) -> YouTubeMusicPlaylists:
        """Reads, writes and searches for the account of these tokens."""
        return YouTubeMusicPlaylists(
            YouTubeApi(
                self._http,
                url=self._settings.youtube_api_url,
                gate=self._youtube_gate(),
                units=self.youtube_units(),
                clock=self._clock,
                tokens=tokens,
                sleep=self._sleep,
            )
        )

    def youtube_units(self) -> DayUnits:
        """What is left of the project's quota today."""
        return DayUnits(
            self._tools.ledger,
            client_id=youtube_client(self._settings),
            most=daily_limits(self._settings),
            clock=self._clock,
        )

    def plan_for_youtube(self, *, tracks: int, searches: int) -> MigrationPlan:
        """The days needed for a new list of this many tracks, `searches` of which are yet to be found."""
        return self.days_for_youtube(searches=searches, writes=tracks + 1)

    def days_for_youtube(self, *, searches: int, writes: int) -> MigrationPlan:
        """The days needed for this many searches and writes. Raises ValueError if a day's quota allows none."""
        units = self.youtube_units()
        return plan_migration(
            searches=searches,
            writes=writes,
            now=self._clock(),
            units_a_day=self._settings.youtube_units_per_day,
            searches_a_day=self._settings.youtube_searches_per_day,
            units_used=units.used(Kind.UNITS),
            searches_used=units.used(Kind.SEARCHES),
        )

    def _app_of_youtube(self) -> App:
        settings = self._settings
        if settings.youtube_client_id is None or settings.youtube_client_secret is None:
            raise BadInput(
                f"YouTube Music needs an OAuth client of this installation: make one at {YOUTUBE_CONSOLE} and set"
                " MYI_YOUTUBE_CLIENT_ID and MYI_YOUTUBE_CLIENT_SECRET",
                place="MYI_YOUTUBE_CLIENT_ID",
            )
        return youtube_app(
            client_id=settings.youtube_client_id,
            secret=settings.youtube_client_secret.get_secret_value(),
            auth_url=settings.youtube_auth_url,
        )

    def _youtube_gate(self) -> Governor:
        return self._gate(youtube_client(self._settings), service="youtube")

    def deezer_reader(self, user_id: str) -> DeezerReader:
        """Reads the public lists of this account. Raises BadInput if it is not a Deezer number."""
        return DeezerReader(self._deezer(), user_id=user_id)

    def deezer_finder(self) -> DeezerFinder:
        return DeezerFinder(self._deezer())

    def _deezer(self) -> DeezerApi:
        pace = Pace(
            self._tools.ledger,
            service=DeezerApi.service,
            interval=timedelta(milliseconds=self._settings.deezer_interval_ms),
            clock=self._clock,
            sleep=self._sleep,
        )
        return DeezerApi(
            self._http, url=self._settings.deezer_url, gate=PacedGate(pace), clock=self._clock, sleep=self._sleep
        )

    def _tidal(self, tokens: TokenSource | None) -> TidalApi:
        if tokens is None:
            if self._tidal_app is None:
                endpoint = TokenEndpoint(self._http, self._app_of_tidal(), gate=self._tidal_gate(), clock=self._clock)
                self._tidal_app = HeldTokens(lambda _: endpoint.of_the_app(), clock=self._clock)
            tokens = self._tidal_app
        return TidalApi(
            self._http,
            url=self._settings.tidal_api_url,
            gate=self._tidal_gate(),
            clock=self._clock,
            tokens=tokens,
            sleep=self._sleep,
        )

    def _app_of_tidal(self) -> App:
        settings = self._settings
        if settings.tidal_client_id is None:
            raise BadInput(
                f"TIDAL needs an app of this installation: make one at {TIDAL_CONSOLE} and set MYI_TIDAL_CLIENT_ID",
                place="MYI_TIDAL_CLIENT_ID",
            )
        secret = settings.tidal_client_secret
        return tidal_app(
            client_id=settings.tidal_client_id,
            secret=secret.get_secret_value() if secret is not None else None,
            auth_url=settings.tidal_auth_url,
        )

    def _tidal_gate(self) -> Governor:
        return self._gate(tidal_client(self._settings), service="tidal")

    def _gate(self, client_id: str, *, service: str) -> Governor:
        return self._tools.governor(client_id, service=service, limits=service_limits(self._settings)[client_id])


@contextmanager
def open_playlist_services(
    settings: Settings,
    warehouse: Warehouse,
    *,
    role: Role = Role.INGEST,
    clock: Callable[[], datetime] = utc_now,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[PlaylistServices]:
    """The services for the duration of the context: see open_tools."""
    urls = (
        settings.spotify_api_url,
        settings.spotify_accounts_url,
        settings.tidal_api_url,
        settings.tidal_auth_url,
        settings.deezer_url,
        settings.youtube_api_url,
        settings.youtube_auth_url,
    )
    with open_tools(settings, warehouse, *urls, role=role, clock=clock, sleep=sleep) as tools:
        yield PlaylistServices(tools)
