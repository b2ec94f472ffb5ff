"""History, sessions, coverage, imports and the account, as pages and forms over real HTTP."""

from __future__ import annotations

import io
import re
import socket
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from myi_pipeline.archives.import_history import import_history
from myi_pipeline.archives.reading_settings import account_hasher, archive_limits
from myi_pipeline.postgres.connections import Role
from myi_pipeline.simulator import ArchiveSpec, build_listener, write_extended_archive
from myi_pipeline.web.reads import plays as plays_read
from myi_pipeline.web.security.visitors import REMEMBERED_S
from tests.integration.dashboard.conftest import LOGIN, Browser, Dora, check_form, new_session, read_page
from tests.integration.reads.conftest import Api, Filled
from tests.searching import files_below

PATHS = (
    "/history", "/sessions", "/corrections", "/coverage", "/imports", "/account", "/shares", "/household", "/notices",
)  # fmt: skip
PLAYS = """
select to_char(p.played_at at time zone 'Europe/Berlin', 'HH24:MI'), p.content_id
from marts.fct_plays as p
inner join marts.search_names as c on c.kind <> 'artist' and c.entity_id = p.content_id
where
    p.user_id = %s
    and not exists (
        select from regexp_split_to_table(marts.folded(%s), ' ') as word where position(word in c.search_text) = 0
    )
order by p.played_at desc, p.play_id desc
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("dora") / "dora.zip"
    spec = ArchiveSpec(seed=8, listener="dora", first_day=date(2023, 1, 1), last_day=date(2023, 3, 31), plays=120)
    write_extended_archive(path, build_listener(spec))
    return path.read_bytes()


@pytest.mark.parametrize("path", PATHS)
def test_a_page_keeps_the_rules_of_all_pages_and_sends_a_stranger_to_sign_in(browser: Browser, path: str) -> None:
    check_form(browser.page(path))
    answer = browser.get(path, as_=None)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/sign-in?return_to=%2F{path[1:]}")


def plays_of(browser: Browser, path: str, **query: Any) -> Iterator[tuple[str, int | None]]:
    """Every play of the history from this address on: its time and content."""
    page = browser.page(path, **query)
    while True:
        for row in page.main.all("tr"):
            if row.all("td"):
                found = re.search(r"/tracks/(\d+)", " ".join(link.attributes["href"] for link in row.all("a")))
                yield row.all("td")[0].text, int(found[1]) if found else None
        following = [link.attributes["href"] for link in page.main.all("a", rel="next")]
        if not following:
            return
        page = browser.page(following[0])


def test_the_history_is_the_list_of_the_api(browser: Browser, api: Api) -> None:
    asked = {"from": "2023-05-01", "to": "2023-07-31"}
    shown = list(plays_of(browser, "/history", **asked))
    listed = [play for page in api.pages("/v1/me/plays", time_zone="Europe/Berlin", **asked) for play in page]
    assert len(listed) > 150
    assert [at for at, _ in shown] == [play["played_at"][11:16] for play in listed]
    expected = [play["content_id"] if play["kind"] == "track" else None for play in listed]
    assert [content for _, content in shown] == expected
    page = browser.page("/history", **asked)
    (day,) = api.read("/v1/me/timeline", grain="day", **{"from": listed[0]["local_date"], "to": "2023-07-31"})["data"]
    assert f"{day['plays']} play" in page.main.all("h2")[0].text
    check_form(page)


@pytest.mark.parametrize("words", ["Copper", "<img", "%", "_", "'", "\\", "no such thing", "drop table plays; --"])
@pytest.mark.parametrize("is_in_much", [False, True])
def test_a_search_finds_what_holds_the_words_and_nothing_else(
    browser: Browser, filled: Filled, monkeypatch: pytest.MonkeyPatch, words: str, is_in_much: bool
) -> None:
    if is_in_much:
        monkeypatch.setattr(plays_read, "MOST_CONTENTS", 1)
        monkeypatch.setattr(plays_read, "MOST_WALKED", 1_500)
    expected = filled.read(PLAYS, filled.users["ada"], words)
    shown = list(plays_of(browser, "/history", q=words))
    assert [at for at, _ in shown] == [at for at, _ in expected]
    assert [track for _, track in shown if track] == [track for at, track in expected if (at, track) in set(shown)]


def test_every_word_must_be_there_in_any_order_and_case(browser: Browser, filled: Filled) -> None:
    query = "select title, creator from marts.dim_contents where content_id = %s"
    ((_, track), *_) = [row for row in filled.read(PLAYS, filled.users["ada"], "copper") if row[1]]
    ((title, creator),) = filled.read(query, track)
    words = f"{creator.upper()}  {title.split()[0].lower()}"
    assert track in [found for _, found in plays_of(browser, "/history", q=words)]
    assert list(plays_of(browser, "/history", q=f"{words} xyzzy")) == []


def test_nobody_finds_what_another_user_heard(browser: Browser, filled: Filled) -> None:
    only_adas = """
    select mine.title
    from marts.agg_period_tracks as heard
    inner join marts.dim_contents as mine on mine.content_id = heard.track_id
    where heard.user_id = %s and heard.period = 'all' and mine.title ~ '^[a-zA-Z ]{8,}$' and not exists (
        select from marts.fct_plays as play
        inner join marts.dim_contents as theirs on theirs.content_id = play.content_id
        where play.user_id = %s
            and concat_ws(' ', theirs.title, theirs.creator, theirs.collection) ilike '%%' || mine.title || '%%'
    )
    limit 1
    """
    ((title,),) = filled.read(only_adas, filled.users["ada"], filled.users["bob"])
    assert list(plays_of(browser, "/history", q=title)) != []
    assert "No matches." in browser.page("/history", q=title, as_="bob").text


def test_hostile_names_are_text(browser: Browser) -> None:
    page = browser.page("/history", q="<img src=x onerror=alert(1)>")
    assert "<img src=x onerror=alert(1)>" in page.text
    assert page.document.all("img") == []
    assert page.main.one("input", type="search").attributes["value"] == "<img src=x onerror=alert(1)>"


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"from": "2023-13-01"}, 422),
        ({"to": "tomorrow"}, 422),
        ({"from": "2023-02-01", "to": "2023-01-01"}, 422),
        ({"cursor": "xyz"}, 422),
        ({"cursor": "a" * 1_000}, 422),
        ({"q": "x" * 101}, 422),
        ({"q": "a\0b\ud7ff\u202e", "from": "", "to": ""}, 200),
        ({"from": "0001-01-02", "to": "9999-12-30"}, 200),
    ],
)
def test_a_wrong_value_is_told_as_a_page(browser: Browser, query: dict[str, str], status: int) -> None:
    page = browser.page("/history", status=status, **query)
    check_form(page)
    assert page.heading == ("That does not work" if "cursor" in query else "History")
    # A mistake in the form is said in it, and what was typed is still there.
    if status == 422 and "cursor" not in query:
        form = page.main.one("form")
        assert form.one("p", role="alert").text
        (name, typed), *_ = query.items()
        assert form.one("input", name_=name).attributes["value"] == typed[:100]


def test_a_cursor_is_good_for_its_own_list_and_user_alone(browser: Browser) -> None:
    (address,) = [link.attributes["href"] for link in browser.page("/history").main.all("a", rel="next")]
    assert browser.get(address).status_code == 200
    assert browser.get(address + "&q=x").status_code == 422
    assert browser.get(address, as_="bob").status_code == 422
    assert browser.get(address.replace("/history", "/sessions")).status_code == 422


def test_sessions_and_streaks_are_those_of_the_api(browser: Browser, api: Api) -> None:
    page = browser.page("/sessions")
    streaks = api.read("/v1/me/streaks", limit=500)
    assert page.tiles()["Longest"] == f"{streaks['longest']['days']} days"
    assert [int(row[2]) for row in page.rows(0)] == sorted((each["days"] for each in streaks["data"]), reverse=True)[:8]
    listed = api.read("/v1/me/sessions", limit=25, time_zone="Europe/Berlin")["data"]
    shown = [(row[1], int(row[3])) for row in page.rows(2)]
    assert shown == [(f"{each['started_at'][11:16]}–{each['ended_at'][11:16]}", each["plays"]) for each in listed]
    following = browser.page(page.main.one("a", rel="next").attributes["href"])
    assert following.rows(2)[0] != page.rows(2)[0]
    assert sum(int(row[2]) for row in page.rows(1)) > 25


def test_coverage_names_every_gap_in_words_with_what_helps(browser: Browser, api: Api) -> None:
    told, page = api.read("/v1/me/coverage"), browser.page("/coverage")
    assert page.tiles()["Plays known"] == f"{told['plays']:,}"
    assert {gap["reason"] for gap in told["data"]} == {"after_last_archive"}
    (card,) = page.main.all("article")
    assert "Since the last archive" in card.text
    assert "Complete by archives" in page.text
    assert "What helps:" in card.text
    years = [each.attributes["aria-label"] for each in page.main.all("svg", role="img")]
    assert years[-1].startswith("2021: ")
    # The gap begins in the evening of the last day: as the page of the year has it.
    assert "2024: 366 of 366 days known" in years
    assert "All 366 days of 2024 are known" in browser.page("/year/2024").text
    assert "Spotify is not connected" in page.text


def test_coverage_tells_how_polling_and_the_login_stand(browser: Browser, filled: Filled) -> None:
    user = filled.users["bob"]
    filled.sql(LOGIN.replace("now(), now()", "now() - interval '175 days', now()"), user)
    filled.sql("insert into ops.poll_states (user_id, polled_at, due_at) values (%s, now(), now())", user)
    try:
        page = browser.page("/coverage", as_="bob")
        assert re.search(r"The login ends in \d+ days?", page.text)
        assert "Polled within the last five minutes" in page.text
    finally:
        filled.sql("delete from app.credentials where user_id = %s", user)


def hand_in(dora: Dora, content: bytes, name: str = "my data.zip", field: str = "archive") -> httpx.Response:
    return dora.client.post("/imports", files={field: (name, content, "application/zip")})


def uploads(dora: Dora) -> list[Path]:
    return files_below(dora.filled.settings.uploads_folder / "dora")


def run_import(dora: Dora) -> None:
    settings = dora.filled.settings
    (path,) = uploads(dora)
    import_history(
        dora.filled.warehouse,
        paths=path,
        user_key="dora",
        limits=archive_limits(settings),
        hash_account=account_hasher(settings),
    )


def test_the_form_hands_an_archive_in_and_the_page_accounts_for_it(
    dora: Dora, archive: bytes, browser: Browser
) -> None:
    assert "Nothing yet." in dora.page("/imports").text
    answer = hand_in(dora, archive)
    place = answer.headers["location"]
    assert answer.status_code == 303
    (path,) = uploads(dora)
    assert path.read_bytes() == archive
    waiting = dora.page(place)
    assert "Waiting for its turn" in waiting.text
    (watched,) = [each for each in waiting.main.below() if "data-stages" in each.attributes]
    assert watched.attributes["data-stages"] == f"{place}/stages"
    assert dora.post(f"{place}/delete-file").status_code == 409
    run_import(dora)
    page = dora.page(place)
    check_form(page)
    told = dora.client.get(f"/v1/me{place}", headers={"accept": "application/json"}).json()
    parts = ["rows_read", "rows_loaded", "rows_present", "rows_identical", "rows_quarantined"]
    assert list(page.tiles().values()) == [f"{told[part]:,}" for part in parts]
    files = page.rows(len(page.main.all("table")) - 1)
    assert [[int(cell) for cell in row[2:]] for row in files] == [
        [each[part] for part in parts] for each in told["files"]
    ]
    assert browser.get(place).status_code == 404
    assert browser.get("/imports/2000000000").text == browser.get(place).text
    # What is not needed again can go, and its plays stay.
    assert dora.post(f"{place}/delete-file").status_code == 303
    assert uploads(dora) == []
    assert "MYI keeps no copy" in dora.page(place).text
    assert dora.sql("select count(*) > 100 from raw.listening_events where user_id = %s") == [(True,)]


WAITING = (
    "insert into ops.changed_days (user_id, utc_day) select %s, date '2024-01-01' + n from generate_series(1, {}) as n"
)


def test_the_overview_says_that_an_archive_is_being_counted_and_grows_by_itself(dora: Dora, browser: Browser) -> None:
    def is_counting(text: str) -> bool:
        return "Your plays are being counted" in text and 'http-equiv="refresh"' in text

    # What polls bring all the time is not worth a word.
    dora.sql(WAITING.format(7))
    assert not is_counting(dora.page("/").answer.text)
    dora.sql(WAITING.format(1))
    assert is_counting(dora.page("/").answer.text)
    assert not is_counting(browser.page("/").answer.text)
    # It waits for something else, and would be said for ever.
    dora.sql("update ops.changed_days set changed_at = now() - interval '61 minutes' where user_id = %s")
    assert not is_counting(dora.page("/").answer.text)
    dora.sql("delete from ops.changed_days where user_id = %s")
    assert not is_counting(dora.page("/").answer.text)


@pytest.mark.parametrize("path", ["/imports/0", "/imports/x", "/imports/99999999999999999999", "/imports/1%00"])
def test_what_can_be_no_import_is_none(browser: Browser, path: str) -> None:
    assert browser.get(path).status_code == 404


def test_an_upload_form_that_is_none_leaves_nothing(dora: Dora, archive: bytes) -> None:
    whole = dora.client.build_request("POST", "/imports", files={"archive": ("a.zip", archive)})
    body, kind = whole.read(), whole.headers["content-type"]
    two = dora.client.build_request("POST", "/imports", files=[("archive", ("a", b"PK1")), ("archive", ("b", b"PK2"))])
    tried = [
        (body[: len(body) // 2], kind),
        (body, "multipart/form-data"),
        (body, "multipart/form-data; boundary=" + "x" * 300),
        (body, "text/plain"),
        (b"", kind),
        (two.read(), two.headers["content-type"]),
    ]
    for content, content_type in tried:
        answer = dora.client.post("/imports", content=content, headers={"content-type": content_type})
        assert answer.status_code == 422, (content_type, answer.text)
        assert "The file was not accepted." in answer.text
    assert hand_in(dora, archive, field="other").status_code == 422
    assert hand_in(dora, b"no archive <b>").status_code == 422
    assert uploads(dora) == []
    assert dora.sql("select 1 from app.imports where user_id = %s") == []


def test_the_form_takes_no_more_than_the_api(dora: Dora) -> None:
    most = dora.filled.settings.api_max_upload_bytes + 64 * 1024
    cookie = dora.client.cookies.get("myi_session")
    head = (
        f"POST /imports HTTP/1.1\r\nHost: 127.0.0.1:{dora.filled.settings.api_port}\r\nContent-Length: {most + 1}\r\n"
        f"Cookie: myi_session={cookie}\r\nSec-Fetch-Site: same-origin\r\nAccept: text/html\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", dora.filled.settings.api_port), timeout=10) as line:
        line.sendall(head.encode())
        answer = line.makefile("rb").read().decode()
    assert answer.startswith("HTTP/1.1 413 ")
    assert "<h1>" in answer


def test_a_file_name_in_the_form_is_no_path_and_no_markup(dora: Dora) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as opened:
        opened.writestr("Streaming_History_Audio_2023_<b>.json", "[]")
    answer = hand_in(dora, made.getvalue(), name="../../<img src=x onerror=alert(1)>.zip")
    page = dora.page("/imports") if answer.status_code == 303 else read_page(answer, 422)
    assert page.document.all("img") == []
    assert all(path.parent == dora.filled.settings.uploads_folder / "dora" for path in uploads(dora))


POSTS = (
    "/imports", "/imports/1/delete-file", "/account/time-zone", "/account/time-zone/remove", "/account/look",
    "/account/poll", "/account/pause", "/account/resume", "/account/disconnect", "/account/sign-ins/1/end",
    "/account/tokens", "/account/tokens/1/revoke", "/corrections", "/corrections/1/undo", "/shares",
    "/shares/AAAAAAAAAAAA/change", "/shares/AAAAAAAAAAAA/revoke", "/household", "/household/1/accept",
    "/household/1/choose", "/household/1/end", "/notices/targets", "/notices/targets/1/test",
    "/notices/targets/1/remove", "/notices/wishes",
)  # fmt: skip


@pytest.mark.parametrize("path", POSTS)
def test_a_form_is_for_a_person_on_this_sites_own_page(dora: Dora, api: Api, path: str) -> None:
    dora.connect_spotify()
    state = "select row_to_json(u)::text, row_to_json(c)::text from app.users u join app.credentials c using (user_id)"
    before = dora.sql(f"{state} where user_id = %s")
    foreign = dora.client.post(path, headers={"sec-fetch-site": "cross-site"})
    assert (foreign.status_code, foreign.json()["type"]) == (403, "urn:myi:problem:cross-site")
    own = {"sec-fetch-site": "same-origin", "accept": "text/html"}
    program = api.client.post(path, headers={**own, "authorization": f"Bearer {api.tokens['ada']}"})
    assert program.status_code == 403
    stranger = api.client.post(path, headers=own)
    page = "%2F" + path.split("/")[1]
    assert (stranger.status_code, stranger.headers["location"]) == (303, f"/sign-in?return_to={page}")
    assert dora.sql(f"{state} where user_id = %s") == before


def test_a_new_time_zone_moves_every_play_with_the_next_refresh(dora: Dora) -> None:
    dora.sql("delete from ops.changed_users where user_id = %s")
    answer = dora.post("/account/time-zone", time_zone="Asia/Kathmandu")
    assert (answer.status_code, answer.headers["location"]) == (303, "/account?done=zone")
    assert dora.sql("select time_zone from app.users where user_id = %s") == [("Asia/Kathmandu",)]
    assert ("everything",) in dora.sql("select scope from ops.changed_users where user_id = %s")
    page = dora.page(answer.headers["location"])
    assert "Your time zone has been changed." in page.text
    assert page.main.one("input", list="zones").attributes["value"] == "Asia/Kathmandu"
    for zone in ("Nowhere/Land", "", "../../etc/passwd", "<b>", "x" * 500):
        refused = read_page(dora.post("/account/time-zone", time_zone=zone), 422)
        assert "That was not done." in refused.text
    assert dora.sql("select time_zone from app.users where user_id = %s") == [("Asia/Kathmandu",)]


def test_whoever_moved_says_since_when_and_takes_it_back(dora: Dora) -> None:
    dora.sql("delete from ops.changed_users where user_id = %s")
    answer = dora.post("/account/time-zone", time_zone="Asia/Tokyo", since="2023-05-10")
    assert (answer.status_code, answer.headers["location"]) == (303, "/account?done=zone")
    zones = "select nullif(valid_from, '-infinity'), time_zone from app.user_time_zones where user_id = %s"
    zones += " order by valid_from"
    assert [zone for _, zone in dora.sql(zones)] == ["UTC", "Asia/Tokyo"]
    assert dora.sql(zones)[1][0] == datetime(2023, 5, 9, 15, tzinfo=UTC)
    assert dora.sql("select time_zone from app.users where user_id = %s") == [("Asia/Tokyo",)]
    # No play moved, so no day is marked.
    assert dora.sql("select distinct scope from ops.changed_users where user_id = %s") == [("profile",)]

    page = dora.page("/account")
    check_form(page)
    (form,) = [each for each in page.main.all("form") if each.attributes["action"] == "/account/time-zone/remove"]
    assert ["UTC", "the beginning", ""] in page.rows(0)
    since = form.one("input", type="hidden").attributes["value"]
    for wrong in ("2199-01-01", "1999-01-01"):
        refused = read_page(dora.post("/account/time-zone", time_zone="Asia/Tokyo", since=wrong), 422)
        assert "between 2005 and today" in refused.text
    assert dora.post("/account/time-zone", time_zone="Asia/Tokyo", since="soon").status_code == 422
    assert dora.post("/account/time-zone/remove", since=since).status_code == 303
    assert dora.post("/account/time-zone/remove", since=since).status_code == 404
    assert [zone for _, zone in dora.sql(zones)] == ["UTC"]


def test_a_page_shows_a_play_by_the_clock_of_its_time(browser: Browser, filled: Filled) -> None:
    """As soon as a move is known; the day of a play follows with the refresh."""
    key, bob = "America/New_York", filled.users["bob"]
    ((newest,),) = filled.read("select max(played_at) from marts.fct_plays where user_id = %s", bob)
    there = "/history"
    shown = browser.page(there, as_="bob").main.all("time")[1].text
    filled.sql("insert into app.user_time_zones values (%s, '2024-12-01', 'Asia/Tokyo')", bob)
    try:
        time.sleep(REMEMBERED_S + 0.1)
        moved = browser.page(there, as_="bob").main.all("time")[1].text
        assert (shown, moved) == tuple(f"{newest.astimezone(ZoneInfo(zone)):%H:%M}" for zone in (key, "Asia/Tokyo"))
    finally:
        filled.sql("delete from app.user_time_zones where user_id = %s and valid_from > '-infinity'", bob)
        filled.sql("delete from ops.changed_days where user_id = %s", bob)
        filled.sql("delete from ops.changed_users where user_id = %s", bob)
        time.sleep(REMEMBERED_S + 0.1)


def test_asking_for_a_poll_brings_the_turn_forward_and_passes_nothing_that_stands_in_the_way(dora: Dora) -> None:
    assert "Spotify is not connected" in read_page(dora.post("/account/poll"), 422).text
    dora.connect_spotify()
    dora.sql(
        "insert into ops.poll_states (user_id, polled_at, due_at)"
        " values (%s, now() - interval '20 minutes', now() + interval '1 hour')"
    )
    is_due = "select due_at <= now() from ops.poll_states where user_id = %s"
    stands = {
        "insert into ops.circuits (user_id, state, opened_at, open_until) values"
        " (%s, 'open', now(), now() + interval '1 hour')": "suspended",
        "insert into ops.quota_blocks (client_id, bucket, blocked_at, blocked_until, in_a_row)"
        " select client_id, 'polls', now(), now() + interval '1 hour', 1 from app.credentials where user_id = %s": (
            "has asked MYI to wait"
        ),
        "update ops.poll_states set polled_at = now() where user_id = %s": "within the last five minutes",
        "update app.credentials set status = 'reauth_required' where user_id = %s": "has ended",
    }
    undo = (
        "delete from ops.circuits where user_id = %s",
        "delete from ops.quota_blocks where client_id = 'client' and %s > 0",
        "update ops.poll_states set polled_at = now() - interval '20 minutes' where user_id = %s",
        "update app.credentials set status = 'active' where user_id = %s",
    )
    for (obstacle, said), mended in zip(stands.items(), undo, strict=True):
        dora.sql(obstacle)
        assert said in read_page(dora.post("/account/poll"), 422).text
        assert dora.sql(is_due) == [(False,)]
        dora.sql(mended)
    dora.sql("update ops.poll_states set due_at = now() + interval '1 hour' where user_id = %s")
    answer = dora.post("/account/poll")
    assert (answer.status_code, answer.headers["location"]) == (303, "/account?done=asked")
    assert dora.sql(is_due) == [(True,)]
    assert dora.sql("select wish from ops.live_wishes where user_id = %s") == [("poll",)]
    assert "Spotify is being polled" in dora.page("/account?done=asked").text


def test_the_role_of_the_site_may_bring_a_turn_forward_and_do_nothing_else_to_it(filled: Filled) -> None:
    query = """
    select has_function_privilege(%(app)s, f, 'execute'), has_function_privilege(%(api)s, f, 'execute')
    from unnest(array['ops.poll_sooner(int, timestamptz)', 'ops.poll_now(int, timestamptz)',
        'ops.now_playing_of(int)']) as f
    """
    tables = """
    select has_table_privilege(%s, t, 'select, insert, update, delete')
    from unnest(array['ops.poll_states', 'ops.live_wishes', 'ops.now_playing']) as t
    """
    names = filled.warehouse.names()
    with filled.warehouse.connect(Role.OWNER) as connection:
        assert connection.execute(query, names).fetchall() == [(True, False)] * 3
    assert filled.sql(tables, names["app"]) == [(False,)] * 3


def test_polling_is_paused_resumed_and_disconnected(dora: Dora) -> None:
    dora.connect_spotify()
    stored = "select status, paused_at is not null from app.credentials where user_id = %s"
    assert dora.post("/account/pause").status_code == 303
    assert dora.sql(stored) == [("active", True)]
    assert "Resume polling" in dora.page("/account").text
    assert dora.post("/account/resume").status_code == 303
    assert dora.sql(stored) == [("active", False)]
    page = dora.page("/account")
    (form,) = [each for each in page.main.all("form") if each.attributes["action"] == "/account/disconnect"]
    assert form.attributes["data-confirm"]
    assert dora.post("/account/disconnect").status_code == 303
    assert dora.sql(stored) == []
    assert "Spotify is not connected." in dora.page("/account?done=disconnected").text
    assert dora.post("/account/pause").status_code == 422


def test_a_token_is_shown_once_reads_and_is_revoked(dora: Dora, api: Api) -> None:
    made = read_page(dora.post("/account/tokens", name="<b>notebook</b>", days="30"), 200)
    check_form(made)
    token = made.main.one("code", class_="secret").text
    asked = {"authorization": f"Bearer {token}"}
    assert api.client.get("/v1/me", headers=asked).status_code == 200
    page = dora.page("/account")
    assert token not in page.answer.text
    assert page.rows(1)[0][0] == "<b>notebook</b>"
    (form,) = [each for each in page.main.all("form") if each.attributes["action"].endswith("/revoke")]
    assert dora.post(form.attributes["action"]).status_code == 303
    assert api.client.get("/v1/me", headers=asked).status_code == 401
    assert dora.post(form.attributes["action"]).status_code == 404
    for wish in ({"name": ""}, {"name": "x" * 101}, {"name": "x", "days": "0"}, {"name": "x", "days": "٣"},
                 {"name": "x", "days": "99999"}, {"name": "a\u202eb"}):  # fmt: skip
        assert dora.post("/account/tokens", **wish).status_code == 422
    assert dora.sql("select count(*) from app.access_tokens where user_id = %s") == [(1,)]


def test_another_browser_is_signed_out_and_only_ones_own(dora: Dora, filled: Filled, browser: Browser) -> None:
    new_session(filled, dora.user_id)
    page = dora.page("/account")
    rows = page.rows(0)
    assert sorted("this one" in row[0] for row in rows) == [False, True]
    table = page.main.all("tbody")[0]
    (other,) = [row for row in table.all("tr") if "this one" not in row.text]
    action = other.one("form").attributes["action"]
    assert browser.clients["ada"].post(action).status_code == 404
    assert dora.post(action).status_code == 303
    assert dora.sql("select count(*) from app.sessions where user_id = %s") == [(1,)]
    assert dora.page("/account").rows(0)[0][0].startswith("Firefox")
