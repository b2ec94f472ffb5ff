"""The pages of playlists: what stands on one, how often it was played, what changed; and nobody else's."""

from __future__ import annotations

from tests.integration.dashboard.conftest import Browser, Element, check_form
from tests.integration.reads.conftest import Filled

# An album with a picture that is kept.
COVER = """
with given as (
    select convert_to('cover of ' || %s, 'utf8') as content, %s::int as id
),

picture as (
    insert into raw.pictures (entity_kind, entity_id, place, url)
    select 'album', id, 0, 'https://i.scdn.co/image/' || id from given
),

file as (
    insert into raw.picture_files select sha256(content), 'image/png', content, now() from given
)

insert into raw.kept_pictures select 'https://i.scdn.co/image/' || id, sha256(content) from given
"""


def test_a_list_is_shown_with_its_plays_and_changes(browser: Browser, filled: Filled) -> None:
    page = browser.page("/playlists")
    assert "List one" in page.text
    query = "select playlist_id, user_id from marts.dim_playlists where name = 'List one' order by 2"
    numbers = {user: playlist for playlist, user in filled.read(query)}
    found = browser.page(f"/playlists/{numbers[filled.users['ada']]}")
    for words in ("A demo tape", "Recent changes", "Plays of these tracks", "first seen", "removed"):
        assert words in found.text
    assert browser.get(f"/playlists/{numbers[filled.users['bob']]}").status_code == 404
    assert browser.get("/playlists/none").status_code == 404


def number_of(filled: Filled, user: str, name: str) -> int:
    query = "select max(playlist_id) from marts.dim_playlists where user_id = %s and name = %s"
    return int(filled.read(query, filled.users[user], name)[0][0])


def test_a_list_says_since_when_its_tracks_were_not_played(browser: Browser, filled: Filled) -> None:
    number = number_of(filled, "ada", "List one")
    page = browser.page(f"/playlists/{number}")
    check_form(page)
    (table,) = [each for each in page.main.all("table") if "Last played" in each.text]
    rows = [[cell.text for cell in row.children if isinstance(cell, Element)] for row in table.one("tbody").all("tr")]
    assert len(rows) == 13
    query = (
        "select to_char(max(p.played_at at time zone 'Europe/Berlin'), 'FMMonth YYYY')"
        " from marts.fct_playlist_items as i inner join marts.fct_plays as p"
        " on p.user_id = i.user_id and p.content_id = i.content_id where i.playlist_id = %s and i.position = %s"
    )
    for position in (0, 5, 12):
        assert rows[position][4] == f"not played since {filled.read(query, number, position)[0][0]}"
    assert rows[11][4] == ""


def test_what_other_lists_share_and_what_was_removed_is_told(browser: Browser, filled: Filled) -> None:
    one, two = (number_of(filled, "ada", name) for name in ("List one", "List two"))
    # What stands on the other list alone was removed from this one.
    page = browser.page(f"/playlists/{one}")
    assert "Also in other playlists" not in page.text
    removed = filled.read("select title from marts.dim_contents where content_id = %s", on(filled, two)[0])[0][0]
    assert removed in page.main.one("section", aria_labelledby="removed").text
    assert "2 June 2024" in page.main.one("section", aria_labelledby="removed").text
    shown = browser.page(f"/playlists/{one}/removed")
    check_form(shown)
    assert [(row[0], row[2]) for row in shown.rows()] == [(removed, "2 June 2024")]
    theirs = number_of(filled, "bob", "List one")
    assert browser.get(f"/playlists/{theirs}/removed").status_code == 404
    assert browser.get(f"/playlists/{two}/removed").status_code == 200


def on(filled: Filled, playlist_id: int) -> list[int]:
    query = "select content_id from marts.fct_playlist_items where playlist_id = %s order by position"
    return [row[0] for row in filled.read(query, playlist_id)]


def test_shared_songs_are_counted_once_each(browser: Browser, filled: Filled) -> None:
    one, two = (number_of(filled, "ada", name) for name in ("List one", "List two"))
    shared = on(filled, one)[:3]
    change = (
        "insert into marts.fct_playlist_items (user_id, playlist_id, position, kind, content_id)"
        " select %s, %s, 100 + n, 'track', id from unnest(%s::int[]) with ordinality as t (id, n) returning 1"
    )
    filled.sql(change, filled.users["ada"], two, [*shared, shared[0]])
    try:
        page = browser.page(f"/playlists/{one}")
        songs = "select count(distinct recording_id) from marts.dim_tracks where track_id = any(%s)"
        assert filled.read(songs, shared) == [(3,)]
        assert page.main.one("section", aria_labelledby="overlap").text.endswith("3 of these are also in List two")
        assert f"/playlists/{two}" in page.links()
        assert "3 of these are also in List one" in browser.page(f"/playlists/{two}").text
    finally:
        filled.sql("delete from marts.fct_playlist_items where position >= 100 returning 1")


def test_songs_that_a_listener_takes_for_one_are_shared_as_one(browser: Browser, filled: Filled) -> None:
    """A person's own merges of recordings were not looked at: the other track of such a song was no shared one."""
    one, two = (number_of(filled, "ada", name) for name in ("List one", "List two"))
    known = filled.read(
        "select track_id from marts.dim_tracks as t where not exists (select from marts.fct_playlist_items as i"
        " where i.user_id = %s and i.content_id = t.track_id) order by track_id limit 1", filled.users["ada"],
    )  # fmt: skip
    mine, theirs = on(filled, one)[0], known[0][0]
    add = (
        "insert into marts.fct_playlist_items (user_id, playlist_id, position, kind, content_id)"
        " values (%s, %s, 100, 'track', %s) returning 1"
    )
    merge = (
        "insert into marts.bridge_user_recordings (user_id, track_id, recording_id)"
        " select %s, %s, recording_id from marts.dim_tracks where track_id = %s returning 1"
    )
    filled.sql(add, filled.users["ada"], two, theirs)
    try:
        assert "Also in other playlists" not in browser.page(f"/playlists/{one}").text
        filled.sql(merge, filled.users["ada"], theirs, mine)
        assert "1 of these is also in List two" in browser.page(f"/playlists/{one}").text
        assert "1 of these is also in List one" in browser.page(f"/playlists/{two}").text
    finally:
        filled.sql("delete from marts.fct_playlist_items where position >= 100 returning 1")
        filled.sql(
            "with gone as (delete from marts.bridge_user_recordings where track_id = %s returning 1)"
            " select count(*) from gone", theirs,
        )  # fmt: skip


def test_a_list_has_the_covers_of_its_first_albums_that_were_played(browser: Browser, filled: Filled) -> None:
    number = number_of(filled, "ada", "List one")
    query = (
        "select distinct on (t.album_id) t.album_id from marts.fct_playlist_items as i"
        " inner join marts.dim_tracks as t on t.track_id = i.content_id"
        " where i.playlist_id = %s and t.album_id is not null"
    )
    albums = [row[0] for row in filled.read(query, number)]
    assert len(albums) >= 4
    cover = browser.page(f"/playlists/{number}").main.all("span", class_="cover")[0]
    assert cover.text == "LO"
    try:
        for wanted, shown in ((albums[:1], 1), (albums[1:3], 1), (albums[3:], 4)):
            for album_id in wanted:
                filled.sql(COVER, str(album_id), album_id)
            for path in ("/playlists", f"/playlists/{number}"):
                covers = browser.page(path).main.all("span", class_="cover")
                found = [each for each in covers if each.all("img")][-1]
                sources = [each.attributes["src"] for each in found.all("img")]
                assert len(sources) == len(set(sources)) == shown
                assert browser.get(sources[0]).content.startswith(b"cover of ")
    finally:
        filled.sql("truncate raw.pictures, raw.kept_pictures, raw.picture_files")


def test_lists_of_one_name_say_from_which_account_they_are(browser: Browser, filled: Filled) -> None:
    """Two accounts' "Liked songs" looked the same, and a list that MYI made said it was from a file."""
    ada = filled.users["ada"]
    one, two = (number_of(filled, "ada", name) for name in ("List one", "List two"))
    link = (
        "insert into app.provider_accounts (user_id, provider, provider_account, name, linked_at)"
        " values (%s, 'spotify', %s, %s, now()) returning account_id"
    )
    turn = (
        "update marts.dim_playlists set name = %s, provider = %s, account_id = %s, provider_playlist = %s"
        " where playlist_id = %s returning 1"
    )
    was = filled.read(
        "select name, provider, account_id, provider_playlist, playlist_id from marts.dim_playlists"
        " where playlist_id = any(%s)", [one, two],
    )  # fmt: skip
    ((hers,), (his,)) = (filled.sql(link, ada, f"id:{name}", name)[0] for name in ("ada", "dad"))
    try:
        for playlist, account in ((one, hers), (two, his)):
            filled.sql(turn, "Liked songs", "spotify", account, "liked", playlist)
        told = [row[0] for row in browser.page("/playlists").rows() if "Liked songs" in row[0]]
        assert sorted(each.partition("Liked songs ")[2] for each in told) == [
            "from Spotify account ada", "from Spotify account dad",
        ]  # fmt: skip
        choice = browser.page("/migrations/new").main.all("option", value=str(one))[0].text
        assert choice == "Liked songs (13 entries, from Spotify account ada)"
        filled.sql(turn, "Most played", "file", None, "/plays/Most played", two)
        assert browser.page(f"/playlists/{two}").main.all("p", class_="kind")[0].text == "Playlist, made by MYI"
        assert browser.page(f"/playlists/{one}").main.all("p", class_="kind")[0].text.endswith("Spotify account ada")
    finally:
        for values in was:
            filled.sql(turn, *values)
        for account in (hers, his):
            filled.sql("delete from app.provider_accounts where account_id = %s returning 1", account)
