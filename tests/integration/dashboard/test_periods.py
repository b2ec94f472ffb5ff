"""The overview of a period: its figures, what changed since the one before, and how it is kept while walking around."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from myi_pipeline.web.reads.coverage import GapRow, completeness
from myi_pipeline.web.shown.formats import days as spelt
from myi_pipeline.web.shown.formats import heard, hours
from tests.integration.dashboard.conftest import Browser, Element, Page, check_form
from tests.integration.reads.conftest import Api, Filled

# What is asked for; its first and last day, and those of the span before it.
PERIODS = [
    ({"period": "week", "date": "2023-05-03"}, "2023-05-01", "2023-05-07", "2023-04-24", "2023-04-30"),
    ({"period": "month", "date": "2023-05-03"}, "2023-05-01", "2023-05-31", "2023-04-01", "2023-04-30"),
    ({"period": "year", "date": "2023-05-03"}, "2023-01-01", "2023-12-31", "2022-01-01", "2022-12-31"),
    ({"from": "2023-02-10", "to": "2023-03-01"}, "2023-02-10", "2023-03-01", "2023-01-21", "2023-02-09"),
    ({"from": "2023-03-05", "to": "2024-08-31"}, "2023-03-05", "2024-08-31", "2021-09-06", "2023-03-04"),
]
SUMS = """
select count(*)::int, coalesce(sum(ms_played), 0)::bigint
from marts.fct_plays
where user_id = %s and local_date between %s and %s
"""
# Places by hand: of each id in some days, and the day on which it was first heard.
PLACES = """
select
    {id}, row_number() over (order by {order}, {id})::int, min(min(first)) over (partition by {id}),
    sum({figure})::bigint > 0
from (
    select *, min(local_date) over (partition by {id}) as first
    from (
        -- Lists count songs, whichever of their tracks was heard.
        select play.*, track.recording_id as track_id
        from marts.fct_plays as play left join marts.dim_tracks as track on track.track_id = play.content_id
    ) as play
    where user_id = %s and kind = 'track' and {id} is not null
) as play
where local_date between %s and %s
group by {id}
"""
ORDERS = {
    "plays": "sum(is_counted::int) desc, sum(ms_played) desc",
    "time": "sum(ms_played) desc, sum(is_counted::int) desc",
}


def places(filled: Filled, entity: str, by: str, first: str, last: str) -> dict[int, tuple[int, date, bool]]:
    """By id its place, when it was first heard, and whether it has any of what ranks it."""
    figure = "ms_played" if by == "time" else "is_counted::int"
    query = PLACES.format(id=f"{entity}_id", order=ORDERS[by], figure=figure)
    return {id: tuple(found) for id, *found in filled.read(query, filled.users["ada"], first, last)}


def shown(section: Element) -> list[tuple[int, str]]:
    """The id and the move of each row of a list."""
    found = []
    for row in section.one("ol", class_="ranking").all("li"):
        address = row.one("span", class_="what").all("a")[0].attributes["href"]
        much = row.one("span", class_="much")
        (move, *_) = [*much.all("span", class_="move"), *much.all("span", class_="badge")]
        found.append((int(httpx.URL(address).path.split("/")[2]), move.text))
    return found


def whole_of(page: Page, caption: str) -> int:
    """What the numbers of a chart, which are a table below it, come to."""
    (table,) = [each.one("table") for each in page.main.all("details") if each.one("summary").text.startswith(caption)]
    return sum(int(cell.text.replace(",", "")) for cell in table.all("td"))


def expected_move(rank: int, before: int | None, *, is_new: bool) -> str:
    if before is None:
        return "new" if is_new else "back"
    by = abs(before - rank)
    places = "place" if by == 1 else "places"
    return "=same place" if by == 0 else f"▲up {by} {places}" if before > rank else f"▼down {by} {places}"


@pytest.mark.parametrize(("query", "first", "last", "from_before", "to_before"), PERIODS)
def test_a_periods_figures_lists_and_moves_are_those_of_its_plays(
    browser: Browser, filled: Filled, query: dict[str, str], first: str, last: str, from_before: str, to_before: str
) -> None:
    ada = filled.users["ada"]
    for by in ("plays", "time"):
        page = browser.page("/", **query, ranked=by)
        check_form(page)
        ((plays, ms),) = filled.read(SUMS, ada, first, last)
        ((_, ms_before),) = filled.read(SUMS, ada, from_before, to_before)
        is_short = ms < 59.5 * 60_000
        assert page.heading.startswith(f"{round(ms / 60_000)} minutes" if is_short else f"{hours(ms)} hour")
        assert f"{plays:,} plays on" in page.text
        change = round(100 * (ms - ms_before) / ms_before)
        assert f"{abs(change):,} % {'more' if change > 0 else 'less'} than in" in page.text
        assert whole_of(page, "Plays by ") == plays
        for entity in ("artist", "track", "album"):
            now = places(filled, entity, by, first, last)
            before = places(filled, entity, by, from_before, to_before)
            (section,) = [
                each for each in page.main.all("section") if each.attributes["aria-labelledby"] == f"top-{entity}s"
            ]
            ranked = sorted((id for id in now if now[id][2]), key=lambda id: now[id][0])[:10]
            assert shown(section) == [
                (
                    id,
                    expected_move(now[id][0], before[id][0] if id in before else None, is_new=str(now[id][1]) >= first),
                )
                for id in ranked
            ]


def test_where_history_begins_nothing_is_compared(browser: Browser, filled: Filled) -> None:
    ((begins,),) = filled.read("select min(local_date) from marts.agg_day_user where user_id = %s", filled.users["ada"])
    page = browser.page("/", period="month", date=begins.isoformat())
    assert " than in " not in page.text
    assert page.main.all("span", class_="move") == []


def test_a_period_that_goes_on_is_compared_with_as_many_days(browser: Browser, filled: Filled) -> None:
    today = datetime.now(UTC).astimezone(ZoneInfo("Europe/Berlin")).date()
    last_week = today - timedelta(days=7)
    copied = """
    insert into marts.agg_day_user
    select (
        jsonb_populate_record(
            null::marts.agg_day_user,
            to_jsonb(day) || jsonb_build_object('local_date', %s::date, 'ms_played', %s::int)
        )
    ).*
    from (select * from marts.agg_day_user where user_id = %s limit 1) as day
    """
    ada, monday = filled.users["ada"], today - timedelta(days=today.weekday())
    # Twice as much today as on the same day of the week before, whose later days would say something else.
    later = min(monday - timedelta(days=1), last_week + timedelta(days=1))
    given = {today: 7_200_000, last_week: 3_600_000, **({later: 90_000_000} if later > last_week else {})}
    for day, ms in given.items():
        filled.sql(copied, day, ms, ada)
    try:
        page = browser.page("/?period=week")
        # On a Sunday as many days are the whole week before.
        part = "as many days of " if today.isoweekday() < 7 else ""
        before = spelt(monday - timedelta(days=7), monday - timedelta(days=1))
        assert f"100 % more than in {part}{before}" in page.text
        assert not page.main.all("a", rel="next")
    finally:
        filled.sql("delete from marts.agg_day_user where user_id = %s and local_date >= %s", ada, last_week)


def test_the_chosen_period_goes_along(browser: Browser) -> None:
    page = browser.page("/", period="month", date="2023-05-03", ranked="time")
    main = page.document.one("nav", aria_label="Main")
    kept = "?period=month&date=2023-05-03&ranked=time"
    addresses = [link.attributes["href"] for link in main.all("a")]
    assert addresses[:3] == [f"/{kept}", f"/top{kept}", "/history"]
    lists = page.links("/top")
    assert all(link.endswith("&ranked=time") for link in lists)
    # Those of podcasts and audiobooks stand beside their hours too.
    assert [link for link in lists if "what=podcasts" not in link and "what=audiobooks" not in link] == [
        f"/top?period=month&date=2023-05-01&what={what}&ranked=time" for what in ("artists", "tracks", "albums")
    ]
    assert "/history?from=2023-05-01&to=2023-05-31" in page.links()
    (artist, *_) = page.links("/artists/")
    assert artist.endswith(kept)
    # From there the way back leads to the same month, and the neighbours keep what ranks.
    back = browser.page(artist).document.one("nav", aria_label="Main").all("a")[0]
    assert back.attributes["href"] == f"/{kept}"
    assert page.main.one("a", rel="prev").attributes["href"] == "/?period=month&date=2023-04-01&ranked=time"
    (year,) = [link for link in page.main.all("a") if link.text == "Year"]
    assert year.attributes["href"] == "/?period=year&date=2023-01-01&ranked=time"
    # What cannot be is not carried along.
    wrong = browser.page("/top?period=decade", status=422).document.one("nav", aria_label="Main")
    assert wrong.all("a")[0].attributes["href"] == "/"


@pytest.mark.parametrize("entity", ["artist", "album", "track"])
def test_a_page_of_music_shows_the_chosen_period_and_hands_it_on(browser: Browser, filled: Filled, entity: str) -> None:
    ada, kept = filled.users["ada"], "?period=month&date=2023-05-01" + ("&by=track" if entity == "track" else "")
    plays = "(select *, content_id as track_id from marts.fct_plays) as play"
    (id, counted, ms), *_ = filled.read(
        f"select {entity}_id, sum(is_counted::int)::int, sum(ms_played)::bigint from {plays}"
        " where user_id = %s and kind = 'track' and local_date between '2023-05-01' and '2023-05-31'"
        f" and {entity}_id is not null group by 1 order by 2 desc, 1",
        ada,
    )
    page = browser.page(f"/{entity}s/{id}{kept}")
    check_form(page)
    ((_, of_ms),) = filled.read(SUMS, ada, "2023-05-01", "2023-05-31")
    tile = page.main.all("div", class_="tile")[2]
    share = 100 * ms / of_ms
    assert tile.one("dt").text == "May 2023"
    assert tile.one("a").attributes["href"] == "/?period=month&date=2023-05-01"
    assert [each.text for each in tile.all("dd")] == [
        heard(ms),
        f"{counted:,} {'play' if counted == 1 else 'plays'}, {'under 1' if share < 1 else round(share)} % of that time",
    ]
    assert "Days of 2023" in page.text
    onward = [*page.links("/artists/"), *page.links("/albums/"), *page.links("/tracks/"), *page.links("?")]
    assert onward
    assert all("period=month&date=2023-05-01" in address for address in onward)
    # Of a time in which it was not heard, and without any.
    assert "not heard then" in browser.page(f"/{entity}s/{id}?period=year&date=2010-01-01").text
    assert len(browser.page(f"/{entity}s/{id}").main.all("div", class_="tile")) == 4
    assert len(browser.page(f"/{entity}s/{id}?period=decade").main.all("div", class_="tile")) == 4


@pytest.mark.parametrize("query", ["period=decade", "from=yesterday", "from=2024-03-09&to=2024-03-08", "ranked=luck"])
def test_days_that_cannot_be_are_said_in_the_form(browser: Browser, query: str) -> None:
    for path in ("/", "/top"):
        page = browser.page(f"{path}?{query}", status=422)
        check_form(page)
        form = page.main.one("details", class_="range").one("form")
        assert form.one("p", role="alert").text
        assert form.one("input", name_="from").attributes["value"] == dict(httpx.QueryParams(query)).get("from", "")


def test_a_day_of_the_calendar_opens_that_day(browser: Browser, api: Api) -> None:
    calendar = browser.page("/", period="year", date="2023-01-01").main.one("figure", class_="year")
    asked = {"from": "2023-01-01", "to": "2023-12-31", "limit": 366}
    days: list[dict[str, Any]] = api.read("/v1/me/timeline", grain="day", **asked)["data"]
    links = [link.attributes["href"] for link in calendar.all("a")]
    assert links == [f"/history?day={day['starts_on']}" for day in days]
    # Some hundred stops would be between the keyboard and the rest of the page.
    assert {link.attributes["tabindex"] for link in calendar.all("a")} == {"-1"}
    busiest = max(days, key=lambda day: (day["plays"], day["starts_on"]))
    page = browser.page(f"/history?day={busiest['starts_on']}")
    check_form(page)
    assert len([row for row in page.main.all("tr") if row.all("td")]) == min(60, busiest["plays"])
    assert f"{busiest['plays']} plays, {heard(busiest['ms_played'])}" in page.main.all("h2")[0].text
    day = date.fromisoformat(busiest["starts_on"])
    assert page.main.one("a", rel="prev").attributes["href"] == f"/history?day={day - timedelta(days=1)}"


def test_what_is_complete_is_one_quiet_line_and_a_warning_only_where_something_can_be_done(
    browser: Browser, filled: Filled
) -> None:
    assert "Not everything is known" not in browser.page("/").text
    assert "Complete up to" in browser.page("/").text
    assert browser.page("/").main.all("p", class_="notice") == []
    begins, zone = datetime(2024, 3, 9, 23, 30, tzinfo=UTC), ZoneInfo("Europe/Berlin")

    def gap(reason: str, *, is_open: bool) -> GapRow:
        return GapRow(begins, None if is_open else begins + timedelta(days=3), reason, True)

    last = date(2025, 1, 1)
    known = completeness(
        [gap("outage", is_open=False), gap("after_last_archive", is_open=True)], last_heard=last, zone=zone
    )
    assert (known.complete_to, known.gaps, known.remedy) == (date(2024, 3, 10), 1, None)
    assert completeness([], last_heard=last, zone=zone).complete_to == last
    ended = completeness([gap("login_ended", is_open=True)], last_heard=last, zone=zone)
    assert "connect it again" in (ended.remedy or "")
    assert completeness([gap("login_ended", is_open=False)], last_heard=last, zone=zone).remedy is None
    assert completeness([gap("missing_files", is_open=False)], last_heard=last, zone=zone).remedy is not None


KINDS = """
select coalesce(sum(ms_played) filter (where kind = any(%s)), 0)::bigint
from marts.fct_plays
where user_id = %s and local_date between %s and %s
"""


@pytest.mark.parametrize(("query", "first", "last"), [(each[0], each[1], each[2]) for each in PERIODS])
def test_music_podcasts_and_audiobooks_are_told_apart(
    browser: Browser, filled: Filled, query: dict[str, str], first: str, last: str
) -> None:
    names = {
        "Music": ["track"], "Podcasts": ["episode"], "Audiobooks": ["chapter"], "Without a name": ["unknown"],
    }  # fmt: skip
    heard_of = {
        name: filled.read(KINDS, kinds, filled.users["ada"], first, last)[0][0] for name, kinds in names.items()
    }
    page = browser.page("/", **query)
    facts = [each for each in page.main.all("dl", class_="facts") if each.text.startswith("Music")]
    shown = {row.one("dt").text: row.one("dd").text for each in facts for row in each.all("div")}
    has_more = heard_of["Podcasts"] or heard_of["Audiobooks"]
    assert shown == ({name: heard(ms) for name, ms in heard_of.items() if ms} if has_more else {})
    assert has_more or query.get("period") != "year"


def test_one_day_is_compared_with_the_day_before_it_and_a_short_one_has_minutes(
    browser: Browser, filled: Filled
) -> None:
    ((day, ms),) = filled.read(
        "select local_date, ms_played from marts.agg_day_user as day where user_id = %s and ms_played between 600000"
        " and 3500000 and exists (select from marts.agg_day_user as before where before.user_id = day.user_id"
        " and before.local_date = day.local_date - 1 and before.ms_played > 0) order by 1 limit 1",
        filled.users["ada"],
    )
    page = browser.page("/", **{"from": day.isoformat(), "to": day.isoformat()})
    assert page.heading.startswith(f"{round(ms / 60_000)} minutes of listening, ")
    assert f" on {spelt(day - timedelta(days=1), day - timedelta(days=1))}." in page.text
    assert " than in " not in page.text


def test_the_last_plays_are_on_top_of_each_overview_that_holds_today(browser: Browser) -> None:
    for path in ("/", "/?period=week", "/?period=month", "/?period=year"):
        page = browser.page(path)
        check_form(page)
        assert page.main.all("section")[0].attributes["aria-labelledby"] == "last-plays", path
        # What is wrong with a play is said in the history.
        assert page.links("/corrections/new?play=") == []
    assert "Last plays" not in browser.page("/?period=year&date=2023-01-01").text


def test_a_whole_top_list_has_the_arrows_of_the_overview(browser: Browser) -> None:
    query = {"period": "year", "date": "2023-05-03"}
    overview, page = browser.page("/", **query), browser.page("/top", what="artists", **query)
    check_form(page)
    (section,) = [each for each in overview.main.all("section") if each.attributes["aria-labelledby"] == "top-artists"]
    whole = shown(page.main)
    assert len(whole) == 50
    assert whole[:10] == shown(section)
    assert {move for _, move in whole} >= {"new"}
    assert browser.page("/top", what="artists").main.all("span", class_="move") == []


def test_what_was_only_skipped_stands_on_no_short_list(browser: Browser, filled: Filled) -> None:
    """Lists of a few days, and what was shared of them, ended with artists of 0 plays in 0 s."""
    (day,), *_ = filled.read(
        "select local_date from marts.fct_plays as play"
        " where user_id = %s and kind = 'track' and artist_id is not null group by local_date, artist_id"
        " having not bool_or(is_counted) and (select count(distinct other.artist_id) from marts.fct_plays as other"
        " where other.user_id = %s and other.local_date = play.local_date) between 2 and 10 order by 1",
        filled.users["ada"], filled.users["ada"],
    )  # fmt: skip
    days = {"from": f"{day}", "to": f"{day}"}
    for page in (browser.page("/", **days), browser.page("/shares/new", kind="range", **days)):
        lists = page.main.all("ol", class_="ranking")
        assert lists
        for each in lists:
            assert [item.text for item in each.all("li") if re.search(r"\b0\s+plays", item.text)] == []
