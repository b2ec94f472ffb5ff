"""Playlists moved over the API by a program with a token: from the order to the report, once for each key, watched."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from myi_pipeline.operations.maintenance import maintain
from myi_pipeline.people.manage_access import TokenScope
from myi_pipeline.playlists.migration.driving import Driver
from myi_pipeline.postgres.connections import Warehouse
from tests.integration.api.conftest import RunningSite, site_maker
from tests.integration.playlists.mover import Mover, at_tidal, mover

__all__ = ["at_tidal", "mover"]

MIGRATIONS = "/v1/me/migrations"


@dataclass
class Moving:
    """Ana's program, which may move playlists; what `myi up` would do is done by `work`."""

    mover: Mover
    site: RunningSite
    program: httpx.Client
    driver: Driver

    def order(self, numbers: list[int], **wish: Any) -> int:
        answer = self.program.post(MIGRATIONS, json={"playlist_id": self.mover.source(numbers), **wish})
        assert answer.status_code == 202, answer.text
        assert answer.headers["location"] == f"{MIGRATIONS}/{answer.json()['migration_id']}"
        return int(answer.json()["migration_id"])

    def planned(self, numbers: list[int], **wish: Any) -> int:
        number = self.order(numbers, **wish)
        self.work(number)
        return number

    def work(self, number: int) -> None:
        if self.driver.take(number) == "plan":
            self.driver.snap(number)
            self.driver.match(number)
        else:
            self.driver.apply(number)

    def read(self, path: str, **query: Any) -> Any:
        answer = self.program.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def events(
        self, number: int, *, after_first: Callable[[int], None] = lambda _: None
    ) -> list[tuple[str, dict[str, Any]]]:
        """Name and data of every event until the stream ends."""
        found: list[tuple[str, dict[str, Any]]] = []
        name = ""
        with self.program.stream("GET", f"{MIGRATIONS}/{number}/events") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            for line in answer.iter_lines():
                field, _, value = line.partition(": ")
                if field == "event":
                    name = value
                elif field == "data":
                    found.append((name, json.loads(value)))
                    if len(found) == 1:
                        after_first(number)
        return found


@pytest.fixture
def moving(mover: Mover, warehouse: Warehouse, tmp_path: Path) -> Iterator[Moving]:
    mover.sign_in(warehouse)
    mover.tidal.add_tracks(9)
    driver = Driver(mover.tidal.settings, warehouse, clock=mover.tidal.clock, sleep=mover.tidal.sleep)
    with site_maker(warehouse, tmp_path / "site") as make, ExitStack() as stack:
        site = make()
        site.stack = stack
        program = site.visitor(authorization=f"Bearer {site.token('ana', scope=TokenScope.MOVE_PLAYLISTS)}")
        yield Moving(mover, site, program, driver)


def test_a_program_moves_a_playlist_from_the_order_to_the_report(moving: Moving) -> None:
    number = moving.order([1, 900, 2], name="New")
    place = f"{MIGRATIONS}/{number}"
    document = moving.read(place)
    assert (document["state"], document["ordered"], document["preview"]) == ("ordered", "plan", None)
    early = moving.program.post(f"{place}/apply")
    assert (early.status_code, early.json()["type"]) == (409, "urn:myi:problem:wrong-state")
    moving.work(number)
    document = moving.read(place)
    assert (document["state"], document["wanted"], document["in_doubt"]) == ("planned", 2, 1)
    assert document["preview"] == {"additions": 2, "moves": 0, "removals": 0, "requests": 1, "impossible": None}

    (doubtful,) = moving.read(f"{place}/items", only="in_doubt")["data"]
    assert (doubtful["position"], doubtful["outcome"], doubtful["matched_by"]) == (1, "missing", None)
    first = moving.read(f"{place}/items", limit=2)
    assert [each["position"] for each in first["data"]] == [0, 1]
    assert [each["position"] for each in moving.read(f"{place}/items", limit=2, cursor=first["next"])["data"]] == [2]
    wish = {"position": 1, "decision": "is", "uri": "https://tidal.com/track/5"}
    # The message counted from 1, and named no field.
    wrong = moving.program.post(f"{place}/decisions", json={**wish, "position": 999})
    told = "must be that of an entry, from 0; 999 is not"
    assert (wrong.status_code, wrong.json()["detail"]) == (422, f"'position' {told}.")
    assert wrong.json()["errors"] == [{"place": "body.position", "message": told}]
    decided = moving.program.post(f"{place}/decisions", json=wish)
    assert (decided.status_code, decided.json()["in_doubt"], decided.json()["decided"]) == (200, 0, 1)

    applied = moving.program.post(f"{place}/apply")
    assert (applied.status_code, applied.json()["state"], applied.headers["location"]) == (202, "applying", place)
    moving.work(number)
    assert moving.mover.tracks(number) == ["1", "5", "2"]
    ((name, told),) = moving.events(number)
    assert (name, told["state"], told["confirmed"], told["wanted"]) == ("done", "done", 3, 3)
    assert [each["migration_id"] for each in moving.read(MIGRATIONS)["data"]] == [number]

    report = moving.read(f"{place}/report")
    assert report["migration"]["state"] == "done"
    assert [each["matched_by"] for each in report["data"]] == ["isrc", "decision", "isrc"]
    table = moving.program.get(f"{place}/report", headers={"accept": "text/csv"})
    rows = list(csv.DictReader(io.StringIO(table.text, newline="")))
    assert [row["uri"] for row in rows] == [each["uri"] for each in report["data"]]
    assert moving.program.post(f"{place}/cancel").status_code == 409


def test_progress_is_told_until_nothing_is_ordered_any_more(moving: Moving) -> None:
    number = moving.order([1, 2])
    told = moving.events(number, after_first=moving.work)
    *before, done = [(name, each["state"], each["wanted"]) for name, each in told]
    # How often it is told depends on how long the work takes.
    assert before[0] == ("progress", "ordered", 0)
    assert {name for name, _, _ in before} == {"progress"}
    assert done == ("done", "planned", 2)


def test_the_same_key_and_request_are_done_once_and_answered_the_same_for_a_day(moving: Moving) -> None:
    body = {"playlist_id": moving.mover.source([1])}
    key = {"idempotency-key": "one"}
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: moving.program.post(MIGRATIONS, json=body, headers=key), range(4)))
    assert {each.status_code for each in answers} == {202}
    assert {(each.content, each.headers["location"]) for each in answers} == {
        (answers[0].content, answers[0].headers["location"])
    }
    assert sorted(each.headers.get("idempotent-replayed", "") for each in answers) == ["", "true", "true", "true"]
    assert moving.site.sql("select count(*) from app.migrations") == [(1,)]

    other = moving.program.post(MIGRATIONS, json={**body, "name": "Other"}, headers=key)
    assert (other.status_code, other.json()["type"]) == (422, "urn:myi:problem:idempotency-key-reused")
    elsewhere = moving.program.post(f"{answers[0].headers['location']}/cancel", headers=key)
    assert elsewhere.status_code == 422
    # Another person's key is another key.
    moving.site.user("bob")
    bob = moving.site.visitor(authorization=f"Bearer {moving.site.token('bob', scope=TokenScope.MOVE_PLAYLISTS)}")
    assert bob.post(MIGRATIONS, json=body, headers=key).status_code == 404
    assert moving.site.sql("select count(*) from app.kept_answers") == [(1,)]

    # A day later it is forgotten, by the next request or by the daily maintenance.
    moving.site.sql("update app.kept_answers set kept_at = kept_at - interval '25 hours'")
    assert moving.program.post(MIGRATIONS, json=body, headers=key).headers.get("idempotent-replayed") is None
    assert moving.site.sql("select count(*) from app.migrations") == [(2,)]
    tomorrow = (datetime.now(UTC) + timedelta(days=3)).date()
    maintain(moving.site.warehouse, today=tomorrow, quarantine_days=30)
    assert moving.site.sql("select count(*) from app.kept_answers") == [(0,)]


def test_a_refusal_is_not_kept_so_that_its_key_serves_when_it_is_possible(moving: Moving) -> None:
    number = moving.order([1])
    place, key = f"{MIGRATIONS}/{number}", {"idempotency-key": "apply"}
    assert moving.program.post(f"{place}/apply", headers=key).status_code == 409
    moving.work(number)
    assert moving.program.post(f"{place}/apply", headers=key).status_code == 202
    again = moving.program.post(f"{place}/apply", headers=key)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (202, "true")
    for wrong in ("", "a b", "x" * 129):
        assert moving.program.post(f"{place}/apply", headers={"idempotency-key": wrong}).status_code == 422


def test_only_a_token_of_the_scope_and_a_browser_move_playlists(moving: Moving) -> None:
    site, body = moving.site, {"playlist_id": moving.mover.source([1])}
    assert site.browser("ana").post(MIGRATIONS, json=body).status_code == 202
    for scope in (TokenScope.READ, TokenScope.SUBMIT_LISTENS):
        weak = site.visitor(authorization=f"Bearer {site.token('ana', scope=scope)}")
        assert weak.post(MIGRATIONS, json=body).status_code == 403
        assert weak.get(MIGRATIONS).status_code == (200 if scope is TokenScope.READ else 403)
    assert site.visitor().post(MIGRATIONS, json=body, headers={"sec-fetch-site": "same-origin"}).status_code == 401
    # It moves playlists and changes nothing else.
    for method, path in (("POST", "/v1/me/tokens"), ("POST", "/v1/me/imports"), ("DELETE", "/v1/me/tokens/1")):
        assert moving.program.request(method, path, json={"name": "x"}).status_code == 403
    # Made by the API, by the page of the account, and by a command (test_commands.py).
    browser = site.browser("ana")
    made = browser.post("/v1/me/tokens", json={"name": "mover", "scope": "playlists:write"}).json()
    assert site.visitor(authorization=f"Bearer {made['token']}").get(MIGRATIONS).status_code == 200
    form = {"name": "page", "days": "30", "scope": "playlists:write"}
    assert "moves playlists" in browser.post("/account/tokens", data=form).text
    foreign = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}
    assert site.browser("ana").post(MIGRATIONS, json=body, headers=foreign).status_code == 403
    assert site.sql("select count(*) from app.migrations") == [(1,)]


def test_what_cannot_be_ordered_is_refused_with_its_reason(moving: Moving) -> None:
    playlist_id = moving.mover.source([1])
    refused: list[tuple[dict[str, Any], int, str]] = [
        ({"playlist_id": 999}, 404, "not-found"),
        ({"playlist_id": playlist_id, "account_id": 999}, 404, "not-found"),
        ({"playlist_id": playlist_id, "is_equal": True}, 422, "invalid-request"),
        ({"playlist_id": playlist_id, "is_equal": "yes"}, 422, "invalid-request"),
        ({"playlist_id": True}, 422, "invalid-request"),
        ({"playlist_id": playlist_id, "into": "liked"}, 422, "invalid-request"),
    ]
    for body, status, kind in refused:
        answer = moving.program.post(MIGRATIONS, json=body)
        assert (answer.status_code, answer.json()["type"]) == (status, f"urn:myi:problem:{kind}"), body
    there = moving.mover.tidal.tidal.world.make_playlist(moving.mover.tidal.ana, "There")
    first = moving.order([1], into=there.playlist_id)
    taken = moving.program.post(MIGRATIONS, json={"playlist_id": playlist_id, "into": there.playlist_id})
    assert (taken.status_code, taken.json()["type"]) == (409, "urn:myi:problem:playlist-taken")
    assert moving.program.post(f"{MIGRATIONS}/{first}/cancel").json()["state"] == "cancelled"
    for wish in ({"position": 0, "decision": "is"}, {"position": 0, "decision": "unavailable", "uri": "x"}):
        wrong = moving.program.post(f"{MIGRATIONS}/{first}/decisions", json=wish)
        assert (wrong.status_code, wrong.json()["errors"][0]["place"]) == (422, "body.uri")


def test_a_playlist_is_kept_in_sync(moving: Moving) -> None:
    number, place = moving.planned([1, 2]), "/v1/me/saved-migrations"
    wish = {"migration_id": number}
    early = moving.program.post(place, json=wish)
    assert (early.status_code, early.json()["type"]) == (409, "urn:myi:problem:wrong-state")
    moving.program.post(f"{MIGRATIONS}/{number}/apply")
    moving.work(number)
    key = {"idempotency-key": "keep-it"}
    made = [moving.program.post(place, json=wish, headers=key) for _ in range(2)]
    assert [each.status_code for each in made] == [201, 201]
    assert made[1].headers["idempotent-replayed"] == "true"
    kept = made[0].headers["location"]
    assert made[0].json()["state"] == "idle"
    assert [each["saved_id"] for each in moving.read(place)["data"]] == [made[0].json()["saved_id"]]

    moving.mover.source([1, 2, 900, 3])
    run = moving.program.post(f"{kept}/repeat")
    assert (run.status_code, run.json()["state"]) == (202, "ordered")
    assert moving.read(kept)["state"] == "running"
    again = moving.program.post(f"{kept}/repeat")
    assert (again.status_code, again.json()["type"]) == (409, "urn:myi:problem:wrong-state")
    moving.driver.run_now(run.json()["migration_id"])
    assert moving.mover.tracks(number) == ["1", "2", "3"]
    document = moving.read(kept)
    assert (document["state"], document["last_state"], document["in_doubt"]) == ("idle", "done", 1)
    assert document["last_migration_id"] == run.json()["migration_id"]

    paused = moving.program.post(f"{kept}/pause").json()
    waits = "it is paused until you resume it"
    assert (paused["state"], paused["next_at"], paused["waits_for"]) == ("paused", None, waits)
    assert moving.program.post(f"{kept}/resume").json()["state"] == "idle"
    assert moving.program.delete(kept).status_code == 204
    assert moving.program.get(kept).status_code == 404
    assert moving.read(f"{MIGRATIONS}/{number}")["state"] == "done"
