"""A newcomer's first ten minutes: the welcome, an upload followed to its end, the time zone, mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from myi_pipeline.archives.import_history import import_history
from myi_pipeline.archives.reading_settings import account_hasher, archive_limits
from myi_pipeline.operations.sole_supervisor import LOCK
from myi_pipeline.postgres.connections import Role
from tests.integration.dashboard.conftest import Browser, Dora, Page, check_form, read_page
from tests.integration.reads.conftest import Filled
from tests.searching import files_below

PAGES = ("/", "/top", "/history", "/sessions", "/coverage", "/year", "/year/2023", "/artists/1", "/?period=month")
ROWS = [
    {"endTime": f"2023-05-{day:02} 10:00", "artistName": "A", "trackName": f"B{day}", "msPlayed": 60_000}
    for day in range(1, 21)
]  # fmt: skip
# An archive's plays are in the marts, as far as a page asks: a day and its month, and nothing left in the ledger.
COUNTED = (
    "insert into marts.user_versions values (%s, 1, now())",
    """
    insert into marts.agg_day_user
    select (jsonb_populate_record(null::marts.agg_day_user, to_jsonb(day) || jsonb_build_object(
        'user_id', %s::int, 'local_date', '2018-05-03', 'ms_played', 3326 * 3600000::bigint
    ))).*
    from (select * from marts.agg_day_user limit 1) as day
    """,
    """
    insert into marts.agg_period_user
    select (jsonb_populate_record(null::marts.agg_period_user, to_jsonb(month) || jsonb_build_object(
        'user_id', %s::int, 'period_start', '2018-05-01', 'ms_played', 3326 * 3600000::bigint,
        'first_local_date', '2018-05-03', 'last_local_date', '2018-05-03'
    ))).*
    from (select * from marts.agg_period_user where period = 'month' limit 1) as month
    """,
    "delete from ops.changed_days where user_id = %s",
)
UNCOUNTED = tuple(
    f"delete from marts.{mart} where user_id = %s" for mart in ("user_versions", "agg_day_user", "agg_period_user")
)


def upload(dora: Dora, name: str = "StreamingHistory_music_0.json", rows: int = 20) -> str:
    content = json.dumps(ROWS[:rows])
    answer = dora.client.post("/imports", files={"archive": (name, content, "application/json")})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def import_it(dora: Dora, path: Path) -> None:
    settings = dora.filled.settings
    limits, hasher = archive_limits(settings), account_hasher(settings)
    import_history(dora.filled.warehouse, paths=path, user_key="dora", limits=limits, hash_account=hasher)


def stage_of(page: Page) -> str:
    return page.main.one("ol", class_="stages").one("li", aria_current="step").text


@pytest.mark.parametrize("has_empty_marts", [False, True])
def test_whoever_has_no_plays_is_told_how_to_begin_on_every_page(dora: Dora, has_empty_marts: bool) -> None:
    """Marts of others were there, and with a version of one's own: the page said "0 hours, since –"."""
    if has_empty_marts:
        dora.sql("insert into marts.user_versions values (%s, 1, now())")
    try:
        for path in PAGES:
            page = dora.page(path)
            check_form(page)
            drop = page.main.one("form", class_="drop")
            assert (drop.attributes["action"], drop.attributes["data-upload"]) == ("/imports", "/v1/me/imports")
            assert "spotify.com/account/privacy" in page.text
            assert "Nothing is here yet" in page.text
            assert "0 hours" not in page.text
            assert "–" not in page.text
        assert dora.page("/").heading == "Welcome to MYI"
        assert "nothing can be missing" in dora.page("/coverage").text
        dora.connect_spotify()
        assert "connected" in dora.page("/").text
    finally:
        dora.sql("delete from marts.user_versions where user_id = %s")


def test_an_upload_is_followed_from_the_queue_to_figures_that_it_changed(dora: Dora, browser: Browser) -> None:
    place = upload(dora)
    (first,) = files_below(dora.filled.settings.uploads_folder / "dora")
    waiting = dora.page(place)
    check_form(waiting)
    assert stage_of(waiting) == "Waiting"
    assert "background process is not running; this continues" in waiting.text
    assert "Every row accounted for" not in waiting.text
    assert "is waiting for its turn" in dora.page("/").text
    with dora.filled.warehouse.connect(Role.OWNER, autocommit=True) as up:
        # What `myi up` holds while it runs.
        up.execute("select pg_advisory_lock(%s)", (LOCK,))
        assert "starts automatically within a minute or two" in dora.page(place).text
        second = upload(dora, "StreamingHistory_music_1.json", rows=3)
        assert "It comes after StreamingHistory_music_0" in dora.page(second).text
        dora.sql("update app.imports set status = 'running', heartbeat_at = now() where user_id = %s and true")
        assert stage_of(dora.page(place)) == "Reading"
        dora.sql("update app.imports set status = 'pending' where user_id = %s")

        import_it(dora, first)
        counting = dora.page(place)
        assert stage_of(counting) == "Counting"
        assert "Imported, counting." in counting.text
        assert "20 new plays are being added to your figures" in counting.text
        assert list(counting.tiles().values())[:2] == ["20", "20"]
        try:
            for statement in COUNTED:
                dora.sql(statement)
            # Days that polls bring are on their way all the time: that is not this archive any more.
            dora.sql("insert into ops.changed_days (user_id, utc_day) values (%s, '2026-01-01')")
            done = dora.page(place)
            assert stage_of(done) == "Done"
            assert "3,326 hours since 2018" in done.text
            assert "/" in done.links()
            assert [each for each in done.main.below() if "data-stages" in each.attributes] == []

            stream = dora.client.get(f"{place}/stages").text
            assert stream.startswith("event: over\nid: 1\ndata: ")
            told = json.loads(stream.partition("data: ")[2])
            assert told["stage"] == "done"
            assert "3,326 hours" in told["markup"]
        finally:
            for statement in UNCOUNTED:
                dora.sql(statement)
    for path in (place, f"{place}/stages"):
        assert browser.get(path).status_code == 404


def test_what_is_busy_with_another_users_archive_is_not_named(dora: Dora, browser: Browser, filled: Filled) -> None:
    place = upload(dora)
    ada = filled.users["ada"]
    running = "update app.imports set status = %s, heartbeat_at = now() where user_id = %s returning archive_name"
    with filled.warehouse.connect(Role.OWNER, autocommit=True) as up:
        up.execute("select pg_advisory_lock(%s)", (LOCK,))
        ((name,),) = filled.sql(running, "running", ada)
        try:
            text = dora.page(place).text
            assert "busy with other work" in text
            assert name not in text
        finally:
            filled.sql(running, "completed", ada)


def test_the_browsers_zone_is_offered_once_and_changed_with_one_click(dora: Dora) -> None:
    (offer,) = dora.page("/").main.all("form", class_="zone")
    assert (offer.attributes["action"], offer.attributes["data-zone"]) == ("/account/time-zone", "UTC")
    # Without a script nothing is known of the browser.
    assert "hidden" in offer.attributes
    dora.sql("delete from ops.changed_users where user_id = %s")
    answer = dora.post("/account/time-zone", time_zone="Europe/Lisbon", return_to="/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert dora.sql("select time_zone from app.users where user_id = %s") == [("Europe/Lisbon",)]
    assert ("everything",) in dora.sql("select scope from ops.changed_users where user_id = %s")
    assert dora.page("/").main.all("form", class_="zone") == []
    # To keep the zone is a choice too, and moves no play.
    dora.sql("update app.users set time_zone_chosen_at = null where user_id = %s")
    dora.sql("delete from ops.changed_users where user_id = %s")
    elsewhere = dora.post("/account/time-zone", time_zone="Europe/Lisbon", return_to="//evil.example/")
    assert elsewhere.headers["location"] == "/"
    assert dora.page("/").main.all("form", class_="zone") == []
    assert ("everything",) not in dora.sql("select scope from ops.changed_users where user_id = %s")


def test_a_mistake_stands_in_its_form_with_what_was_typed(dora: Dora) -> None:
    page = read_page(dora.post("/account/time-zone", time_zone="Nowhere/Land"), 422)
    check_form(page)
    (form,) = [each for each in page.main.all("form") if each.attributes["action"] == "/account/time-zone"]
    field = form.one("input", name_="time_zone")
    assert field.attributes["value"] == "Nowhere/Land"
    assert page.main.one("p", id=field.attributes["aria-describedby"]).text.startswith("That was not done.")
    page = read_page(dora.post("/account/tokens", name="<b>", days="99999"), 422)
    (form,) = [each for each in page.main.all("form") if each.attributes["action"] == "/account/tokens"]
    values = [form.one("input", name_=name).attributes["value"] for name in ("name", "days")]
    assert values == ["<b>", "99999"]
    assert "1 to 3650 days" in form.text


def test_what_goes_wrong_keeps_the_frame_for_whoever_is_signed_in(dora: Dora, browser: Browser) -> None:
    for path, status in (("/nowhere", 404), ("/artists/x", 404), ("/history?cursor=x", 422)):
        page = dora.page(path, status)
        check_form(page)
        assert page.document.all("nav", aria_label="Main") != [], path
    spent = dora.post("/link", secret="https://myi.example/link#" + "x" * 43, confirm="yes")
    assert read_page(spent, 410).document.all("nav", aria_label="Main") != []
    assert browser.page("/nowhere", as_=None, status=404).document.all("nav", aria_label="Main") == []


def test_what_is_said_to_be_stored_is_stored(dora: Dora, filled: Filled) -> None:
    text = dora.page("/imports").text
    assert "name for your device or app" in text
    assert "a keyed hash is stored" in text
    assert "none of them reaches the database" not in text
    assert filled.sql("select count(*) > 0 from raw.contexts where platform is not null") == [(True,)]


def test_the_welcome_and_the_imports_say_that_the_file_stays(dora: Dora) -> None:
    """The welcome said that addresses are stored nowhere, while the file with all of them lay in a folder."""
    for path in ("/", "/imports"):
        text = dora.page(path).text
        assert "stays in the uploads folder of this machine until you delete it" in text
        assert "not kept in the database" in text
        assert "stored nowhere" not in text
        assert "never stored" not in text
