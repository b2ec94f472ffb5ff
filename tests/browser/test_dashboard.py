"""The dashboard in a real browser: from signing in with Spotify to every page, as people see and use it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.architecture.house import ROOT
from tests.browser.conftest import PICTURES
from tests.browser.house import HOSTILE, LISTENER, House
from tests.browser.visits import DESKTOP, PHONE, Scheme, Visitor, discover, visiting

PAGES = {"/", "/top", "/history", "/sessions", "/imports", "/coverage", "/account"}
KINDS = {"artists", "albums", "tracks", "imports", "year"}
# Playing, importing and refreshing: Dagster looks every half minute, and a run is a process that takes 10 s to begin.
_IMPORTED_S = 240.0


@dataclass(frozen=True)
class Person:
    """Who is signed in, with an imported archive: the browser's cookies, and every page that was found."""

    house: House
    browser: Browser
    state: Any
    pages: list[str]
    noted: list[str]

    def visiting(self, **options: Any) -> Any:
        return visiting(self.browser, self.house.url, state=self.state, **options)


def sign_in(visitor: Visitor) -> None:
    """As a person does it: the button, Spotify's page, and back."""
    page = visitor.page
    page.goto(f"{visitor.origin}/sign-in")
    page.get_by_role("button", name="Sign in with Spotify").click()
    page.get_by_label("You are").select_option(LISTENER)
    page.get_by_role("button", name="Agree").click()
    page.wait_for_url(re.compile(re.escape(visitor.origin)))


def ask(visitor: Visitor, path: str) -> Any:
    answer = visitor.page.request.get(visitor.origin + path)
    assert answer.ok, answer.text()
    return answer.json()


def hand_in(visitor: Visitor, archive: Path) -> None:
    visitor.open("/imports")
    visitor.page.set_input_files('input[type="file"]', archive)
    button = visitor.page.locator('form:has(input[type="file"]) button[type="submit"]:visible')
    if button.count():
        button.click()


def totals(visitor: Visitor) -> dict[str, int]:
    spans = {row["name"]: row for row in ask(visitor, "/v1/me/summary")["data"]}
    return dict(spans["all"])


@pytest.fixture(scope="module")
def person(house: House, chromium: Browser) -> Iterator[Person]:
    archive = house.archive()
    allowed = (house.simulator.accounts_url,)
    with visiting(chromium, house.url, also_allowed=allowed) as visitor:
        sign_in(visitor)
        assert [each["method"] for each in ask(visitor, "/v1/me/sign-ins")["sign_ins"]] == ["spotify"]
        hand_in(visitor, archive)

        def is_imported() -> bool:
            imports = ask(visitor, "/v1/me/imports")["data"]
            if not imports or imports[0]["status"] != "completed":
                return False
            # Before the first refresh there are no marts.
            summary = visitor.page.request.get(f"{visitor.origin}/v1/me/summary")
            return summary.ok and totals(visitor)["plays"] > 4_000

        house.wait_until(is_imported, what="the archive is not imported", at_most_s=_IMPORTED_S)
        pages = discover(visitor)
        yield Person(house, chromium, visitor.page.context.storage_state(), pages, visitor.noted)


def test_a_person_signs_in_hands_an_archive_in_and_finds_every_page(person: Person) -> None:
    assert {path.partition("?")[0] for path in person.pages} >= PAGES
    assert {path.split("/")[1] for path in person.pages} >= KINDS
    assert person.noted == []


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_sound(person: Person, size: tuple[int, int], scheme: Scheme) -> None:
    with person.visiting(size=size, scheme=scheme) as visitor:
        for path in person.pages:
            visitor.open(path)
            visitor.look_for_sideways_scrolling(path)
            visitor.ask_axe(path)
        assert visitor.noted == []


def test_a_hostile_name_is_text_on_every_page_that_shows_it(person: Person) -> None:
    """An element, a dialog or a request would have been noted by the tests above; here it is seen at all."""
    with person.visiting() as visitor:
        showing = []
        for path in person.pages:
            visitor.open(path)
            showing += [path] if HOSTILE in visitor.text() else []
        assert {"/top", "/artists"} <= {"/" + path.partition("?")[0].split("/")[1] for path in showing}
        assert visitor.noted == []


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


# Numbers everything that the Tab key should reach, in the order of the page; of a group of radio buttons one.
_NUMBER_WHAT_CAN_BE_REACHED = """() => {
    const groups = new Set();
    const found = [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex]')]
        .filter((e) => e.tabIndex >= 0 && !e.disabled && e.type !== 'hidden'
            && e.checkVisibility({visibilityProperty: true}))
        .filter((e) => e.type !== 'radio' || !groups.has(e.name) && groups.add(e.name));
    found.forEach((e, number) => { e.dataset.reached = number; });
    return found.map((e) => e.outerHTML.slice(0, 120));
}"""
_WHERE_IS_THE_FOCUS = """() => {
    const e = document.activeElement;
    const marks = (x) => {
        const s = getComputedStyle(x);
        return s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0 || s.boxShadow !== 'none';
    };
    const r = e.getBoundingClientRect();
    return {
        number: e.dataset.reached === undefined ? null : Number(e.dataset.reached),
        name: e.type === 'radio' ? e.name : null,
        isMarked: [e, e.parentElement, e.nextElementSibling].some((x) => x && marks(x)),
        isSeen: r.width > 0 && r.height > 0
            && r.bottom > 0 && r.top < innerHeight && r.right > 0 && r.left < innerWidth,
        text: e.outerHTML.slice(0, 120),
    };
}"""
# Long lists repeat themselves.
_STEPS = 60


def look_at_the_focus(page: Page) -> dict[str, Any]:
    page.keyboard.press("Tab")
    return dict(page.evaluate(_WHERE_IS_THE_FOCUS))


def test_every_page_is_used_with_the_keyboard_alone(person: Person) -> None:
    with person.visiting() as visitor:
        page = visitor.page
        for path in person.pages:
            visitor.open(path)
            reachable = page.evaluate(_NUMBER_WHAT_CAN_BE_REACHED)[:_STEPS]
            steps = [look_at_the_focus(page) for _ in reachable]
            assert "skip" in steps[0]["text"].lower(), path
            assert [step["number"] for step in steps] == list(range(len(reachable))), (path, reachable)
            assert [step["text"] for step in steps if not (step["isMarked"] and step["isSeen"])] == [], path

            visitor.open(path)
            look_at_the_focus(page)
            page.keyboard.press("Enter")
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement.closest('main, footer') !== null"), path
        assert visitor.noted == []


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
