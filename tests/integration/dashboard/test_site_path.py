"""A site below a path of its host: all its addresses lead there, whether the proxy keeps the path or takes it off."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from myi_pipeline.people import manage_access
from myi_pipeline.postgres.connections import Role
from myi_pipeline.web.app import create_app
from tests.conftest import free_port
from tests.integration.api.conftest import serving
from tests.integration.reads.conftest import Filled

PATH = "/music"
ADDRESS = re.compile(r"""\s(?:href|src|action|formaction|srcset|data-[a-z-]+)="(/[^"]*)\"""")
SCRIPTED = re.compile(r"""["'`](/[a-z][^"'`\s]*)""")


@pytest.fixture(scope="module")
def below(filled: Filled) -> Iterator[httpx.Client]:
    """A browser that is signed in."""
    port = free_port()
    public = f"http://127.0.0.1:{port}{PATH}"
    settings = filled.settings.model_copy(update={"api_port": port, "public_url": public})
    with filled.warehouse.connect(Role.APP, autocommit=True) as connection:
        session = manage_access.begin_session(connection, user_id=filled.users["ada"], method="link", device="below")
    headers = {"accept": "text/html,*/*", "sec-fetch-site": "same-origin"}
    with (
        serving(create_app(settings, filled.warehouse), port),
        httpx.Client(base_url=public, headers=headers, trust_env=False, timeout=20) as client,
    ):
        client.cookies.set("myi_session", session, domain="127.0.0.1", path=PATH)
        yield client


def found_in(answer: httpx.Response) -> set[str]:
    """The addresses of this host that a page, a script or a style sheet names."""
    kind = answer.headers.get("content-type", "")
    if kind.startswith("text/html"):
        return {unescape(address) for address in ADDRESS.findall(answer.text)}
    is_own_script = "javascript" in kind and not answer.url.path.endswith(".min.js")
    return set(SCRIPTED.findall(answer.text)) if is_own_script else set()


@pytest.mark.slow
def test_every_address_of_the_site_is_below_its_path(below: httpx.Client) -> None:
    """Walks as a browser does, from the front page; each kind of address once."""
    waiting, seen, outside = [f"{PATH}/"], set[str](), set[str]()
    while waiting:
        address = waiting.pop()
        kind = re.sub(r"\d+", "0", urlsplit(address).path)
        if kind in seen:
            continue
        seen.add(kind)
        with below.stream("GET", str(urljoin(str(below.base_url), address))) as answer:
            # Events go on for as long as somebody looks.
            if answer.headers.get("content-type", "").startswith("text/event-stream"):
                continue
            answer.read()
        # Forms have addresses that only take what they send.
        assert answer.status_code in (200, 303, 404, 405, 406), (address, answer.status_code)
        if answer.status_code == 404:
            assert kind.endswith("/cover"), address
        named = found_in(answer)
        if "location" in answer.headers:
            named.add(answer.headers["location"])
        outside |= {name for name in named if not name.startswith(f"{PATH}/")}
        # A script completes some of its addresses itself.
        waiting += sorted(name for name in named if "${" not in name)
    assert outside == set()
    walked = {f"{PATH}{each}" for each in ("/", "/top", "/artists/0", "/year/0", "/imports", "/static/site.css")}
    assert walked <= seen
    assert len(seen) > 25


def test_scripts_name_addresses_below_the_path(below: httpx.Client) -> None:
    script = below.get("/static/imports.js")
    assert script.headers["content-length"] == str(len(script.content)) or "content-encoding" in script.headers
    assert f"{PATH}/imports" in found_in(script)
    assert below.get("/static/imports.js", headers={"range": "bytes=0-9"}).status_code == 200
    tagged = below.get("/static/imports.js", headers={"if-none-match": script.headers["etag"]})
    assert (tagged.status_code, tagged.content) == (304, b"")


def test_a_proxy_may_keep_the_path_or_take_it_off(below: httpx.Client) -> None:
    kept = below.get("/v1/me/plays", params={"limit": 3})
    root = f"http://127.0.0.1:{below.base_url.port}"
    cookie = {"cookie": f"myi_session={below.cookies['myi_session']}"}
    taken = below.get(f"{root}/v1/me/plays", params={"limit": 3}, headers=cookie)
    assert (kept.status_code, taken.json()) == (200, kept.json())
    assert kept.links["next"]["url"].startswith(f"{PATH}/v1/me/plays?limit=3&cursor=")
    assert taken.links == kept.links
    assert below.get(f"{root}{PATH}").status_code == 200
    assert below.get(f"{root}{PATH}al/top").status_code == 404
    assert below.get("/v1/openapi.json").json()["servers"] == [{"url": PATH}]
    nothing = below.get(f"{root}{PATH}/v1/nope", headers=cookie)
    assert (nothing.status_code, f" {PATH}/v1/openapi.json " in nothing.json()["detail"]) == (404, True)
    strange = below.get("/top?period=year", headers={"cookie": "myi_session=none"})
    assert strange.headers["location"] == f"{PATH}/sign-in?return_to=%2Ftop%3Fperiod%3Dyear"


def test_values_on_a_page_are_no_addresses(below: httpx.Client) -> None:
    page = below.get("/history", params={"q": ' href="/x"'})
    assert page.status_code == 200
    assert "&#34;/x&#34;" in page.text
