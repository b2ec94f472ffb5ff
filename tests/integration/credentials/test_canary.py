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

from myi_pipeline import logs
from myi_pipeline.errors import MyiError
from myi_pipeline.people import logins
from myi_pipeline.postgres.connections import Role
from myi_pipeline.providers import transport
from myi_pipeline.providers.spotify.open_spotify import Spotify
from myi_pipeline.simulator.live import Simulator
from tests.integration.credentials.conftest import CANARY, Setup

FAULTS = ("status", "html", "truncated", "empty", "wrong_shape", "cut", "reset", "lost", "bad_item")


@pytest.fixture
def everything_said() -> Iterator[io.StringIO]:
    """Every log line of every library, as loud as can be, with and without our masking."""
    said = io.StringIO()
    logs.configure_logs(level="debug", layout="json", stream=said)
    plain = logging.StreamHandler(said)
    root = logging.getLogger()
    root.addHandler(plain)
    levels = {name: logging.getLogger(name).level for name in ("httpx", "httpcore", "psycopg")}
    for name in levels:
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield said
    root.removeHandler(plain)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def outcome(spotify: Spotify, setup: Setup, said: io.StringIO) -> None:
    """One request; whatever comes of it is written down as loudly as an error can be."""
    try:
        page = spotify.call(setup.user("ana"), lambda client, token: client.recently_played(token))
        said.write(repr(page))
    except MyiError as error:
        said.write("".join(traceback.TracebackException.from_exception(error, capture_locals=False).format()))
        said.write(repr(error) + repr(error.args) + repr(error.__cause__) + repr(error.__context__))


def test_no_token_is_in_a_log_an_error_or_a_repr(
    setup: Setup, everything_said: io.StringIO, monkeypatch: pytest.MonkeyPatch
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
    spotify = setup.open()
    pending = logins.begin_login(spotify, setup.settings, user_id=setup.user("ana"), user_key="ana")
    redirected = setup.simulator.visit(pending.url, "listener-1")
    assert CANARY in redirected
    with setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        for fault in FAULTS:
            setup.simulator.control.fail(fault, path="/api/token", message=CANARY)
            with suppress(MyiError):
                said.write(repr(logins.finish_login(
                    spotify, connection, pending, redirected=redirected, now=setup.clock.now()
                )))  # fmt: skip
            setup.simulator.control.clear_faults()
        made = setup.sign_in(spotify)
        said.write(repr(made) + repr(pending) + repr(pending.challenge))
    token = spotify.tokens.get(setup.credential())
    assert CANARY in token.value
    for thing in (token, spotify.tokens, spotify.keys, setup.credential(), spotify.accounts("x"), spotify.client("x")):
        said.write(repr(thing) + str(thing))
    for path in ("/v1/*", "/api/token"):
        for fault in FAULTS:
            for status in (400, 401, 403, 404, 429, 500) if fault == "status" else (503,):
                setup.simulator.control.fail(
                    fault, path=path, times=3, status=status, message=f"bad token {token.value}"
                )
                setup.clock.advance(timedelta(hours=1))
                outcome(spotify, setup, said)
                setup.simulator.control.clear_faults()
                setup.clock.advance(timedelta(days=1))
                with suppress(MyiError):
                    if setup.credential().status != "active":
                        setup.sign_in(spotify)
                setup.sql("delete from ops.circuits")
                setup.sql("delete from ops.quota_blocks")
    with setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        said.write(repr(logins.list_logins(connection, now=setup.clock.now())))
    stored = setup.sql("select c::text from app.credentials as c") + setup.sql(
        "select e::text from ops.circuit_events as e"
    )
    assert stored
    text = said.getvalue()
    assert "spotify_request_failed" in text
    assert [line for line in text.splitlines() if CANARY in line] == []
    assert CANARY not in str(stored)
