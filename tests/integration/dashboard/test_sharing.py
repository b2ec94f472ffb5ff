"""Share reports over real HTTP: what is chosen, what strangers see of it, and how it ends."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from myi_pipeline.sharing.snapshots import Snapshot, read_snapshot
from myi_pipeline.web.app import create_app
from myi_pipeline.web.shown.formats import count, counted, days, hours, minutes, month
from myi_pipeline.web.shown.formats import day as spelt
from myi_pipeline.web.shown.formats import heard as said
from tests.conftest import free_port
from tests.integration.api.conftest import serving
from tests.integration.dashboard.conftest import Browser, Element, Page, check_form, read_page
from tests.integration.reads.conftest import Api, Filled

PATH = "/v1/me/shares"
GOLDEN = Path(__file__).parents[2] / "golden" / "shares"
_MOST_BYTES = 100_000
EVERYTHING = {f"part_{part}": "yes" for part in ("figures", "artists", "tracks", "albums", "over_time", "clock")}


@pytest.fixture(autouse=True)
def nothing_is_left(filled: Filled) -> Iterator[None]:
    yield
    filled.restore_access()


@pytest.fixture
def stranger(api: Api) -> Iterator[httpx.Client]:
    headers = {"accept": "text/html", "user-agent": "Mozilla/5.0 Firefox/150"}
    with httpx.Client(base_url=api.client.base_url, headers=headers, trust_env=False, verify=False) as client:
        yield client


def share(browser: Browser, *, as_: str = "ada", **fields: str) -> str:
    """The address of a new report, below `/s/`."""
    answer = browser.clients[as_].post("/shares", data={"chosen": "yes", **fields})
    assert answer.status_code == 303, answer.text[:2_000]
    return "/s/" + answer.headers["location"].rpartition("made=")[2]


def kept(filled: Filled, address: str) -> Snapshot:
    ((document,),) = filled.sql("select snapshot from app.shares where share_id = %s", address[3:])
    return read_snapshot(document)


def rankings(page: Page) -> list[list[list[str]]]:
    """Of each list of the page: rank, name, artist, figures, as far as each is there."""
    found = []
    for each in page.main.all("ol", class_="ranking"):
        rows = []
        for item in each.all("li"):
            parts = [item.one("span", class_="rank").text, item.one("span", class_="what").one("strong").text]
            parts += [by.text for by in item.all("span", class_="by")]
            parts += [much.text for much in item.all("span", class_="much")]
            rows.append(parts)
        found.append(rows)
    return found


def expected_ranking(snapshot: Snapshot) -> list[list[list[str]]]:
    found = []
    for each in snapshot.lists:
        rows = []
        for row in each.rows:
            parts = [str(row.rank), row.name or f"Unknown {each.what[:-1]}"]
            if each.what != "artists":
                parts.append(row.artist or "Unknown artist")
            if row.plays is not None:
                two = [said(row.ms_played), counted(row.plays, "play")]
                if each.ranked_by == "plays":
                    two = [counted(row.plays, "play"), said(row.ms_played)]
                parts.append(" ".join(two))
            rows.append([" ".join(part.split()) for part in parts])
        found.append(rows)
    return found


def expected_tables(snapshot: Snapshot) -> list[list[list[str]]]:
    found = []
    if snapshot.over_time is not None:
        name = {"day": spelt, "month": month, "year": lambda at: str(at.year)}[snapshot.over_time.by]
        heard = drawn_as([bar.ms_played for bar in snapshot.over_time.bars])
        found.append([[name(bar.starts_on), heard(bar.ms_played)] for bar in snapshot.over_time.bars])
    if snapshot.clock is not None:
        heard = drawn_as(snapshot.clock)
        found.append([[f"{hour:02}:00", heard(ms)] for hour, ms in enumerate(snapshot.clock)])
    return found


def drawn_as(times: Sequence[int]) -> Callable[[int], str]:
    """Bars are of minutes where none reaches an hour."""
    return hours if max(times) >= 3_600_000 else minutes


def check_against(page: Page, snapshot: Snapshot, *, title: str) -> None:
    """The page shows each field of the snapshot; and no text that follows from none of them."""
    assert page.heading == title
    assert rankings(page) == expected_ranking(snapshot)
    tables = page.main.all("table")
    assert [page.rows(number) for number in range(len(tables))] == expected_tables(snapshot)
    sums = snapshot.figures
    tiles = {} if sums is None else {
        "Time": said(sums.ms_played), "Plays": count(sums.plays), "Days with plays": count(sums.days),
        "Known": f"{count(sums.known_days)} of {counted(sums.asked_days, 'day')}",
    }  # fmt: skip
    assert page.tiles() == tiles
    drawn = [each.attributes["aria-label"] for each in page.main.all("svg") if each.attributes.get("role") == "img"]
    assert [label for label in drawn if not re.match("(Hours|Minutes) heard", label)] == [
        card.says for card in snapshot.cards
    ]
    when = (
        snapshot.label if snapshot.kind in ("year", "month", "story") else days(snapshot.first_day, snapshot.last_day)
    )
    known = {
        title, when, f", up to {spelt(snapshot.known_to)}", f"· {snapshot.owner}",
        f"· as of {spelt(snapshot.taken_on)}",
    }  # fmt: skip
    rest = page.main.one("p", class_="note").text if page.main.all("p", class_="note") else ""
    for part in known:
        rest = rest.replace(part, "")
    assert rest.strip() == ""
    # Whatever else is text are the words of the template.
    fixed = {
        "Top artists", "Top tracks", "Top albums", "Day by day", "Month by month", "Year by year", "Around the clock",
        "Top tracks, by time", "Time", "Plays", "Days with plays", "Known", "at least", "plays", "play", "Hours",
        "Minutes", "Hour", "Day", "Month", "Year",
    }  # fmt: skip
    shown = {text for text in texts_of(page.main) if text not in fixed}
    told = {title, *values_of(snapshot)}
    strange = {text for text in shown if text not in told and not is_derived(text, snapshot)}
    assert strange == set()


def texts_of(element: Element) -> Iterator[str]:
    for child in element.children:
        if isinstance(child, str):
            if child.strip():
                yield " ".join(child.split())
        else:
            yield from texts_of(child)


def values_of(snapshot: Snapshot) -> Iterator[str]:
    def walk(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            for each in value.values():
                yield from walk(each)
        elif isinstance(value, list | tuple):
            for each in value:
                yield from walk(each)
        elif value is not None:
            yield " ".join(str(value).split())

    yield from walk(snapshot.model_dump(mode="json"))


def is_derived(text: str, snapshot: Snapshot) -> bool:
    """A figure as it reads, a day, a label of an axis or of a chart, a stand-in for a name that nobody knows."""
    figures = [row for each in snapshot.lists for row in each.rows if row.plays is not None]
    spelled = {said(row.ms_played) for row in figures} | {counted(row.plays, "play") for row in figures}
    spelled |= {count(row.plays) for row in figures}
    spelled |= {"Unknown artist", "Unknown track", "Unknown album"}
    if snapshot.figures is not None:
        sums = snapshot.figures
        spelled |= {said(sums.ms_played), count(sums.plays), count(sums.days), count(sums.known_days)}
        spelled |= {f"of {counted(sums.asked_days, 'day')}"}
    for table in expected_tables(snapshot):
        spelled |= {cell for row in table for cell in row}
        # What a pointer over a bar reads, and what the whole chart does.
        for unit in ("hour", "minute"):
            told = {name: f"{much} {unit if much in ('1', 'under 1') else f'{unit}s'}" for name, much in table}
            spelled |= {f"{name}: {much}" for name, much in told.items()}
            spelled |= {f"{table[0][0]} to {table[-1][0]}. Most: {name}, {much}." for name, much in told.items()}
        spelled |= {f"{table[0][0]} to {table[-1][0]}: nothing."}
    is_of_chart = bool(snapshot.over_time or snapshot.clock) and re.match(
        r"(?:Hours|Minutes) heard by [a-z ]+, as a table$|[\d,.]+$|\d{1,2} [A-Z][a-z]{2}$|[A-Z][a-z]{2}( \d{4})?$", text
    )
    is_note = text.strip(" ·,").startswith(("as of ", "up to ")) or text.startswith(
        days(snapshot.first_day, snapshot.last_day)
    )
    is_label = text.startswith(snapshot.label)
    return text in spelled or bool(is_of_chart) or is_note or is_label


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "year", "date": "2023-05-05", **EVERYTHING, "with_name": "yes"},
        {"kind": "year", "date": "2023-05-05", "part_artists": "yes"},
        {"kind": "month", "date": "2023-05-05", "part_figures": "yes", "part_over_time": "yes"},
        {"kind": "month", "date": "2023-05-05", "part_tracks": "yes", "part_clock": "yes"},
        {"kind": "range", "from": "2022-12-20", "to": "2023-02-03", **EVERYTHING},
        {"kind": "top", "what": "tracks", "period": "year", "date": "2023-01-01", "ranked": "time", "limit": "50",
         "part_figures": "yes"},
        {"kind": "top", "what": "albums", "period": "all", "limit": "10"},
        {"kind": "top", "what": "artists", "from": "2022-12-20", "to": "2023-02-03"},
        {"kind": "story", "date": "2023-05-05", "card_hours": "yes", "card_artists": "yes", "card_clock": "yes"},
        {"kind": "story", "period": "month", "date": "2023-05-05", "card_hours": "yes", "with_name": "yes"},
    ],
    ids=lambda fields: " ".join((fields["kind"], *(name for name in fields if name.startswith(("part", "card"))))),
)  # fmt: skip
def test_the_public_page_shows_the_snapshot_field_by_field_and_nothing_else(
    browser: Browser, filled: Filled, stranger: httpx.Client, fields: dict[str, str]
) -> None:
    preview = browser.page("/shares/new", **fields, chosen="yes")
    check_form(preview)
    address = share(browser, **fields, title="What I heard")
    snapshot = kept(filled, address)
    answer = stranger.get(address)
    page = read_page(answer, 200)
    check_form(page)
    check_against(page, snapshot, title="What I heard")
    # The preview said the same.
    assert rankings(preview) == rankings(page)
    assert preview.tiles() == page.tiles()

    # Chosen is chosen, and nothing else is kept.
    parts = {name.removeprefix("part_") for name in fields if name.startswith("part_")}
    assert (snapshot.figures is not None) == ("figures" in parts and fields["kind"] != "top")
    if fields["kind"] in ("year", "month", "range"):
        assert {each.what for each in snapshot.lists} == parts & {"artists", "tracks", "albums"}
        assert (snapshot.over_time is not None, snapshot.clock is not None) == ("over_time" in parts, "clock" in parts)
    assert {card.name for card in snapshot.cards} == {name[5:] for name in fields if name.startswith("card_")}
    for row in (row for each in snapshot.lists for row in each.rows):
        assert (row.plays is not None) == ("figures" in parts)

    # No key, no number, no name that was not chosen, no way into the dashboard.
    assert ("Ada" in answer.text) == ("with_name" in fields)
    assert not re.search(r"\bada\b", answer.text)
    assert page.links() == []
    assert page.main.all("form") == page.main.all("img") == []
    assert len(answer.content) <= _MOST_BYTES
    assert answer.headers["x-robots-tag"] == "noindex, nofollow"
    assert page.document.one("meta", name_="robots").attributes["content"] == "noindex, nofollow"
    assert "script" not in {each.name for each in page.document.below()}
    assert "set-cookie" not in answer.headers


def test_a_page_with_another_value_than_the_snapshot_is_noticed(
    browser: Browser, filled: Filled, stranger: httpx.Client
) -> None:
    """The comparison above can fail, whatever differs."""
    address = share(browser, kind="year", date="2023-01-01", **EVERYTHING)
    page, snapshot = read_page(stranger.get(address), 200), kept(filled, address)
    check_against(page, snapshot, title="My 2023")
    assert snapshot.figures is not None
    for change in (
        {"lists": snapshot.lists[1:]},
        {"figures": snapshot.figures.model_copy(update={"plays": snapshot.figures.plays + 1})},
        {"figures": None},
        {"over_time": None},
        {"clock": (1, *snapshot.clock[1:])} if snapshot.clock else {},
        {"taken_on": date(2020, 1, 1)},
        {"label": "2022"},
    ):
        with pytest.raises(AssertionError):
            check_against(page, snapshot.model_copy(update=change), title="My 2023")
    page.main.children.append("ada")
    with pytest.raises(AssertionError):
        check_against(page, snapshot, title="My 2023")


def test_each_page_of_figures_leads_to_sharing_it(browser: Browser) -> None:
    for path, kind in (
        ("/year/2023", "Share 2023"), ("/?period=month&date=2023-05-01", "Share May 2023"),
        ("/?from=2023-05-01&to=2023-05-09", "Share 1–9 May 2023"),
        ("/top?what=albums&period=year&date=2023-01-01", "Share top albums, 2023"),
        ("/year/2023/story", "Share 2023"), ("/month/2023-05/story", "Share May 2023"),
        ("/?period=week&date=2023-05-03", "Share 1–7 May 2023"),
    ):  # fmt: skip
        (link,) = browser.page(path).links("/shares/new")
        page = browser.page(link)
        check_form(page)
        assert page.heading == kind, path
    check_form(browser.page("/shares/new"))


def test_a_report_stays_as_it_was_whatever_is_played_later(
    browser: Browser, filled: Filled, stranger: httpx.Client
) -> None:
    address = share(browser, kind="year", date="2023-01-01", **EVERYTHING)
    before = stranger.get(address).text
    filled.sql("update app.users set display_name = 'Another' where user_key = 'ada'")
    try:
        assert stranger.get(address).text == before
    finally:
        filled.sql("update app.users set display_name = 'Ada' where user_key = 'ada'")


def test_one_that_was_stopped_or_has_ended_is_gone_and_one_that_never_was_is_not_there(
    browser: Browser, filled: Filled, stranger: httpx.Client
) -> None:
    address = share(browser, kind="year", date="2023-01-01", title="To be stopped", **EVERYTHING)
    number = address[3:]
    for path in (f"/shares/{number}/revoke", f"/shares/{number}/change"):
        answer = browser.clients["bob"].post(path, data={"title": "mine", "never": "yes"})
        assert answer.status_code == 404, path
    assert stranger.get(address).status_code == 200
    listed = browser.page("/shares", made=number)
    check_form(listed)
    assert f"{filled.settings.site_url}{address}" in listed.text
    assert "To be stopped" not in browser.page("/shares", as_="bob").text

    filled.sql("update app.shares set made_at = now() - interval '2 days', expires_at = now() - interval '1 s'")
    ended = read_page(stranger.get(address), 410)
    check_form(ended)
    assert "To be stopped" not in ended.document.text
    check_form(browser.page("/shares"))
    tomorrow = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()
    changed = browser.clients["ada"].post(f"/shares/{number}/change", data={"title": "Once more", "ends_on": tomorrow})
    assert changed.status_code == 303
    assert read_page(stranger.get(address), 200).heading == "Once more"

    stopped = browser.clients["ada"].post(f"/shares/{number}/revoke")
    assert stopped.headers["location"] == "/shares?done=revoked"
    check_form(browser.page("/shares", done="revoked"))
    assert filled.sql("select snapshot from app.shares") == [(None,)]
    gone = stranger.get(address)
    assert (gone.status_code, gone.text) == (410, ended.answer.text)
    assert stranger.get(f"{address}/picture.png").status_code == 410
    assert browser.clients["ada"].post(f"/shares/{number}/revoke").status_code == 404

    for unknown in ("/s/AAAAAAAAAAAA", "/s/short", "/s/%00", "/s/" + "x" * 500, "/s/%F0%9F%8E%B5"):
        answer = stranger.get(unknown)
        assert answer.status_code == 404, unknown
        check_form(read_page(answer, 404))
        assert answer.headers["x-robots-tag"] == "noindex, nofollow"


def test_wrong_wishes_are_refused_with_a_reason_and_nothing_is_shared(browser: Browser, filled: Filled) -> None:
    good = {"kind": "year", "date": "2023-01-01", "chosen": "yes", **EVERYTHING}
    yesterday = (datetime.now(UTC) - timedelta(days=2)).date().isoformat()
    for change, status, reason in (
        ({"ends_on": yesterday}, 422, "The expiry date has passed"),
        ({"ends_on": "9999-01-01"}, 422, "must be a date"),
        ({"title": "x" * 101}, 422, "1 to 100 printable characters"),
        ({"title": "a\x1bb"}, 422, "printable"),
        ({"date": "2019-01-01"}, 404, "Nothing was heard in 2019"),
        ({"kind": "century"}, 422, "cannot be shared"),
        ({"kind": "range"}, 422, "first and the last day"),
        ({"kind": "range", "from": "2023-02-01", "to": "2023-01-01"}, 422, "must not be after"),
        ({"kind": "top", "limit": "51"}, 422, "1 to 50"),
        (dict.fromkeys(EVERYTHING, ""), 422, "nothing to show"),
    ):
        answer = browser.clients["ada"].post("/shares", data={**good, **change})
        assert (answer.status_code, reason in read_page(answer, status).text) == (status, True), (change, answer.text)
    assert filled.sql("select count(*) from app.shares") == [(0,)]
    assert browser.clients[None].post("/shares", data=good).headers["location"].startswith("/sign-in")


def test_a_report_may_be_for_ever_and_for_search_engines_if_that_is_chosen(
    browser: Browser, filled: Filled, stranger: httpx.Client
) -> None:
    address = share(browser, kind="year", date="2023-01-01", never="yes", is_indexed="yes", **EVERYTHING)
    assert filled.sql("select expires_at, is_indexed from app.shares") == [(None, True)]
    answer = stranger.get(address)
    assert "x-robots-tag" not in answer.headers
    assert read_page(answer, 200).document.all("meta", name_="robots") == []
    usual = share(browser, kind="year", date="2023-01-01", **EVERYTHING)
    query = "select extract(day from expires_at - made_at)::int from app.shares where share_id = %s"
    assert filled.sql(query, usual[3:]) == [(filled.settings.share_days,)]


def test_a_visitor_counts_once_a_day_and_neither_programs_nor_the_owner_do(
    browser: Browser, filled: Filled, stranger: httpx.Client
) -> None:
    address = share(browser, kind="year", date="2023-01-01", **EVERYTHING)

    def views() -> int:
        ((found,),) = filled.sql("select views from app.shares where share_id = %s", address[3:])
        return int(found)

    browser.page(address)
    assert views() == 0
    stranger.get(address)
    stranger.get(address)
    stranger.get(f"{address}/picture.png")
    assert views() == 1
    for agent in ("WhatsApp/2.0", "Mozilla/5.0 (compatible; Googlebot/2.1)", "curl/8", ""):
        stranger.get(address, headers={"user-agent": agent})
    stranger.head(address)
    assert views() == 1
    stranger.get(address, headers={"user-agent": "Mozilla/5.0 Safari/605"})
    browser.page(address, as_="bob")
    assert views() == 3
    # No address and no browser of a visitor is anywhere.
    columns = filled.sql("select column_name::text from information_schema.columns where table_name = 'shares'")
    assert {name for (name,) in columns} == {
        "share_id", "user_id", "kind", "title", "snapshot", "made_at", "expires_at", "revoked_at", "is_indexed",
        "views",
    }  # fmt: skip


def test_the_link_has_a_picture_for_previews(browser: Browser, filled: Filled, stranger: httpx.Client) -> None:
    address = share(
        browser, kind="top", what="artists", period="all", limit="3", part_figures="yes", title="Björk & 坂本"
    )
    page = read_page(stranger.get(address), 200)
    meta = {
        each.attributes["property"]: each.attributes["content"]
        for each in page.document.all("meta")
        if "property" in each.attributes
    }
    assert meta["og:title"] == "Björk & 坂本"
    assert meta["og:image"] == f"{filled.settings.site_url}{address}/picture.png"
    assert kept(filled, address).lists[0].rows[0].name in meta["og:description"]  # type: ignore[operator]
    answer = stranger.get(f"{address}/picture.png")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert answer.headers["x-robots-tag"] == "noindex, nofollow"
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert len(answer.content) < _MOST_BYTES
    image = Image.open(io.BytesIO(answer.content))
    assert image.size == (1200, 630)
    # Something is drawn in ink on its ground.
    assert len(image.convert("RGB").getcolors(100_000) or []) > 10
    assert stranger.get("/s/AAAAAAAAAAAA/picture.png").status_code == 404


def test_strangers_are_limited_strictly(filled: Filled) -> None:
    port = free_port()
    settings = filled.settings.model_copy(update={"api_port": port, "api_sensitive_requests_per_minute": 3})
    url = f"http://127.0.0.1:{port}"
    with (
        serving(create_app(settings, filled.warehouse), port),
        httpx.Client(base_url=url, trust_env=False, verify=False, headers={"accept": "text/html"}) as client,
    ):
        answers = [client.get("/s/AAAAAAAAAAAA") for _ in range(4)]
        assert [each.status_code for each in answers] == [404, 404, 404, 429]
        assert int(answers[-1].headers["retry-after"]) > 0
        assert client.get("/s/AAAAAAAAAAAA/picture.png").status_code == 404


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_a_report_of_every_version_is_shown_by_this_one(
    browser: Browser, filled: Filled, stranger: httpx.Client, path: Path
) -> None:
    address = share(browser, kind="year", date="2023-01-01", title="An old one", **EVERYTHING)
    filled.sql("update app.shares set snapshot = %s::jsonb", path.read_text(encoding="utf-8"))
    page = read_page(stranger.get(address), 200)
    check_form(page)
    check_against(page, read_snapshot(json.loads(path.read_text(encoding="utf-8"))), title="An old one")
    assert stranger.get(f"{address}/picture.png").status_code == 200


def test_a_report_of_a_later_version_is_not_guessed_at(
    browser: Browser, filled: Filled, stranger: httpx.Client
) -> None:
    address = share(browser, kind="year", date="2023-01-01", **EVERYTHING)
    filled.sql("update app.shares set snapshot = jsonb_set(snapshot, '{version}', '99')")
    check_form(read_page(stranger.get(address), 503))


def test_the_api_previews_makes_once_changes_and_revokes(api: Api, browser: Browser, filled: Filled) -> None:
    ada, bob = browser.clients["ada"], browser.clients["bob"]
    as_json = {"accept": "application/json"}
    choice = {"kind": "month", "date": "2023-05-05", "parts": ["figures", "artists"], "with_name": True}
    preview = ada.post("/v1/me/share-previews", json=choice).json()
    assert preview["title"] == "Ada’s May 2023"
    assert preview["snapshot"]["owner"] == "Ada"
    assert filled.sql("select count(*) from app.shares") == [(0,)]
    made = [ada.post(PATH, json=choice, headers={"idempotency-key": "one"}) for _ in range(2)]
    assert [each.status_code for each in made] == [201, 201]
    assert made[0].json() == made[1].json()
    assert made[1].headers["idempotent-replayed"] == "true"
    assert filled.sql("select count(*) from app.shares") == [(1,)]
    one = made[0].headers["location"]
    facts = made[0].json()
    assert facts["url"] == f"{filled.settings.site_url}/s/{facts['id']}"
    assert ada.get(one, headers=as_json).json()["snapshot"] == preview["snapshot"]
    assert [each["id"] for each in api.read(PATH)["data"]] == [facts["id"]]
    assert api.get(PATH, as_="bob").json()["data"] == []

    changed = ada.patch(one, json={"title": "Spring", "never_expires": True})
    assert (changed.json()["title"], changed.json()["expires_at"]) == ("Spring", None)
    assert ada.patch(one, json={"expires_at": "2024-01-01T00:00:00Z"}).status_code == 422
    assert ada.patch(one, json={"never_expires": True, "expires_at": "2099-01-01T00:00:00Z"}).status_code == 422
    for client in (bob, api.client):
        expected = 404 if client is bob else 401
        for method, body in (("GET", None), ("PATCH", {"title": "x"}), ("DELETE", None)):
            headers = {"sec-fetch-site": "same-origin", **as_json}
            assert client.request(method, one, json=body, headers=headers).status_code == expected, method
    # A token reads and does nothing else.
    token = {"authorization": f"Bearer {api.tokens['ada']}"}
    assert api.client.get(one, headers=token).status_code == 200
    for method, path, body in (("POST", PATH, choice), ("PATCH", one, {"title": "x"}), ("DELETE", one, None)):
        assert api.client.request(method, path, json=body, headers=token).status_code == 403, method

    assert ada.delete(one).status_code == 204
    assert ada.delete(one).status_code == 404
    assert ada.get(one, headers=as_json).json()["snapshot"] is None
    assert ada.patch(one, json={"title": "x"}).status_code == 409
    assert ada.post(PATH, json={**choice, "date": "2019-01-01"}).status_code == 404
    assert ada.post(PATH, json={**choice, "first_day": "2019-01-01"}).status_code == 422
    # What would not be heeded is refused.
    story = {"kind": "story", "date": "2023-05-05"}
    for wrong in ({**story, "parts": ["artists"]}, {"kind": "year", "date": "2023-05-05", "cards": ["hours"]}):
        assert ada.post(PATH, json=wrong).status_code == 422, wrong
    assert ada.post(PATH, json={**choice, "expires_at": "2020-01-01T00:00:00Z"}).status_code == 422
    events = [row[0] for row in filled.sql("select event from app.audit where event like 'share%%' order by audit_id")]
    assert events[-3:] == ["share_made", "share_changed", "share_revoked"]
    account = browser.page("/account").text
    assert "The report “Spring” is not shared any more" in account
