"""The dashboard in a real browser: from signing in with Spotify to every page, as people see and use it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, FilePayload, expect

from tests.architecture.repository import ROOT
from tests.browser.conftest import PICTURES
from tests.browser.setups import HOSTILE, LISTENER, Setup
from tests.browser.visits import DESKTOP, PHONE, Scheme, Visitor, discover, visiting

# The first test waits for the whole setup to start and for an import: four minutes on a machine with much else to do.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PAGES = {"/", "/top", "/history", "/sessions", "/insights", "/imports", "/coverage", "/notices", "/account"}
KINDS = {"artists", "albums", "tracks", "shows", "imports", "year", "month", "playlists", "migrations"}
# Playing, importing and refreshing: Dagster looks every half minute, and a run is a process that takes 10 s to begin.
_IMPORTED_S = 240.0


@dataclass(frozen=True)
class Person:
    """Who is signed in, with an imported archive: the browser's cookies, and every page that was found."""

    setup: Setup
    browser: Browser
    state: Any
    pages: list[str]
    noted: list[str]

    def visiting(self, **options: Any) -> Any:
        return visiting(self.browser, self.setup.url, state=self.state, **options)


def sign_in(visitor: Visitor) -> None:
    """As a person does it: the button, Spotify's page, and back."""
    page = visitor.page
    page.goto(f"{visitor.origin}/sign-in")
    visitor.look_at_both_sizes("/sign-in")
    page.get_by_role("button", name="Sign in with Spotify").click()
    page.get_by_label("You are").select_option(LISTENER)
    page.get_by_role("button", name="Agree").click()
    page.wait_for_url(re.compile(re.escape(visitor.origin)))


def ask(visitor: Visitor, path: str) -> Any:
    answer = visitor.page.request.get(visitor.origin + path)
    assert answer.ok, answer.text()
    return answer.json()


def look_around(visitor: Visitor) -> None:
    """What a newcomer sees before anything was heard, mistakes among it; the browser's clock is another one."""
    page = visitor.page
    expect(page.get_by_role("heading", level=1)).to_contain_text("Welcome to MYI")
    expect(page.locator("form.zone")).to_be_visible()
    visitor.look_at_both_sizes("the welcome")
    for path, status in (("/top", 200), ("/imports", 200), ("/nothing-here", 404), ("/history?cursor=x", 422)):
        visitor.open(path, status=status)
        visitor.look_at_both_sizes(path)
    visitor.open("/")
    page.get_by_role("button", name="Keep Europe/Berlin").click()
    expect(page.locator("form.zone")).to_have_count(0)


def upload(visitor: Visitor, archive: Path) -> None:
    """As a person does it; the page of the import opens by itself."""
    expect(visitor.page.get_by_text("Upload your data", exact=True)).to_be_visible()
    visitor.page.set_input_files('input[type="file"]', archive)
    visitor.page.wait_for_url(re.compile(r"/imports/\d+$"))


def totals(visitor: Visitor) -> dict[str, int]:
    spans = {row["name"]: row for row in ask(visitor, "/v1/me/summary")["data"]}
    return dict(spans["all"])


@pytest.fixture(scope="module")
def person(setup: Setup, chromium: Browser) -> Iterator[Person]:
    archive = setup.archive()
    allowed = (setup.simulator.accounts_url,)
    with visiting(chromium, setup.url, size=PHONE, zone="Europe/Lisbon", also_allowed=allowed) as visitor:
        sign_in(visitor)
        assert [each["method"] for each in ask(visitor, "/v1/me/sign-ins")["sign_ins"]] == ["spotify"]
        look_around(visitor)
        upload(visitor, archive)

        def is_imported() -> bool:
            imports = ask(visitor, "/v1/me/imports")["data"]
            if not imports or imports[0]["status"] != "completed":
                return False
            # Before the first refresh there are no marts.
            summary = visitor.page.request.get(f"{visitor.origin}/v1/me/summary")
            return summary.ok and totals(visitor)["plays"] > 4_000

        setup.wait_until(is_imported, what="the archive is not imported", at_most_s=_IMPORTED_S)
        # The page has followed it by itself, until its plays are in the figures and the refresh is over.
        counted = re.compile(r"\d hours since \d{4}")
        expect(visitor.page.locator("section.live")).to_contain_text(counted, timeout=60_000)
        visitor.page.get_by_role("link", name="See your listening").click(timeout=_IMPORTED_S * 1000)
        expect(visitor.page.get_by_role("heading", level=1)).to_contain_text("hours of listening")
        pages = discover(visitor)
        yield Person(setup, chromium, visitor.page.context.storage_state(), pages, visitor.noted)


def test_a_newcomer_signs_in_looks_around_uploads_an_archive_and_finds_every_page(person: Person) -> None:
    assert {path.partition("?")[0] for path in person.pages} >= PAGES
    assert {path.split("/")[1] for path in person.pages} >= KINDS
    assert person.noted == []


def browse(person: Person, *, size: tuple[int, int], scheme: Scheme) -> None:
    """Every page; the hostile name is text where it is shown, else an element, a dialog or a request is noted."""
    showing = set()
    with person.visiting(size=size, scheme=scheme) as visitor:
        for path in person.pages:
            visitor.open(path)
            visitor.look_for_sideways_scrolling(path)
            visitor.look_for_small_targets(path)
            visitor.ask_axe(path)
            if HOSTILE in visitor.text():
                showing.add(path.partition("?")[0].split("/")[1])
            if size == DESKTOP:
                visitor.use_the_keyboard(path)
            else:
                visitor.look_on_the_narrowest_phone(path)
        assert visitor.noted == []
    assert showing >= {"top", "artists"}


def test_every_page_is_sound_on_a_phone_in_the_light(person: Person) -> None:
    browse(person, size=PHONE, scheme="light")


def test_every_page_is_sound_on_a_desktop_in_the_dark_and_is_used_with_the_keyboard_alone(person: Person) -> None:
    browse(person, size=DESKTOP, scheme="dark")


@pytest.mark.long
def test_every_page_is_sound_the_other_way_round(person: Person) -> None:
    browse(person, size=PHONE, scheme="dark")
    browse(person, size=DESKTOP, scheme="light")


def test_pages_show_their_figures_without_scripts(person: Person) -> None:
    with person.visiting() as asking:
        plays = totals(asking)["plays"]
        newest = ask(asking, "/v1/me/plays?limit=20")["data"]
        favourites = [row["name"] for row in ask(asking, "/v1/me/top/tracks?limit=3")["data"]]
    with person.visiting(has_scripts=False) as visitor:
        shown = {}
        for path in person.pages:
            visitor.open(path)
            assert visitor.page.locator("main h1").count() == 1, path
            shown[path] = visitor.text()
        assert visitor.noted == []
    assert re.search(f"{plays:,}".replace(",", "[,.\\s]?"), shown["/"])
    assert any(row["title"] in shown["/history"] for row in newest if row["title"])
    top = next(text for path, text in shown.items() if path.startswith("/top"))
    assert any(name in top for name in favourites if name)


def test_charts_say_what_is_pointed_at_the_menu_closes_and_colours_are_kept(person: Person) -> None:
    (year,) = [path for path in person.pages if path.startswith("/year/")][:1]
    with person.visiting() as visitor:
        page = visitor.page
        visitor.open(year)
        said = page.locator("figure.chart [data-readout]")
        assert said.text_content() == "Hours"
        page.locator("figure.chart .mark").first.hover()
        expect(said).to_have_text(re.compile(r"^January \d{4}: [\d.,]+ hours?$"))
        page.mouse.move(1, 1)
        expect(said).to_have_text("Hours")
        more = page.locator("header summary")
        more.click()
        expect(page.get_by_role("link", name="Coverage")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("link", name="Coverage")).to_be_hidden()
        expect(more).to_be_focused()
        page.get_by_role("button", name="Dark").click()
        expect(page).to_have_url(visitor.origin + year)
        expect(page.locator("body")).to_have_css("background-color", "rgb(19, 21, 18)")
        visitor.open("/history")
        expect(page.locator("body")).to_have_css("background-color", "rgb(19, 21, 18)")
        assert visitor.noted == []


def test_a_year_is_printed_in_the_light_on_one_sheet(person: Person) -> None:
    (year,) = [path for path in person.pages if path.startswith("/year/")][:1]
    with person.visiting(scheme="dark") as visitor:
        visitor.open(year)
        visitor.page.emulate_media(media="print", color_scheme="dark")
        assert visitor.page.evaluate("getComputedStyle(document.body).color") == "rgb(27, 30, 26)"
        printed = visitor.page.pdf(format="A4", prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 1


def test_the_search_box_suggests_what_was_heard_and_is_used_with_the_keyboard(person: Person) -> None:
    with person.visiting() as visitor:
        artists = [row["name"] for row in ask(visitor, "/v1/me/top/artists?limit=100")["data"]]
        artist = next(name for name in artists if re.fullmatch("[A-Z][a-z]{5,} [A-Z][a-z]{3,}", name))
        # Two letters in the wrong order.
        typed = artist[:2] + artist[3] + artist[2] + artist[4:]
        # Not the overview, which loads itself anew while something is being counted.
        visitor.open("/top")
        box = visitor.page.get_by_role("combobox", name="Search what you heard")
        box.press_sequentially(typed)
        first = visitor.page.get_by_role("option", name=artist).first
        expect(first).to_be_visible()
        visitor.ask_axe_in_both_colours("/top with suggestions")
        box.press("Escape")
        expect(first).to_be_hidden()
        box.fill("")
        box.press_sequentially(typed)
        expect(first).to_be_visible()
        options = visitor.page.get_by_role("option").all_inner_texts()
        for _ in range(1 + next(place for place, text in enumerate(options) if text.startswith(artist))):
            box.press("ArrowDown")
        box.press("Enter")
        visitor.page.wait_for_url(re.compile(r"/(artists|albums|tracks)/\d+$"))
        # Enter without a choice leads to the page of the search.
        visitor.page.get_by_role("combobox").fill(artist)
        visitor.page.get_by_role("combobox").press("Enter")
        visitor.page.wait_for_url(re.compile(r"/search\?q="))
        expect(visitor.page.get_by_role("link", name=artist).first).to_be_visible()
        assert visitor.noted == []


def test_files_that_are_uploaded_together_are_each_taken_or_named_with_the_reason(person: Person) -> None:
    rows = '[{"endTime": "2024-05-01 10:00", "artistName": "A", "trackName": "B", "msPlayed": 60000}]'
    files: list[FilePayload] = [
        {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"hello"},
        {"name": "StreamingHistory_music_0.json", "mimeType": "application/json", "buffer": rows.encode()},
        {"name": "empty.zip", "mimeType": "application/zip", "buffer": b"PK"},
    ]
    with person.visiting() as visitor:
        before = len(ask(visitor, "/v1/me/imports")["data"])
        visitor.open("/imports")
        visitor.page.set_input_files('input[type="file"]', files)
        said = visitor.page.locator("form.drop [data-said]")
        expect(said).to_contain_text("Taken: 1")
        expect(said).to_contain_text("notes.txt: ")
        expect(said).to_contain_text("empty.zip: ")
        assert len(ask(visitor, "/v1/me/imports")["data"]) == before + 1


@pytest.mark.skipif(PICTURES not in os.environ, reason=f"{PICTURES} asks for new pictures in docs/images")
def test_pictures_for_the_readme_are_taken(person: Person) -> None:
    folder = ROOT / "docs" / "images"
    folder.mkdir(exist_ok=True)
    year = next(path for path in person.pages if path.startswith("/year/"))
    wanted: list[tuple[str, str, tuple[int, int], Scheme]] = [
        ("overview-light", "/", DESKTOP, "light"),
        ("overview-dark", "/", DESKTOP, "dark"),
        ("phone", "/", PHONE, "light"),
        ("year", year, DESKTOP, "light"),
    ]
    for name, path, size, scheme in wanted:
        with person.visiting(size=size, scheme=scheme) as visitor:
            visitor.open(path)
            visitor.page.screenshot(path=folder / f"{name}.png")


def test_dagsters_pages_let_a_person_in_by_the_link_of_myi_up_and_follow_what_happens(person: Person) -> None:
    """One click: the link hands its secret over by itself; the pages' data come over HTTP and a web socket."""
    setup = person.setup
    origin = f"http://127.0.0.1:{setup.settings.dagster_port}"
    (link,) = re.findall(rf"{origin}/myi/enter#\S+", setup.log)
    with person.browser.new_context() as context:
        page = context.new_page()
        sockets: list[str] = []
        received: list[str] = []
        page.on(
            "websocket",
            lambda socket: (
                sockets.append(socket.url),
                socket.on("framereceived", lambda frame: received.append(str(frame))),
            ),
        )
        page.goto(f"{origin}/runs")
        expect(page.get_by_role("heading", name="Dagster's pages")).to_be_visible()
        page.goto(link)
        page.wait_for_url(re.compile(re.escape(origin) + "(?!/myi)"))
        page.goto(f"{origin}/runs")
        expect(page.get_by_text("listening_history").or_(page.get_by_text("Success")).first).to_be_visible(
            timeout=60_000
        )
        assert "#" not in page.url
        assert any(url.endswith("/graphql") for url in sockets)
        for _ in range(60):
            if any("connection_ack" in frame for frame in received):
                break
            page.wait_for_timeout(250)
        else:
            pytest.fail(f"nobody answers on the web socket: {received}")
