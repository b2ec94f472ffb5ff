"""A daily visit to a history of some years, as a person makes it: pages are sound, light, and agree with each other.

With a million plays (`-m long -s` prints how long each page took) and, for every run, with 20,000.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, expect
from pydantic import SecretStr

from myi_pipeline.archives.import_history import import_history
from myi_pipeline.archives.reading_settings import account_hasher, archive_limits
from myi_pipeline.marts.dbt_runner import DbtProcess, dbt_environment
from myi_pipeline.marts.refresh import refresh_marts
from myi_pipeline.people import manage_access, manage_users
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.settings import ROLES_WITH_A_URL, Settings
from myi_pipeline.simulator import ArchiveSpec, build_listener, write_extended_archive
from myi_pipeline.web.app import create_app
from tests.browser.visits import DESKTOP, PHONE, Visitor, visiting
from tests.conftest import free_port
from tests.integration.api.conftest import serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

USER = "ana"
MOST_BYTES = 60_000
# Long enough for a busy machine; the figures that people feel are printed.
MOST_MS = {20_000: 5_000, 1_000_000: 8_000}
_WEIGHT = """() => performance.getEntriesByType('navigation')[0].encodedBodySize
    + performance.getEntriesByType('resource')
        .filter((each) => ['link', 'script'].includes(each.initiatorType))
        .reduce((sum, each) => sum + each.encodedBodySize, 0)"""
# The page itself, its style and its scripts; pictures apart.
_REQUESTS = """() => 1 + performance.getEntriesByType('resource')
    .filter((each) => ['link', 'script'].includes(each.initiatorType)).length"""
_ANSWERED_MS = "() => performance.getEntriesByType('navigation')[0].responseEnd"


@dataclass(frozen=True)
class Site:
    """Where it is, and whose history of how many plays it shows."""

    url: str
    warehouse: Warehouse
    user_id: int
    plays: int

    def new_link(self) -> str:
        with self.warehouse.connect(Role.APP, autocommit=True) as connection:
            return f"{self.url}/link#{manage_access.make_link(connection, user_id=self.user_id)}"

    def ask(self, query: str) -> tuple[Any, ...]:
        with self.warehouse.connect(Role.ANALYST) as connection:
            (row,) = connection.execute(query.encode(), {"user": self.user_id}).fetchall()
        return row


@pytest.fixture(
    scope="module", params=[20_000, pytest.param(1_000_000, marks=pytest.mark.long)], ids=lambda plays: f"{plays:_}"
)
def site(
    request: pytest.FixtureRequest,
    server_for: Callable[[str], Any],
    tmp_path_factory: pytest.TempPathFactory,
    chromium: Browser,
) -> Iterator[Site]:
    server, folder = server_for("embedded"), tmp_path_factory.mktemp("visit")
    name = f"{server.template.database}_visit"
    try:
        warehouse = server.clone(name)
        role_urls = {f"database_url_{role}": SecretStr(warehouse.url(Role(role))) for role in ROLES_WITH_A_URL}
        settings = Settings.model_validate(
            {
                "home": folder / "home",
                "database_url": warehouse.url(Role.OWNER),
                "dagster_database_url": warehouse.dagster_url(),
                "api_port": free_port(),
                "api_requests_per_minute": 100_000,
                **role_urls,
            }
        )
        user_id = _fill(warehouse, settings, folder, request.param)
        with serving(create_app(settings, warehouse), settings.api_port):
            yield Site(f"http://127.0.0.1:{settings.api_port}", warehouse, user_id, request.param)
    finally:
        server.drop(name)


def _fill(warehouse: Warehouse, settings: Settings, folder: Any, plays: int) -> int:
    with warehouse.connect(Role.INGEST, autocommit=True) as connection:
        manage_users.add_user(connection, user_key=USER, time_zone="Europe/Berlin", display_name="Ana")
        user_id = manage_users.get_user(connection, user_key=USER).user_id
    last = date.today() - timedelta(days=2)  # noqa: DTZ011 - any day near today will do
    years = max(4, plays // 75_000)
    spec = ArchiveSpec(
        seed=7, listener=USER, first_day=last.replace(year=last.year - years, day=1), last_day=last, plays=plays
    )
    archive = folder / "my_spotify_data.zip"
    write_extended_archive(archive, build_listener(spec))
    import_history(
        warehouse, paths=archive, user_key=USER, limits=archive_limits(settings), hash_account=account_hasher(settings)
    )
    environment = dbt_environment(warehouse, target=folder / "target", logs=folder / "logs")
    with DbtProcess() as dbt:
        result = refresh_marts(warehouse, dbt=dbt, environment=environment, run_tests=False)
    assert result.is_good, result.error
    with warehouse.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("vacuum analyze")
    return user_id


@dataclass
class Visit:
    """What was opened, and what each page took."""

    visitor: Visitor
    site: Site
    took: list[tuple[str, int, int, int]] = field(default_factory=list)

    def open(self, path: str) -> None:
        self.visitor.open(path)
        self.look()

    def click(self, what: Locator, address: str) -> None:
        """Leads to a page whose address begins like this pattern."""
        with self.visitor.page.expect_navigation(url=re.compile(re.escape(self.site.url) + address)):
            what.click()
        self.look()

    def look(self) -> None:
        """The page looks as each should."""
        page = self.visitor.page
        path = page.url.removeprefix(self.site.url)
        kilobytes, ms = page.evaluate(_WEIGHT), page.evaluate(_ANSWERED_MS)
        self.took.append((path, round(ms), kilobytes, page.evaluate(_REQUESTS)))
        if kilobytes > MOST_BYTES:
            self.visitor.noted.append(f"{path}: weighs {kilobytes} bytes")
        if ms > MOST_MS[self.site.plays]:
            self.visitor.noted.append(f"{path}: took {ms} ms")
        self.visitor.look_for_sideways_scrolling(path)
        self.visitor.ask_axe(path)

    def main(self) -> Locator:
        return self.visitor.page.locator("main")

    def lead(self) -> tuple[int, int]:
        """Plays and days of the line below the heading."""
        text = self.main().locator("p.lead").first.inner_text()
        found = re.search(r"([\d,]+) plays? (?:of .* )?on ([\d,]+) days?", text)
        assert found is not None, text
        return whole(found[1]), whole(found[2])


def whole(text: str) -> int:
    return int(text.replace(",", ""))


@pytest.mark.parametrize("size", [PHONE, pytest.param(DESKTOP, marks=pytest.mark.long)], ids=["phone", "desktop"])
def test_a_daily_visit_is_quick_light_and_agrees_with_itself(
    site: Site, chromium: Browser, size: tuple[int, int]
) -> None:
    with visiting(chromium, site.url, size=size) as visitor:
        visit, page = Visit(visitor, site), visitor.page
        page.goto(site.new_link())
        visit.click(page.get_by_role("button", name=f"Sign in as {USER}"), "/$")

        # The whole, on the overview and on the top lists, is what the marts hold.
        held = site.ask(
            "select count(*)::int, count(distinct local_date)::int from marts.fct_plays where user_id = %(user)s"
        )
        assert visit.lead() == held
        periods = page.get_by_role("navigation", name="Period")
        seen = {}
        for name in ("Week", "Month", "Year"):
            visit.click(periods.get_by_role("link", name=name), r"/\?period=")
            seen[name] = page.locator("main h1").inner_text()
        assert len(set(seen.values())) == 3
        # The last whole year, kept on the way to its list.
        visit.click(page.get_by_role("navigation", name="Other periods").locator("a[rel=prev]"), r"/\?period=year")
        year = re.search(r"\d{4}$", page.locator("main h1").inner_text())
        assert year is not None
        of_year = visit.lead()
        hours = page.locator("main h1 .value").inner_text()

        # A day of its calendar has the plays that the square said.
        square = page.locator("figure.grid.year a").last
        said = square.locator("title").text_content()
        assert said is not None
        (plays_said,) = re.findall(r"([\d,]+) plays?", said)
        square.scroll_into_view_if_needed()
        visit.click(square, r"/history\?day=")
        (plays_of_day,) = re.findall(r"([\d,]+) plays?", page.locator("section.day h2").first.inner_text())
        assert plays_of_day == plays_said
        page.go_back()

        visit.click(page.get_by_role("link", name="All artists"), "/top")
        assert visit.lead() == of_year
        artist = page.locator("ol.ranking li").first.locator(".what a").first
        name, counted = artist.inner_text(), page.locator("ol.ranking li .much strong").first.inner_text()
        visit.open(f"/year/{year[0]}")
        assert page.locator("main .poster .value").inner_text() == hours
        assert page.locator("main .poster dd").first.inner_text() == name
        visit.click(page.get_by_role("link", name=f"{year[0]} as a story"), f"/year/{year[0]}/story")
        assert name in page.locator("ol.cards").inner_html().replace("&amp;", "&")

        visitor.open(f"/top?what=artists&period=year&date={year[0]}-01-01")
        first = page.locator("ol.ranking li").first
        assert first.locator(".much strong").inner_text() == counted
        _find_with_a_slip(visit)
        artist_plays = whole(page.locator("main .tile .value").first.inner_text())
        tracks = page.locator("section[aria-labelledby=tracks] ol.ranking li")
        assert 0 < whole(tracks.first.locator(".much strong").inner_text()) <= artist_plays
        visit.click(page.locator("section[aria-labelledby=albums] ol.ranking .what a").first, r"/albums/\d+")
        album_plays = whole(page.locator("main .tile .value").first.inner_text())
        track = page.locator("section[aria-labelledby=tracks] ol.ranking li").first
        of_track = whole(track.locator(".much strong").inner_text())
        assert of_track <= album_plays <= artist_plays
        visit.click(track.locator(".what a").first, r"/tracks/\d+")
        assert whole(page.locator("main .tile .value").first.inner_text()) == of_track

        for path in ("/on-this-day", "/insights", "/sessions", "/history", "/imports", "/account"):
            visit.open(path)
        assert visitor.noted == []
        sys.stdout.write(f"\n{site.plays:,} plays, {size[0]} px\n")
        for path, ms, weight, requests in visit.took:
            sys.stdout.write(f"{ms:6} ms {weight / 1000:5.1f} kB {requests:2} requests  {path}\n")


def _find_with_a_slip(visit: Visit) -> None:
    """The artist heard most whose name a slip leaves recognisable, typed with two letters the wrong way round."""
    page = visit.visitor.page
    names = page.locator("ol.ranking .what a").all_inner_texts()
    name = next(name for name in names if re.match(r"[A-Z][a-z]{5,}", name))
    typed = name[:2] + name[3] + name[2] + name[4:]
    began = time.monotonic()
    page.get_by_role("combobox", name="Search what you heard").press_sequentially(typed)
    option = page.get_by_role("option", name=name).first
    expect(option).to_be_visible()
    visit.took.append((f"suggestions for {typed}", round(1000 * (time.monotonic() - began)), 0, 0))
    visit.click(option, r"/(artists|albums|tracks)/\d+")
    if "/artists/" not in page.url:
        visit.click(page.locator("main p.lead a").first, r"/artists/\d+")
    assert page.locator("main h1").inner_text() == name
