"""A sign that is in every code and token of the simulated Spotify, looked for wherever it must not be.

Everything that can fail is made to fail, also answers that repeat the token they were asked with.
"""

from __future__ import annotations

import io
import logging
import traceback
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
import structlog

from myi_pipeline import logs
from myi_pipeline.core.errors import MyiError
from myi_pipeline.services import login_user, manage_logins
from myi_pipeline.services.open_spotify import Spotify
from myi_pipeline.simulator.live import Simulator
from myi_pipeline.spotify import transport
from myi_pipeline.warehouse.connections import Role
from tests.integration.credentials.conftest import CANARY, House

FAULTS = ("status", "html", "truncated", "empty", "wrong_shape", "cut", "reset", "lost", "bad_item")


@pytest.fixture
def everything_said() -> Iterator[io.StringIO]:
    """Every log line of every library, as loud as can be, with and without our masking."""
    said = io.StringIO()
    root = logging.getLogger()
    level = root.level
    logs.configure_logs(level="debug", layout="json", stream=said)
    plain = logging.StreamHandler(said)
    root.addHandler(plain)
    for name in ("httpx", "httpcore", "psycopg"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield said
    root.removeHandler(plain)
    for handler in [handler for handler in root.handlers if getattr(handler, "_of_myi", False)]:
        root.removeHandler(handler)
    for name in ("httpx", "httpcore", "psycopg"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def outcome(spotify: Spotify, house: House, said: io.StringIO) -> None:
    """One request; whatever comes of it is written down as loudly as an error can be."""
    try:
        page = spotify.call(house.user("ana"), lambda client, token: client.recently_played(token))
        said.write(repr(page))
    except MyiError as error:
        said.write("".join(traceback.TracebackException.from_exception(error, capture_locals=False).format()))
        said.write(repr(error) + repr(error.args) + repr(error.__cause__) + repr(error.__context__))


def test_no_token_is_in_a_log_an_error_or_a_repr(
    house: House, everything_said: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = everything_said
    monkeypatch.setattr(transport, "DEADLINE_S", 5.0)
    visit = Simulator.visit

    def unheard(*given: Any, **options: Any) -> str:
        """The person's browser is no part of the program."""
        logging.disable(logging.CRITICAL)
        try:
            return visit(*given, **options)
        finally:
            logging.disable(logging.NOTSET)

    monkeypatch.setattr(Simulator, "visit", unheard)
    spotify = house.open()
    pending = login_user.begin_login(spotify, house.settings, user_id=house.user("ana"), user_key="ana")
    redirected = house.simulator.visit(pending.url, "listener-1")
    assert CANARY in redirected
    with house.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        for fault in FAULTS:
            house.simulator.control.fail(fault, path="/api/token", message=CANARY)
            with suppress(MyiError):
                said.write(repr(login_user.finish_login(
                    spotify, connection, pending, redirected=redirected, now=house.clock.now()
                )))  # fmt: skip
            house.simulator.control.clear_faults()
        made = house.sign_in(spotify)
        said.write(repr(made) + repr(pending) + repr(pending.challenge))
    token = spotify.tokens.get(house.credential())
    assert CANARY in token.value
    for thing in (token, spotify.tokens, spotify.keys, house.credential(), spotify.accounts("x"), spotify.client("x")):
        said.write(repr(thing) + str(thing))
    for path in ("/v1/*", "/api/token"):
        for fault in FAULTS:
            for status in (400, 401, 403, 404, 429, 500) if fault == "status" else (503,):
                house.simulator.control.fail(
                    fault, path=path, times=3, status=status, message=f"bad token {token.value}"
                )
                house.clock.advance(timedelta(hours=1))
                outcome(spotify, house, said)
                house.simulator.control.clear_faults()
                house.clock.advance(timedelta(days=1))
                with suppress(MyiError):
                    if house.credential().status != "active":
                        house.sign_in(spotify)
                house.sql("delete from ops.circuits")
                house.sql("delete from ops.quota_blocks")
    with house.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        said.write(repr(manage_logins.list_logins(connection, now=house.clock.now())))
    stored = house.sql("select c::text from app.credentials as c") + house.sql(
        "select e::text from ops.circuit_events as e"
    )
    assert stored
    text = said.getvalue()
    assert "spotify_request_failed" in text
    assert [line for line in text.splitlines() if CANARY in line] == []
    assert CANARY not in str(stored)
