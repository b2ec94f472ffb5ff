"""A warehouse with users whose accounts are at a made-up Last.fm and a made-up ListenBrainz, all on one clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from myi_pipeline.onward.journal import wish_for
from myi_pipeline.onward.send import OnwardResult, send_onward
from myi_pipeline.people import manage_users
from myi_pipeline.people.links import link_account, store_account
from myi_pipeline.polling.poll_links import poll_links
from myi_pipeline.polling.poll_one_link import LinkResult
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.providers.open_services import open_services
from myi_pipeline.providers.scrobbles import Service
from myi_pipeline.settings import ROLES_WITH_A_URL, Settings
from myi_pipeline.simulator.live import MovableClock
from myi_pipeline.simulator.services import (
    ServiceAccount,
    ServiceState,
    SimulatedServices,
    TrueListen,
    running_services,
)
from tests.dbt.conftest import Marts, marts, marts_of_session

__all__ = ["marts", "marts_of_session"]

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SOURCES = {Service.LASTFM: 9, Service.LISTENBRAINZ: 10}


def listen(at: datetime, number: int = 0, **fields: Any) -> TrueListen:
    """A listening of the track of that number."""
    named = {"title": f"Song {number % 40}", "artist": f"Artist {number % 7}", "album": f"Album {number % 11}"}
    return TrueListen(started_at=at.replace(microsecond=0), **(named | fields))


@dataclass
class Links:
    """The warehouse, settings that lead to it and to both services, and the clock of all."""

    warehouse: Warehouse
    settings: Settings
    services: SimulatedServices
    clock: MovableClock
    slept: list[float] = field(default_factory=list)

    @property
    def now(self) -> datetime:
        return self.clock.now()

    def wait(self, step: timedelta) -> None:
        self.clock.advance(step)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.advance(seconds)

    def state(self, service: Service) -> ServiceState:
        return self.services.lastfm if service is Service.LASTFM else self.services.listenbrainz

    def account(self, service: Service, name: str = "ana") -> ServiceAccount:
        return self.state(service).account(name)

    def sql(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        with self.warehouse.connect(Role.INGEST, autocommit=True) as connection:
            cursor = connection.execute(query.encode(), arguments or None)
            return cursor.fetchall() if cursor.description else []

    def user(self, key: str = "ana") -> int:
        with self.warehouse.connect(Role.INGEST, autocommit=True) as connection:
            if not manage_users.list_users(connection, user_key=key):
                manage_users.add_user(connection, user_key=key, time_zone="UTC")
            return manage_users.get_user(connection, user_key=key).user_id

    def link(
        self, service: Service, *, key: str = "ana", account: str = "ana", token: str | None = None, **changes: Any
    ) -> str:
        user_id = self.user(key)
        role = changes.pop("role", Role.INGEST)
        settings = self.settings.model_copy(update=changes)
        with (
            open_services(settings, self.warehouse, role=role, clock=self.clock, sleep=self.sleep) as services,
            self.warehouse.connect(role, autocommit=True) as connection,
        ):
            return link_account(
                services, connection, user_id=user_id, service=service, account=account, token=token, now=self.now
            )

    def poll(self, *, key: str = "ana", **options: Any) -> LinkResult:
        """Now, whoever's turn it is."""
        (result,) = self.poll_all(user_keys=[key], **({"force": True} | options))
        return result

    def poll_all(self, **options: Any) -> tuple[LinkResult, ...]:
        return poll_links(self.settings, self.warehouse, **({"clock": self.clock, "sleep": self.sleep} | options))

    def poll_to_the_end(self, **options: Any) -> list[LinkResult]:
        results = [self.poll(**options)]
        while not results[-1].is_complete and len(results) < 50:
            self.wait(2 * MINUTE)
            results.append(self.poll(**options))
        return results

    def kept(self, service: Service, key: str = "ana") -> list[tuple[datetime, str, str]]:
        """When, what and whose, by time."""
        return self.sql(
            "select e.played_at, c.title, c.creator from raw.listening_events as e"
            " inner join raw.contents as c using (content_id)"
            " where e.source_id = %s and e.user_id = %s order by 1, 2",
            SOURCES[service],
            self.user(key),
        )


def truth(account: ServiceAccount) -> list[tuple[datetime, str, str]]:
    """What `Links.kept` must be."""
    return sorted({(each.started_at, each.title, each.artist) for each in account.shown()})


def service_settings(settings: Settings, services: SimulatedServices) -> Settings:
    """The same settings, leading to the made-up services."""
    return settings.model_copy(
        update={
            "lastfm_api_key": SecretStr(services.lastfm_key),
            "lastfm_api_secret": SecretStr(services.lastfm_secret),
            "lastfm_url": services.lastfm_url,
            "lastfm_site_url": services.lastfm_url,
            "listenbrainz_url": services.listenbrainz_url,
            "lastfm_requests_per_minute": 100_000,
            "listenbrainz_requests_per_minute": 100_000,
        }
    )


@pytest.fixture
def links(warehouse: Warehouse, settings_for_tests: Settings) -> Iterator[Links]:
    clock = MovableClock()
    with running_services(clock=clock) as services:
        yield Links(warehouse, service_settings(settings_for_tests, services), services, clock)


@dataclass
class OnwardLinks(Links):
    """The same over real marts. Plays are those that polls of Spotify bring, unless a source is given."""

    marts: Marts | None = None

    def play(self, at: datetime, number: int = 0, *, source: int = 3, ms_played: int | None = None) -> None:
        assert self.marts is not None
        content_id = self.marts.add_content(
            f"Song {number}", f"Artist {number % 7}", uri=f"spotify:track:{number:022d}", duration_ms=200_000
        )
        self.marts.add_play(self.user(), at, content_id, ms_played, source=source)

    def content(self, number: int) -> int:
        """The content of a play that was made before."""
        ((content_id,),) = self.sql(
            "select content_id from raw.contents where uri = %s", f"spotify:track:{number:022d}"
        )
        return int(content_id)

    def refresh(self) -> None:
        assert self.marts is not None
        self.marts.refreshed()

    def wish(self, service: Service, *, with_past: bool = False) -> None:
        """Ana's account is linked with a secret, and read; plays are sent from now on."""
        name, user_id = self.account(service).name, self.user()
        with (
            open_services(self.settings, self.warehouse, clock=self.clock, sleep=self.sleep) as services,
            self.warehouse.connect(Role.INGEST, autocommit=True) as connection,
        ):
            store_account(
                services, connection, user_id=user_id, service=service, account=name,
                secret=self.account(service).secret, now=self.now,
            )  # fmt: skip
            wish_for(connection, user_id=user_id, service=service, with_past=with_past, now=self.now)
        self.poll_all(force=True)

    def settle(self, step: timedelta = HOUR) -> None:
        """Time passes, the service is read again, and the marts follow."""
        self.wait(step)
        self.poll_all(force=True)
        self.refresh()

    def send(self) -> OnwardResult:
        (result,) = send_onward(self.settings, self.warehouse, clock=self.clock, sleep=self.sleep)
        return result

    def states(self) -> dict[str, int]:
        return dict(self.sql("select state, count(*) from app.onward_plays group by state"))


@pytest.fixture
def onward(marts: Marts, tmp_path: Path) -> Iterator[OnwardLinks]:
    clock = MovableClock(datetime(2024, 3, 2, 9, tzinfo=UTC))
    urls = {f"database_url_{role}": marts.warehouse.url(Role(role)) for role in ROLES_WITH_A_URL}
    dagster = {"dagster_database_url": marts.warehouse.dagster_url()}
    plain = {"home": tmp_path / "home", "database_url": marts.warehouse.url(Role.OWNER), **dagster, **urls}
    with running_services(clock=clock) as services:
        settings = service_settings(Settings.model_validate(plain), services)
        yield OnwardLinks(marts.warehouse, settings, services, clock, marts=marts)
