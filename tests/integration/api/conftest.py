"""The site on a port of its own, over real HTTP, with users who can sign in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from myi_pipeline.people import manage_access, manage_users
from myi_pipeline.people.manage_access import TokenScope
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.settings import ROLES_WITH_A_URL, Settings
from myi_pipeline.simulator.live import AppSpec, Simulator, SimulatorSpec, mixed_listeners, running_simulator
from myi_pipeline.simulator.live.server import PromptServer
from myi_pipeline.web.app import create_app
from myi_pipeline.web.connection_limits import ConnectionLimits, Connections, server_config
from tests.conftest import TestServer, free_port
from tests.integration.api.sign_ins import Place


@contextmanager
def serving(app: Any, port: int, *, limits: ConnectionLimits | None = None) -> Iterator[None]:
    """The app under uvicorn, in a thread."""
    kept = Connections(limits or ConnectionLimits())
    config = server_config(app, kept, host="127.0.0.1", port=port, grace_s=5, has_websockets=True)
    with PromptServer(config).running():
        yield


@dataclass
class RunningSite:
    """A site with its address, its warehouse, and visitors."""

    settings: Settings
    warehouse: Warehouse
    stack: ExitStack

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings.api_port}"

    def sql(self, query: str, *arguments: object, role: Role = Role.OWNER) -> list[tuple[Any, ...]]:
        with self.warehouse.connect(role, autocommit=True) as connection:
            cursor = connection.execute(query.encode(), arguments or None)
            return cursor.fetchall() if cursor.description else []

    def user(self, key: str = "ana", time_zone: str = "UTC") -> int:
        with self.warehouse.connect(Role.INGEST, autocommit=True) as connection:
            if not manage_users.list_users(connection, user_key=key):
                manage_users.add_user(connection, user_key=key, time_zone=time_zone)
            return manage_users.get_user(connection, user_key=key).user_id

    def session(self, key: str = "ana") -> str:
        """The reference of a new session."""
        user_id = self.user(key)
        with self.warehouse.connect(Role.APP, autocommit=True) as connection:
            return manage_access.begin_session(connection, user_id=user_id, method="link", device="test")

    def token(self, key: str = "ana", *, days: int | None = None, scope: TokenScope = TokenScope.READ) -> str:
        user_id = self.user(key)
        with self.warehouse.connect(Role.APP, autocommit=True) as connection:
            return manage_access.make_token(connection, user_id=user_id, name="test", days=days, scope=scope).token

    def visitor(self, **headers: str) -> httpx.Client:
        """A browser or program that nobody knows."""
        # Plain HTTP on loopback: reading the machine's certificates would take most of the time.
        client = httpx.Client(base_url=self.url, headers=headers, verify=False, trust_env=False, timeout=20)
        return self.stack.enter_context(client)

    def browser(self, key: str | None = "ana") -> httpx.Client:
        """A browser on the site's own pages; signed in, if a user is named."""
        client = self.visitor(**{"sec-fetch-site": "same-origin", "user-agent": "Testfox/1.0"})
        if key is not None:
            client.cookies.set("myi_session", self.session(key), domain="127.0.0.1", path="/")
        return client

    def program(self, key: str = "ana") -> httpx.Client:
        """A program with an access token."""
        return self.visitor(authorization=f"Bearer {self.token(key)}")


def api_routes(routes: Iterable[Any]) -> list[APIRoute]:
    """Those of included routers too, which FastAPI keeps apart."""
    found: list[APIRoute] = []
    for route in routes:
        if isinstance(route, APIRoute):
            found.append(route)
        elif hasattr(route, "original_router"):
            found += api_routes(route.original_router.routes)
    return found


SiteMaker = Callable[..., RunningSite]
# Every request of a test comes from one address.
MANY = {"api_sensitive_requests_per_minute": 100_000, "api_requests_per_minute": 100_000}


@contextmanager
def site_maker(warehouse: Warehouse, home: Path) -> Iterator[SiteMaker]:
    role_urls = {f"database_url_{role}": warehouse.url(Role(role)) for role in ROLES_WITH_A_URL}
    base = Settings.model_validate(
        {
            "home": home,
            "database_url": warehouse.url(Role.OWNER),
            "dagster_database_url": warehouse.dagster_url(),
            "time_zone": "UTC",
            **role_urls,
        }
    )
    with ExitStack() as stack:

        def make(**changes: Any) -> RunningSite:
            settings = base.model_copy(update={"api_port": free_port(), **MANY, **changes})
            stack.enter_context(serving(create_app(settings, warehouse), settings.api_port))
            return RunningSite(settings, warehouse, stack)

        yield make


@pytest.fixture(scope="module")
def warehouse_of_module(server_for: Callable[[str], TestServer], request: pytest.FixtureRequest) -> Iterator[Warehouse]:
    """One database for all tests of a module: they empty it, which costs less than a new one."""
    server = server_for("embedded")
    name = f"{server.template.database}_{request.module.__name__.rpartition('.')[2]}"
    try:
        yield server.clone(name)
    finally:
        server.drop(name)


@pytest.fixture(scope="module")
def make_site_of_module(
    warehouse_of_module: Warehouse, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SiteMaker]:
    with site_maker(warehouse_of_module, tmp_path_factory.mktemp("home")) as make:
        yield make


def empty(warehouse: Warehouse) -> None:
    """Users go with their sessions, tokens, links and logins; numbers begin again."""
    with warehouse.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute(
            "truncate app.sign_ins, app.sign_in_attempts, app.provider_sign_ins, app.sessions, app.access_tokens,"
            " app.sign_in_links, app.audit restart identity"
        )
        connection.execute("delete from app.users")
        connection.execute("truncate ops.removals, ops.orphans restart identity")


@pytest.fixture
def make_site(warehouse_of_module: Warehouse, tmp_path: Path) -> Iterator[SiteMaker]:
    """Starts a site of this test's own on the emptied database; changes are those of the settings."""
    empty(warehouse_of_module)
    with site_maker(warehouse_of_module, tmp_path / "home") as make:
        yield make


@pytest.fixture(scope="module")
def site_of_module(make_site_of_module: SiteMaker) -> RunningSite:
    return make_site_of_module()


@pytest.fixture
def site(site_of_module: RunningSite) -> Iterator[RunningSite]:
    """A site without users."""
    empty(site_of_module.warehouse)
    with ExitStack() as stack:
        yield replace(site_of_module, stack=stack)


@pytest.fixture(scope="module")
def spotify() -> Iterator[Callable[[str], Simulator]]:
    """A simulated Spotify that sends browsers to an address."""
    with ExitStack() as stack:

        def start(redirect: str) -> Simulator:
            spec = SimulatorSpec(apps=(AppSpec(redirect_uris=(redirect,)),), listeners=mixed_listeners(3), artists=20)
            return stack.enter_context(running_simulator(spec))

        yield start


@pytest.fixture(scope="module")
def place_of_module(make_site_of_module: SiteMaker, spotify: Callable[[str], Simulator]) -> Place:
    return Place(make_site_of_module, spotify)


@pytest.fixture
def place(place_of_module: Place) -> Iterator[Place]:
    """Emptied; clients of the test before are closed."""
    empty(place_of_module.site.warehouse)
    running = place_of_module.site
    with ExitStack() as stack:
        place_of_module.site = replace(running, stack=stack)
        yield place_of_module
    place_of_module.site = running
