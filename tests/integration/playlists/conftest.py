"""Ana with a Spotify login that allows playlists, and what she has there, all on one clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from httpx import URL

from myi_pipeline.people import logins
from myi_pipeline.playlists.gather_users import gather_users
from myi_pipeline.playlists.gathering import GatherResult
from myi_pipeline.postgres.connections import Role
from myi_pipeline.providers.accounts import ProviderAccount, list_accounts
from myi_pipeline.providers.login_owners import LoginUse
from myi_pipeline.simulator.live import ScriptedEntry, ScriptedPlaylist, world_of
from tests.integration.credentials.conftest import Setup, SetupMaker, make_setup

__all__ = ["make_setup"]

LONG_AGO = datetime(2019, 5, 1, 12, tzinfo=UTC)


@dataclass
class Lists:
    """Playlists of the setup's listener-1, who is Ana."""

    setup: Setup
    user_id: int

    @property
    def account(self) -> ProviderAccount:
        """Of the login that is polled."""
        with self.setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
            (found,) = [each for each in list_accounts(connection, user_id=self.user_id) if each.is_main]
        return found

    @property
    def tracks(self) -> list[int]:
        """Numbers of tracks that can be on a list."""
        world = world_of(self.setup.simulator.spec)
        return [index for index in sorted(world.listable) if not world.tracks[index].is_gone]

    def entries(self, numbers: Iterable[int]) -> tuple[ScriptedEntry, ...]:
        tracks = self.tracks
        return tuple(
            ScriptedEntry(
                track=tracks[number % len(tracks)],
                added_at=LONG_AGO + timedelta(minutes=number),
                added_by="listener-1",
            )
            for number in numbers
        )

    def put(self, playlist_id: str, entries: Iterable[ScriptedEntry] = (), **fields: Any) -> str:
        made = ScriptedPlaylist(id=playlist_id, entries=tuple(entries), **({"owner": "listener-1"} | fields))
        return self.setup.simulator.control.put_playlist(made)

    def sign_in(
        self,
        *,
        denied: tuple[str, ...] = (),
        with_playlists: bool = True,
        with_writes: bool = False,
        more: tuple[str, ...] = (),
        listener: str = "listener-1",
        use: LoginUse = LoginUse.MAIN,
    ) -> None:
        """`more` are permissions that MYI does not ask for."""
        setup = self.setup
        setup.clock.advance(60)  # a login of the same moment would leave the access token of the one before
        spotify = setup.open()
        pending = logins.begin_login(
            spotify, setup.settings, user_id=self.user_id, user_key="ana", with_playlists=with_playlists,
            with_writes=with_writes, use=use,
        )  # fmt: skip
        asked = URL(pending.url)
        url = asked.copy_set_param("scope", " ".join([asked.params["scope"], *more]))
        redirected = setup.simulator.visit(str(url), listener, denied=denied)
        with setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
            logins.finish_login(spotify, connection, pending, redirected=redirected, now=setup.clock.now())

    def gather_all(self, **options: Any) -> tuple[GatherResult, ...]:
        setup = self.setup
        given = {"force": True, "clock": setup.clock, "sleep": setup.sleep} | options
        return gather_users(setup.settings, setup.warehouse, **given)

    def gather(self, **options: Any) -> GatherResult:
        (result,) = self.gather_all(**options)
        return result

    def counts(self, **options: Any) -> tuple[int, int, int, int, int, int]:
        """Lists read, unchanged, unreadable, failed and gone, and new versions of one gathering."""
        found = self.gather(**options)
        return (found.lists_read, found.unchanged, found.unreadable, found.failed, found.gone, found.new_versions)

    def history(self, playlist_id: str) -> list[tuple[Any, ...]]:
        """(state, name, entries) of each version."""
        return self.setup.sql(
            "select v.state, v.name, v.items from raw.playlist_versions as v"
            " inner join raw.playlists as p using (playlist_id) where provider_playlist = %s order by version_no",
            playlist_id,
        )

    def kept(self, playlist_id: str) -> list[tuple[Any, ...]]:
        """(kind, URI or what was told) of the entries of the last version, in order."""
        return self.setup.sql(
            """
            select i.kind, coalesce(c.uri, i.original ->> 'uri')
            from raw.playlist_versions as v
            inner join raw.playlists as p using (playlist_id)
            inner join raw.playlist_items as i on i.playlist_id = v.playlist_id and i.items_key = v.items_key
            left join raw.contents as c on c.content_id = i.content_id
            where p.provider_playlist = %s
            and v.version_no = (select max(version_no) from raw.playlist_versions where playlist_id = v.playlist_id)
            order by i.position
            """,
            playlist_id,
        )

    def truth(self, playlist_id: str) -> list[str | None]:
        return self.setup.simulator.control.playlist_uris("listener-1", playlist_id)

    def calls(self) -> int:
        """Requests for lists since the last look."""
        counts = self.setup.simulator.control.call_counts()
        self.setup.simulator.control.forget_calls()
        return sum(count for call, count in counts.items() if "playlists" in call[2] or call[2] == "/me/tracks")


@pytest.fixture
def lists(make_setup: SetupMaker) -> Lists:
    setup = make_setup(per_30_s=None, per_day={})
    setup.settings = setup.settings.model_copy(update={"spotify_requests_per_minute": 10_000})
    found = Lists(setup, setup.user("ana"))
    found.sign_in()
    return found
