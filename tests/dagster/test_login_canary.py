"""A sign that is in every code and token of the simulated Spotify, looked for in everything that Dagster keeps."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from myi_pipeline.postgres.connections import Role, compose_url, parse_url
from myi_pipeline.providers import token_vault, transport
from myi_pipeline.providers.encryption_keys import require_keys
from myi_pipeline.providers.spotify import open_spotify
from myi_pipeline.simulator.live import Fault
from tests.dagster.conftest import CANARY, SIGNED_IN, LiveSetup
from tests.searching import files_with, tables_with

# Two rounds; each listener meets another failure, and every answer that can repeats a token.
FAILURES = (
    {
        "ana": Fault(kind="status", status=401),
        "ben": Fault(kind="status", status=403),
        "dee": Fault(kind="html"),
        "eva": Fault(kind="status", status=404),
    },
    {
        "ana": Fault(kind="status", status=429),
        "ben": Fault(kind="wrong_shape"),
        "dee": Fault(kind="status", status=500),
        "eva": Fault(kind="truncated"),
    },
)


@pytest.mark.slow
def test_no_login_is_in_what_dagster_keeps(
    live_setup: LiveSetup, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = live_setup
    monkeypatch.setattr(transport, "DEADLINE_S", 5.0)
    monkeypatch.setattr(open_spotify, "WAITS_IN_PROCESS", (timedelta(0), timedelta(0)))
    caplog.set_level(logging.DEBUG)
    assert setup.poll("ana", "eva").success
    ring = require_keys(setup.settings, setup.warehouse)
    with setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        stored = [token_vault.open_token(ring, each) for each in token_vault.list_credentials(connection)]
    assert len(stored) == len(SIGNED_IN)
    assert all(CANARY in token for token in stored)
    outcomes = []
    for failures in FAILURES:
        for listener, fault in failures.items():
            where = {"listener": listener, "path": "/v1/*", "times": 9, "message": f"no {stored[0]}"}
            setup.simulator.control.fail(fault.model_copy(update=where))
        outcomes.append(setup.poll("ana", "eva", force=True).success)
        setup.simulator.control.clear_faults()
        setup.clock.advance(timedelta(days=1))
        setup.sql("delete from ops.circuits")
        setup.sql("delete from ops.quota_blocks")
    setup.simulator.control.fail("status", status=400, path="/api/token", times=9, message=f"bad {stored[0]}")
    outcomes.append(setup.poll("ana", "eva", force=True).success)
    assert outcomes == [False, False, False]

    storage = compose_url(parse_url(setup.warehouse.dagster_url()))
    assert tables_with("users failed; the first", storage), "the failures are not where they are looked for"
    assert tables_with(CANARY, storage) == []
    assert tables_with(CANARY, setup.warehouse.url(Role.OWNER)) == []
    assert files_with("recently_played", setup.settings.home), "no compute log is where it is looked for"
    assert files_with(CANARY, setup.settings.home) == []
    assert [
        record for record in caplog.records if CANARY in record.getMessage() or CANARY in str(record.exc_info)
    ] == []


def test_a_login_that_were_kept_would_be_found(live_setup: LiveSetup) -> None:
    setup = live_setup
    setup.sql("update app.users set display_name = %s where user_key = 'cem'", f"x{CANARY}x")
    (setup.settings.home / "leak.bin").write_bytes(b"\x00" + CANARY.encode())
    assert tables_with(CANARY, setup.warehouse.url(Role.OWNER)) == ["app.users"]
    assert files_with(CANARY, setup.settings.home) == [str(setup.settings.home / "leak.bin")]
