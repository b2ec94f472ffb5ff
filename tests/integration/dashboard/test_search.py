"""Searching what one heard: as a page, in the API and in the history. The names are those of simulator/catalogue.py."""

from __future__ import annotations

from typing import Any

import pytest

from myi_pipeline.web.reads import search as search_read
from tests.integration.dashboard.conftest import Browser, check_form
from tests.integration.reads.conftest import Api, Filled

ONLY_ADAS = """
select artist.name
from marts.agg_period_artists as heard
inner join marts.dim_artists as artist on artist.artist_id = heard.artist_id
where heard.user_id = %s and heard.period = 'all' and not exists (
    select from marts.fct_plays as play
    inner join marts.search_names as name on name.kind <> 'artist' and name.entity_id = play.content_id
    where play.user_id = %s and position(marts.folded(artist.name) in name.search_text) > 0
)
order by heard.counted_plays desc
limit 5
"""


def found(api: Api, q: str, **query: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = api.read("/v1/me/search", q=q, **query)["data"]
    return rows


def names(rows: list[dict[str, Any]], kind: str) -> list[str]:
    return [row["name"] for row in rows if row["kind"] == kind]


@pytest.mark.parametrize("is_common", [False, True])
def test_accents_case_punctuation_spaces_and_slips_are_forgiven(
    api: Api, monkeypatch: pytest.MonkeyPatch, is_common: bool
) -> None:
    if is_common:
        # What many names have is looked for among the listener's own.
        monkeypatch.setattr(search_read, "MOST_FOUND", 0)
    wanted = {
        "zoe melan": "Zoë Melán",
        "MELÁN, zoë!": "Zoë Melán",
        "lumenharbour": "Lumen Harbour",
        "fine flour": "ﬁne ﬂour",
        "strasse der ofen": "Straße der Öfen",
        "istanbulin isik": "İstanbulin Işık",
        "למים שירים": "שירים מתחת למים",
        "اغاني": "أغاني الرمل",
        "電車": "雨の後の電車",
        "tab and newline": "tab\tand\nnewline",
    }
    for typed, name in wanted.items():
        rows = found(api, typed)
        assert name in names(rows, "artist"), typed
        assert not any(row["is_similar"] for row in rows), typed
    if is_common:
        return
    slips = {"lumne harbuor": "Lumen Harbour", "strase der ofen": "Straße der Öfen", "istambulin": "İstanbulin Işık"}
    for typed, name in slips.items():
        rows = found(api, typed)
        assert name in names(rows, "artist"), typed
        assert all(row["is_similar"] for row in rows), typed
    for typed in ("qqqxxz", "!", "%", "_", "\\", "--"):
        assert found(api, typed) == [], typed


def test_the_best_match_comes_first_and_then_what_was_heard_most(api: Api) -> None:
    rows = [row for row in found(api, "copper", limit=50) if row["kind"] == "track"]
    begins = [row["name"].casefold().startswith("copper") for row in rows]
    assert set(begins) == {True, False}
    assert begins == sorted(begins, reverse=True)
    of_first = [row["counted_plays"] for row, first in zip(rows, begins, strict=True) if first]
    assert of_first == sorted(of_first, reverse=True)
    # Words of the title and of the artist together.
    wanted = next(row for row in rows if row["artist_name"] and row["artist_name"].isascii())
    both = found(api, f"{wanted['artist_name']} {wanted['name']}", kind="track")
    assert wanted["id"] in [row["id"] for row in both]


def test_figures_are_those_of_the_top_lists(api: Api) -> None:
    rows = found(api, "zoe melan", limit=50)
    for kind in ("artist", "album", "track"):
        listed = {row[f"{kind}_id"]: row for page in api.pages(f"/v1/me/top/{kind}s", limit=500) for row in page}
        of_kind = [row for row in rows if row["kind"] == kind]
        assert of_kind
        for row in of_kind:
            assert {key: row[key] for key in ("name", "uri", "plays", "counted_plays", "ms_played")} == {
                key: listed[row["id"]][key] for key in ("name", "uri", "plays", "counted_plays", "ms_played")
            }
    shows = found(api, "talks", kind="show")
    assert shows
    assert {row["kind"] for row in shows} == {"show"}


def test_nobody_finds_what_another_user_heard(api: Api, browser: Browser, filled: Filled) -> None:
    only_hers = [name for (name,) in filled.read(ONLY_ADAS, filled.users["ada"], filled.users["bob"])]
    assert len(only_hers) == 5
    for name in only_hers:
        assert names(found(api, name[:100]), "artist") != []
        # Nor with a slip.
        for typed in (name[:100], name[1:100]):
            assert name not in [row["name"] for row in found(api, typed, as_="bob")]
            assert name not in browser.page("/search", as_="bob", q=typed).text.replace(typed, "")
    mine = {row["artist_id"] for page in api.pages("/v1/me/top/artists", limit=500, as_="bob") for row in page}
    for typed in ("a", "the", "e", "lumen", "harbour"):
        assert {row["id"] for row in found(api, typed, kind="artist", limit=500, as_="bob")} <= mine


def test_the_page_shows_what_the_api_finds(browser: Browser, api: Api) -> None:
    page = browser.page("/search", q="lumen")
    check_form(page)
    rows = found(api, "lumen", limit=8)
    addresses = [f"/{row['kind']}s/{row['id']}" for row in rows if row["kind"] in ("artist", "album", "track")]
    shown = [link for link in page.links("/") if link in addresses]
    assert [link for place, link in enumerate(shown) if link not in shown[:place]] == addresses
    assert browser.page("/search", q="lumen", kind="artist").links("/albums") == []
    check_form(browser.page("/search"))
    assert "No matches for “qqqxxz”." in browser.page("/search", q="qqqxxz").text
    hostile = browser.page("/search", q="<img src=x onerror=alert(1)>")
    assert hostile.main.all("img", src="x") == []
    # The box stands on every page, and leads here.
    box = browser.page("/top").document.one("search", class_="find").one("form")
    assert (box.attributes["action"], box.one("input").attributes["name"]) == ("/search", "q")


def test_a_show_has_the_episodes_that_were_heard(api: Api, browser: Browser, filled: Filled) -> None:
    (show, *_) = found(api, "talks", kind="show")
    page = browser.page(f"/shows/{show['id']}")
    check_form(page)
    expected = filled.read(
        "select name.title, count(*)::int, coalesce(sum(play.ms_played), 0)::bigint from marts.fct_plays as play"
        " inner join marts.dim_contents as name using (content_id)"
        " where play.user_id = %s and name.collection = %s group by content_id, 1 order by max(play.played_at) desc",
        filled.users["ada"], show["name"],
    )  # fmt: skip
    assert page.heading == show["name"]
    assert [(row[0], row[2]) for row in page.rows()] == [(title, str(plays)) for title, plays, _ in expected]
    assert page.tiles()["Plays"] == f"{show['counted_plays']:,}"
    assert browser.page("/search", q="talks").links("/shows/") != []
    browser.page(f"/shows/{show['id']}", as_="bob", status=404)
    ((track,),) = filled.read(
        "select min(track_id) from marts.agg_period_tracks where user_id = %s", filled.users["ada"]
    )
    browser.page(f"/shows/{track}", status=404)


def test_plays_are_found_by_the_same_words(api: Api, filled: Filled) -> None:
    query = """
    select play.play_id::text
    from marts.fct_plays as play
    inner join marts.search_names as name on name.kind <> 'artist' and name.entity_id = play.content_id
    where play.user_id = %s and name.search_text like '%%copper%%'
    order by play.played_at desc, play.play_id desc
    """
    expected = [play for (play,) in filled.read(query, filled.users["ada"])]
    for limit in (37, 500):
        listed = [row["play_id"] for page in api.pages("/v1/me/plays", q="CÖPPER", limit=limit) for row in page]
        assert listed == expected
    (first, *_) = api.read("/v1/me/plays", q="copper")["data"]
    assert first["artist_id"]
    both = [row for page in api.pages("/v1/me/plays", q="copper", artist_id=first["artist_id"]) for row in page]
    assert first["play_id"] in [row["play_id"] for row in both]
    assert {row["artist_id"] for row in both} == {first["artist_id"]}
    assert {row["play_id"] for row in both} < set(expected)


def test_two_letters_in_the_wrong_order_are_forgiven_in_words_of_four_letters(api: Api, filled: Filled) -> None:
    rows = filled.read(
        "select distinct artist.name from marts.agg_period_artists as heard inner join marts.dim_artists as artist"
        " using (artist_id) where heard.user_id = %s and artist.name ~ '^[A-Z][a-z]{3} ' order by 1 limit 10",
        filled.users["ada"],
    )
    assert rows
    for (name,) in rows:
        for place in range(3):
            typed = name[:place] + name[place + 1] + name[place] + name[place + 2 :]
            assert name in names(found(api, typed, kind="artist", limit=50), "artist"), typed


SHOWS = """
select name.collection, count(*)::int, sum(play.is_counted::int)::int, coalesce(sum(play.ms_played), 0)::bigint
from marts.fct_plays as play inner join marts.dim_contents as name using (content_id)
where play.user_id = %s and play.kind = %s and name.collection is not null and play.local_date between %s and %s
group by 1 order by {order}
"""


@pytest.mark.parametrize(("what", "part"), [("podcast", "episode"), ("audiobook", "chapter")])
def test_podcasts_and_audiobooks_have_lists_of_their_own(
    browser: Browser, api: Api, filled: Filled, what: str, part: str
) -> None:
    ada = filled.users["ada"]
    expected = filled.read(SHOWS.format(order="3 desc, 4 desc"), ada, part, "1970-01-01", "2999-12-31")
    rows = [row for page in api.pages("/v1/me/top/shows", kind=what, limit=2) for row in page]
    assert [(row["name"], row["plays"], row["counted_plays"], row["ms_played"]) for row in rows] == expected
    assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
    assert {row["kind"] for row in rows} <= {what}
    page = browser.page("/top", what=f"{what}s")
    check_form(page)
    # What stands above the list is of the same kind; it was everything that was heard.
    ((counted,),) = filled.read(
        "select coalesce(sum(is_counted::int), 0)::int from marts.fct_plays where user_id = %s and kind = %s", ada, part
    )
    assert (f" of {what}s in {counted:,} play" in page.main.one("p", class_="lead").text) is (counted > 0)
    listed = page.main.one("ol", class_="ranking").all("li") if expected else []
    assert [row.one("span", class_="what").all("a")[0].text for row in listed] == [name for name, *_ in expected[:50]]
    for row in rows[:3]:
        told = api.read(f"/v1/me/shows/{row['id']}")
        assert {name: told[name] for name in ("name", "plays", "counted_plays", "ms_played", "kind")} == {
            name: row[name] for name in ("name", "plays", "counted_plays", "ms_played", "kind")
        }
        assert sum(each["plays"] for each in told["episodes"]) == row["plays"]
        assert browser.page(f"/shows/{row['id']}").heading == row["name"]
        assert api.get(f"/v1/me/shows/{row['id']}", as_="bob").status_code in (200, 404)
    year = {"from": "2023-01-01", "to": "2023-12-31"}
    in_2023 = filled.read(SHOWS.format(order="4 desc, 3 desc"), ada, part, *year.values())
    assert {row["name"] for row in api.read("/v1/me/top/shows", kind=what, **year)["data"]} == {
        name for name, *_ in in_2023
    }
    overview = browser.page("/", period="year", date="2023-01-01", ranked="time")
    assert (f"Top {what}s" in overview.text) is bool(in_2023)
    if in_2023:
        (section,) = [
            each for each in overview.main.all("section") if each.attributes["aria-labelledby"] == f"top-{what}s"
        ]
        assert [row.all("a")[0].text for row in section.all("li")] == [name for name, *_ in in_2023[:10]]
        assert browser.page("/").links(f"/top?period=all&what={what}s")


def test_a_list_without_a_row_does_not_lead_to_plays_of_another_kind(browser: Browser, filled: Filled) -> None:
    ((day,),) = filled.read(
        "select min(local_date) from marts.fct_plays as play where user_id = %s and not exists (select from"
        " marts.fct_plays as other where other.user_id = play.user_id and other.local_date = play.local_date"
        " and other.kind = 'chapter')", filled.users["ada"],
    )  # fmt: skip
    page = browser.page("/top", **{"what": "audiobooks", "from": f"{day}", "to": f"{day}"})
    assert page.main.one("p", class_="lead").text.startswith("Everything together: ")
    assert "No audiobooks on these days." in page.text
    week = browser.page("/top", what="audiobooks", period="week", date=f"{day}")
    assert "The latest plays are from" not in week.text
