"""Accounts that playlists can be moved to: choosing one, and opening what a migration needs from it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from myi_pipeline.errors import BadInput
from myi_pipeline.playlists.migration.days import Days, Forecast, lookup_days
from myi_pipeline.playlists.migration.writable import TARGETS, writing_trouble
from myi_pipeline.postgres.connections import Connection, Warehouse
from myi_pipeline.providers import accounts
from myi_pipeline.providers.accounts import Provider, ProviderAccount
from myi_pipeline.providers.open_playlist_services import PlaylistServices, open_playlist_services
from myi_pipeline.providers.playlists import PlaylistReader, PlaylistWriter, TrackFinder
from myi_pipeline.providers.spotify.finder import SpotifyFinder
from myi_pipeline.providers.spotify.open_spotify import open_spotify
from myi_pipeline.providers.spotify.playlists import SpotifyPlaylists
from myi_pipeline.providers.transport import utc_now
from myi_pipeline.settings import Settings


@dataclass(frozen=True)
class Target:
    """An account to write to, with its clients. `forecast` is set if the service limits requests per day."""

    account_id: int
    provider: str
    reader: PlaylistReader
    writer: PlaylistWriter
    finder: TrackFinder
    forecast: Forecast | None = None


def account_for(connection: Connection, *, user_id: int, account_id: int | None) -> ProviderAccount:
    """The user's account with this number, or the only one that can be a target. Raises BadInput."""
    linked = [
        each
        for each in accounts.list_accounts(connection, user_id=user_id)
        if each.provider in TARGETS and account_id in (None, each.account_id)
    ]
    # A read-only Spotify login does not count as a choice if another account can be written to.
    usable = [each for each in linked if writing_trouble(each) is None] or linked
    if not usable:
        raise BadInput(
            "no linked account that playlists can be moved to: link TIDAL or YouTube Music with `myi providers link`,"
            " or sign in to Spotify with `myi user login KEY --playlist-writes`",
            place="account",
        )
    if len(usable) > 1:
        raise BadInput(
            "playlists can be moved to several linked accounts: name one of those that `myi providers list` shows",
            place="account",
        )
    if (trouble := writing_trouble(usable[0])) is not None:
        raise BadInput(trouble, place="account")
    return usable[0]


@contextmanager
def open_target(
    settings: Settings,
    warehouse: Warehouse,
    account: ProviderAccount,
    *,
    clock: Callable[[], datetime] = utc_now,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Target]:
    """The target, open for the duration of the context. Raises KeyMissing, and BadInput if the service is not set up
    here or the login does not allow writing.
    """
    if (trouble := writing_trouble(account)) is not None:
        raise BadInput(trouble, place="account")
    if account.provider is Provider.SPOTIFY:
        with open_spotify(settings, warehouse, clock=clock, sleep=sleep) as spotify:
            lists = SpotifyPlaylists(spotify, account, is_exact=True)
            finder = SpotifyFinder(spotify, account)

            def by_lookups(*, lookups: int, writes: int) -> Days | None:
                return lookup_days(lookups=lookups, a_day=settings.spotify_catalogue_calls_per_day, now=clock())

            yield Target(account.account_id, account.provider.value, lists, lists, finder, by_lookups)
        return
    with open_playlist_services(settings, warehouse, clock=clock, sleep=sleep) as services:
        tokens = services.tokens_of(account)
        if account.provider is Provider.YOUTUBE_MUSIC:
            music = services.youtube_music(tokens)
            yield Target(account.account_id, account.provider.value, music, music, music, _by_units(services))
            return
        yield Target(
            account.account_id,
            account.provider.value,
            services.tidal_reader(tokens),
            services.tidal_writer(tokens),
            services.tidal_finder(tokens),
        )


def _by_units(services: PlaylistServices) -> Callable[..., Days | None]:
    def forecast(*, lookups: int, writes: int) -> Days | None:
        try:
            return services.days_for_youtube(searches=lookups, writes=writes)
        except ValueError:
            # The daily quota does not cover a single request of this kind, so no number of days is enough.
            return None

    return forecast
