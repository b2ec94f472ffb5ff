"""Dagster's own application, of the version that is installed, behind the guard and over real HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from dagster import DagsterInstance
from starlette.applications import Starlette
from websockets.sync.client import ClientConnection, connect

from myi_pipeline.people import dagster_access, manage_access, manage_users
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.settings import ROLES_WITH_A_URL, Settings
from myi_pipeline.web.dagster_pages.server import dagster_app, guarded_app
from tests.conftest import TestServer, free_port
from tests.integration.api.conftest import serving

QUERY = "{ version }"
# Needs no code location, and can be seen from outside.
MUTATION = 'mutation { setConcurrencyLimit(concurrencyKey: "attacked", limit: 3) }'


@dataclass(frozen=True)
class Pages:
    """Dagster's pages as they are served, and what they stand on."""

    settings: Settings
    warehouse: Warehouse
    instance: DagsterInstance
    cookie: str
    app: Starlette

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.settings.dagster_port}"

    def link_secret(self) -> str:
        with self.warehouse.connect(Role.APP, autocommit=True) as connection:
            return dagster_access.make_dagster_link(connection, self.settings).partition("#")[2]

    def session(self) -> str:
        with self.warehouse.connect(Role.APP, autocommit=True) as connection:
            return dagster_access.use_dagster_link(connection, secret=self.link_secret(), device="test")

    def user(self, key: str, *, is_operator: bool) -> int:
        with self.warehouse.connect(Role.INGEST, autocommit=True) as connection:
            if not manage_users.list_users(connection, user_key=key):
                manage_users.add_user(connection, user_key=key, time_zone="UTC")
            return manage_users.set_user(connection, user_key=key, is_operator=is_operator).user_id

    def site_session(self, user_id: int) -> str:
        with self.warehouse.connect(Role.APP, autocommit=True) as connection:
            return manage_access.begin_session(connection, user_id=user_id, method="link", device="test")

    def token(self, user_id: int, *, may_operate: bool) -> str:
        with self.warehouse.connect(Role.APP, autocommit=True) as connection:
            scope = manage_access.TokenScope.OPERATE if may_operate else manage_access.TokenScope.READ
            made = manage_access.make_token(connection, user_id=user_id, name="test", scope=scope)
            return made.token

    def client(self, **headers: str) -> httpx.Client:
        return httpx.Client(base_url=self.origin, headers=headers, verify=False, trust_env=False, timeout=20)

    def operator(self, **headers: str) -> httpx.Client:
        """A browser that came in by a link; on a page of these, unless the headers say otherwise."""
        client = self.client(**{"sec-fetch-site": "same-origin", **headers})
        client.cookies.set(self.cookie, self.session(), domain="127.0.0.1", path="/")
        return client

    def socket(self, *, reference: str | None, origin: str | None, **headers: str) -> ClientConnection:
        """Raises InvalidStatus when it is refused."""
        if reference is not None:
            headers["cookie"] = f"{self.cookie}={reference}"
        given: dict[str, Any] = {"origin": origin, "additional_headers": headers, "subprotocols": ["graphql-ws"]}
        return connect(f"ws://127.0.0.1:{self.settings.dagster_port}/graphql", proxy=None, open_timeout=10, **given)

    def noted(self) -> list[tuple[str, str | None]]:
        """Events of the audit log and where they came from."""
        with self.warehouse.connect(Role.INGEST, autocommit=True) as connection:
            return connection.execute("select event, address from app.audit order by audit_id").fetchall()

    def changes(self) -> tuple[object, ...]:
        """What attacks in these tests would change; empty while nothing did."""
        events = self.instance.get_latest_materialization_event
        from dagster import AssetKey

        is_reported = events(AssetKey("attacked")) is not None
        keys = sorted(self.instance.event_log_storage.get_concurrency_keys())
        return (*keys, *(["reported"] if is_reported else []))

    def forget_changes(self) -> None:
        for key in self.instance.event_log_storage.get_concurrency_keys():
            self.instance.event_log_storage.delete_concurrency_limit(key)


@pytest.fixture(scope="module")
def pages(
    server_for: Callable[[str], TestServer], request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pages]:
    server = server_for("embedded")
    name = f"{server.template.database}_{request.module.__name__.rpartition('.')[2]}"
    folder: Path = tmp_path_factory.mktemp("dagster_pages")
    (folder / "workspace.yaml").write_text("load_from: []\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        # An instance in files: which storage it has is nothing to the guard.
        patch.setenv("DAGSTER_HOME", str(folder))
        patch.setenv("DAGSTER_DISABLE_TELEMETRY", "1")
        try:
            warehouse = server.clone(name)
            role_urls = {f"database_url_{role}": warehouse.url(Role(role)) for role in ROLES_WITH_A_URL}
            values = {"database_url": warehouse.url(Role.OWNER), "dagster_database_url": warehouse.dagster_url()}
            ports = {"dagster_port": free_port(), "api_port": free_port()}
            settings = Settings.model_validate({"home": folder / "home", **values, **role_urls, **ports})
            with (
                dagster_app(folder / "workspace.yaml") as app,
                guarded_app(settings, warehouse, app) as guarded,
                serving(guarded, settings.dagster_port),
                DagsterInstance.get() as instance,
            ):
                yield Pages(settings, warehouse, instance, guarded.cookie, app)
        finally:
            server.drop(name)
