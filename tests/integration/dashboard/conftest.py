"""Pages as browsers get them, over real HTTP, from the warehouse that reads/conftest.py fills.

`browser.page(path)` asks as ada, `browser.page(path, as_="bob")` as bob, `as_=None` as nobody. What comes back is read
without any code of the site: texts, links, headings, tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import httpx
import pytest

from myi_pipeline.people import manage_access, manage_users
from myi_pipeline.postgres.connections import Role
from tests.integration.reads.conftest import Api, Filled
from tests.searching import empty

# Where a link may lead away.
SPOTIFY = "https://open.spotify.com/"
# Where pages may lead elsewhere: to what was heard, and to the licences of what is shown.
WAYS_OUT = (SPOTIFY, "https://creativecommons.org/", "https://musicbrainz.org/", "https://tidal.com/")
_VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")

LOGIN = """
insert into app.credentials (user_id, client_id, account_key, refresh_token, scopes, authorised_at, refreshed_at)
values (%s, 'client', 'account:dora', decode(repeat('00', 40), 'hex'), '{user-read-recently-played}', now(), now())
"""


@dataclass
class Element:
    """One element with its attributes, and what stands in it."""

    name: str
    attributes: dict[str, str]
    children: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """What a person reads, spaces made one."""
        return " ".join("".join(self._texts()).split())

    def _texts(self) -> Iterator[str]:
        for child in self.children:
            if isinstance(child, str):
                yield child
            elif child.name not in ("script", "style", "title"):
                yield from child._texts()
        # Words of neighbouring cells and items are words of their own.
        if self.name not in ("a", "span", "strong", "em", "b", "i", "code"):
            yield " "

    def all(self, name: str, **attributes: str) -> list[Element]:
        """Every element of that name below, in order; `class_` names one class."""
        wanted = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()}
        return [each for each in self.below() if each.name == name and each._has(wanted)]

    def one(self, name: str, **attributes: str) -> Element:
        (found,) = self.all(name, **attributes)
        return found

    def below(self) -> Iterator[Element]:
        """Every element in it, in order."""
        for child in self.children:
            if isinstance(child, Element):
                yield child
                yield from child.below()

    def _has(self, wanted: dict[str, str]) -> bool:
        return all(
            value in self.attributes.get("class", "").split() if key == "class" else self.attributes.get(key) == value
            for key, value in wanted.items()
        )


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("document", {})
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        made = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(made)
        if tag not in _VOID:
            self._open.append(made)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open[-1].children.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        # A stray or missing end would make a browser guess.
        assert self._open[-1].name == tag, f"</{tag}> ends <{self._open[-1].name}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)

    def finish(self) -> Element:
        self.close()
        assert self._open == [self.root], f"<{self._open[-1].name}> is never ended"
        return self.root


@dataclass
class Page:
    """One answer and the document in it."""

    answer: httpx.Response
    document: Element

    @property
    def main(self) -> Element:
        return self.document.one("main")

    @property
    def text(self) -> str:
        return self.main.text

    @property
    def heading(self) -> str:
        return self.main.one("h1").text

    def links(self, starting_with: str = "") -> list[str]:
        """Addresses in the main part, in order."""
        found = [link.attributes["href"] for link in self.main.all("a")]
        return [address for address in found if address.startswith(starting_with)]

    def tiles(self) -> dict[str, str]:
        """Figures by their names."""
        return {tile.one("dt").text: tile.all("dd")[0].text for tile in self.main.all("div", class_="tile")}

    def rows(self, number: int = 0) -> list[list[str]]:
        """The cells of one of its tables, without its head."""
        body = self.main.all("table")[number].one("tbody")
        return [[cell.text for cell in row.children if isinstance(cell, Element)] for row in body.all("tr")]


@dataclass(frozen=True)
class Browser:
    """People's browsers, by user; None is nobody's."""

    clients: dict[str | None, httpx.Client]

    def get(self, path: str, *, as_: str | None = "ada", **query: Any) -> httpx.Response:
        return self.clients[as_].get(path, params=query or None)

    def page(self, path: str, *, as_: str | None = "ada", status: int = 200, **query: Any) -> Page:
        answer = self.get(path, as_=as_, **query)
        assert answer.status_code == status, f"{path}: {answer.status_code} {answer.text[:2_000]}"
        reader = _Reader()
        reader.feed(answer.text)
        return Page(answer, reader.finish())


@pytest.fixture(scope="session")
def browser(api: Api, filled: Filled) -> Iterator[Browser]:
    headers = {"accept": "text/html", "sec-fetch-site": "same-origin", "user-agent": "Testfox/1.0"}
    clients: dict[str | None, httpx.Client] = {}
    for key, user_id in [(None, 0), *filled.users.items()]:
        client = httpx.Client(base_url=api.client.base_url, headers=headers, verify=False, trust_env=False, timeout=20)
        if key is not None:
            with filled.warehouse.connect(Role.APP, autocommit=True) as connection:
                session = manage_access.begin_session(connection, user_id=user_id, method="link", device="test")
            client.cookies.set("myi_session", session, domain="127.0.0.1", path="/")
        clients[key] = client
    yield Browser(clients)
    for client in clients.values():
        client.close()


@dataclass
class Dora:
    """A user of one test's own, with a browser."""

    filled: Filled
    user_id: int
    client: httpx.Client

    def page(self, path: str, status: int = 200) -> Page:
        return read_page(self.client.get(path), status)

    def post(self, path: str, **form: str) -> httpx.Response:
        return self.client.post(path, data=form)

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        return self.filled.sql(query, self.user_id)

    def connect_spotify(self) -> None:
        self.sql(LOGIN)


def read_page(answer: httpx.Response, status: int) -> Page:
    assert answer.status_code == status, answer.text[:2_000]
    reader = _Reader()
    reader.feed(answer.text)
    return Page(answer, reader.finish())


def new_session(filled: Filled, user_id: int) -> str:
    with filled.warehouse.connect(Role.APP, autocommit=True) as connection:
        return manage_access.begin_session(connection, user_id=user_id, method="link", device="Mozilla/5.0 Firefox/150")


@pytest.fixture
def dora(filled: Filled, api: Api) -> Iterator[Dora]:
    with filled.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        manage_users.add_user(connection, user_key="dora", time_zone="UTC")
        user_id = manage_users.get_user(connection, user_key="dora").user_id
    headers = {"accept": "text/html", "sec-fetch-site": "same-origin"}
    with httpx.Client(base_url=api.client.base_url, headers=headers, trust_env=False, verify=False) as client:
        client.cookies.set("myi_session", new_session(filled, user_id), domain="127.0.0.1", path="/")
        yield Dora(filled, user_id, client)
    filled.sql("delete from app.users where user_key = 'dora'")
    filled.sql("delete from ops.removals")
    filled.sql("delete from ops.orphans")
    filled.sql("delete from ops.changed_users where user_id = %s", user_id)
    filled.sql("delete from ops.changed_days where user_id = %s", user_id)
    empty(filled.settings.uploads_folder / "dora")


def check_form(page: Page) -> None:
    """What every page owes to browsers, screen readers and the content policy; a real browser checks the rest."""
    document = page.document
    assert document.one("html").attributes["lang"]
    assert document.one("head").one("title").children
    levels = [_HEADINGS.index(each.name) + 1 for each in page.main.below() if each.name in _HEADINGS]
    assert levels[:1] == [1], "a page begins with its name"
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels)), levels
    ids = [each.attributes["id"] for each in document.below() if "id" in each.attributes]
    assert sorted(ids) == sorted(set(ids)), "an id stands for one element"
    for each in document.below():
        assert each.name not in ("style", "iframe", "object", "embed"), each
        written = [name for name in each.attributes if name == "style" or name.startswith("on")]
        assert not written, f"the content policy refuses {written} of <{each.name}>"
        assert each.name != "script" or ("src" in each.attributes and not "".join(map(str, each.children)).strip())
        for name in ("href", "src", "action"):
            address = each.attributes.get(name)
            is_way_out = (
                each.name == "a" and each.attributes.get("rel") == "noreferrer" and str(address).startswith(WAYS_OUT)
            )
            assert address is None or is_way_out or re.match(r"[/#?](?!/)", address), f"{address} is not on this site"
        label = each.attributes.get("aria-labelledby")
        assert label is None or label in ids, f"nothing has the id {label}"
        assert each.name != "th" or each.attributes.get("scope") in ("col", "row"), "which cells does it head?"
    for image in document.all("img"):
        assert "alt" in image.attributes
    labelled = [inner for label in document.all("label") for inner in label.below()]
    for field_ in (*document.all("input"), *document.all("select"), *document.all("textarea")):
        has_name = field_ in labelled or "aria-label" in field_.attributes or field_.attributes.get("type") == "hidden"
        has_label = any(
            label.attributes.get("for") == field_.attributes.get("id", "") for label in document.all("label")
        )
        assert has_name or has_label, f"{field_} has no label"
