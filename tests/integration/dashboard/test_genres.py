"""The page of genres against what the API says of them."""

from __future__ import annotations

from tests.integration.dashboard.conftest import Browser
from tests.integration.reads.conftest import Api, Filled


def test_the_page_shows_genres_over_the_years_and_of_how_many_plays_they_are_known(
    browser: Browser, api: Api, filled: Filled
) -> None:
    listed = api.read("/v1/me/genres")
    page = browser.page("/genres")
    share = 100 * listed["known_plays"] / listed["counted_plays"]
    assert f"A genre is known for {share:.0f} % of {listed['counted_plays']:,} counted plays" in page.text
    assert "CC BY-NC-SA 3.0" in page.text
    names = [row.one("th").text for row in page.main.all("table", class_="bars")[0].one("tbody").all("tr")]
    assert names == [row["name"] for row in listed["data"]]
    drawn = page.main.one("figure", class_="stream").all("rect")
    assert {rect.attributes.get("class") for rect in drawn} == {f"era{number}" for number in range(len(names))}
    assert browser.page("/genres?year=2023").heading == "Genres"
    assert browser.get("/genres?year=1999").status_code == 404

    query = "select artist_id, count(*) from marts.bridge_artist_genres group by 1"
    some = dict(filled.read(query))
    artist = next(row["id"] for row in api.read("/v1/me/top/artists")["data"] if row["id"] in some)
    assert "Genres: MusicBrainz" in browser.page(f"/artists/{artist}").text
