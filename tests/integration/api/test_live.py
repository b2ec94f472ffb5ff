"""What is asked of Spotify for a page that is open. The site leaves wishes; `myi up` would hear them."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime

import pytest

from myi_pipeline.postgres.connections import Role
from tests.integration.api.conftest import RunningSite

NOW_PLAYING, POLLS = "/v1/me/now-playing", "/v1/me/polls"
WISHES = "select wish from ops.live_wishes where user_id = %s order by 1"
LOGIN = """
insert into app.credentials (user_id, client_id, account_key, refresh_token, scopes, authorised_at, refreshed_at)
values (%s, 'client', 'account:ana', decode(repeat('00', 40), 'hex'), '{user-read-recently-played}', now(), now())
"""
KEPT = """
insert into ops.now_playing (user_id, read_at, fresh_until, answer)
values (%s, now(), now() + interval '20 seconds', '{"state": "playing", "kind": "track", "title": "So What"}')
"""


@pytest.mark.slow
def test_what_is_playing_is_what_was_read_a_moment_ago(site: RunningSite) -> None:
    user_id = site.user()
    site.sql(KEPT, user_id)
    for visitor in (site.browser(), site.program()):
        answer = visitor.get(NOW_PLAYING)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        told = answer.json()
        assert (told["state"], told["title"], told["artists"]) == ("playing", "So What", [])
        assert (told["name"], told["artist_name"], told["album_name"]) == ("So What", None, None)
        assert 1 <= told["ask_again_s"] <= 21
    # Nothing is asked of Spotify for it.
    assert site.sql(WISHES, user_id) == []
    assert site.browser("ben").get(NOW_PLAYING).json()["title"] is None


@pytest.mark.slow
def test_where_nobody_asks_spotify_the_page_is_told_so_and_waits_no_second_time(site: RunningSite) -> None:
    user_id = site.user()
    browser = site.browser()
    told = browser.get(NOW_PLAYING).json()
    assert (told["state"], "myi up" in told["reason"]) == ("unknown", True)
    assert site.sql(WISHES, user_id) == [("now_playing",)]

    site.sql("update ops.live_wishes set wished_at = now() - interval '1 minute'")
    began = time.monotonic()
    assert browser.get(NOW_PLAYING).json()["state"] == "unknown"
    assert time.monotonic() - began < 2


def test_an_answer_that_comes_meanwhile_is_waited_for(site: RunningSite) -> None:
    user_id = site.user()
    browser = site.browser()
    assert browser.get("/v1/me/sign-ins").status_code == 200

    def hear() -> None:
        with site.warehouse.connect(Role.INGEST, autocommit=True) as connection:
            connection.execute("listen myi_wake")
            list(connection.notifies(timeout=10, stop_after=1))
            connection.execute("delete from ops.live_wishes")
            connection.execute(KEPT, (user_id,))

    hearing = threading.Thread(target=hear)
    hearing.start()
    time.sleep(0.5)
    assert browser.get(NOW_PLAYING).json()["title"] == "So What"
    hearing.join()


def test_a_poll_is_asked_for_by_a_person_and_held_up_by_what_stands_in_its_way(site: RunningSite) -> None:
    user_id = site.user()
    browser = site.browser()
    refused = browser.post(POLLS)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:myi:problem:poll-held-up")
    assert "not connected" in refused.json()["detail"]

    site.sql(LOGIN, user_id)
    site.sql(
        "insert into ops.poll_states (user_id, polled_at, due_at) values (%s, now() - interval '1 hour', now())",
        user_id,
    )
    assert site.program().post(POLLS, headers={"sec-fetch-site": "same-origin"}).status_code == 403
    asked = browser.post(POLLS)
    assert asked.status_code == 202
    assert abs((datetime.fromisoformat(asked.json()["asked_at"]) - datetime.now(UTC)).total_seconds()) < 60
    assert site.sql(WISHES, user_id) == [("poll",)]

    site.sql("update ops.poll_states set polled_at = now()")
    held_up = browser.post(POLLS)
    assert held_up.status_code == 409
    assert 1 <= int(held_up.headers["retry-after"]) <= 301


@pytest.mark.slow
def test_the_overview_is_told_what_plays_for_as_long_as_its_reader_is_signed_in(site: RunningSite) -> None:
    user_id = site.user()
    site.sql(KEPT, user_id)
    browser = site.browser()
    assert site.visitor(accept="text/html").get("/live").status_code == 303
    assert site.program().get("/live").status_code == 303
    with browser.stream("GET", "/live") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert next(lines) == "event: now"
        assert json.loads(next(line for line in lines if line.startswith("data: "))[6:])["title"] == "So What"
        site.sql("delete from app.sessions where user_id = %s", user_id)
        # Ended by the site, well before its ten minutes.
        assert [line for line in lines if line.startswith("event:")] == []
