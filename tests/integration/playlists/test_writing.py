"""Changes of playlists are made once, and what is refused is told apart from what nobody knows."""

from __future__ import annotations

import pytest

from myi_pipeline.errors import BadInput, Forbidden, Gone, Transient, Unfit
from myi_pipeline.providers.playlists import ListChanged
from myi_pipeline.providers.spotify.playlists import SpotifyPlaylists
from myi_pipeline.simulator.live import world_of
from tests.integration.playlists.conftest import Lists


@pytest.fixture
def writer(lists: Lists) -> SpotifyPlaylists:
    lists.sign_in(with_writes=True)
    return SpotifyPlaylists(lists.setup.open(), lists.account)


def uris(lists: Lists, *numbers: int) -> list[str]:
    world = world_of(lists.setup.simulator.spec)
    return [f"spotify:track:{world.tracks[lists.tracks[number]].api_id}" for number in numbers]


def add(writer: SpotifyPlaylists, playlist_id: str, tracks: list[str], position: int | None = None) -> None:
    writer.add(playlist_id, tracks, position=position, added_at=[None] * len(tracks), key="k")


def test_a_list_is_made_filled_moved_and_emptied(lists: Lists, writer: SpotifyPlaylists) -> None:
    made = writer.create("Moved here", description="d", is_public=False, key="k").playlist_id
    one, two, three, four = uris(lists, 0, 1, 2, 3)
    add(writer, made, [one, two, two])
    add(writer, made, [three, four], position=1)
    assert lists.truth(made) == [one, three, four, two, two]
    writer.move(made, start=1, length=2, before=5, item_ids=(), key="k")
    assert lists.truth(made) == [one, two, two, three, four]
    writer.move(made, start=3, length=2, before=0, item_ids=(), key="k")
    assert lists.truth(made) == [three, four, one, two, two]
    version = writer.head(made).version
    writer.remove(made, positions=(3,), uris=[two], item_ids=(), key="k")
    assert lists.truth(made) == [three, four, one]
    with pytest.raises(ListChanged):
        writer.move(made, start=0, length=1, before=3, item_ids=(), key="k", version=version)
    writer.replace(made, [two], key="k")
    assert lists.truth(made) == [two]
    assert [entry.track.uri for entry in writer.entries(made)] == [two]


@pytest.mark.parametrize("kind", ["lost", "reset"])
def test_a_change_whose_answer_is_lost_is_never_made_again(lists: Lists, writer: SpotifyPlaylists, kind: str) -> None:
    lists.put("mine", lists.entries([0]))
    lists.setup.simulator.control.fail(kind, path="/v1/playlists/*", method="POST")  # type: ignore[arg-type]
    lists.calls()
    with pytest.raises(Transient):
        add(writer, "mine", uris(lists, 1))
    assert lists.calls() == 1
    assert len(lists.truth("mine")) == (2 if kind == "lost" else 1)


def test_an_access_token_that_ended_is_a_refusal_and_the_change_is_made(lists: Lists, writer: SpotifyPlaylists) -> None:
    lists.put("mine", lists.entries([0]))
    lists.gather()
    lists.setup.simulator.control.expire_access_tokens("listener-1")
    add(writer, "mine", uris(lists, 1))
    assert len(lists.truth("mine")) == 2


def test_what_is_refused_says_so(lists: Lists, writer: SpotifyPlaylists) -> None:
    lists.put("theirs", owner="somebody")
    lists.put("mine", lists.entries([0]))
    lists.setup.simulator.control.limit_playlists(items=2, lists=1)
    for error, playlist_id, tracks in (
        (Forbidden, "theirs", uris(lists, 1)),
        (Gone, "nowhere", uris(lists, 1)),
        (Unfit, "mine", ["spotify:track:nothing"]),
        (Forbidden, "mine", uris(lists, 1, 2)),
        (BadInput, "mine", uris(lists, 1) * 101),
        (BadInput, "mine", []),
        (BadInput, "../me", uris(lists, 1)),
    ):
        with pytest.raises(error):
            add(writer, playlist_id, list(tracks))
    with pytest.raises(Forbidden, match="refuses"):
        writer.create("One more", description=None, is_public=False, key="k")
    assert len(lists.truth("mine")) == 1


def test_without_the_permission_nothing_is_sent(lists: Lists, writer: SpotifyPlaylists) -> None:
    lists.put("mine", lists.entries([0]))
    lists.sign_in()
    lists.calls()
    with pytest.raises(Forbidden, match="does not allow changing playlists"):
        add(writer, "mine", uris(lists, 1))
    assert lists.calls() == 0
