"""What pages weigh, light and dark, clocks of 12 hours, and what installs the site on a phone."""

from __future__ import annotations

import json
import re
import struct

import httpx
import pytest

from myi_pipeline.web.dashboard.account import DONE
from tests.integration.dashboard.conftest import Browser, Page
from tests.integration.reads.conftest import Filled

MOST_BYTES = 60_000
PATHS = (
    "/", "/top", "/history", "/sessions", "/coverage", "/imports", "/account", "/year/2023", "/artists/1", "/tracks/1",
    "/albums/1", "/genres", "/playlists",
    "/migrations", "/migrations/new",
)  # fmt: skip


def packed(client: httpx.Client, path: str) -> int:
    """Bytes of an answer's body as they come over the network."""
    with client.stream("GET", path, headers={"accept-encoding": "gzip"}) as answer:
        assert answer.status_code == 200, path
        answer.read()
        return answer.num_bytes_downloaded


def loaded(page: Page) -> list[str]:
    styles = [each.attributes["href"] for each in page.document.all("link", rel="stylesheet")]
    return styles + [each.attributes["src"] for each in page.document.all("script")]


@pytest.mark.parametrize("path", PATHS)
def test_a_page_with_its_style_and_scripts_is_light(browser: Browser, path: str) -> None:
    client = browser.clients["ada"]
    files = loaded(browser.page(path))
    assert len(files) <= 5
    assert packed(client, path) + sum(packed(client, each) for each in files) <= MOST_BYTES


def dark_styles(page: Page) -> list[str]:
    return [
        each.attributes["media"] for each in page.document.all("link", rel="stylesheet") if "media" in each.attributes
    ]


def test_a_person_chooses_light_or_dark_and_stays_on_the_page(browser: Browser, filled: Filled) -> None:
    client = browser.clients["ada"]
    page = browser.page("/top?what=artists&period=year")
    assert dark_styles(page) == ["screen and (prefers-color-scheme: dark)"]
    (form,) = [each for each in page.document.all("form") if each.attributes["action"] == "/account/look"]
    assert [each.text for each in form.all("button", aria_pressed="true")] == ["Colours: Automatic"]
    here = form.one("input", type="hidden").attributes["value"]
    seen = {}
    try:
        for scheme in ("dark", "light", "<b>", "dark", "system"):
            answer = client.post("/account/look", data={"scheme": scheme, "return_to": here})
            assert (answer.status_code, answer.headers["location"]) == (303, "/top?what=artists&period=year")
            chosen = browser.page(here)
            seen[scheme] = dark_styles(chosen)
            names = [each for each in chosen.document.all("meta") if each.attributes.get("name") == "color-scheme"]
            assert names[0].attributes["content"] == (scheme if scheme in ("dark", "light") else "light dark")
        system = ["screen and (prefers-color-scheme: dark)"]
        assert seen == {"dark": ["screen"], "light": [], "<b>": system, "system": system}
        away = client.post("/account/look", data={"scheme": "dark", "return_to": "//evil.example"})
        assert away.headers["location"] == "/"
        # Also where nobody is signed in, and where something is missing.
        assert dark_styles(browser.page("/nowhere", status=404)) == ["screen"]
    finally:
        client.cookies.delete("myi_scheme")


def test_clocks_have_the_hours_of_the_browsers_language(browser: Browser) -> None:
    client = browser.clients["ada"]
    british, american = (
        client.get("/sessions", headers={"accept-language": language}).text for language in ("en-GB", "en-US,en;q=0.9")
    )
    assert "\xa0PM" not in british
    assert "\xa0PM" in american
    assert "6\xa0AM" in client.get("/", headers={"accept-language": "en-US"}).text
    assert "06:00" in client.get("/").text


def test_no_page_names_a_setting_or_a_command_to_a_listener(browser: Browser) -> None:
    """The sign-in page once asked listeners for MYI_SPOTIFY_CLIENT_ID, and forms told them about `myi up`."""
    pages = [browser.page(path) for path in PATHS]
    pages += [browser.page(f"/account?done={word}") for word in DONE]
    pages += [browser.page(path, as_=None) for path in ("/sign-in", "/link")]
    for page in pages:
        shown = re.sub(r"MYI(?![_\w])", "", page.document.text)
        assert not re.search(r"MYI_|\bmyi\b", shown), page.answer.url


def test_the_site_can_be_installed(browser: Browser) -> None:
    client = browser.clients[None]
    head = browser.page("/sign-in", as_=None).document.one("head")
    answer = client.get(head.one("link", rel="manifest").attributes["href"])
    assert answer.headers["content-type"].startswith("application/json")
    manifest = json.loads(answer.text)
    assert manifest["display"] == "standalone"
    assert answer.url.join(manifest["start_url"]).path == "/"
    sizes = set()
    for icon in manifest["icons"]:
        drawn = client.get(answer.url.join(icon["src"]))
        assert (drawn.status_code, drawn.headers["content-type"].partition(";")[0]) == (200, icon["type"])
        if icon["type"] == "image/png":
            width, height = struct.unpack(">II", drawn.content[16:24])
            assert icon["sizes"] == f"{width}x{height}"
            sizes.add((width, icon.get("purpose", "any")))
    assert sizes >= {(192, "any"), (512, "any"), (512, "maskable")}
