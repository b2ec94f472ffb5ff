"""Failures by script and limits over real connections, and the levers themselves."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from myi_pipeline.archives.files import Limits, open_history
from myi_pipeline.simulator.live import ControlError, Simulator, persona
from tests.integration.simulator.web_api_schema import complain

Caller = Callable[..., httpx.Response]
RECENT = "/me/player/recently-played"


@pytest.mark.parametrize("status", [401, 403, 429, 500, 502, 503])
def test_a_status_by_script_strikes_so_often_and_is_over(simulator: Simulator, get: Caller, status: int) -> None:
    simulator.control.fail("status", status=status, times=2, path="/v1/me/player/*")
    answers = [get(RECENT) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [status, status, 200]
    complain(answers[0].json(), "error")
    assert simulator.control.faults_struck() == 2


@pytest.mark.parametrize("retry_after", [7, 85_771, None, "soon"])
def test_a_429_names_seconds_hours_nonsense_or_nothing(
    simulator: Simulator, get: Caller, retry_after: int | str | None
) -> None:
    simulator.control.fail("status", status=429, retry_after=retry_after)
    answer = get(RECENT)
    assert answer.status_code == 429
    assert answer.headers.get("retry-after") == (None if retry_after is None else str(retry_after))


def test_who_does_not_wait_as_a_scripted_429_said_is_found_out(simulator: Simulator, get: Caller) -> None:
    simulator.control.fail("status", status=429, retry_after=1800, path="/v1/me/player/*")
    assert get(RECENT).status_code == 429
    assert not simulator.control.calls_while_blocked()
    assert get("/me").status_code == 200
    assert get(RECENT).status_code == 200
    simulator.control.advance(1800)
    assert get(RECENT).status_code == 200
    assert simulator.control.calls_while_blocked() == {("new", "polls"): 1}


def test_a_fault_meets_one_listener_and_one_client(simulator: Simulator, get: Caller) -> None:
    simulator.control.fail("status", status=500, listener="listener-2", client_id="old", times=None)
    assert get("/me", listener="listener-2", client_id="new").status_code == 200
    assert get("/me", listener="listener-1", client_id="old").status_code == 200
    assert get("/me", listener="listener-2", client_id="old").status_code == 500


def test_bodies_can_be_html_empty_truncated_of_another_shape_or_hold_a_bad_item(
    simulator: Simulator, get: Caller
) -> None:
    for kind in ("html", "empty", "truncated", "wrong_shape", "bad_item"):
        simulator.control.fail(kind)  # type: ignore[arg-type]
    html, empty, truncated, wrong, bad = (get(RECENT, limit=50) for _ in range(5))
    assert {answer.status_code for answer in (html, empty, truncated, wrong, bad)} == {200}
    assert html.headers["content-type"].startswith("text/html")
    for answer in (html, empty, truncated):
        with pytest.raises(json.JSONDecodeError):
            answer.json()
    assert wrong.json()["items"] == "none"
    assert [item["track"] is None for item in bad.json()["items"]].count(True) == 1


def test_connections_are_reset_cut_and_hang(simulator: Simulator, get: Caller) -> None:
    simulator.control.fail("reset")
    with pytest.raises(httpx.ReadError):
        get(RECENT)
    simulator.control.fail("cut")
    with pytest.raises(httpx.RemoteProtocolError):
        get(RECENT)
    simulator.control.fail("hang", pause_s=0.3)
    start = time.monotonic()
    with pytest.raises(httpx.ReadError):
        get(RECENT)
    assert time.monotonic() - start >= 0.3
    assert simulator.control.calls(route=RECENT, status=0) == 3
    assert get(RECENT).status_code == 200


def test_slow_bytes_come_in_the_end(simulator: Simulator, get: Caller) -> None:
    simulator.control.fail("slow", chunk=100, pause_s=0.02)
    start = time.monotonic()
    complain(get(RECENT, limit=1).json(), "recently_played")
    assert time.monotonic() - start > 0.2


def test_a_lost_answer_of_the_token_endpoint_has_rotated_the_token_all_the_same(
    simulator: Simulator, http: httpx.Client
) -> None:
    signed = simulator.sign_in("listener-1", client_id="new")
    fields = {"grant_type": "refresh_token", "client_id": "new", "refresh_token": signed.refresh_token}
    simulator.control.fail("lost", path="/api/token")
    with pytest.raises(httpx.ReadError):
        http.post(f"{simulator.accounts_url}/api/token", data=fields)
    assert http.post(f"{simulator.accounts_url}/api/token", data=fields).status_code == 200
    assert simulator.control.calls(route="/api/token", status=0) == 1


def test_the_window_of_thirty_seconds_is_enforced_and_says_when(simulator: Simulator, http: httpx.Client) -> None:
    simulator.control.set_app("tight", per_30_s=3, per_day={})
    token = simulator.sign_in("listener-1", client_id="tight").access_token

    def ask() -> httpx.Response:
        return http.get(f"{simulator.api_url}/me", headers={"authorization": f"Bearer {token}"})

    assert [ask().status_code for _ in range(3)] == [200] * 3
    refused = ask()
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "30")
    complain(refused.json(), "error")
    simulator.control.advance(30)
    assert ask().status_code == 200
    assert simulator.control.calls_while_blocked() == {("tight", "personal"): 1}


def test_a_used_up_day_says_hours_or_quota_exceeded(simulator: Simulator, get: Caller) -> None:
    album = simulator.control.world.albums[0].id
    for answer_kind in ("retry_after", "quota_exceeded"):
        simulator.control.set_app("day", per_day={"catalogue": 1}, quota_answer=answer_kind)
        simulator.control.reset_quota()
        assert get(f"/albums/{album}", client_id="day").status_code == 200
        refused = get(f"/albums/{album}", client_id="day")
        assert refused.status_code == 429
        assert refused.headers.get("retry-after") == ("86400" if answer_kind == "retry_after" else None)
        assert ("QUOTA_EXCEEDED" in refused.text) == (answer_kind == "quota_exceeded")
        assert get(RECENT, client_id="day").status_code == 200


def test_every_call_is_counted_by_client_listener_route_and_status(simulator: Simulator, get: Caller) -> None:
    get(RECENT, listener="listener-1")
    get(RECENT, listener="listener-2")
    get("/tracks/" + "a" * 22, listener="listener-2", client_id="old")
    control = simulator.control

    assert control.calls(route=RECENT) == 2
    assert control.calls(route=RECENT, listener="listener-2") == 1
    assert control.calls(route="/tracks/{id}", client_id="old", status=404) == 1
    assert control.calls(route="/api/token") == 3
    assert [call.route for call in control.recent_calls()][-1] == "/tracks/{id}"
    control.forget_calls()
    assert control.calls() == 0


def test_a_listener_can_be_added_and_read_at_once(simulator: Simulator, get: Caller) -> None:
    simulator.control.put_listener(persona("skipper", "new-here"))
    assert len(get(RECENT, listener="new-here", limit=50).json()["items"]) == 50


def test_the_archive_comes_over_http_too(simulator: Simulator, http: httpx.Client, tmp_path: Path) -> None:
    answer = http.get(f"{simulator.accounts_url}/_control/listeners/listener-9/archive")
    path = tmp_path / "my_spotify_data.zip"
    path.write_bytes(answer.content)
    own = simulator.control.archive("listener-9", tmp_path / "own.zip")
    assert path.read_bytes() == own.path.read_bytes()
    with open_history(path, limits=Limits(), hash_account=str.encode) as archive:
        assert archive.kind == "extended_history"


def test_the_levers_answer_to_addresses_by_number_alone(simulator: Simulator, http: httpx.Client) -> None:
    url = f"{simulator.accounts_url}/_control/clock"
    assert http.get(url).status_code == 200
    assert http.get(url, headers={"host": "rebound.example.org"}).status_code == 404


def test_a_wrong_order_is_refused_in_words(simulator: Simulator) -> None:
    with pytest.raises(ControlError, match="nobody"):
        simulator.control.listener("nobody")
    with pytest.raises(ControlError, match="400"):
        simulator.control.set_app("new", dialect="klingon")
