"""Probes, figures and request ids."""

from __future__ import annotations

import asyncio

import httpx

from myi_pipeline.postgres.migrations import HEAD
from myi_pipeline.web.app import create_app, create_health_app
from tests.conftest import free_port
from tests.integration.api.conftest import RunningSite, SiteMaker


def test_a_site_is_alive_ready_and_has_figures(site: RunningSite) -> None:
    visitor = site.visitor()
    assert visitor.get("/healthz").json() == {"status": "ok"}
    assert visitor.get("/readyz").json()["status"] == "ok"
    figures = visitor.get("/metrics").text
    assert 'myi_http_requests_total{method="GET",route="/readyz",status="200"} 1.0' in figures


def test_a_schema_that_is_not_this_programs_is_not_ready(site: RunningSite) -> None:
    site.sql("update ops.alembic_version set version_num = '0001'")
    try:
        answer = site.visitor().get("/readyz")
    finally:
        site.sql("update ops.alembic_version set version_num = %s", HEAD)
    assert answer.status_code == 503
    assert answer.headers["retry-after"]


def test_a_request_keeps_the_id_that_it_came_with_and_gets_one_otherwise(site: RunningSite) -> None:
    visitor = site.visitor()
    assert visitor.get("/healthz", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    made = visitor.get("/nowhere", headers={"x-request-id": "two words"})
    assert len(made.headers["x-request-id"]) == 16
    assert made.json()["instance"] == f"urn:myi:request:{made.headers['x-request-id']}"


def figures_of(page: str) -> dict[str, float]:
    return {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
        for line in page.splitlines()
        if line and not line.startswith("#")
    }


def test_the_figures_say_how_the_whole_setup_is(make_site: SiteMaker) -> None:
    site = make_site(youtube_client_id="123-abc.apps.googleusercontent.com")
    ana, ben = site.user("ana"), site.user("ben")
    site.browser("ana")
    add_login = (
        "insert into app.credentials (user_id, client_id, account_key, refresh_token, authorised_at, refreshed_at)"
        " values (%s, 'abc', %s, decode(repeat('ab', 40), 'hex'), now() - interval '6 months' + %s::interval, now())"
    )
    site.sql(add_login, ana, "id:a", "5 days")
    site.sql(add_login, ben, "id:b", "-1 day")
    site.sql("insert into ops.circuits (user_id, state) values (%s, 'closed')", ana)
    site.sql("truncate ops.quota_calls, ops.quota_blocks, ops.changed_users")
    site.sql("insert into ops.quota_calls values ('abc', now(), 'catalogue', 150), ('abc', now(), 'polls', 50)")
    site.sql("insert into ops.quota_calls values ('def', now(), 'polls', 60)")
    site.sql("insert into ops.quota_blocks values ('abc', 'polls', now(), now() + interval '1 hour', 1)")
    site.sql("insert into ops.changed_days (user_id, utc_day, changed_at)"
             " values (1, '2024-01-01', now() - interval '90 s')")  # fmt: skip
    site.sql("update ops.mart_state set completed_at = now() - interval '1 hour'")
    (of_ana, of_ben) = (number for (number,) in site.sql("select account_id from app.provider_accounts order by 1"))
    site.sql(
        "insert into ops.account_circuits (account_id, state, opened_at, open_until, reason)"
        " values (%s, 'open', now(), now() + interval '1 hour', 'of ana')", of_ana,
    )  # fmt: skip
    site.sql(
        "insert into ops.service_units values"
        " ('youtube.com/abc', (now() at time zone 'America/Los_Angeles')::date, 'units', 2500),"
        " ('youtube.com/abc', (now() at time zone 'America/Los_Angeles')::date - 1, 'searches', 90)"
    )
    try:
        page = site.visitor().get("/metrics").text
    finally:
        site.sql("truncate ops.service_units")
        site.sql("update ops.mart_state set completed_at = null")
        site.sql("truncate ops.changed_days, ops.quota_calls, ops.quota_blocks")

    found = figures_of(page)
    assert found["myi_database_up"] == 1
    assert found["myi_users"] == 2
    assert found["myi_sessions"] == 1
    assert 3_600 <= found["myi_marts_age_seconds"] < 3_700
    assert 90 <= found["myi_ledger_age_seconds"] < 190
    assert found['myi_ledger_open_rows{ledger="days"}'] == 1
    assert found['myi_spotify_calls_24h{bucket="polls"}'] == 60
    assert found['myi_spotify_calls_left_24h{of="all"}'] == 2_000 - 200
    assert found['myi_spotify_calls_left_24h{of="catalogue"}'] == 400 - 150
    assert found['myi_spotify_blocked{bucket="polls"}'] == 1
    assert found['myi_circuits{state="closed"}'] == 1
    circuits = [found[f'myi_account_circuit{{account="{each}",provider="spotify"}}'] for each in (of_ana, of_ben)]
    assert circuits == [2, 0]
    units = {
        kind: tuple(found[f'myi_youtube_units_{name}{{kind="{kind}"}}'] for name in ("used", "left"))
        for kind in ("units", "searches")
    }
    assert units == {"units": (2_500, 7_500), "searches": (0, 100)}
    assert found['myi_logins{state="active"}'] == 2
    ending = [found[f'myi_logins_ending{{days="{days}"}}'] for days in (0, 1, 7, 30)]
    assert ending == [1, 1, 2, 2]
    assert "ana" not in page
    assert "abc" not in page


def test_figures_are_for_this_machine_unless_they_have_a_listener_of_their_own(make_site: SiteMaker) -> None:
    site = make_site(trusted_proxies="127.0.0.1")
    through_a_proxy = {"x-forwarded-for": "203.0.113.9"}
    assert site.visitor().get("/metrics").status_code == 200
    assert site.visitor().get("/metrics", headers=through_a_proxy).status_code == 404
    assert site.visitor().get("/healthz", headers=through_a_proxy).status_code == 200


def test_a_proxy_on_this_machine_that_nobody_named_opens_no_figures(make_site: SiteMaker) -> None:
    """Its visitors all seem to be this machine's."""
    site = make_site()
    for name in ("x-forwarded-for", "forwarded"):
        assert site.visitor().get("/metrics", headers={name: "for=203.0.113.9"}).status_code == 404
    assert site.visitor().get("/metrics").status_code == 200


def test_with_a_port_of_their_own_health_and_figures_are_there_alone(make_site: SiteMaker) -> None:
    port = free_port()
    site = make_site(metrics_port=port)
    for path in ("/healthz", "/readyz", "/metrics"):
        assert site.visitor().get(path).status_code == 404
    app = create_health_app(create_app(site.settings, site.warehouse))

    async def story() -> list[int]:
        await app.state.site.pools.open()
        try:
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url=f"http://10.0.0.1:{port}") as client:
                paths = ("/healthz", "/readyz", "/metrics", "/sign-in")
                return [(await client.get(path)).status_code for path in paths]
        finally:
            await app.state.site.pools.close()

    assert asyncio.run(story()) == [200, 200, 200, 404]
