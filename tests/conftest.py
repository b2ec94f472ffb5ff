"""Databases for every test.

`warehouse` is a fresh, migrated database of its own for one test, cloned from a template that each worker makes once.
`settings_for_tests` are settings that lead to it, `environment_for_tests` the same for a child process.
`importer_kills` and its like say how often a test kills on purpose: a few times by default, hundreds under `-m long`.
Tests marked `both_servers` run on the embedded server and on an external one (MYI_TEST_DATABASE_URL, else postgres at
127.0.0.1:5432 if it answers, else one on a port of its own that is started for them), there as slow tests; all others
on the embedded one.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import psutil
import psycopg
import pytest
import structlog
from psycopg import sql
from pydantic import SecretStr

from myi_pipeline import logs
from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.postgres import roles
from myi_pipeline.postgres.connections import Role, Warehouse, parse_url, statement, with_parameters
from myi_pipeline.settings import ROLES_WITH_A_URL, Settings
from tests.s3_server import S3Server, running_s3

LIKELY_EXTERNAL_URL = "postgresql://postgres@127.0.0.1:5432/postgres"
_MEMORY = Path("/dev/shm")
# A database takes 13 MB, that of the longest tests a hundred times as much.
_ROOM = 2 * 1024**3


def free_port() -> int:
    """A port on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


_numbers = itertools.count(1)


# How often each is killed, by every run and by the long one.
KILLS = {
    "importer": (20, 2_000),
    "refresh": (6, 200),
    "login": (8, 500),
    "key-rotation": (5, 200),
    "poll": (12, 1_000),
    # At each service that playlists can be moved to.
    "migration": (20, 1_000),
    "erasure": (5, 200),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    for what, (usual, long) in KILLS.items():
        parser.addoption(
            f"--{what}-kills", type=int, help=f"how often to kill the {what} ({usual}; long tests: {long:,})"
        )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "both_servers: run on the embedded server and on an external one")
    # A busy machine is no error. With CI set, Hypothesis makes the same examples each time: what a change is judged by
    # does not depend on luck, and developers' own runs go on looking for new ones.
    hypothesis.settings.register_profile("myi", hypothesis.settings(deadline=None))
    hypothesis.settings.load_profile("myi")
    plain_logs()


def plain_logs() -> None:
    """Logs as nobody has set them up. By itself structlog draws tracebacks with every local variable: seconds each, for
    which a site of this process keeps its visitors waiting, and twice that while lines are counted. Nor do they go to
    standard output, as by itself: a site's line about a request would stand in what a command answers."""
    structlog.reset_defaults()
    *processors, _ = structlog.get_config()["processors"]
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*processors, plain], logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))


@pytest.fixture(autouse=True)
def logs_put_back() -> Iterator[None]:
    """How a test, or a command that it calls here, sets up the logs goes with the test. Else what every library says
    stands in what the next one captures, a test's own mail server with the addresses that it was given included."""
    root = logging.getLogger()
    yield
    ours = [handler for handler in root.handlers if isinstance(handler, logs.OwnHandler)]
    if not ours:
        return
    for handler in ours:
        root.removeHandler(handler)
    root.setLevel(logging.WARNING)
    for name in logs._CHATTY:
        logging.getLogger(name).setLevel(logging.NOTSET)
    logging.captureWarnings(False)
    logs._correlation_id.set(None)
    plain_logs()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "server_kind" in metafunc.fixturenames:
        both = metafunc.definition.get_closest_marker("both_servers") is not None
        # A second server with a template of its own takes each worker some ten seconds.
        external = [pytest.param("external", marks=pytest.mark.slow)] if both else []
        metafunc.parametrize("server_kind", ["embedded", *external], scope="session")


def _kills(request: pytest.FixtureRequest, what: str) -> int:
    given = request.config.getoption(f"--{what}-kills")
    is_long = request.node.get_closest_marker("long") is not None
    return KILLS[what][is_long] if given is None else int(given)


@pytest.fixture
def importer_kills(request: pytest.FixtureRequest) -> int:
    """How often this test kills the importer: `--importer-kills`, else more in a test marked long than in others."""
    return _kills(request, "importer")


@pytest.fixture
def refresh_kills(request: pytest.FixtureRequest) -> int:
    """How often this test kills a refresh: `--refresh-kills`, else more in a test marked long than in others."""
    return _kills(request, "refresh")


@pytest.fixture
def login_kills(request: pytest.FixtureRequest) -> int:
    """How often this test kills the refresh of a login: `--login-kills`, else more in a test marked long."""
    return _kills(request, "login")


@pytest.fixture
def key_rotation_kills(request: pytest.FixtureRequest) -> int:
    """How often this test kills the rotation of keys: `--key-rotation-kills`, else more in a test marked long."""
    return _kills(request, "key-rotation")


@pytest.fixture
def poll_kills(request: pytest.FixtureRequest) -> int:
    """How often this test kills a poll: `--poll-kills`, else more in a test marked long than in others."""
    return _kills(request, "poll")


@pytest.fixture
def migration_kills(request: pytest.FixtureRequest) -> int:
    """How often this test kills the moving of a playlist: `--migration-kills`, else more in a test marked long."""
    return _kills(request, "migration")


@pytest.fixture
def erasure_kills(request: pytest.FixtureRequest) -> int:
    """How often this test kills an erasure: `--erasure-kills`, else more in a test marked long than in others."""
    return _kills(request, "erasure")


@dataclass(frozen=True)
class TestServer:
    """A running server with a migrated template database; `admin_url` may create databases."""

    __test__ = False

    admin_url: str
    template: Warehouse

    def clone(self, name: str) -> Warehouse:
        names = {login: value for login, value in self.template.names().items() if login != "database"}
        with psycopg.connect(self.admin_url, autocommit=True) as admin:
            create = statement("create database {} template {} owner {}", name, self.template.database, names["owner"])
            # Files copied as they are cost a checkpoint, and half of what the log of all their pages costs.
            admin.execute(create + sql.SQL(" strategy file_copy"))
            roles.let_in(admin, database=name, names=names)
        return Warehouse(
            urls={role: with_parameters(self.template.url(role), dbname=name) for role in Role},
            dagster_url=with_parameters(self.template.dagster_url(), dbname=roles.role_name(name, roles.DAGSTER)),
            embedded=self.template.embedded,
        )

    def add_dagster(self, name: str) -> None:
        """Dagster's database beside the one of this name, with whatever tables the template's has by now: few tests
        start it, and it costs as much as the other."""
        template = roles.role_name(self.template.database, roles.DAGSTER)
        with psycopg.connect(self.admin_url, autocommit=True) as admin:
            create = statement(
                "create database {} template {} owner {}", roles.role_name(name, roles.DAGSTER), template, template
            )
            admin.execute(create + sql.SQL(" strategy file_copy"))

    def drop(self, name: str) -> None:
        with psycopg.connect(self.admin_url, autocommit=True) as admin:
            for database in (name, roles.role_name(name, roles.DAGSTER)):
                admin.execute(statement("drop database if exists {} with (force)", database))


def _external_url(stack: ExitStack) -> str:
    """That of the variable, of a server at the usual place, or of one that is started for this."""
    if given := os.environ.get("MYI_TEST_DATABASE_URL"):
        return given
    try:
        psycopg.connect(LIKELY_EXTERNAL_URL, connect_timeout=3).close()
    except psycopg.OperationalError:
        from tests.postgres_servers import running_server

        return stack.enter_context(running_server()).url()
    return LIKELY_EXTERNAL_URL


def _start(kind: str, home: Path, stack: ExitStack) -> TestServer:
    name = f"myi_test_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_{os.getpid()}"
    if kind == "external":
        url = _external_url(stack)
    else:
        from myi_pipeline.postgres.embedded import embedded_server

        stack.callback(remove_outside, home)
        memory = stack.enter_context(_room_in_memory())
        server = stack.enter_context(embedded_server(home))
        url = server.url("postgres")
        with psycopg.connect(url, autocommit=True) as admin:
            _hurry(admin, url)
            if memory is not None:
                server.places.account.owns(memory)
                _keep_in(admin, memory)
    stack.callback(_clean_up, url, name)
    template_settings = Settings(home=home, database_url=SecretStr(with_parameters(url, dbname=name)))
    template = stack.enter_context(open_warehouse(template_settings, make_roles=True))
    return TestServer(with_parameters(url, dbname="postgres"), template)


def _hurry(admin: psycopg.Connection[Any], url: str) -> None:
    """Only for speed: this server is thrown away, each test's database costs a checkpoint, and tests connect some ten
    thousand times, most of whose time went into 4,096 rounds of hashing the password."""
    for durable in ("fsync", "full_page_writes", "synchronous_commit"):
        admin.execute(statement("alter system set {} = off", durable))
    admin.execute("alter system set scram_iterations = 1")
    admin.execute("select pg_reload_conf()")
    # A new connection has read it; the passwords that are made from now on have it.
    with psycopg.connect(url, autocommit=True) as hashing:
        given = parse_url(url)
        hashing.execute(
            sql.SQL("alter role {} password {}").format(sql.Identifier(given["user"]), sql.Literal(given["password"]))
        )


@contextmanager
def _room_in_memory() -> Iterator[Path | None]:
    """A folder in memory for databases, where there is room: a database is nearly a thousand files, and making and
    removing those on a disk took a third of all the CPU time of the tests."""
    try:
        found = os.statvfs(_MEMORY)
    except OSError:
        found = None
    if found is None or found.f_bavail * found.f_frsize < _ROOM or psutil.virtual_memory().available < 2 * _ROOM:
        yield None
        return
    # What tests left that were killed.
    for left in _MEMORY.glob("myi-tests-*"):
        if not psutil.pid_exists(int(left.name.split("-")[2])):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"myi-tests-{os.getpid()}-", dir=_MEMORY))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _keep_in(admin: psycopg.Connection[Any], folder: Path) -> None:
    """New databases lie in this folder, as the templates do from now on."""
    admin.execute(sql.SQL("create tablespace memory location {}").format(str(folder)))
    for template in ("template0", "template1"):
        admin.execute(statement("alter database {} set tablespace memory", template))


def remove_outside(home: Path) -> None:
    """Remove what a stopped embedded server has outside of its home (as root, below folders that are closed)."""
    record = home / "postgres" / "places.json"
    if record.exists():
        found = json.loads(record.read_text(encoding="utf-8"))
        for place in (record.parent / found["area"], record.parent / found["socket"]):
            if not place.is_relative_to(home):
                shutil.rmtree(place, ignore_errors=True)


def _clean_up(url: str, name: str) -> None:
    with psycopg.connect(with_parameters(url, dbname="postgres"), autocommit=True) as admin:
        for database in (name, roles.role_name(name, roles.DAGSTER)):
            admin.execute(statement("drop database if exists {} with (force)", database))
        for login in roles.LOGINS:
            admin.execute(statement("drop role if exists {}", roles.role_name(name, login)))


@pytest.fixture(scope="session")
def server_for(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], TestServer]]:
    """The server of a kind (`embedded`, `external`), started when first asked for."""
    with ExitStack() as stack:
        started: dict[str, TestServer] = {}

        def get(kind: str) -> TestServer:
            if kind not in started:
                started[kind] = _start(kind, tmp_path_factory.mktemp(f"{kind}_home"), stack)
            return started[kind]

        yield get


@pytest.fixture
def warehouse(server_for: Callable[[str], TestServer], server_kind: str) -> Iterator[Warehouse]:
    """A fresh, migrated database of this test's own."""
    server = server_for(server_kind)
    name = f"{server.template.database}_{next(_numbers)}"
    try:
        yield server.clone(name)
    finally:
        server.drop(name)


@pytest.fixture
def dagster_storage(server_for: Callable[[str], TestServer], server_kind: str, warehouse: Warehouse) -> None:
    """For tests in which Dagster keeps something: its database beside `warehouse`."""
    server_for(server_kind).add_dagster(warehouse.database)


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    """An S3 server on loopback that checks every signature."""
    pytest.importorskip("obstore")
    pytest.importorskip("moto.server")
    with running_s3() as server:
        yield server


@pytest.fixture
def settings_for_tests(warehouse: Warehouse, tmp_path: Path) -> Settings:
    """Settings that lead to `warehouse`, with a home of this test's own."""
    role_urls = {f"database_url_{role}": warehouse.url(Role(role)) for role in ROLES_WITH_A_URL}
    return Settings.model_validate(
        {
            "home": tmp_path / "home",
            "database_url": warehouse.url(Role.OWNER),
            "dagster_database_url": warehouse.dagster_url(),
            "time_zone": "UTC",
            "api_port": free_port(),
            **role_urls,
        }
    )


@pytest.fixture
def environment_for_tests(settings_for_tests: Settings, dagster_storage: None) -> dict[str, str]:
    """The environment by which a child process gets `settings_for_tests`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MYI_")}
    return inherited | settings_for_tests.environment()


@pytest.fixture
def embedded_home(tmp_path: Path) -> Iterator[Path]:
    """A MYI_HOME for an embedded server of this test's own; whatever it leaves is ended and removed."""
    home = tmp_path / "home"
    yield home
    end_outside(home)


def end_outside(home: Path) -> None:
    """Kill an embedded server of this home that still runs, and remove what it has outside."""
    record = home / "postgres" / "places.json"
    if record.exists():
        found = json.loads(record.read_text(encoding="utf-8"))
        title = f"postgres: myi-{found['server_id']}: "
        data = str(record.parent / found["area"] / "data")
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                words = process.cmdline()
                if data in words or " ".join(words).startswith(title):
                    process.kill()
    remove_outside(home)
