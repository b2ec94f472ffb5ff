"""A playlist that is moved on the pages: chosen, looked up, reviewed and moved, each step by the forms alone; what
waits says for what; and nobody else sees any of it. TIDAL is simulated; what the background does is done by the test.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from myi_pipeline.playlists.migration import item_rows, job_orders, moving, orders, store
from myi_pipeline.playlists.migration.orders import Order
from myi_pipeline.playlists.migration.targets import Target
from myi_pipeline.postgres.connections import Role
from myi_pipeline.simulator.tidal.world import TidalPlaylist, TidalTrack
from tests.integration.dashboard.conftest import Browser, Element, Page, check_form, read_page
from tests.integration.providers.conftest import AtTidal, at_tidal
from tests.integration.reads.conftest import ZONES, Filled

__all__ = ["at_tidal"]

LISTED = """
select item.position, content.title, content.creator, content.collection
from marts.fct_playlist_items as item
inner join marts.dim_playlists as listed on listed.playlist_id = item.playlist_id
left join marts.dim_contents as content on content.content_id = item.content_id
where listed.name = 'List one' and listed.user_id = %s
order by item.position
"""
# Of thirteen entries, the last of which is the first one again, and the one before a file of her own.
FOUND, IN_DOUBT, MISSING = 8, 8, 9


@dataclass
class Ada:
    """Ada with a TIDAL account that has most of her list; of one track only a concert."""

    filled: Filled
    browser: Browser
    tidal: AtTidal
    account_id: int
    playlist_id: int
    titles: list[str]

    @property
    def user_id(self) -> int:
        return self.filled.users["ada"]

    @property
    def client(self) -> httpx.Client:
        return self.browser.clients["ada"]

    @property
    def target(self) -> Target:
        return Target(self.account_id, "tidal", self.tidal.reader, self.tidal.writer, self.tidal.finder)

    def post(self, path: str, **form: Any) -> httpx.Response:
        return self.client.post(path, data=form)

    def page(self, number: int, **query: Any) -> Page:
        found = self.browser.page(f"/migrations/{number}", **query)
        check_form(found)
        return found

    def begin(self, **form: Any) -> int:
        answer = self.post("/migrations", **{"playlist": self.playlist_id, "to": self.account_id} | form)
        assert answer.status_code == 303, answer.text
        return int(answer.headers["location"].removeprefix("/migrations/"))

    def look_up(self, number: int) -> None:
        """What the background does of an order to plan."""
        with (
            self.filled.warehouse.connect(Role.INGEST, autocommit=True) as connection,
            item_rows.found_items(connection) as items,
        ):
            found = store.get_migration(connection, user_id=self.user_id, migration_id=number)
            taken = moving.take_snapshot(
                connection, self.target, user_id=self.user_id, playlist_id=found.source_playlist_id,
                into=found.target_playlist, name=found.target_name,
            )  # fmt: skip
            job_orders.note_snapshot(
                connection, migration_id=number, version_no=taken.version_no, source_name=taken.source_name,
                target_playlist=taken.target_playlist, target_name=taken.target_name,
            )  # fmt: skip
            matched = moving.match(
                connection, self.target, taken, items, user_id=self.user_id, clock=self.tidal.clock,
                sleep=self.tidal.sleep,
            )  # fmt: skip
            job_orders.note_plan(
                connection, migration_id=number, target_before=matched.before, were_there=matched.were_there,
                found=items, capabilities=self.target.writer.capabilities, note=matched.note,
                now=self.tidal.clock(),
            )  # fmt: skip

    def move(self, number: int) -> None:
        """What the background does of an order to apply."""
        with self.filled.warehouse.connect(Role.INGEST, autocommit=True) as connection:
            found = store.get_migration(connection, user_id=self.user_id, migration_id=number)
            moving.run(connection, self.target, found, clock=self.tidal.clock, sleep=self.tidal.sleep)

    def planned(self, **form: Any) -> int:
        number = self.begin(**form)
        self.look_up(number)
        return number

    def item(self, number: int, position: int) -> tuple[Any, ...]:
        query = (
            "select outcome, uri, reason, is_decided from app.migration_items where migration_id = %s and position = %s"
        )
        return self.filled.sql(query, number, position)[0]

    def on_tidal(self, number: int) -> list[str]:
        (found,) = self.filled.sql("select target_playlist from app.migrations where migration_id = %s", number)
        return self.tidal.tidal.world.playlists[found[0]].track_ids

    def there(self, name: str, *tracks: str) -> TidalPlaylist:
        return self.tidal.tidal.world.make_playlist(self.tidal.ana, name, tracks=list(tracks))


@pytest.fixture
def ada(filled: Filled, browser: Browser, at_tidal: AtTidal) -> Iterator[Ada]:
    rows = filled.read(LISTED, filled.users["ada"])
    world = at_tidal.tidal.world
    for position, title, creator, album in rows[: FOUND + 1]:
        name = "Live at the Hall" if position == IN_DOUBT else album
        world.add_tracks(
            TidalTrack(
                track_id=str(100 + position), title=title, artists=(creator,), isrc=f"DEA13{position:07d}", album=name,
            )
        )  # fmt: skip
    world.add_tracks(TidalTrack(track_id="999", title="Quite another song", artists=("Somebody",), isrc="DEA139999999"))
    query = "select account_id from app.provider_accounts where user_id = %s and provider = 'tidal'"
    ((account_id,),) = filled.sql(query, filled.users["ada"])
    query = "select max(playlist_id) from marts.dim_playlists where user_id = %s and name = 'List one'"
    number = filled.read(query, filled.users["ada"])[0][0]
    yield Ada(filled, browser, at_tidal, account_id, number, [row[1] for row in rows])
    filled.restore_access()
    filled.sql("update app.provider_accounts set state = 'active' where account_id = %s", account_id)


def named(place: Element, element: str, name: str) -> list[Element]:
    return [each for each in place.all(element) if each.attributes.get("name") == name]


def events(client: httpx.Client, path: str, until: str) -> list[tuple[str, dict[str, Any]]]:
    """What a stream tells, up to the first event of this name."""
    told: list[tuple[str, dict[str, Any]]] = []
    with client.stream("GET", path, timeout=20) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        name = ""
        for line in answer.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                told.append((name, json.loads(line.removeprefix("data: "))))
                if name == until:
                    break
    return told


@pytest.mark.slow
def test_what_was_moved_is_kept_in_sync_from_its_page(ada: Ada) -> None:
    number = ada.planned(name="To keep")
    assert ada.post(f"/migrations/{number}/keep").status_code == 409
    ada.post(f"/migrations/{number}/apply")
    ada.move(number)
    assert "Keep it in sync" in ada.page(number).text
    answer = ada.post(f"/migrations/{number}/keep")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/migrations/{number}?said=kept")
    assert "The playlist is kept in sync from now on." in ada.page(number, said="kept").text
    page = ada.browser.page("/migrations")
    check_form(page)
    shown = page.main.one("section", aria_labelledby="kept").text
    assert "What comes to your playlist is added there; nothing is removed." in shown
    assert "4 tracks wait for your word" in shown
    (saved_id,) = ada.filled.sql("select saved_id from app.saved_migrations where user_id = %s", ada.user_id)[0]
    place = f"/kept-playlists/{saved_id}"
    assert ada.browser.clients["bob"].post(f"{place}/forget").status_code == 404
    assert ada.post(f"{place}/pause").status_code == 303
    assert "Until you resume it." in ada.browser.page("/migrations").text
    ada.filled.sql(
        "update app.saved_migrations set pause_reason = 'the playlist is gone' where saved_id = %s returning 1",
        saved_id,
    )
    assert "Paused automatically: the playlist is gone." in ada.browser.page("/migrations").text
    assert ada.post(f"{place}/resume").headers["location"] == "/migrations?said=resumed"
    run = ada.post(f"{place}/repeat").headers["location"]
    assert "It is being brought up to date." in ada.browser.page("/migrations").text
    assert ada.post(f"{place}/repeat").status_code == 409
    assert ada.post(f"{run}/cancel").status_code == 303
    assert ada.post(f"{place}/forget").status_code == 303
    assert "Kept in sync" not in ada.browser.page("/migrations").text


def test_a_playlist_is_moved_in_four_steps(ada: Ada) -> None:
    new = ada.browser.page(f"/migrations/new?playlist={ada.playlist_id}")
    check_form(new)
    chosen = [each for each in new.main.all("option") if "selected" in each.attributes]
    assert [each.text.split(" (")[0] for each in chosen] == ["List one"]
    assert [each.attributes["label"] for each in new.main.all("optgroup")] == ["TIDAL account Ada"]

    number = ada.begin(name="From home")
    page = ada.page(number)
    assert "Each track is looked up" in page.text or "not running" in page.text
    assert page.main.all("div", data_stages=f"/migrations/{number}/progress")
    assert 'http-equiv="refresh"' in page.answer.text

    ada.look_up(number)
    page = ada.page(number)
    assert page.tiles() == {"Found": "9", "In doubt": "1", "Not found": "3"}
    assert "9 tracks are added; nothing is removed" in page.text
    assert "http-equiv" not in page.answer.text
    shown = [each.one("h3").text for each in page.main.all("article")]
    assert [text.split(".")[0] for text in shown] == ["9", "10", "11", "12"]
    assert "in doubt" in shown[0]
    assert "A demo tape" in shown[3]
    first = page.main.all("article")[0]
    assert "Live at the Hall" in first.text
    assert "3:20" in first.text
    assert {each.text.split(":")[0] for each in first.all("button")} == {
        "This one", "Never this one", "It is not available", "Leave it out this time", "Take this one"
    }  # fmt: skip

    candidate = named(first, "button", "take")[0].attributes["value"]
    answer = ada.post(f"/migrations/{number}/decisions", position=IN_DOUBT, show="doubt", take=candidate)
    assert answer.headers["location"] == f"/migrations/{number}?said=take&show=doubt#entry-10"
    assert ada.item(number, IN_DOUBT) == ("matched", candidate, "decided", True)

    assert ada.post(f"/migrations/{number}/apply").status_code == 303
    assert "0 of 10 are there" in ada.page(number).text
    ada.move(number)
    assert ada.on_tidal(number) == [*(str(100 + each) for each in range(9)), "100"]
    page = ada.page(number)
    assert "10 tracks are there, in order" in page.text
    assert "3 tracks not found at TIDAL" in page.text
    assert page.links("https://tidal.com/playlist/")
    listed = ada.browser.page("/migrations")
    check_form(listed)
    assert listed.rows()[0][:3] == ["List one as From home", "TIDAL account Ada", "Moved"]


def test_what_is_typed_wrongly_is_said_and_kept(ada: Ada) -> None:
    for form, words in (
        ({"playlist": "", "to": ada.account_id}, "Choose a playlist"),
        ({"playlist": ada.playlist_id, "to": "", "name": "Kept"}, "Choose where to move it"),
        ({"playlist": ada.playlist_id, "to": ada.account_id, "name": "x" * 201}, "1 to 200 printable characters"),
        ({"playlist": ada.playlist_id, "to": f"{ada.account_id}:{ada.playlist_id}"}, "is not one of TIDAL account Ada"),
        ({"playlist": ada.playlist_id, "to": 4_000_000}, "no linked account"),
    ):
        page = read_page(ada.post("/migrations", **form), 422)
        check_form(page)
        assert words in page.text, page.text
        assert [each.attributes["value"] for each in named(page.main, "input", "name")] == [form.get("name", "")]
    number = ada.planned()
    for told in ("https://example.com/track/5", "spotify:track:5", "x"):
        page = read_page(ada.post(f"/migrations/{number}/decisions", position=9, show="doubt", address=told), 422)
        check_form(page)
        assert "is not a track of TIDAL" in page.text
        (field,) = named(page.main.one("article", id="entry-10"), "input", "address")
        assert (field.attributes["value"], field.attributes["aria-invalid"]) == (told, "true")
    assert ada.item(number, 9)[:2] == ("missing", None)
    assert ada.post(f"/migrations/{number}/decisions", position=9).status_code == 422
    assert ada.post(f"/migrations/{number}/decisions", position=99, deed="leave_out").status_code == 422
    assert ada.post(f"/migrations/{number}/decisions", position="-1", deed="leave_out").status_code == 422
    assert ada.client.get(f"/migrations/{number}?show=nothing").status_code == 422


def test_what_was_said_is_taken_back(ada: Ada) -> None:
    number = ada.planned()
    before = {position: ada.item(number, position) for position in (0, 9, 12)}
    ada.post(f"/migrations/{number}/decisions", position=9, address="https://tidal.com/track/999")
    assert ada.item(number, 9) == ("matched", "tidal:track:999", "decided", True)
    # The last entry is the first one again.
    ada.post(f"/migrations/{number}/decisions", position=12, show="found", never="tidal:track:100")
    assert [ada.item(number, position)[1] for position in (0, 12)] == [None, None]
    page = ada.page(number, show="decided")
    assert [each.attributes["id"] for each in page.main.all("article")] == ["entry-1", "entry-10", "entry-13"]
    for position in (9, 0):
        ada.post(f"/migrations/{number}/decisions", position=position, show="decided", deed="undo")
    assert {position: ada.item(number, position) for position in before} == before
    assert ada.filled.sql("select count(*) from app.match_decisions where undone_at is null") == [(0,)]
    assert "You have decided nothing here yet" in ada.page(number, show="decided").text


def test_what_is_left_out_once_says_nothing_of_the_track(ada: Ada) -> None:
    number = ada.planned()
    before = ada.item(number, 0)
    ada.post(f"/migrations/{number}/decisions", position=0, show="found", deed="leave_out")
    assert ada.item(number, 0) == ("unavailable", None, "left_out", True)
    assert ada.item(number, 12)[0] == "matched"
    ada.post(f"/migrations/{number}/decisions", position=0, show="all", deed="undo")
    assert ada.item(number, 0) == before
    ada.post(f"/migrations/{number}/decisions", position=0, show="found", deed="leave_out")
    assert ada.filled.sql("select count(*) from app.match_decisions") == [(0,)]
    assert ada.item(ada.planned(), 0)[0] == "matched"


def test_what_an_earlier_move_brought_along_is_missing_once_it_is_taken_back(ada: Ada) -> None:
    number = ada.planned()
    ada.post(f"/migrations/{number}/decisions", position=9, address="tidal:track:999")
    second = ada.planned()
    assert ada.item(second, 9) == ("matched", "tidal:track:999", "decided", True)
    ada.post(f"/migrations/{second}/decisions", position=9, show="decided", deed="undo")
    assert ada.item(second, 9) == ("missing", None, "taken_back", False)
    assert "You undid your decision" in ada.page(second).main.one("article", id="entry-10").text


def test_what_making_equal_would_remove_is_shown_before_it_is_removed(ada: Ada) -> None:
    there = ada.there("Old one", "100", "999")
    with ada.filled.warehouse.connect(Role.APP, autocommit=True) as connection:
        order = Order(playlist_id=ada.playlist_id, into=there.playlist_id, is_equal=True)
        number = orders.order_migration(
            connection, user_id=ada.user_id, order=order, now=datetime.now(UTC)
        ).migration_id
    ada.look_up(number)
    page = ada.page(number)
    assert "“Old one” at your TIDAL account Ada is made equal to it" in page.text
    assert "8 tracks are added, and 1 track is removed from “Old one”" in page.text
    assert page.links("https://tidal.com/track/999")
    # Somebody puts another track on it, which nobody was told would go.
    there.entries.append(ada.tidal.tidal.world.entry("tracks", "105"))
    ada.post(f"/migrations/{number}/apply")
    with pytest.raises(Exception, match="has changed since it was planned"):
        ada.move(number)
    assert there.track_ids == ["100", "999", "105"]


def test_each_move_says_what_it_waits_for(ada: Ada) -> None:
    number = ada.planned()
    ada.post(f"/migrations/{number}/apply")
    set_to = "update app.migrations set {} where migration_id = %s returning 1"
    # Tomorrow where Ada lives: a day that begins an hour before that of UTC in winter.
    noon = f"((now() at time zone '{ZONES['ada']}')::date + 1 + time '12:00') at time zone '{ZONES['ada']}'"
    ada.filled.sql(set_to.format(f"due_at = {noon}, last_error = 'TIDAL says too many requests'"), number)
    page = ada.page(number)
    assert re.search(r"It continues automatically tomorrow at 12:00: TIDAL says too many requests\.", page.text)
    assert 'content="60"' in page.answer.text
    ada.filled.sql(
        "update app.provider_accounts set state = 'reauth_required' where account_id = %s returning 1", ada.account_id
    )
    assert "you have signed in there again" in ada.page(number).text
    assert "cannot be used now" in ada.browser.page("/migrations/new").text
    ada.filled.sql(set_to.format("cancel_asked_at = now()"), number)
    assert "It is being stopped" in ada.page(number).text
    ada.filled.sql(set_to.format("ordered = null, ordered_at = null, last_error = 'set MYI_TIDAL_CLIENT_ID'"), number)
    page = ada.page(number)
    assert "TIDAL is not set up here" in page.text
    assert "MYI_" not in page.text


def test_a_move_is_followed_until_there_is_another_page_to_show(ada: Ada) -> None:
    number = ada.begin()
    (told,) = events(ada.client, f"/migrations/{number}/progress", until="stage")
    assert told[0] == "stage"
    assert 'aria-current="step"' in told[1]["markup"]
    assert "<main" not in told[1]["markup"]
    ada.look_up(number)
    assert [name for name, _ in events(ada.client, f"/migrations/{number}/progress", until="over")] == ["stage", "over"]


def test_a_move_is_stopped_and_begun_again(ada: Ada) -> None:
    number = ada.planned(name="Stopped")
    assert ada.post(f"/migrations/{number}/cancel").status_code == 303
    page = ada.page(number)
    assert "Nothing was written" in page.text
    assert not page.main.all("form", action=f"/migrations/{number}/apply")
    page = read_page(ada.post(f"/migrations/{number}/apply"), 409)
    assert "This move is cancelled" in page.text
    answer = ada.post(f"/migrations/{number}/again")
    again = int(answer.headers["location"].removeprefix("/migrations/"))
    query = "select target_name, state, ordered from app.migrations where migration_id = %s"
    assert ada.filled.sql(query, again) == [("Stopped", "ordered", "plan")]


def test_a_report_has_every_entry(ada: Ada) -> None:
    number = ada.planned()
    ada.filled.sql(
        "update app.migration_items set title = '=1+1' where migration_id = %s and position = 9 returning 1", number
    )
    table = ada.client.get(f"/migrations/{number}/report.csv")
    assert table.headers["content-disposition"] == f'attachment; filename="migration-{number}.csv"'
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [int(row["position"]) for row in rows] == list(range(13))
    assert [row["outcome"] for row in rows] == ["matched"] * 8 + ["ambiguous"] + ["missing"] * 3 + ["matched"]
    assert rows[0]["uri"] == "tidal:track:100"
    assert rows[9]["title"] == "'=1+1"
    document = ada.client.get(f"/migrations/{number}/report.json").json()
    assert (document["migration"]["state"], document["migration"]["matched"]) == ("planned", 9)
    assert [each["title"] for each in document["data"]][:8] == ada.titles[:8]
    # Programs are told the same.
    told = ada.client.get(f"/v1/me/migrations/{number}/report", headers={"accept": "application/json"})
    assert told.json()["data"] == document["data"]


def test_another_user_sees_and_changes_nothing_of_it(ada: Ada) -> None:
    number = ada.planned()
    bob = ada.browser.clients["bob"]
    paths = [f"/migrations/{number}{rest}" for rest in ("", "/progress", "/report.csv", "/report.json")]
    assert [ada.client.get(path).status_code for path in (paths[0], *paths[2:])] == [200, 200, 200]
    assert [bob.get(path).status_code for path in paths] == [404] * 4
    assert f"/migrations/{number}" in ada.browser.page("/migrations").links()
    assert f"/migrations/{number}" not in ada.browser.page("/migrations", as_="bob").links()
    for rest in ("decisions", "apply", "cancel", "again"):
        answer = bob.post(f"/migrations/{number}/{rest}", data={"position": 9, "deed": "leave_out"})
        assert answer.status_code == 404, rest
    assert bob.post("/migrations", data={"playlist": ada.playlist_id, "to": ada.account_id}).status_code in (404, 422)
    assert ada.item(number, 9)[0] == "missing"
    assert ada.filled.sql("select count(*) from app.migrations where migration_id > 2") == [(1,)]
