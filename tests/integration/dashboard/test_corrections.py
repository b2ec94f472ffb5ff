"""Hiding, deleting and correcting from pages and through the API; tests/dbt has the tests of what it does to marts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from myi_pipeline.people.corrections import MOST_DESCRIBED
from tests.integration.dashboard.conftest import Browser, check_form, read_page
from tests.integration.reads.conftest import Api, Filled

HELD = "select action, from_at, until_at, artist_id, kind, shift_s, note, undone_at is null from app.corrections"
PATH = "/v1/me/corrections"


@pytest.fixture(autouse=True)
def nothing_is_left(filled: Filled) -> Iterator[None]:
    yield
    filled.restore_access()


def send(browser: Browser, path: str, *, as_: str = "ada", **form: str) -> httpx.Response:
    return browser.clients[as_].post(path, data=form)


def hidden_fields(page: Any) -> dict[str, str]:
    """What the form that does it sends along."""
    form = page.main.one("form", id="deed")
    return {each.attributes["name"]: each.attributes["value"] for each in form.all("input", type="hidden")}


def test_a_play_is_hidden_from_its_row_and_shown_again(browser: Browser, filled: Filled) -> None:
    history = browser.page("/history")
    link = history.links("/corrections/new?play=")[0]
    page = browser.page(link)
    check_form(page)
    assert "1 play" in page.main.one("p", class_="notice").text
    answer = send(browser, "/corrections", **hidden_fields(page), action="hide", note="not me")
    assert (answer.status_code, answer.headers["location"]) == (303, "/corrections?done=made")
    ((event_id, event_at),) = filled.sql("select event_id, event_at from app.corrections where undone_at is null")
    assert filled.read("select played_at from marts.fct_plays where play_id = %s", event_id) == [(event_at,)]

    listed = browser.page("/corrections", done="made")
    check_form(listed)
    assert "The figures follow within a minute" in listed.text
    assert listed.rows()[0][:1] == ["Hidden"]
    assert "not me" in listed.rows()[0][1]
    assert filled.sql("select count(*) > 0 from ops.changed_days where user_id = %s", filled.users["ada"]) == [(True,)]
    (undo,) = [form.attributes["action"] for form in listed.main.all("form") if "undo" in form.attributes["action"]]
    # Bob can neither see it nor undo it.
    assert "not me" not in browser.page("/corrections", as_="bob").text
    assert send(browser, undo, as_="bob").status_code == 404
    assert send(browser, undo).status_code == 303
    assert send(browser, undo).status_code == 404
    assert filled.sql("select undone_at is not null from app.corrections") == [(True,)]
    assert "A correction was undone" in browser.page("/account").text


def test_a_play_is_counted_as_another_track_that_was_played_too(browser: Browser, filled: Filled) -> None:
    ((track, name),) = filled.read(
        "select t.track_id, t.name from marts.dim_tracks as t inner join marts.agg_period_tracks as p"
        " on p.track_id = t.track_id where p.user_id = %s and p.period = 'all' and t.name ~ '^[a-zA-Z ]{6,}$'"
        " order by p.plays desc limit 1",
        filled.users["ada"],
    )
    link = browser.page("/history").links("/corrections/new?play=")[-1]
    page = browser.page(f"{link}&q={name}")
    check_form(page)
    (form,) = [form for form in page.main.all("form") if form.all("input", name_="to_content")]
    assert str(track) in [each.attributes["value"] for each in form.all("input", name_="to_content")]
    assert "have not played a track with that name" in browser.page(f"{link}&q=xyzzyxyzzy").text
    sent = {**hidden_fields(page), "action": "correct", "to_content": str(track)}
    assert send(browser, "/corrections", **sent).status_code == 303
    assert f"Counted as “{name}”" in browser.page("/corrections").text
    unknown = {**sent, "play": "", "at": "", "from": "2022-01-01", "to_content": "2000000000"}
    assert "only something that you have played" in send(browser, "/corrections", as_="bob", **unknown).text.lower()


def test_a_session_and_an_artist_lead_to_a_preview_of_all_of_their_plays(browser: Browser, filled: Filled) -> None:
    session = browser.page("/sessions")
    link = session.links("/corrections/new?from_at=")[0]
    plays = session.rows(len(session.main.all("table")) - 1)[0][3]
    said = browser.page(link).main.one("p", class_="notice").text
    assert said.startswith(f"{plays} play")

    ((artist, count),) = filled.read(
        "select artist_id, count(*) from marts.fct_plays where user_id = %s and artist_id is not null"
        " group by 1 order by 2 desc limit 1",
        filled.users["ada"],
    )
    (link,) = browser.page(f"/artists/{artist}").links("/corrections/new?artist=")
    page = browser.page(link)
    assert page.main.one("p", class_="notice").text.startswith(f"{count} plays")
    year: dict[str, Any] = {"artist": artist, "from": "2022-01-01", "to": "2022-12-31", "kind": "track"}
    narrowed = browser.page("/corrections/new", **year)
    ((of_year,),) = filled.read(
        "select count(*) from marts.fct_plays where user_id = %s and artist_id = %s"
        " and local_date between '2022-01-01' and '2022-12-31'",
        filled.users["ada"], artist,
    )  # fmt: skip
    assert narrowed.main.one("p", class_="notice").text.startswith(f"{of_year} play")
    assert send(browser, "/corrections", **hidden_fields(narrowed), action="delete").status_code == 303
    ((action, first, last, of_artist, kind, *_),) = filled.sql(HELD)
    assert (action, of_artist, kind) == ("delete", artist, "track")
    assert (first, last) == (datetime(2021, 12, 31, 23, tzinfo=UTC), datetime(2022, 12, 31, 23, tzinfo=UTC))


def test_deleting_for_good_is_told_apart_and_its_rule_can_be_taken_back(browser: Browser, filled: Filled) -> None:
    days = {"from": "2006-01-01", "to": "2006-01-02"}
    page = browser.page("/corrections/new", **days)
    check_form(page)
    assert "This cannot be undone" in page.text
    assert send(browser, "/corrections", **days, action="for_good").status_code == 303
    assert filled.sql("select action, for_good_at is not null from app.corrections") == [("delete", True)]
    listed = browser.page("/corrections")
    assert listed.rows()[0][0] == "Deleted for good"
    (undo,) = [form.attributes["action"] for form in listed.main.all("form") if "undo" in form.attributes["action"]]
    assert send(browser, undo).headers["location"] == "/corrections?done=no-rule"
    # Of one kind or one play it is not offered.
    assert "for_good" not in [
        each.attributes.get("value") for each in browser.page("/corrections/new", kind="track").main.all("input")
    ]
    answer = browser.clients["ada"].post(PATH, json={"source": "spotify_api", "action": "hide", "for_good": True})
    assert answer.status_code == 422
    assert "Only a deletion can be for good" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"action": "correct"}, "give a shift"),
        ({"action": "for_good", "note": "mine"}, "cannot have a note"),
        ({"action": "for_good", "kind": "track"}, "not a single play or a kind"),
        ({"action": "correct", "shift": "an hour"}, "hours and minutes"),
        ({"action": "correct", "shift": "9999:00"}, "between one second and 366 days"),
        ({"action": "forget"}, "hide, delete or correct"),
        ({"action": "hide", "note": "x" * 201}, "at most 200"),
        ({"action": "hide", "source": "gramophone"}, "the source must be one of"),
    ],
)
def test_a_mistake_is_said_in_the_form_and_what_was_typed_is_kept(
    browser: Browser, filled: Filled, form: dict[str, str], said: str
) -> None:
    answer = send(browser, "/corrections", **{"from": "2022-01-01"}, **form)
    page = read_page(answer, 422)
    check_form(page)
    assert said in page.text.lower()
    assert page.main.one("input", name_="shift").attributes["value"] == form.get("shift", "")
    assert filled.sql(HELD) == []


@pytest.mark.parametrize(
    "query",
    [
        "play=1", "from=yesterday", "artist=x", "kind=song", "at=2024-01-01T00:00:00Z&play=a",
        "from=2024-01-02&to=2024-01-01", "source=gramophone",
    ],
)  # fmt: skip
def test_an_address_that_means_no_plays_is_refused(browser: Browser, query: str) -> None:
    check_form(browser.page(f"/corrections/new?{query}", status=422))


def test_what_is_not_ones_own_has_no_name_and_cannot_be_corrected(browser: Browser, filled: Filled) -> None:
    """An artist that only ada played; a play of hers, named by its number."""
    ((artist, name),) = filled.read(
        "select artist_id, name from marts.dim_artists where artist_id in (select artist_id from marts.fct_plays"
        " where user_id = %s) and artist_id not in (select artist_id from marts.fct_plays where user_id = %s"
        " and artist_id is not null) and name ~ '^[a-zA-Z ]{6,}$' limit 1",
        filled.users["ada"], filled.users["bob"],
    )  # fmt: skip
    page = browser.page(f"/corrections/new?artist={artist}", as_="bob")
    assert name not in page.text
    assert "nothing by this artist" in send(browser, "/corrections", as_="bob", artist=str(artist), action="hide").text
    ((play, at),) = filled.read(
        "select play_id, reported_at from marts.fct_plays where user_id = %s limit 1", filled.users["ada"]
    )
    answer = send(browser, "/corrections", as_="bob", play=str(play), at=at.isoformat(), action="hide")
    assert "no such play" in answer.text
    assert filled.sql(HELD) == []


def test_the_api_previews_makes_lists_and_undoes_for_a_browser_and_a_token_only_reads(
    browser: Browser, api: Api, filled: Filled
) -> None:
    ada = browser.clients["ada"]
    assert ada is not None
    meant = {"kind": "track", "from_at": "2022-06-01T00:00:00Z", "until_at": "2022-07-01T00:00:00+02:00"}
    reached = ada.post("/v1/me/correction-previews", json=meant).json()
    ((plays, ms_played),) = filled.read(
        "select count(*), sum(ms_played) from marts.fct_plays where user_id = %s and kind = 'track'"
        " and played_at >= '2022-06-01Z' and played_at < '2022-06-30 22:00Z'",
        filled.users["ada"],
    )
    assert (reached["plays"], reached["ms_played"]) == (plays, ms_played)
    made = ada.post(PATH, json={**meant, "action": "correct", "shift_s": -3600})
    assert made.status_code == 201
    (listed,) = api.read(PATH)["data"]
    assert (listed["id"], listed["shift_s"], listed["undone_at"]) == (made.json()["id"], -3600, None)
    assert api.get(PATH, as_="bob").json()["data"] == []
    token = {"authorization": f"Bearer {api.tokens['ada']}"}
    assert api.client.post(PATH, headers=token, json={**meant, "action": "hide"}).status_code == 403
    assert api.client.delete(f"{PATH}/{listed['id']}", headers=token).status_code == 403
    assert ada.post(PATH, json={"action": "hide"}).json()["detail"].startswith("Select plays")
    assert ada.post(PATH, json={**meant, "action": "hide", "shift_s": 1}).status_code == 422
    assert browser.clients["bob"].delete(f"{PATH}/{listed['id']}").status_code == 404
    assert ada.delete(f"{PATH}/{listed['id']}").status_code == 204
    assert ada.delete(f"{PATH}/{listed['id']}").status_code == 404
    assert api.read(PATH)["data"][0]["undone_at"] is not None


def test_what_holds_is_limited_and_undoing_makes_room(browser: Browser, filled: Filled) -> None:
    filled.sql(
        "insert into app.corrections (user_id, action, from_at) select %s, 'hide', timestamptz '2100-01-01Z' + n"
        " * interval '1 day' from generate_series(1, %s) as n",
        filled.users["ada"], MOST_DESCRIBED,
    )  # fmt: skip
    answer = send(browser, "/corrections", **{"from": "2022-01-01"}, action="hide")
    assert "undo some first" in read_page(answer, 422).text
    filled.sql("update app.corrections set undone_at = now() where from_at = '2100-01-02Z'")
    assert send(browser, "/corrections", **{"from": "2022-01-01"}, action="hide").status_code == 303


def test_a_day_that_does_not_exist_is_said_in_the_form_which_keeps_what_was_typed(browser: Browser) -> None:
    page = browser.page("/corrections/new?from=2024-02-30&kind=track", status=422)
    check_form(page)
    assert page.heading == "Corrections"
    (form,) = [each for each in page.main.all("form") if each.attributes["action"] == "/corrections/new"]
    assert form.one("p", role="alert").text
    assert form.one("input", name_="from").attributes["value"] == "2024-02-30"
    assert [each.text for each in form.all("option") if "selected" in each.attributes] == ["track"]
    sources = {each.text for each in form.one("select", name_="source").all("option")}
    assert "extended_history" not in sources
