"""Top lists, one track, artist or album, and a year: what stands on them, against the API and against plays."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from myi_pipeline.people import manage_access
from myi_pipeline.postgres.connections import Role
from myi_pipeline.web.shown.formats import length_of
from tests.integration.dashboard.conftest import Browser, Element, Page, check_form
from tests.integration.reads.conftest import Api, Filled

ENTITIES = ("track", "artist", "album")
BERLIN = ZoneInfo("Europe/Berlin")
HOSTILE = "<img src=x onerror=alert(1)> \"'&{{ 7*7 }}"


def most_heard(filled: Filled, entity: str, user: str = "ada") -> int:
    query = (
        f"select {entity}_id from marts.agg_period_{entity}s where user_id = %s and period = 'all'"
        f" order by counted_plays desc, ms_played desc, {entity}_id limit 1"
    )
    return int(filled.read(query, filled.users[user])[0][0])


@pytest.fixture(scope="module")
def paths(filled: Filled) -> list[str]:
    ids = {entity: most_heard(filled, entity) for entity in ENTITIES}
    return [
        "/",
        "/top",
        "/top?what=artists&period=week&date=2023-05-03",
        "/top?what=albums&period=month",
        "/top?from=2023-03-05&to=2023-05-20",
        *(f"/{entity}s/{id}" for entity, id in ids.items()),
        "/year/2023",
        "/year/2024",
    ]


def test_every_page_is_well_formed_and_loads_nothing_from_elsewhere(browser: Browser, paths: list[str]) -> None:
    for path in paths:
        page = browser.page(path)
        check_form(page)
        assert page.answer.headers["cache-control"] == "no-store", path


def test_a_stranger_is_sent_to_sign_in_and_then_back(browser: Browser, api: Api, paths: list[str]) -> None:
    token = {"authorization": f"Bearer {api.tokens['ada']}"}
    for path in [*paths[1:], "/year"]:
        answer = browser.get(path, as_=None)
        assert answer.status_code == 303, path
        target = httpx.URL(answer.headers["location"])
        assert (target.path, target.params["return_to"]) == ("/sign-in", path)
        # A program is no person.
        assert api.client.get(path, headers=token).status_code == 303


# Top lists.


def listed(page: Page) -> list[tuple[str, int, str]]:
    """Address without the chosen period, counted plays and time of each item."""
    found = []
    for item in page.main.one("ol", class_="ranking").all("li"):
        (address, *_) = (link.attributes["href"] for link in item.one("span", class_="what").all("a"))
        much = item.one("span", class_="much")
        time = much.all("span", class_="unit")[-1].text
        found.append((address.partition("?")[0], int(much.one("strong").text.replace(",", "")), time))
    return found


def counted_as_shown(entity: str) -> dict[str, str]:
    """Pages count songs, whichever of their tracks was heard; the API does where it is asked to."""
    return {"by": "recording"} if entity == "track" else {}


def told(rows: list[dict[str, Any]], entity: str) -> list[tuple[str, int]]:
    return [(f"/{entity}s/{row[f'{entity}_id']}", row["counted_plays"]) for row in rows]


@pytest.mark.parametrize("entity", ENTITIES)
@pytest.mark.parametrize(
    "query",
    [
        {},
        {"period": "year", "date": "2023-07-07"},
        {"period": "month", "date": "2022-02-28"},
        {"period": "week", "date": "2024-01-01"},
        {"from": "2022-11-05", "to": "2023-02-20"},
    ],
)
def test_a_top_list_is_the_one_that_the_api_gives(
    browser: Browser, api: Api, entity: str, query: dict[str, str]
) -> None:
    expected = api.read(f"/v1/me/top/{entity}s", limit=50, **query, **counted_as_shown(entity))["data"]
    page = browser.page("/top", what=f"{entity}s", **query)
    assert [item[:2] for item in listed(page)] == told(expected, entity)
    assert page.heading == f"Top {entity}s"


def test_following_more_shows_the_whole_list_once(browser: Browser, api: Api) -> None:
    whole = [row for part in api.pages("/v1/me/top/tracks", limit=500, by="recording") for row in part]
    assert len(whole) > 150
    page, seen, ranks = browser.page("/top"), [], []
    while True:
        check_form(page)
        seen += listed(page)
        ranks += [int(item.attributes["value"]) for item in page.main.one("ol", class_="ranking").all("li")]
        more = [link for link in page.main.all("a", class_="button") if link.text == "More"]
        if not more:
            break
        page = browser.page(more[0].attributes["href"])
    assert [item[:2] for item in seen] == told(whole, "track")
    assert ranks == list(range(1, len(whole) + 1))
    # Bars are drawn to the first of all, also on the last page.
    widths = [float(bar.one("rect").attributes["width"]) for bar in page.main.all("svg", class_="bar")]
    assert max(widths) <= 100 * seen[-1][1] / seen[0][1] * 3 + 1


@pytest.mark.parametrize(
    ("entity", "query", "first", "last"),
    [
        ("track", {}, "2000-01-01", "2100-01-01"),
        ("artist", {"period": "year", "date": "2023-05-03"}, "2023-01-01", "2023-12-31"),
        ("album", {"from": "2022-11-05", "to": "2023-02-20"}, "2022-11-05", "2023-02-20"),
    ],
)
def test_a_list_by_time_has_whatever_was_heard_longest_first_page_after_page(
    browser: Browser, filled: Filled, entity: str, query: dict[str, str], first: str, last: str
) -> None:
    id = f"{entity}_id"
    expected = filled.read(
        f"select {id}::int from (select *, content_id as track_id from marts.fct_plays) as play"
        f" where user_id = %s and kind = 'track' and {id} is not null and local_date between %s and %s"
        f" group by {id} order by sum(ms_played) desc, sum(is_counted::int) desc, {id}",
        filled.users["ada"], first, last,
    )  # fmt: skip
    page, seen = (
        browser.page(
            "/top", what=f"{entity}s", ranked="time", **({"by": "track"} if entity == "track" else {}), **query
        ),
        [],
    )
    check_form(page)
    while True:
        items = page.main.one("ol", class_="ranking").all("li")
        seen += [item.one("span", class_="what").all("a")[0].attributes["href"] for item in items]
        more = [link for link in page.main.all("a", class_="button") if link.text == "More"]
        if not more:
            break
        page = browser.page(more[0].attributes["href"])
        assert "ranked=time" in str(page.answer.url)
    assert [int(httpx.URL(address).path.split("/")[2]) for address in seen] == [row[0] for row in expected]
    assert len(seen) > 50
    # The cursor belongs to the order.
    cursor = httpx.URL(str(page.answer.url)).params["cursor"]
    assert browser.get("/top", what=f"{entity}s", cursor=cursor, **query).status_code == 422


def test_a_cursor_opens_one_list_of_one_person(browser: Browser) -> None:
    (more,) = (link for link in browser.page("/top").main.all("a") if link.text == "More")
    cursor = httpx.URL(more.attributes["href"]).params["cursor"]
    for path, person in [
        (f"/top?what=artists&cursor={cursor}", "ada"),
        (f"/top?period=year&cursor={cursor}", "ada"),
        (f"/top?cursor={cursor}", "bob"),
        ("/top?cursor=x", "ada"),
        ("/top?cursor=" + "A" * 5_000, "ada"),
    ]:
        page = browser.page(path, as_=person, status=422)
        assert "is not a page of this list" in page.text


def test_arrows_lead_through_every_month_from_the_first_play_on(browser: Browser, filled: Filled) -> None:
    ((first,),) = filled.read("select min(local_date) from marts.agg_day_user where user_id = %s", filled.users["ada"])
    page = browser.page(f"/top?period=month&date={first}")
    assert not page.main.all("a", rel="prev")
    following = browser.page(page.main.one("a", rel="next").attributes["href"])
    assert following.main.all("h2")[0].text == f"{first.replace(day=28) + timedelta(days=8):%B %Y}"
    assert httpx.URL(following.main.one("a", rel="prev").attributes["href"]).params["date"] == f"{first:%Y-%m}-01"
    now = browser.page("/top?period=week")
    assert not now.main.all("a", rel="next")
    # Nothing was heard lately: the page says so, and where the last plays are.
    assert "Nothing was heard on these days" in now.text
    assert any("date=2024-12-" in address for address in now.links("/top?what=tracks&period=week"))


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("period=decade", "“period” must be one of week, month, year, all."),
        ("what=shows", "“what” must be one of tracks, artists, albums, podcasts, audiobooks."),
        ("date=2024-02-30", "“date” must be a date such as 2024-03-09."),
        ("from=yesterday", "“from” must be a date"),
        ("to=0000-00-00", "“to” must be a date"),
        ("from=2024-03-09&to=2024-03-08", "must not be after"),
        ("date=%00", "“date” must be a date"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(browser: Browser, query: str, says: str) -> None:
    page = browser.page(f"/top?{query}", status=422)
    assert says in page.text


def test_the_ends_of_the_calendar_and_empty_fields_are_no_trouble(browser: Browser) -> None:
    for query in (
        "what=&period=&date=&from=&to=&cursor=",
        "period=week&date=0001-01-02",
        "period=year&date=9999-12-30",
        "from=0001-01-02",
        "to=0001-01-02",
        "from=9999-12-30",
        "from=0001-01-02&to=9999-12-30",
    ):
        check_form(browser.page(f"/top?{query}"))


# One track, artist or album.

WHOLE = """
select count(*)::int, sum(is_counted::int)::int, coalesce(sum(ms_played), 0)::bigint, min(played_at), max(played_at)
from (select *, content_id as track_id from marts.fct_plays) as play
where user_id = %s and kind = 'track' and {entity}_id = %s
"""


def said_at(moment: datetime) -> str:
    there = moment.astimezone(BERLIN)
    return f"{there.day} {there:%B %Y}, {there:%H:%M}"


@pytest.mark.parametrize("entity", ENTITIES)
def test_its_figures_are_those_of_its_plays(browser: Browser, filled: Filled, api: Api, entity: str) -> None:
    ada = filled.users["ada"]
    ranked = api.read(f"/v1/me/top/{entity}s", limit=100)["data"]
    for row in (ranked[0], ranked[-1]):
        id = row[f"{entity}_id"]
        ((plays, counted, ms, first, last),) = filled.read(WHOLE.format(entity=entity), ada, id)
        page = browser.page(f"/{entity}s/{id}")
        tiles = page.tiles()
        assert page.heading == row["name"]
        assert tiles["Plays"] == f"{counted:,}"
        assert ("short play" in page.text) == (plays > counted)
        assert tiles["Rank"] == f"#{row['rank']}"
        facts = [fact.text for fact in page.main.one("dl", class_="facts").all("dd")]
        assert facts[:2] == [said_at(first), said_at(last)]
        assert sum(int(cells[1].replace(",", "")) for cells in page.rows(0)) == counted
        ((whole,),) = filled.read("select sum(ms_played)::bigint from marts.fct_plays where user_id = %s", ada)
        share = 100 * ms / whole
        assert f"{'under 1' if share < 1 else round(share)} % of all your listening" in page.text


@pytest.mark.parametrize("entity", ENTITIES)
def test_its_years_months_days_and_hours_are_those_of_its_plays(browser: Browser, filled: Filled, entity: str) -> None:
    id = most_heard(filled, entity)
    plays = filled.read(
        "select local_date, local_hour::int, is_counted, coalesce(ms_played, 0)"
        " from (select *, content_id as track_id from marts.fct_plays) as play"
        f" where user_id = %s and kind = 'track' and {entity}_id = %s order by 1",
        filled.users["ada"], id,
    )  # fmt: skip
    years = filled.read(
        "select period_start, ms_played from marts.agg_period_user where user_id = %s and period = 'year'",
        filled.users["ada"],
    )
    of_year = {start.year: ms for start, ms in years}
    page = browser.page(f"/{entity}s/{id}?year=2023")
    check_form(page)
    facts = {fact.one("dt").text: fact.one("dd").text for fact in page.main.one("dl", class_="facts").all("div")}
    by_month = Counter(day.replace(day=1) for day, _, is_counted, _ in plays if is_counted)
    assert facts["Best month"].endswith(f", {max(by_month.values())} plays")
    days = sorted({day for day, *_ in plays})
    longest = max((after - before).days - 1 for before, after in pairwise(days))
    said = facts["Longest absence"].partition(", until ")
    assert said[0] == length_of(longest)
    assert said[2] in {
        f"{after.day} {after:%B %Y}" for before, after in pairwise(days) if (after - before).days - 1 == longest
    }
    heard = {str(year): sum(ms for day, *_, ms in plays if day.year == year) for year in of_year}
    shares = {cells[0]: cells[3] for cells in page.rows(1)}
    for year, share in shares.items():
        value = 100 * heard[year] / of_year[int(year)]
        assert share == (f"{value:.0f} %" if value >= 1 or not value else "under 1 %"), year
    assert f"Plays on {len({day for day in days if day.year == 2023})} of 365 days." in page.text
    assert browser.page(f"/{entity}s/{id}?year=1066").answer.status_code == 200
    drawn = page.main.all("svg", role="img")
    (squares,) = [each.all("rect") for each in drawn if each.attributes["aria-label"].startswith("Most on ")]
    assert len(squares) == 7 * 24
    heard_hours = {(day.isoweekday(), hour) for day, hour, *_ in plays}
    assert sum("nothing" not in str(square.one("title").children) for square in squares) == len(heard_hours)


def test_a_way_to_spotify_stands_where_spotify_has_it(browser: Browser, filled: Filled) -> None:
    query = (
        "select track_id, track.uri from marts.agg_period_tracks as heard"
        " inner join marts.dim_tracks as track using (track_id)"
        " where heard.user_id = %s and period = 'all' and track.uri like %s limit 1"
    )
    ada = filled.users["ada"]
    ((id, uri),) = filled.read(query, ada, "spotify:track:%")
    (link,) = [each for each in browser.page(f"/tracks/{id}").main.all("a") if each.text == "Open in Spotify"]
    assert link.attributes == {
        "href": f"https://open.spotify.com/track/{uri.rpartition(':')[2]}", "rel": "noreferrer",
    }  # fmt: skip
    ((local, _),) = filled.read(query, ada, "spotify:local:%")
    assert "Open in Spotify" not in browser.page(f"/tracks/{local}").text


def test_what_was_heard_most_of_an_artist_and_an_album(browser: Browser, filled: Filled) -> None:
    for entity in ("artist", "album"):
        id = most_heard(filled, entity)
        expected = filled.read(
            "select '/tracks/' || content_id, sum(is_counted::int)::int, sum(ms_played)::bigint from marts.fct_plays"
            f" where user_id = %s and {entity}_id = %s"
            " group by content_id order by 2 desc, 3 desc, content_id limit 10",
            filled.users["ada"], id,
        )  # fmt: skip
        page = browser.page(f"/{entity}s/{id}")
        lists = page.main.all("ol", class_="ranking")
        assert [item[:2] for item in listed(Page(page.answer, wrapped(lists[0])))] == [row[:2] for row in expected]
        assert (len(lists) > 1) == (entity == "artist")
    albums = filled.read(
        "select '/albums/' || album_id, sum(is_counted::int)::int, sum(ms_played)::bigint from marts.fct_plays"
        " where user_id = %s and artist_id = %s group by album_id order by 2 desc, 3 desc, album_id",
        filled.users["ada"], most_heard(filled, "artist"),
    )  # fmt: skip
    lists = browser.page(f"/artists/{most_heard(filled, 'artist')}").main.all("ol", class_="ranking")
    shown = [item[:2] for each in lists[1:] for item in listed(Page(page.answer, wrapped(each)))]
    assert len(albums) > 10
    assert shown == [row[:2] for row in albums]


def wrapped(element: Element) -> Element:
    return Element("document", {}, [Element("main", {}, [element])])


@pytest.mark.parametrize("entity", ENTITIES)
def test_the_last_plays_are_the_newest_ones(browser: Browser, filled: Filled, entity: str) -> None:
    id = most_heard(filled, entity)
    expected = filled.read(
        "select played_at from (select *, content_id as track_id from marts.fct_plays) as play"
        f" where user_id = %s and {entity}_id = %s order by played_at desc, play_id desc limit 10",
        filled.users["ada"], id,
    )  # fmt: skip
    page = browser.page(f"/{entity}s/{id}")
    assert [cells[0] for cells in page.rows(-1)] == [said_at(at) for (at,) in expected]


def test_spotifys_own_ranks_stand_on_an_artists_page_day_by_day(browser: Browser, filled: Filled) -> None:
    (id,) = filled.read(
        "select entity_id from marts.fct_top_ranks where user_id = %s and entity_kind = 'artist' group by 1"
        " having count(*) = 3 order by min(rank) limit 1",
        filled.users["ada"],
    )[0]
    ranks = filled.read(
        "select rank from marts.fct_top_ranks where user_id = %s and entity_id = %s and entity_kind = 'artist'"
        " order by snapshot_date",
        filled.users["ada"], id,
    )  # fmt: skip
    page = browser.page(f"/artists/{id}")
    assert page.rows(-2) == [[f"{day} June 2024", f"#{rank}"] for day, (rank,) in enumerate(ranks, start=1)]
    assert "Where Spotify ranked it" not in browser.page(f"/tracks/{most_heard(filled, 'track')}").text


@pytest.mark.parametrize("entity", ENTITIES)
def test_what_only_another_user_heard_is_not_there(browser: Browser, filled: Filled, entity: str) -> None:
    """The catalogue is shared: a name in it tells what somebody else hears."""
    (id, name) = filled.read(
        f"select heard.{entity}_id, name from marts.agg_period_{entity}s as heard"
        f" inner join marts.dim_{entity}s using ({entity}_id) where user_id = %s and period = 'all'"
        f" and {entity}_id not in (select {entity}_id from marts.agg_period_{entity}s where user_id = %s) limit 1",
        filled.users["ada"], filled.users["bob"],
    )[0]  # fmt: skip
    assert browser.page(f"/{entity}s/{id}").heading == name
    page = browser.page(f"/{entity}s/{id}", as_="bob", status=404)
    assert name not in page.answer.text
    assert page.text == browser.page(f"/{entity}s/2147483647", as_="bob", status=404).text


@pytest.mark.parametrize("id", ["0", "-1", "01", "1.0", "x", "%EF%BC%91", "2147483648", "9" * 400, "%00", "1%27--"])
def test_what_is_no_number_names_nothing(browser: Browser, id: str) -> None:
    for entity in ENTITIES:
        browser.page(f"/{entity}s/{id}", status=404)


@contextmanager
def renamed(filled: Filled, *, track_id: int, artist_id: int, album_id: int) -> Iterator[None]:
    """The catalogue as a hostile archive would fill it."""
    track = "update marts.dim_tracks set name = %s, artist_name = %s, album_name = %s where track_id = %s returning 1"
    names = filled.sql("select name, artist_name, album_name from marts.dim_tracks where track_id = %s", track_id)[0]
    (artist,) = filled.sql("select name from raw.artists where artist_id = %s", artist_id)[0]
    (album,) = filled.sql("select name from raw.albums where album_id = %s", album_id)[0]

    def write(track_names: tuple[str, ...], artist_name: str, album_name: str) -> None:
        filled.sql(track, *track_names, track_id)
        filled.sql("update raw.artists set name = %s where artist_id = %s returning 1", artist_name, artist_id)
        filled.sql("update raw.albums set name = %s where album_id = %s returning 1", album_name, album_id)

    try:
        write((HOSTILE,) * 3, HOSTILE, HOSTILE)
        yield
    finally:
        write(names, artist, album)


def test_a_hostile_name_is_text_on_every_page(browser: Browser, filled: Filled) -> None:
    ids = {f"{entity}_id": most_heard(filled, entity) for entity in ENTITIES}
    paths = [f"/{entity}s/{ids[f'{entity}_id']}" for entity in ENTITIES]
    paths += [f"/top?what={entity}s" for entity in ENTITIES]
    with renamed(filled, **ids):
        for path in [*paths, "/", "/year/2023"]:
            page = browser.page(path)
            check_form(page)
            assert page.document.all("img") == [], path
            assert HOSTILE in page.text, path
            assert "<img" not in page.answer.text


# A year.


def days_of_year(filled: Filled, year: int, user: str = "ada") -> dict[date, tuple[int, int]]:
    rows = filled.read(
        "select local_date, count(*)::int, coalesce(sum(ms_played), 0)::bigint from marts.fct_plays"
        " where user_id = %s and extract(year from local_date) = %s group by 1 order by 1",
        filled.users[user], year,
    )  # fmt: skip
    return {day: (plays, ms) for day, plays, ms in rows}


def longest_run(days: list[date]) -> int:
    best = run = 0
    for number, day in enumerate(days):
        run = run + 1 if number and day - days[number - 1] == timedelta(days=1) else 1
        best = max(best, run)
    return best


def test_the_year_leads_to_the_newest_one_with_plays(browser: Browser) -> None:
    answer = browser.get("/year")
    assert (answer.status_code, answer.headers["location"]) == (303, "/year/2024")


@pytest.mark.parametrize("year", [2022, 2023])
def test_a_year_says_what_its_plays_say(browser: Browser, api: Api, filled: Filled, year: int) -> None:
    days = days_of_year(filled, year)
    before = days_of_year(filled, year - 1)
    page = browser.page(f"/year/{year}")
    poster = page.main.one("div", class_="poster")
    ms = sum(each[1] for each in days.values())
    assert poster.one("span", class_="value").text == f"{ms / 3_600_000:,.0f}"
    assert f"{sum(each[0] for each in days.values()):,} plays of" in poster.text
    assert f"on {len(days)} days" in poster.text
    ((artists, songs),) = filled.read(
        "select count(distinct play.artist_id)::int, count(distinct track.recording_id)::int"
        " from marts.fct_plays as play left join marts.dim_tracks as track on track.track_id = play.content_id"
        " where play.user_id = %s and play.kind = 'track' and extract(year from play.local_date) = %s",
        filled.users["ada"], year,
    )  # fmt: skip
    assert f"{songs:,} songs by {artists:,} artists" in poster.text
    change = round(100 * (ms / sum(each[1] for each in before.values()) - 1))
    # 2021 begins in November: nothing to compare with.
    says = "" if year == 2022 else f"{abs(change):,} % {'more' if change > 0 else 'less'} than in {year - 1}"
    assert says in poster.text
    assert bool(says) == (f"than in {year - 1}" in poster.text)

    tiles = page.tiles()
    busiest = max(days, key=lambda day: days[day][::-1])
    assert f"{busiest.day} {busiest:%B %Y}" in page.text
    assert tiles["Longest streak"] == f"{longest_run(list(days))} days"

    for entity, ranking in zip(("artist", "track", "album"), page.main.all("ol", class_="ranking"), strict=True):
        shown = {"period": "year", "date": f"{year}-06-01", **counted_as_shown(entity)}
        top = api.read(f"/v1/me/top/{entity}s", limit=5, **shown)["data"]
        assert [item[:2] for item in listed(Page(page.answer, wrapped(ranking)))] == told(top, entity)
    calendar = page.main.one("figure", class_="year")
    assert calendar.one("figcaption").text.startswith(f"Plays on {len(days)} of 365 days.")
    dark = [square for square in calendar.all("rect") if square.attributes.get("class") != "l0"]
    # The legend has four of its own.
    assert len(dark) == len(days) + 4
    assert page.links("/year/") == [f"/year/{year}/story", *(f"/year/{each}" for each in (2024, 2023, 2022, 2021))]


FOUND = """
select '/artists/' || artist_id
from marts.fct_plays
where user_id = %s and kind = 'track' and extract(year from local_date) = %s and artist_id in (
    select artist_id from marts.fct_plays where user_id = %s and kind = 'track'
    group by 1 having extract(year from min(local_date)) = %s
)
group by artist_id
order by sum(is_counted::int) desc, sum(ms_played) desc, artist_id
"""


def test_what_was_new_in_a_year_is_what_no_year_before_had(browser: Browser, filled: Filled) -> None:
    bob = filled.users["bob"]
    for year in (2022, 2023, 2024):
        found = [address for (address,) in filled.read(FOUND, bob, year, bob, year)]
        page = browser.page(f"/year/{year}", as_="bob")
        assert page.tiles()["New artists"] == f"{len(found)}"
        lists = page.main.all("ul", class_="found")
        shown = [link.attributes["href"] for each in lists for link in each.all("a")]
        assert shown == found[:5]
    assert len(filled.read(FOUND, bob, 2022, bob, 2022)) > 0
    # In the first year everything is new, which says nothing.
    assert "all of them: your history begins here" in browser.page("/year/2021", as_="bob").text


def test_a_year_holds_nothing_personal_but_the_name_to_show(browser: Browser) -> None:
    page = browser.page("/year/2023")
    assert page.heading == "Ada’s 2023"
    assert "Europe/Berlin" not in page.text
    assert "Sign out" not in page.text


def test_a_name_to_show_is_text_too(browser: Browser, filled: Filled) -> None:
    ada = filled.users["ada"]
    filled.sql("update app.users set display_name = %s where user_id = %s returning 1", HOSTILE, ada)
    try:
        with filled.warehouse.connect(Role.APP, autocommit=True) as connection:
            session = manage_access.begin_session(connection, user_id=ada, method="link", device="test")
        answer = httpx.get(
            browser.clients["ada"].base_url.join("/year/2023"),
            headers={"accept": "text/html", "cookie": f"myi_session={session}"},
            trust_env=False,
            verify=False,
        )
        assert answer.status_code == 200
        assert "<img" not in answer.text
        assert "&lt;img src=x" in answer.text
    finally:
        filled.sql("update app.users set display_name = 'Ada' where user_id = %s returning 1", ada)


@pytest.mark.parametrize("year", ["2020", "1999", "9999", "0000", "20233", "x", "-2023", "2023.0", "%D9%A2023"])
def test_a_year_without_plays_is_not_there(browser: Browser, year: str) -> None:
    browser.page(f"/year/{year}", status=404)


def test_a_year_says_which_of_its_days_may_be_missing(browser: Browser, filled: Filled) -> None:
    assert " gap" not in browser.page("/year/2023").text
    assert "not everything" not in browser.page("/year/2024").text
    filled.sql(
        "insert into marts.fct_coverage_gaps (user_id, gap_start, gap_end, reason, is_evident) values"
        " (%s, '2023-05-03 12:00Z', '2023-06-05 22:30Z', 'outage', true),"
        " (%s, '2023-08-01 12:00Z', '2023-09-01 12:00Z', 'polled_only', false)",
        filled.users["ada"], filled.users["ada"],
    )  # fmt: skip
    try:
        page = browser.page("/year/2023")
        # The last moment is half past midnight in Berlin.
        assert "One gap in this year. Plays may be missing: 3 May – 6 June 2023." in page.text
        assert "at least" in page.main.one("div", class_="poster").text
        assert "of which not everything is known" in browser.page("/year/2024").text
        assert "One gap in these days." in browser.page("/top?period=month&date=2023-05-01").text
        for month in ("2023-04-01", "2023-08-01"):
            assert "gap in these days" not in browser.page(f"/top?period=month&date={month}").text
    finally:
        filled.sql("delete from marts.fct_coverage_gaps where reason in ('outage', 'polled_only')")
    # A year in which the history begins has no gap before that.
    first = browser.page("/year/2021").text
    assert re.search(r"(?<!year\. )Your history begins on \d+ November 2021\.", first)
    assert " gap" not in first


def test_a_year_that_goes_on_is_one_so_far(browser: Browser, filled: Filled) -> None:
    today = datetime.now(UTC).astimezone(BERLIN).date()
    filled.sql(
        "insert into marts.agg_day_user"
        " values (%s, %s, 3, 3, 7200000, 0, 3, 3, now(), now(), 7200000, 0, 0, 3, 0, 0) returning 1",
        filled.users["ada"], today,
    )  # fmt: skip
    for period, start in (("month", today.replace(day=1)), ("year", today.replace(month=1, day=1))):
        filled.sql(
            "insert into marts.agg_period_user"
            " values (%s, %s, %s, 1, 3, 3, 7200000, 0, %s, %s, now(), now(), 7200000, 0, 0, 3, 0, 0) returning 1",
            filled.users["ada"], period, start, today, today,
        )  # fmt: skip
    try:
        assert browser.get("/year").headers["location"] == f"/year/{today.year}"
        page = browser.page(f"/year/{today.year}")
        check_form(page)
        poster = page.main.one("div", class_="poster")
        assert "2.0 hours of listening" in poster.text
        goes_on = (today.month, today.day) != (12, 31)
        assert ("so far" in poster.text) == goes_on
        assert (f"It goes up to {today.day} {today:%B %Y}" in page.text) == goes_on
        assert f"Plays on 1 of {today.timetuple().tm_yday} day" in page.main.one("figure", class_="year").text
    finally:
        filled.sql("delete from marts.agg_day_user where local_date = %s", today)
        filled.sql("delete from marts.agg_period_user where first_local_date = %s", today)


def test_before_anything_was_heard_pages_say_how_to_begin(browser: Browser, filled: Filled) -> None:
    bob = filled.users["bob"]
    ((version,),) = filled.sql("delete from marts.user_versions where user_id = %s returning version", bob)
    try:
        for path in ("/", "/top", "/year", "/year/2023", "/artists/1"):
            assert "Nothing is here yet" in browser.page(path, as_="bob").text
    finally:
        filled.sql("insert into marts.user_versions values (%s, %s, now()) returning 1", bob, version)
