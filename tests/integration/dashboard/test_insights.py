"""Insights, days of other years and stories: ten figures counted again in plain Python from what the simulator knows.

Nothing here reads a mart: the listener is made a second time from the same spec, and its plays are counted one by one.
"""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ElementTree
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

import httpx
import pytest
from PIL import Image

from myi_pipeline.simulator import ArchiveSpec, build_listener, write_extended_archive
from myi_pipeline.simulator.archive_truth import ArchiveTruth
from myi_pipeline.simulator.resolve import resolve
from tests.integration.dashboard.conftest import Browser, Element, Page, check_form
from tests.integration.dashboard.test_listening_pages import HOSTILE, most_heard, renamed
from tests.integration.reads.conftest import PLAYS, ZONES, Filled

BERLIN = ZoneInfo(ZONES["ada"])
SVG = "{http://www.w3.org/2000/svg}"
COUNTRIES = {"DE": "Germany", "NL": "Netherlands", "US": "United States", "JP": "Japan", "FR": "France"}


@dataclass(frozen=True)
class Heard:
    """One play as it was: when it ended, on whose clock, how long it was heard, and which track of whom."""

    at: datetime
    local: datetime
    ms: int
    track: tuple[str | None, ...] | None
    title: str | None
    artist: str | None

    @property
    def counts(self) -> bool:
        return self.ms >= 30_000

    @property
    def began(self) -> datetime:
        return self.at - timedelta(milliseconds=self.ms)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> ArchiveTruth:
    spec = ArchiveSpec(
        seed=1, listener="ada", first_day=date(2021, 11, 1), last_day=date(2024, 12, 31), plays=PLAYS["ada"]
    )
    return write_extended_archive(tmp_path_factory.mktemp("truth") / "ada.zip", build_listener(spec))


@pytest.fixture(scope="module")
def truth(archive: ArchiveTruth) -> list[Heard]:
    plays, names = resolve([archive.plays()])
    found = []
    for play in plays:
        is_track = play.content is not None and play.content.kind == "track"
        title, artist, _ = names[play.content] if is_track and play.content is not None else (None, None, None)
        local = play.played_at.astimezone(BERLIN)
        found.append(
            Heard(play.played_at, local, play.ms_played or 0, play.content if is_track else None, title, artist)
        )
    return sorted(found, key=lambda play: (play.at, play.began))


def sessions(plays: list[Heard]) -> Iterator[list[Heard]]:
    current: list[Heard] = []
    for play in plays:
        if current and play.began - current[-1].at > timedelta(minutes=30):
            yield current
            current = []
        current.append(play)
    yield current


def longest_runs(plays: list[Heard]) -> list[int]:
    """For each track its longest run in one session, the longest first."""
    best: Counter[object] = Counter()
    for session in sessions(plays):
        for track, run in groupby((play for play in session if play.counts), lambda play: play.track):
            if track is not None:
                best[track] = max(best[track], len(list(run)))
    return sorted((times for times in best.values() if times >= 3), reverse=True)


def ranking(page: Page, heading: str) -> list[Element]:
    """The items of the list below a heading."""
    (section,) = (each for each in page.main.all("section") if each.attributes.get("aria-labelledby") == heading)
    lists = section.all("ol", class_="ranking")
    return lists[0].all("li") if lists else []


def numbers(page: Page, heading: str) -> list[int]:
    return [int(item.one("span", class_="much").one("strong").text.replace(",", "")) for item in ranking(page, heading)]


def names(page: Page, heading: str) -> list[str]:
    return [item.one("span", class_="what").all("a")[0].text for item in ranking(page, heading)]


def of_year(plays: list[Heard], year: int) -> list[Heard]:
    return [play for play in plays if play.local.year == year]


def test_the_longest_runs_of_a_track_are_those_of_the_plays_in_order(browser: Browser, truth: list[Heard]) -> None:
    expected = longest_runs(truth)[:5]
    assert expected[0] > 5
    assert numbers(browser.page("/insights"), "obsessions") == expected


@pytest.mark.parametrize("year", [2022, 2023])
def test_what_was_on_repeat_in_a_year(browser: Browser, truth: list[Heard], year: int) -> None:
    page = browser.page("/insights", year=year)
    # No session of this listener lasts over the end of these years.
    assert numbers(page, "in-a-row") == longest_runs(of_year(truth, year))[:5]
    times = Counter((play.track, play.local.date()) for play in of_year(truth, year) if play.counts and play.track)
    best: Counter[object] = Counter()
    for (track, _), count in times.items():
        best[track] = max(best[track], count)
    assert numbers(page, "in-a-day") == [count for _, count in best.most_common(5) if count >= 3]


def test_most_in_a_week_is_counted_from_monday_on(browser: Browser, truth: list[Heard]) -> None:
    times = Counter(
        (play.track, play.local.isocalendar()[:2]) for play in of_year(truth, 2023) if play.counts and play.track
    )
    best: Counter[object] = Counter()
    for (track, _), count in times.items():
        best[track] = max(best[track], count)
    page = browser.page("/insights", year=2023)
    assert numbers(page, "in-a-week") == [count for _, count in best.most_common(5) if count >= 3]
    (first, *_) = ranking(page, "in-a-week")
    days = httpx.URL(first.one("span", class_="much").one("a").attributes["href"]).params
    begin, end = (date.fromisoformat(days[name]) for name in ("from", "to"))
    assert (begin.isoweekday(), end - begin) == (1, timedelta(days=6))


@pytest.mark.parametrize("year", [2022, 2023])
def test_each_hour_has_the_artist_with_most_plays_in_it_and_each_month_its_artists(
    browser: Browser, truth: list[Heard], year: int
) -> None:
    counted = [play for play in of_year(truth, year) if play.counts and play.artist]
    of_hour: defaultdict[int, Counter[str | None]] = defaultdict(Counter)
    for play in counted:
        of_hour[play.local.hour][play.artist] += 1
    page = browser.page("/insights", year=year)
    (hours,) = (each for each in page.main.all("section") if each.attributes.get("aria-labelledby") == "of-hours")
    rows = [[cell.text for cell in row.children if isinstance(cell, Element)] for row in hours.one("tbody").all("tr")]
    assert [int(row[0][:2]) for row in rows] == sorted(of_hour)
    for hour, artist, plays, share in rows:
        found = of_hour[int(hour[:2])]
        assert found[artist] == int(plays) == max(found.values())
        assert share == f"{round(100 * found[artist] / found.total())} %"
    (variety,) = (each for each in page.main.all("section") if each.attributes.get("aria-labelledby") == "variety")
    by_month = [len({play.artist for play in counted if play.local.month == month}) for month in range(1, 13)]
    shown = [int(row.all("td")[0].text) for row in variety.one("tbody").all("tr")]
    assert shown == by_month


def test_forgotten_favourites_were_heard_often_and_not_in_the_last_year(browser: Browser, truth: list[Heard]) -> None:
    before = truth[-1].local.replace(hour=0, minute=0, second=0) - timedelta(days=365)
    counts, last = Counter(play.track for play in truth if play.counts and play.track), {}
    for play in truth:
        last[play.track] = play.at
    forgotten = [count for track, count in counts.most_common() if count >= 5 and last[track] < before]
    assert forgotten
    assert numbers(browser.page("/insights"), "forgotten") == forgotten[:5]


@pytest.mark.parametrize("year", [2022, 2024])
def test_artists_of_the_night_are_those_with_the_greatest_share_of_it(
    browser: Browser, truth: list[Heard], year: int
) -> None:
    counted = [play for play in of_year(truth, year) if play.counts and play.artist]
    whole = Counter(play.artist for play in counted)
    late = Counter(play.artist for play in counted if play.local.hour < 5)
    shares = sorted(
        ((late[artist] / whole[artist], whole[artist]) for artist in late if whole[artist] >= 10), reverse=True
    )
    page = browser.page("/insights", year=year)
    said = [item.one("span", class_="much").all("span", class_="unit")[0].text for item in ranking(page, "late")]
    assert said == [f"{round(share * number)} of {number:,} plays" for share, number in shares[:5]]
    assert said


def test_the_longest_session_of_a_year_is_that_of_its_plays(browser: Browser, truth: list[Heard]) -> None:
    lengths = sorted(
        ((group[-1].at - group[0].began, len(group)) for group in sessions(truth) if group[-1].local.year == 2023),
        reverse=True,
    )
    cards = browser.page("/insights", year=2023).main.one("ol", class_="sittings").all("li", class_="card")
    for card, (length, plays) in zip(cards, lengths[:3], strict=True):
        minutes = round(length / timedelta(minutes=1))
        assert card.one("strong").text == f"{minutes // 60} h {minutes % 60} min"
        assert f"{plays} plays" in card.text


def test_an_artist_has_stayed_who_is_heard_often_and_long_after_the_first_time(
    browser: Browser, truth: list[Heard]
) -> None:
    of_artist: defaultdict[str, list[Heard]] = defaultdict(list)
    for play in truth:
        if play.artist:
            of_artist[play.artist].append(play)
    stayed = [
        (sum(play.counts for play in plays), artist)
        for artist, plays in of_artist.items()
        if plays[0].local.year == 2022 and plays[-1].at - plays[0].at >= timedelta(days=90)
    ]
    expected = sorted((count for count, _ in stayed if count >= 10), reverse=True)[:5]
    page = browser.page("/insights", year=2022)
    assert numbers(page, "stayed") == expected
    assert "everything is new in it" in browser.page("/insights", year=2021).text


def test_an_era_is_as_wide_as_its_plays(browser: Browser, truth: list[Heard]) -> None:
    page = browser.page("/insights")
    figure = page.main.one("figure", class_="stream")
    table = figure.one("table")
    artists = [cell.text for cell in table.one("thead").all("th")[1:]]
    plays = Counter((play.local.year, (play.local.month - 1) // 3, play.artist) for play in truth)
    begins = [(year, quarter) for year in range(2021, 2026) for quarter in range(4)][3:]
    rows = table.one("tbody").all("tr")
    assert len(rows) in (13, 14)
    for row, span in zip(rows, begins, strict=False):
        assert [int(cell.text) for cell in row.all("td")] == [plays[(*span, artist)] for artist in artists]
    assert len(figure.one("svg", role="img").all("path")) >= len(artists) > 2


# As the simulator's exports spell them, before the year in which programs took the place of devices and after.
FAMILIES = {
    "Android": "Android", "android": "Android", "iOS": "iOS", "ios": "iOS", "Windows": "Windows", "windows": "Windows",
    "WebPlayer": "Web player", "web_player": "Web player",
    "Partner": "Speaker, TV or car", "sonos": "Speaker, TV or car",
}  # fmt: skip


def test_devices_countries_skips_and_shuffle_are_those_of_the_archive(browser: Browser, archive: ArchiveTruth) -> None:
    plays = [play for play in archive.plays() if play.played_at.astimezone(BERLIN).year == 2023]
    devices: Counter[str] = Counter()
    countries: Counter[str] = Counter()
    for play in plays:
        devices[FAMILIES[str(play.platform).split()[0]]] += play.ms_played or 0
        if play.conn_country != "ZZ":
            countries[COUNTRIES[str(play.conn_country)]] += play.ms_played or 0
    page = browser.page("/insights", year=2023)

    def names_of(heading: str) -> list[str]:
        (section,) = (each for each in page.main.all("section") if each.attributes.get("aria-labelledby") == heading)
        return [row.one("th").text for row in section.one("tbody").all("tr")]

    assert names_of("devices") == [name for name, _ in devices.most_common()]
    assert names_of("countries") == [name for name, _ in countries.most_common()]
    assert len(names_of("countries")) > 1
    for figure, said in (("Skipped", "skipped"), ("Shuffled", "shuffle")):
        known = [getattr(play, said) for play in plays if play.kind == "track" and getattr(play, said) is not None]
        (tile,) = (each for each in page.main.all("div", class_="tile") if each.one("dt").text == figure)
        assert tile.one("dd", class_="note").text == f"{sum(known):,} of {len(known):,} tracks played"
        assert tile.one("span", class_="value").text == f"{100 * sum(known) / len(known):.0f} %"


def test_a_decade_has_the_plays_of_the_songs_that_first_came_out_in_it(browser: Browser, filled: Filled) -> None:
    years = dict(
        filled.sql(
            "select f.content_id, r.first_release_year from raw.found_recordings as f"
            " inner join raw.musicbrainz_recordings as r using (recording_mbid) where r.first_release_year is not null"
        )
    )
    songs = dict(filled.read("select track_id, recording_id from marts.dim_tracks"))
    heard = filled.read(
        "select content_id, is_counted from marts.fct_plays where user_id = %s and kind = 'track'", filled.users["ada"]
    )
    oldest: dict[int, int] = {}
    for track, _ in heard:
        if track in years:
            oldest[songs[track]] = min(years[track], oldest.get(songs[track], years[track]))
    plays: Counter[str] = Counter()
    for track, is_counted in heard:
        if is_counted and songs[track] in oldest:
            plays[f"{oldest[songs[track]] // 10 * 10}s"] += 1
    page = browser.page("/insights")
    (section,) = (each for each in page.main.all("section") if each.attributes.get("aria-labelledby") == "decades")
    rows = [[cell.text for cell in row.children if isinstance(cell, Element)] for row in section.one("tbody").all("tr")]
    assert [(row[0], row[2]) for row in rows] == [(decade, f"{plays[decade]:,} plays") for decade in sorted(plays)]
    assert sorted(plays) == ["1960s", "1990s"]


def test_on_a_day_of_the_calendar_every_year_says_what_was_heard(browser: Browser, truth: list[Heard]) -> None:
    by_day = Counter(play.local.strftime("%m-%d") for play in truth if play.counts)
    day, _ = by_day.most_common(1)[0]
    page = browser.page(f"/on-this-day/{day}")
    expected = []
    for year in (2024, 2023, 2022, 2021):
        plays = [play for play in of_year(truth, year) if play.local.strftime("%m-%d") == day]
        if plays:
            expected.append((str(year), len(plays)))
    items = page.main.one("ol", class_="years-ago").all("li")
    found = [(item.all("a")[0].text, int(item.one("span", class_="much").one("strong").text)) for item in items]
    assert found == expected
    best = Counter(
        play.title
        for play in truth
        if play.counts and play.local.strftime("%Y-%m-%d") == f"{found[0][0]}-{day}" and play.track
    )
    assert best[items[0].one("span", class_="what").all("a")[0].text] == max(best.values())


def test_the_day_is_on_the_overview_and_leap_days_are_of_leap_years(browser: Browser, filled: Filled) -> None:
    assert browser.page("/on-this-day/02-29").heading == "On 29 February"
    leap = browser.page("/on-this-day/02-29").links("/history")
    assert all(address.startswith("/history?from=2024-02-29") for address in leap)
    today = datetime.now(BERLIN).date()
    expected = filled.read(
        "select local_date::text from marts.agg_day_user where user_id = %s and to_char(local_date, 'MM-DD') = %s"
        " and local_date < %s order by 1 desc limit 3",
        filled.users["ada"], today.strftime("%m-%d"), today.replace(month=1, day=1),
    )  # fmt: skip
    shown = browser.page("/").links("/history?from=")
    assert [address[14:24] for address in shown][: len(expected)] == [day for (day,) in expected]


@pytest.mark.parametrize("path", ["/on-this-day/02-30", "/on-this-day/13-01", "/on-this-day/3-9", "/on-this-day/x"])
def test_a_day_that_no_year_has_is_not_there(browser: Browser, path: str) -> None:
    assert "There is no such day." in browser.page(path, status=404).text


def texts(page: Page, name: str) -> list[str]:
    """What stands on one card, line by line."""
    (figure,) = (
        each
        for each in page.main.all("figure")
        if any(link.attributes["href"].endswith(f"/{name}.png") for link in each.all("a"))
    )
    return [text.text for text in figure.all("text")]


@pytest.mark.parametrize(
    ("path", "first", "end"),
    [
        ("/year/2023/story", date(2023, 1, 1), date(2023, 12, 31)),
        ("/month/2024-03/story", date(2024, 3, 1), date(2024, 3, 31)),
    ],
)
def test_a_story_tells_what_its_plays_say(
    browser: Browser, truth: list[Heard], path: str, first: date, end: date
) -> None:
    page = browser.page(path)
    plays = [play for play in truth if first <= play.local.date() <= end]
    before_end = first - timedelta(days=1)
    before_first = before_end.replace(day=1) if "month" in path else before_end.replace(month=1, day=1)
    before = sum(play.ms for play in truth if before_first <= play.local.date() <= before_end)
    ms = sum(play.ms for play in plays)
    days = {play.local.date() for play in plays}
    hours = ms / 3_600_000
    assert f"{hours:,.1f}" in texts(page, "hours") or f"{hours:,.0f}" in texts(page, "hours")
    assert f"{len(plays):,} plays on {len(days)} days" in texts(page, "hours")

    counts = Counter(play.artist for play in plays if play.counts and play.artist)
    assert texts(page, "artists")[4] in [name for name, count in counts.items() if count == max(counts.values())]
    assert any(line.startswith(f"{max(counts.values()):,} plays, ") for line in texts(page, "artists"))

    by_day: Counter[date] = Counter()
    for play in plays:
        by_day[play.local.date()] += play.ms
    busiest = by_day.most_common(1)[0][0]
    assert f"{busiest.day} {busiest:%B}" in texts(page, "busiest")

    runs = longest_runs(plays)
    if runs:
        assert str(runs[0]) in texts(page, "obsession")
    firsts = {play.artist: play.local.date() for play in reversed(truth) if play.artist}
    new = sum(first <= day <= end for day in firsts.values())
    assert not new or texts(page, "discoveries")[2].startswith(f"{new} new artist")

    change = round(100 * (ms - before) / before)
    assert f"{abs(change)} % {'more' if change > 0 else 'less'}" in texts(page, "comparison")


@pytest.mark.slow
def test_each_card_is_a_picture_of_its_own_with_its_text_in_it(browser: Browser) -> None:
    page = browser.page("/year/2023/story")
    files = [link for link in page.links("/year/2023/story/") if link.endswith(".svg")]
    assert len(files) >= 7
    for address in files:
        answer = browser.get(address)
        assert answer.headers["content-type"].startswith("image/svg+xml")
        name = address.split("/")[-1]
        assert answer.headers["content-disposition"] == f'attachment; filename="2023-{name}"'
        picture = ElementTree.fromstring(answer.text)
        assert picture.tag == f"{SVG}svg"
        lines = [" ".join((text.text or "").split()) for text in picture.iter(f"{SVG}text")]
        assert lines == texts(page, name.removesuffix(".svg"))
        # Nothing is loaded from anywhere, and no style is needed.
        assert not re.search(r"href|url\(|style|<script|<image", answer.text)
        # Phones keep no SVG: the same card is drawn here, and needs no script.
        png = address.replace(".svg", ".png")
        assert png in page.links()
        drawn = browser.get(png)
        assert drawn.headers["content-type"] == "image/png"
        assert drawn.headers["content-disposition"] == f'attachment; filename="2023-{name.replace("svg", "png")}"'
        with Image.open(io.BytesIO(drawn.content)) as image:
            assert image.size == (1080, 1350)
            # More than its ground is on it.
            assert len(image.convert("RGB").getcolors(maxcolors=100_000) or []) > 8


@pytest.mark.parametrize(
    "path",
    [
        "/year/1999/story", "/year/x/story", "/month/2024-13/story", "/month/2024-3/story", "/month/2019-03/story",
        "/year/2023/story/nothing.svg", "/year/2023/story/hours.gif",
        "/month/2023-05/story/nothing.png", "/year/1999/story/hours.svg", "/month/x/story/hours.svg",
        "/year/2023/story/..%2Fhours.svg", "/insights?year=1999", "/insights?year=x",
    ],
)  # fmt: skip
def test_what_was_never_heard_has_no_story(browser: Browser, path: str) -> None:
    assert browser.get(path).status_code == 404


def test_a_story_says_which_part_of_it_is_known(browser: Browser, filled: Filled) -> None:
    assert "All 365 days are known." in browser.page("/year/2023/story").text
    assert "All 365 days of 2023 are known." in browser.page("/year/2023").text
    begun = browser.page("/year/2021/story").text
    assert re.search(r"\d+ of \d+ days are known since your history began on \d+ November 2021", begun)
    filled.sql(
        "insert into marts.fct_coverage_gaps (user_id, gap_start, gap_end, reason, is_evident) values"
        " (%s, '2023-05-03 22:00Z', '2023-05-13 22:00Z', 'outage', true)",
        filled.users["ada"],
    )
    try:
        page = browser.page("/year/2023/story")
        assert "355 of 365 days are known" in page.text
        assert "355 of 365 days known" in texts(page, "hours")
        assert "Known: 355 of 365 days." in browser.page("/year/2023").text
        assert "21 of 31 days are known" in browser.page("/month/2023-05/story").text
        assert "Not everything of 2023 is known." in texts(browser.page("/year/2024/story"), "comparison")
    finally:
        filled.sql("delete from marts.fct_coverage_gaps where reason = 'outage'")


def test_the_pages_are_well_formed_for_one_person_alone(browser: Browser) -> None:
    for path in ("/insights", "/insights?year=2022", "/on-this-day", "/year/2023/story", "/month/2024-03/story"):
        for person in ("ada", "bob"):
            answer = browser.get(path, as_=person)
            if answer.status_code == 200:
                check_form(browser.page(path, as_=person))
        assert browser.get(path, as_=None).status_code == 303
    assert browser.get("/year/2023/story/hours.svg", as_=None).status_code == 303
    assert browser.page("/insights").answer.text != browser.page("/insights", as_="bob").answer.text


def test_a_hostile_name_is_text_on_a_card_too(browser: Browser, filled: Filled) -> None:
    ids = {f"{entity}_id": most_heard(filled, entity) for entity in ("track", "artist", "album")}
    hostile = HOSTILE + "\x0b\u202e"
    with renamed(filled, **ids):
        artist = ids["artist_id"]
        filled.sql("update raw.artists set name = %s where artist_id = %s returning 1", hostile, artist)
        page = browser.page("/year/2023/story")
        check_form(page)
        assert page.document.all("img") == []
        assert any(line.startswith("<img src=x onerror") for line in texts(page, "artists"))
        picture = browser.get("/year/2023/story/artists.svg").text
        assert any(
            text.text.startswith("<img src=x")
            for text in ElementTree.fromstring(picture).iter(f"{SVG}text")
            if text.text
        )
        check_form(browser.page("/insights"))


def test_single_tracks_are_kept_from_year_to_year(browser: Browser) -> None:
    """The links said `&amp;by=track` once their text was read, so that the choice was lost."""
    page = browser.page("/insights", by="track")
    links = [link for link in page.links("/insights?year=") if link.endswith("#year")]
    assert len(links) > 2
    assert {httpx.URL(link).params["by"] for link in links} == {"track"}
    assert browser.page(links[-1]).main.all("a", href="/insights?year=2021")
