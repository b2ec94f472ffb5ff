"""A visitor of the pages, who notes down whatever a page does that it should not.

Belongs here: contexts of the browser, and what is looked at on every page. Invariant: what is noted is what was seen;
a test that expects nothing compares with the empty list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Request

from tests.browser.setups import HOSTILE

Scheme = Literal["light", "dark"]
PHONE, DESKTOP = (390, 844), (1280, 800)
_NARROWEST = 360
# Chrome tells most of them on its console too, but not those of every kind.
_TELL_VIOLATIONS = """
addEventListener('securitypolicyviolation', (event) =>
    console.error(`content security policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""
# What markup in a name would have become; and scripts in the page itself, which the policy would not run anyway.
_FOREIGN_ELEMENTS = """() => [...document.querySelectorAll(
    'img[src="x"], [onerror], [onload], [onclick], script:not([src]):not([type="application/json"])'
)].map((element) => element.outerHTML.slice(0, 200))"""
_SCROLLS_SIDEWAYS = """() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    const wide = [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > width + 1);
    return [`${document.documentElement.scrollWidth} wide in ${width}`,
            ...wide.slice(0, 5).map((e) => `${e.tagName} ${e.className}: ${e.getBoundingClientRect().right}`)];
}"""
_CELLS_OUTSIDE = """() => [...document.querySelectorAll('td, tbody th')]
    .filter((cell) => cell.checkVisibility() && cell.getBoundingClientRect().right > innerWidth + 1)
    .slice(0, 3).map((cell) => cell.outerHTML.slice(0, 120))"""
# What is touched is 24 px high and wide at least, but for links in a sentence, and for the days of a calendar that
# has a field for the day beside it. A line break ends a sentence, and so does a box that is laid out as one.
_SMALL_TARGETS = """() => {
    const touched = 'a[href], button, input:not([type=hidden]), select, textarea, summary';
    const hasWords = (node) => /[\\p{L}\\p{N}]/u.test(node.textContent)
        && (node.nodeType === Node.TEXT_NODE || node.nodeType === Node.ELEMENT_NODE && !node.matches('.sr, ' + touched)
            && getComputedStyle(node).display.startsWith('inline'));
    const isInSentence = (element) => {
        for (let node = element; node.parentElement; node = node.parentElement) {
            const display = getComputedStyle(node.parentElement).display;
            if (/flex|grid/.test(display)) return false;
            for (const way of ['previousSibling', 'nextSibling'])
                for (let beside = node[way]; beside && beside.nodeName !== 'BR'; beside = beside[way])
                    if (hasWords(beside)) return true;
            if (!display.startsWith('inline')) return false;
        }
        return false;
    };
    return [...document.querySelectorAll(touched)]
        .filter((e) => e.checkVisibility({visibilityProperty: true}))
        .map((e) => [e, e.getBoundingClientRect()])
        .filter(([e, box]) => (box.height < 23.5 || box.width < 23.5) && box.width > 1)
        .filter(([e]) => e.closest('svg') ? !e.closest('figure')?.querySelector('input[type=date]') : !isInSentence(e))
        .map(([e, box]) => `${box.width.toFixed(0)} by ${box.height.toFixed(1)} px: ${e.outerHTML.slice(0, 140)}`)
        .slice(0, 6);
}"""
# Numbers what the Tab key should reach, in the order of the page (of a group of radio buttons one), and notes
# down where the focus goes from now on, and how it is shown there.
_FOLLOW_THE_FOCUS = """() => {
    const groups = new Set();
    const found = [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex]')]
        .filter((e) => e.tabIndex >= 0 && !e.disabled && e.type !== 'hidden'
            && e.checkVisibility({visibilityProperty: true}))
        .filter((e) => e.type !== 'radio' || !groups.has(e.name) && groups.add(e.name));
    const isMarked = (e) => {
        const style = getComputedStyle(e);
        return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0 || style.boxShadow !== 'none';
    };
    window.focused = [];
    document.addEventListener('focusin', ({target}) => {
        const box = target.getBoundingClientRect();
        window.focused.push({
            number: found.indexOf(target),
            isMarked: [target, target.parentElement, target.nextElementSibling].some((e) => e && isMarked(e)),
            isInView: box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight
                && box.right > 0 && box.left < innerWidth,
            html: target.outerHTML.slice(0, 120),
        });
    });
    return found.map((e) => e.outerHTML.slice(0, 120));
}"""
# Long lists repeat themselves.
_MOST_STEPS = 60
# Day, month, year and the calendar, or hour, minute, half of the day and the clock: Tab goes to each.
_STOPS_IN_A_DATE = 3
_BELOW_ENTITIES = re.compile(r"/(artists|albums|tracks|shows|imports|year|playlists|migrations)/\d+\Z")


@dataclass
class Visitor:
    """One page in a context of its own."""

    page: Page
    origin: str
    scheme: Scheme = "light"
    also_allowed: tuple[str, ...] = ()
    noted: list[str] = field(default_factory=list)
    # Addresses that are expected to be refused.
    refused: list[str] = field(default_factory=list)

    def listen(self) -> None:
        context = self.page.context
        context.add_init_script(_TELL_VIOLATIONS)
        context.on("console", self._hear)
        context.on("weberror", lambda error: self.noted.append(f"error: {error.error}"))
        context.on("dialog", self._refuse)
        context.on("request", self._look)

    def _hear(self, message: ConsoleMessage) -> None:
        place = str(message.location.get("url", ""))
        if place in self.refused and message.text.startswith("Failed to load resource"):
            return
        if message.type in ("error", "warning") and not place.startswith(self.also_allowed):
            self.noted.append(f"console: {message.text} ({place})")

    def _refuse(self, dialog: Dialog) -> None:
        self.noted.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _look(self, request: Request) -> None:
        parts = urlsplit(request.url)
        allowed = (self.origin, *self.also_allowed)
        if parts.scheme not in ("data", "blob") and f"{parts.scheme}://{parts.netloc}" not in allowed:
            self.noted.append(f"request: {request.url}")

    def open(self, path: str, *, status: int = 200) -> None:
        """Opens a page and looks for what no page may have."""
        if status != 200:
            self.refused.append(self.origin + path)
        answer = self.page.goto(self.origin + path, wait_until="load")
        if answer is None or answer.status != status:
            self.noted.append(f"{path}: {answer.status if answer is not None else 'nothing'}")
        elif self.page.evaluate("document.readyState") != "complete":
            self.noted.append(f"{path}: is not whole")
        self.noted += [f"{path}: {text}" for text in self.page.evaluate(_FOREIGN_ELEMENTS)]

    def look_for_sideways_scrolling(self, path: str) -> None:
        self.noted += [f"{path}: {text}" for text in self.page.evaluate(_SCROLLS_SIDEWAYS)]

    def look_for_small_targets(self, path: str) -> None:
        self.noted += [f"{path}: too small to touch: {text}" for text in self.page.evaluate(_SMALL_TARGETS)]

    def look_at_both_sizes(self, path: str) -> None:
        """The page that is open, on a phone and on a desktop: for what a newcomer sees once."""
        size = self.page.viewport_size
        assert size is not None
        for width, height in (PHONE, DESKTOP):
            self.page.set_viewport_size({"width": width, "height": height})
            self.look_for_sideways_scrolling(f"{path} at {width} px")
            self.look_for_small_targets(f"{path} at {width} px")
            self.ask_axe_in_both_colours(f"{path} at {width} px")
        self.page.set_viewport_size(size)

    def look_on_the_narrowest_phone(self, path: str) -> None:
        """Nothing scrolls sideways, and no cell of a table stands where it must be scrolled to."""
        size = self.page.viewport_size
        assert size is not None
        self.page.set_viewport_size({"width": _NARROWEST, "height": size["height"]})
        self.look_for_sideways_scrolling(f"{path} on a narrow phone")
        self.noted += [f"{path}: a cell is cut off: {text}" for text in self.page.evaluate(_CELLS_OUTSIDE)]
        self.page.set_viewport_size(size)

    def ask_axe(self, path: str) -> None:
        """Every rule of axe-core, and the size of targets (WCAG 2.2), which it leaves out by itself."""
        self._axe(path, {"rules": {"target-size": {"enabled": True}}})

    def ask_axe_in_both_colours(self, path: str) -> None:
        """Then contrast once more in the other colours: for what no other visit sees in them."""
        self.ask_axe(path)
        self.page.emulate_media(color_scheme="dark" if self.scheme == "light" else "light")
        self._axe(f"{path} in the other colours", {"runOnly": {"type": "rule", "values": ["color-contrast"]}})
        self.page.emulate_media(color_scheme=self.scheme)

    def _axe(self, place: str, options: dict[str, Any]) -> None:
        # `preload` would ask for the style sheets again.
        found = Axe().run(self.page, options={"resultTypes": ["violations"], "preload": False, **options}).response
        for rule in found["violations"]:
            places = [f"{node['target']} {node['html'][:120]}" for node in rule["nodes"][:3]]
            self.noted.append(f"{place}: axe {rule['id']} ({rule['impact']}), {len(rule['nodes'])} times: {places}")

    def use_the_keyboard(self, path: str) -> None:
        """Tab goes to everything, in the order of the page, and is seen there; the skip link skips."""
        page = self.page
        reachable = page.evaluate(_FOLLOW_THE_FOCUS)[:_MOST_STEPS]
        inside = sum(_STOPS_IN_A_DATE for html in reachable if re.search('type="(date|time)"', html))
        for _ in range(len(reachable) + inside):
            page.keyboard.press("Tab")
        steps = page.evaluate("window.focused")[: len(reachable)]
        reached = [step["number"] for step in steps]
        if reached != list(range(len(reachable))):
            missed = [reachable[number] for number in range(len(reachable)) if number not in reached]
            self.noted.append(f"{path}: Tab goes {reached}, and not to {missed[:5]}")
        for step in steps:
            if not step["isMarked"] or not step["isInView"]:
                self.noted.append(f"{path}: focus is not seen at {step['html']} ({step})")
        page.evaluate("document.querySelector('a').focus()")
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        if not page.evaluate("document.activeElement.closest('main, footer') !== null"):
            self.noted.append(f"{path}: the first link does not skip to the content")

    def links(self, *, inside: str = "body") -> list[str]:
        """Addresses of this site, without fragments, in the order of the page."""
        # A link in a drawing has no `href` as text.
        resolved = "links => links.map(link => new URL(link.getAttribute('href'), document.baseURI).href)"
        found = self.page.eval_on_selector_all(f"{inside} a[href]", resolved)
        return [url.removeprefix(self.origin).partition("#")[0] for url in found if url.startswith(self.origin)]

    def text(self) -> str:
        return self.page.inner_text("body")


@contextmanager
def visiting(
    browser: Browser,
    origin: str,
    *,
    size: tuple[int, int] = DESKTOP,
    scheme: Scheme = "light",
    state: Any = None,
    also_allowed: tuple[str, ...] = (),
    has_scripts: bool = True,
    zone: str = "Europe/Berlin",
) -> Iterator[Visitor]:
    """A new context; `state` is what another context of a signed-in person left (`storage_state`)."""
    context: BrowserContext = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,
        storage_state=state,
        java_script_enabled=has_scripts,
        is_mobile=size == PHONE,
        has_touch=size == PHONE,
        device_scale_factor=2 if size == PHONE else 1,
        locale="en-GB",
        timezone_id=zone,
        reduced_motion="reduce",
    )
    context.set_default_timeout(15_000)
    try:
        visitor = Visitor(context.new_page(), origin, scheme, also_allowed)
        visitor.listen()
        yield visitor
    finally:
        context.close()


_TABS = (
    "/top?what=artists&period=all",
    "/top?what=albums&period=all",
    "/on-this-day",
    "/top?what=podcasts&period=all",
    "/?period=week",
    "/?period=month",
    "/?period=year",
    "/search?q=lumen",
    "/migrations/new",
    "/playlists/exports",
    "/exports",
    "/account/activity",
    "/account/erase",
    "/corrections/new?kind=track",
    "/shares/new",
)


def discover(visitor: Visitor) -> list[str]:
    """Every page: of the main navigation, tabs and forms, one of each kind below, the stories of a year and a month.

    Where one of a kind bears the hostile name, that one.
    """
    visitor.open("/")
    found = [*dict.fromkeys(visitor.links(inside='nav[aria-label="Main"]')), *_TABS]
    kinds: dict[str, str] = {}
    for path in found:
        visitor.open(path)
        hostile = visitor.page.get_by_role("link", name=HOSTILE, exact=True).all()[:1]
        bearing = [(link.get_attribute("href") or "").partition("#")[0] for link in hostile]
        for link in visitor.links():
            kind = _BELOW_ENTITIES.match(link)
            if kind is not None:
                kinds.setdefault(kind[1], link)
        for link in bearing:
            kind = _BELOW_ENTITIES.match(link)
            if kind is not None:
                kinds[kind[1]] = link
    stories = [f"{kinds['year']}/story"] if "year" in kinds else []
    for story in list(stories):
        visitor.open(story)
        stories += visitor.links(inside='nav[aria-label="Months"]')[:1]
    return list(dict.fromkeys([*found, *kinds.values(), *stories]))
