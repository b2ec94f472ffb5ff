"""What goes wrong on the way to Spotify, and whom it concerns."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pytest

from myi_pipeline.errors import CircuitOpen, Forbidden, Gone, RateLimited, Transient, UnexpectedAnswer
from myi_pipeline.postgres.connections import Role
from myi_pipeline.providers import circuits, transport
from myi_pipeline.providers.retries import FailureKind
from myi_pipeline.providers.spotify.client import TopTerm
from myi_pipeline.providers.spotify.open_spotify import Spotify
from tests.integration.credentials.conftest import Setup, SetupMaker

RECENT = "/v1/me/player/recently-played"


def recent(setup: Setup, spotify: Spotify, key: str = "ana") -> int:
    return spotify.call(setup.user(key), lambda client, token: client.recently_played(token)).count


@pytest.fixture
def two(setup: Setup) -> Setup:
    """Ana and Ben are signed in."""
    spotify = setup.open()
    setup.sign_in(spotify, "ana", listener="listener-1")
    setup.sign_in(spotify, "ben", listener="listener-2")
    return setup


@pytest.mark.parametrize("kind", ["reset", "cut", "html", "truncated", "empty", "lost", "wrong_shape"])
def test_a_fault_that_passes_within_seconds_is_not_noticed(two: Setup, kind: str) -> None:
    two.simulator.control.fail(kind, path=RECENT, times=2)
    assert recent(two, two.open())
    assert sum(two.slept) == 5


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("reset", Transient),
        ("cut", Transient),
        ("html", UnexpectedAnswer),
        ("truncated", UnexpectedAnswer),
        ("empty", UnexpectedAnswer),
        ("wrong_shape", UnexpectedAnswer),
    ],
)
def test_a_fault_that_stays_gets_its_kind(two: Setup, kind: str, error: type[Exception]) -> None:
    two.simulator.control.fail(kind, path=RECENT, times=None)
    with pytest.raises(error, match="GET /v1/me/player/recently-played"):
        recent(two, two.open())


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_in_trouble_is_tried_three_times(two: Setup, status: int) -> None:
    two.simulator.control.fail("status", status=status, path=RECENT, times=None)
    with pytest.raises(Transient, match=str(status)):
        recent(two, two.open())
    assert two.simulator.control.calls(route="/me/player/recently-played") == 3


def test_a_403_is_not_tried_again(two: Setup) -> None:
    two.simulator.control.fail("status", status=403, path=RECENT, times=None)
    with pytest.raises(Forbidden):
        recent(two, two.open())
    assert two.simulator.control.calls(route="/me/player/recently-played") == 1


def test_a_bad_item_does_not_cost_the_good_ones(two: Setup) -> None:
    whole = recent(two, two.open())
    two.simulator.control.fail("bad_item", path=RECENT)
    page = two.open().call(two.user("ana"), lambda client, token: client.recently_played(token))
    assert (len(page.entries), len(page.bad)) == (whole - 1, 1)


@pytest.mark.slow
def test_slow_bytes_are_waited_for_up_to_a_limit(two: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    two.simulator.control.fail("slow", path=RECENT, chunk=4_000, pause_s=0.01)
    assert recent(two, two.open())
    monkeypatch.setattr(transport, "DEADLINE_S", 0.3)
    two.simulator.control.fail("slow", path=RECENT, chunk=64, pause_s=0.02, times=None)
    with pytest.raises(Transient, match="took longer"):
        recent(two, two.open())


def test_a_head_that_comes_a_byte_at_a_time_is_waited_for_up_to_the_same_limit(
    two: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte came within the limit of a read, so a poll was held for minutes."""
    spotify = two.open()
    recent(two, spotify)
    monkeypatch.setattr(transport, "DEADLINE_S", 0.5)
    two.simulator.control.fail("slow_head", path=RECENT, pause_s=0.05, times=None)
    with pytest.raises(Transient, match="took longer"):
        recent(two, spotify)
    two.simulator.control.clear_faults()
    assert recent(two, spotify)


def test_silence_is_waited_for_up_to_a_limit(two: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "TIMEOUT", httpx.Timeout(0.2))
    two.simulator.control.fail("hang", path=RECENT, pause_s=1.0, times=None)
    with pytest.raises(Transient, match="did not answer in time"):
        recent(two, two.open())


def test_an_answer_is_read_up_to_a_size(two: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_BYTES", 1_000)
    with pytest.raises(UnexpectedAnswer, match="larger than 1,000 bytes"):
        recent(two, two.open())


def test_a_server_that_is_not_there_is_a_failure_of_the_network(two: Setup) -> None:
    spotify = two.open(spotify_api_url="http://127.0.0.1:9/v1")
    with pytest.raises(Transient, match="connection to Spotify failed"):
        recent(two, spotify)


def test_the_catalogue_answers_and_what_it_does_not_have_is_gone(two: Setup) -> None:
    spotify, user = two.open(), two.user("ana")
    page = spotify.call(user, lambda client, token: client.recently_played(token))
    track = next(entry.play.track for entry in page.entries if entry.play.track.id)
    album, artist = track.album, track.artists[0]
    assert album is not None
    found = spotify.call(user, lambda client, token: client.track(token, str(track.id)))
    assert (found.uri, found.isrc, found.duration_ms) == (track.uri, track.isrc, track.duration_ms)
    assert spotify.call(user, lambda client, token: client.album(token, str(album.id))).images
    assert spotify.call(user, lambda client, token: client.artist(token, str(artist.id))).name == artist.name
    with pytest.raises(Gone):
        spotify.call(user, lambda client, token: client.track(token, "0" * 22), counts=False)
    with pytest.raises(Gone):
        spotify.call(user, lambda client, token: client.track(token, "no"), counts=False)
    assert two.sql("select user_id from ops.circuits") == []


@pytest.mark.parametrize("dialect", ["new", "old"])
def test_both_dialects_are_understood(make_setup: SetupMaker, dialect: str) -> None:
    setup = make_setup(dialect=dialect)
    spotify = setup.open()
    setup.sign_in(spotify)
    user = setup.user("ana")
    page = spotify.call(user, lambda client, token: client.recently_played(token))
    assert page.bad == ()
    assert all(entry.play.track.album for entry in page.entries)
    for term in TopTerm:
        top = spotify.call(user, lambda client, token, term=term: client.top_items(token, "tracks", term))
        assert [rank for rank, _ in top.tracks] == list(range(1, len(top.tracks) + 1))
        artists = spotify.call(user, lambda client, token, term=term: client.top_items(token, "artists", term))
        assert artists.artists
        assert artists.bad == top.bad == ()


# Circuits


def test_five_failures_of_the_network_open_the_circuit_of_one_user(two: Setup) -> None:
    two.simulator.control.fail("status", status=503, path=RECENT, listener="listener-1", times=None)
    spotify = two.open()
    for _ in range(5):
        with pytest.raises(Transient):
            recent(two, spotify)
    calls = two.simulator.control.calls(listener="listener-1")
    with pytest.raises(CircuitOpen, match="myi circuit reset ana") as caught:
        recent(two, two.open())
    assert caught.value.retry_at - two.clock.now() > timedelta(hours=1, minutes=59)
    assert two.simulator.control.calls(listener="listener-1") == calls
    assert recent(two, spotify, "ben"), "one user's failure is that user's alone"
    assert spotify.open_circuits([two.user("ana"), two.user("ben")]) == {two.user("ana"): caught.value.retry_at}


def test_a_half_open_circuit_lets_one_request_of_all_processes_through(two: Setup) -> None:
    user, now = two.user("ana"), two.clock.now()
    with two.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        for _ in range(5):
            circuits.note_failure(connection, user_id=user, kind=FailureKind.NETWORK, reason="test", now=now)

    def ask(_: int) -> bool:
        with two.warehouse.connect(Role.INGEST, autocommit=True) as connection:
            return circuits.admit(connection, user_id=user, now=now + timedelta(hours=2)).allowed

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(ask, range(16))) == 1


def test_success_closes_and_failure_doubles_the_wait(two: Setup) -> None:
    two.simulator.control.fail("status", status=503, path=RECENT, listener="listener-1", times=None)
    spotify = two.open()
    for _ in range(5):
        with pytest.raises(Transient):
            recent(two, spotify)
    waits = []
    for _ in range(5):
        with pytest.raises(CircuitOpen) as caught:
            recent(two, spotify)
        two.clock.set(caught.value.retry_at)
        with pytest.raises(Transient):
            recent(two, spotify)
        (circuit,) = two.sql("select open_until - opened_at from ops.circuits where state = 'open'")
        waits.append(circuit[0] / timedelta(hours=1))
    assert waits == [4, 8, 16, 24, 24]
    two.simulator.control.clear_faults()
    two.clock.advance(timedelta(hours=24))
    assert recent(two, spotify)
    with two.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        assert circuits.list_circuits(connection) == ()
        states = [
            (event.from_state, event.to_state) for event in circuits.list_events(connection, user_id=two.user("ana"))
        ]
    assert states[:3] == [("half_open", "closed"), ("open", "half_open"), ("half_open", "open")]
    assert states[-1] == ("closed", "open")


def test_a_quota_in_the_middle_of_a_probe_is_neither_success_nor_failure(two: Setup) -> None:
    user = two.user("ana")
    with two.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        for _ in range(5):
            circuits.note_failure(
                connection, user_id=user, kind=FailureKind.NETWORK, reason="test", now=two.clock.now()
            )
    two.clock.advance(timedelta(hours=2))
    two.simulator.control.fail("status", status=429, path=RECENT, retry_after=600)
    with pytest.raises(RateLimited):
        recent(two, two.open())
    two.clock.advance(601)
    assert recent(two, two.open())


def test_a_person_closes_a_circuit(two: Setup) -> None:
    user = two.user("ana")
    with two.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        for _ in range(3):
            circuits.note_failure(
                connection, user_id=user, kind=FailureKind.AUTHORISATION, reason="test", now=two.clock.now()
            )
        (view,) = circuits.list_circuits(connection)
        assert (view.state, view.kind, view.open_until) == (
            "open",
            "authorisation",
            two.clock.now() + timedelta(hours=24),
        )
        assert circuits.reset(connection, user_id=user, now=two.clock.now())
        assert not circuits.reset(connection, user_id=user, now=two.clock.now())
        assert circuits.list_events(connection)[0].reason == "reset by hand"
    assert recent(two, two.open())
