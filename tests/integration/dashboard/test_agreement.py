"""One figure is the same wherever it stands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from myi_pipeline.web.shown.formats import days as spelt
from tests.integration.dashboard.conftest import Browser
from tests.integration.reads.conftest import Api, Filled

HOUR_MS = 3_600_000


@contextmanager
def a_streak_as_long(filled: Filled, user_id: int, *, starts_on: date, days: int) -> Iterator[None]:
    filled.sql(
        "insert into marts.agg_streaks (user_id, streak_start, streak_end, days, plays) values (%s, %s, %s, %s, %s)",
        user_id, starts_on, starts_on + timedelta(days=days - 1), days, days,
    )  # fmt: skip
    try:
        yield
    finally:
        filled.sql("delete from marts.agg_streaks where user_id = %s and streak_start = %s", user_id, starts_on)


def test_of_equally_long_streaks_every_page_names_the_first(browser: Browser, api: Api, filled: Filled) -> None:
    """The overview named the first of them and the list of the longest began with the last."""
    longest = api.read("/v1/me/streaks")["longest"]
    first, last = date.fromisoformat(longest["streak_start"]), date.fromisoformat(longest["streak_end"])
    number = longest["days"]
    # Within the same year, so that the year's own longest is one of the two as well.
    later = date(first.year, 10, 1)
    assert last < later
    with a_streak_as_long(filled, filled.users["ada"], starts_on=later, days=number):
        assert api.read("/v1/me/streaks")["longest"]["streak_start"] == longest["streak_start"]
        assert f"The longest streak was {number} days, {spelt(first, last)}." in browser.page("/").text
        page = browser.page("/sessions")
        assert page.tiles()["Longest"] == f"{number} days"
        assert spelt(first, last) in page.text
        assert page.rows(0)[0][0] == f"{first.day} {first:%B %Y}"
        assert page.rows(0)[1][0] == f"{later.day} {later:%B %Y}"
        year = browser.page(f"/year/{first.year}")
        assert year.tiles()["Longest streak"] == f"{number} days"
        assert spelt(first, last) in year.text


def test_hours_and_plays_are_the_same_on_every_page(browser: Browser, filled: Filled) -> None:
    ((plays, ms),) = filled.read(
        "select count(*)::int, sum(ms_played)::bigint from marts.fct_plays where user_id = %s", filled.users["ada"]
    )
    hours = f"{ms / HOUR_MS:,.0f}"
    overview, top = browser.page("/"), browser.page("/top")
    assert overview.main.one("h1").text == f"{hours} hours of listening"
    assert f"{hours} h in {plays:,} plays" in top.text
    assert f"{plays:,} plays on" in overview.text
    assert browser.page("/coverage").tiles()["Plays known"] == f"{plays:,}"
    of_years = [
        re.search(r"([\d,]+) plays of", browser.page(address).main.one("div", class_="poster").text)
        for address in browser.page("/year/2023").links("/year/")
        if not address.endswith("/story")
    ]
    assert sum(int(found[1].replace(",", "")) for found in of_years if found) == plays
    for year in (2022, 2023):
        page = browser.page(f"/year/{year}")
        same = browser.page("/top", period="year", date=f"{year}-06-01")
        figures = page.main.one("div", class_="poster").text
        ((_, ms),) = filled.read(
            "select count(*), sum(ms_played)::bigint from marts.fct_plays"
            " where user_id = %s and extract(year from local_date) = %s",
            filled.users["ada"], year,
        )  # fmt: skip
        assert f"{ms / HOUR_MS:,.0f} hours" in figures
        (days,) = re.findall(r"on ([\d,]+) days", figures)
        assert f"on {days} days" in same.text
        assert f"Plays on {days} of 365 days" in page.text


def test_what_is_missing_since_the_last_play_is_told_in_one_way_on_every_page(browser: Browser, api: Api) -> None:
    """The year had a warning of a gap and "at least", the top list a gap, and the overview neither."""
    (gap,) = api.read("/v1/me/coverage")["data"]
    assert (gap["reason"], gap["gap_end"]) == ("after_last_archive", None)
    day = datetime.fromisoformat(gap["gap_start"].replace("Z", "+00:00")).astimezone(ZoneInfo("Europe/Berlin")).date()
    said = f"Complete up to {spelt(day, day)}"
    artist = browser.page("/top?what=artists").links("/artists/")[0]
    for path in ("/", "/top", artist, "/?period=year", "/top?period=month"):
        page = browser.page(path)
        assert said in page.text, path
        assert " gap" not in page.text.lower(), path
    years = api.read("/v1/me/timeline", grain="year")["data"]
    (unknown,) = [row["unknown_plays"] for row in years if row["starts_on"] == "2024-01-01"]
    for path in ("/year/2024", "/?period=year&date=2024-01-01", "/top?period=year&date=2024-01-01"):
        page = browser.page(path)
        assert page.main.all("p", class_="notice") == [], path
        assert " gap" not in page.text.lower(), path
        # The last day with a play is whole; what of the year follows it is not.
        assert (said in page.text) is (day < date(2024, 12, 31)), path
        # Plays of unknown length make a year's hours a lower bound, too.
        assert ("at least" in page.text) is (path == "/year/2024" and (day < date(2024, 12, 31) or unknown > 0)), path
