"""A warehouse with two users, receivers on loopback, and a clock that tests move."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr

from myi_pipeline.notices import targets
from myi_pipeline.notices.kinds import KINDS, Condition, Key
from myi_pipeline.notices.sending import NoticeSender
from myi_pipeline.notices.targets import Added, Channel
from myi_pipeline.people import manage_users
from myi_pipeline.postgres.connections import Connection, Role, Warehouse
from myi_pipeline.providers.encryption_keys import require_keys
from myi_pipeline.settings import Settings
from tests.conftest import TestServer
from tests.integration.notices.receivers import Mailbox, Receiver, receiving, taking_mail

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
TABLES = "ops.notice_deliveries, ops.notices, app.notice_targets, app.notice_wishes, app.users"


@dataclass
class Told:
    """One installation that tells."""

    settings: Settings
    warehouse: Warehouse
    connection: Connection
    now: datetime = NOON
    ana: int = 0
    ben: int = 0
    names: dict[str, int] = field(default_factory=dict)

    def clock(self) -> datetime:
        return self.now

    def later(self, **span: float) -> None:
        self.now += timedelta(**span)

    def teller(self, **more: Any) -> NoticeSender:
        return NoticeSender(self.settings, self.connection, clock=self.clock, chance=lambda: 0.0, limit_s=2.0, **more)

    def add(self, url: str, *, user_id: int | None, channel: Channel = Channel.WEBHOOK, **more: Any) -> Added:
        """A target, added by the role that does it: a page's for users, a command's for the operator."""
        role = Role.INGEST if user_id is None else Role.APP
        keys = require_keys(self.settings, self.warehouse, role=role)
        with self.warehouse.connect(role, autocommit=True) as connection:
            return targets.add_target(
                connection, keys, user_id=user_id, channel=channel, url=url,
                allow_private=self.settings.webhooks_allow_private, now=self.now, **more,
            )  # fmt: skip

    def mended(self) -> set[Key]:
        """All that could be: what is not found now is good again."""
        return set(self.sql("select kind, subject, user_id from ops.notices where ended_at is null"))

    def say(
        self, *found: Condition, asked: Sequence[str] | None = None, mended: Collection[Key] | None = None
    ) -> None:  # fmt: skip
        """Follow what is true now, and send what is due."""
        teller = self.teller()
        mended = self.mended() if mended is None else mended
        teller.follow(found, asked=tuple(KINDS) if asked is None else asked, mended=mended)
        teller.send_due()

    def sql(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        with self.warehouse.connect(Role.OWNER, autocommit=True) as connection:
            cursor = connection.execute(query.encode(), arguments or None)
            return cursor.fetchall() if cursor.description else []

    def deliveries(self) -> list[tuple[Any, ...]]:
        return self.sql(
            "select kind, moment, attempts, delivered_at is not null, given_up_at is not null, error"
            " from ops.notice_deliveries order by created_at, delivery_id"
        )


@pytest.fixture(scope="module")
def notices_warehouse(server_for: Callable[[str], TestServer], request: pytest.FixtureRequest) -> Iterator[Warehouse]:
    """One database for a module: its tests empty it, which costs less than a new one."""
    server = server_for("embedded")
    name = f"{server.template.database}_{request.module.__name__.rpartition('.')[2][-20:]}"
    try:
        yield server.clone(name)
    finally:
        server.drop(name)


@pytest.fixture
def told(notices_warehouse: Warehouse, tmp_path: Path) -> Iterator[Told]:
    warehouse = notices_warehouse
    urls = {f"database_url_{role.value}": SecretStr(warehouse.url(role)) for role in Role if role is not Role.OWNER}
    known = {name: url for name, url in urls.items() if name in Settings.model_fields}
    settings = Settings.model_validate(
        {
            "home": tmp_path / "home",
            "database_url": warehouse.url(Role.OWNER),
            "dagster_database_url": warehouse.dagster_url(),
            "time_zone": "UTC",
            "webhooks_allow_private": True,
            **known,
        }
    )
    with ExitStack() as stack:
        connection = stack.enter_context(warehouse.connect(Role.INGEST, autocommit=True))
        made = Told(settings, warehouse, connection)
        made.sql(f"truncate {TABLES} cascade")
        for key in ("ana", "ben"):
            made.names[key] = manage_users.add_user(connection, user_key=key, time_zone="Europe/Berlin").user_id
        made.ana, made.ben = made.names["ana"], made.names["ben"]
        yield made


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with taking_mail() as made:
        yield made


def delivery_ids(told: Told) -> list[UUID]:
    return [row[0] for row in told.sql("select delivery_id from ops.notice_deliveries order by created_at")]
