"""A playlist is moved to the made-up TIDAL over HTTP: each entry once and in order, whatever is lost or killed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from myi_pipeline.cli.app import main
from myi_pipeline.errors import BadInput, Transient
from myi_pipeline.playlists.migration import item_rows, journal, moving, store
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.providers import accounts
from myi_pipeline.providers.accounts import Provider
from myi_pipeline.providers.encryption_keys import require_keys
from myi_pipeline.providers.playlists import EntryKind, ListedTrack, PlaylistEntry
from myi_pipeline.providers.sign_in_rules import AccessToken, TokenGrant
from myi_pipeline.simulator.services import ServiceFault
from tests.integration.playlists.mover import LONG_AGO, Mover, at_tidal, mover, song
from tests.integration.providers.conftest import tidal_track

__all__ = ["at_tidal", "mover"]


class Killed(BaseException):
    """The process ends here."""


def test_a_playlist_is_moved_into_a_new_one_with_its_duplicates_in_order_and_once(mover: Mover) -> None:
    mover.tidal.add_tracks(120)
    numbers = [*range(1, 121), 7, 7, 1]
    made = mover.plan(mover.source(numbers))
    assert mover.writes == 0
    found = moving.preview(mover.connection, mover.target, mover.find(made))
    assert (found.additions, found.moves, found.removals, found.requests) == (123, 0, 0, 3)

    applied = mover.run(made)

    assert applied.is_done
    assert mover.tracks(made) == [str(number) for number in numbers]
    assert mover.find(made).state == "done"
    # The list is made, and filled in as few requests as 50 at once allow.
    assert mover.writes == 4
    (playlist,) = mover.tidal.tidal.world.playlists.values()
    assert {each.added_at for each in playlist.entries} == {LONG_AGO}
    assert mover.run(made).requests == 0
    assert mover.writes == 4


def test_what_is_not_there_or_in_doubt_is_named_and_left_out(mover: Mover) -> None:
    mover.tidal.add_tracks(3)
    live = replace(song(2), title="Song 2 - Live", isrc=None)
    local = ListedTrack(kind=EntryKind.LOCAL, uri="spotify:local:x", title="At home", artists=("Me",))
    made = mover.plan(
        mover.source([1, 900], entries=[PlaylistEntry(track=live), PlaylistEntry(track=local)])
    )  # fmt: skip
    matches = item_rows.list_matches(mover.connection, migration_id=made)
    assert [(each.outcome, each.uri) for each in matches][:2] == [("matched", "tidal:track:1"), ("missing", None)]
    assert matches[0].reason == "same_isrc"
    assert {each.outcome for each in matches[2:]} <= {"missing", "ambiguous"}
    assert all(each.uri is None for each in matches[1:])
    assert mover.run(made).is_done
    assert mover.tracks(made) == ["1"]


def test_a_decision_wins_over_the_rules_and_is_kept_for_the_next_migration(mover: Mover) -> None:
    mover.tidal.add_tracks(9)
    playlist_id = mover.source([1, 900, 1])
    first = mover.plan(playlist_id)
    for position, kind, uri in ((1, "is", "tidal:track:5"), (0, "never", "tidal:track:1")):
        mover.decide(first, position, kind, uri)
    mover.run(first)
    assert mover.tracks(first) == ["5"]
    second = mover.plan(playlist_id)
    outcomes = [each.uri for each in item_rows.list_matches(mover.connection, migration_id=second)]
    assert outcomes == [None, "tidal:track:5", None]


def test_an_existing_list_is_made_equal_or_added_to(mover: Mover) -> None:
    mover.tidal.add_tracks(9)
    world = mover.tidal.tidal.world
    there = world.make_playlist(mover.tidal.ana, "There", tracks=["9", "3", "1", "3"])
    playlist_id = mover.source([1, 2, 3])
    added = mover.plan(playlist_id, into=there.playlist_id)
    mover.run(added)
    assert there.track_ids == ["9", "3", "1", "3", "1", "2", "3"]
    equal = mover.plan(playlist_id, into=there.playlist_id, is_equal=True)
    found = moving.preview(mover.connection, mover.target, mover.find(equal))
    assert (found.additions, found.moves, found.removals) == (0, 0, 4)
    mover.run(equal)
    assert there.track_ids == ["1", "2", "3"]


@pytest.mark.parametrize("lost", ["create", "add"])
@pytest.mark.parametrize(
    "fault", [ServiceFault(is_lost=True), ServiceFault(is_reset=True), ServiceFault(status=503, body="{}")]
)
def test_a_lost_answer_is_settled_before_anything_else_is_written(mover: Mover, lost: str, fault: ServiceFault) -> None:
    mover.tidal.add_tracks(60)
    world = mover.tidal.tidal.world
    made = mover.plan(mover.source(list(range(1, 61))))
    if lost == "add":
        # The first POST makes the list.
        playlist = world.make_playlist(mover.tidal.ana, "Mine")
        store.note_target(mover.connection, migration_id=made, playlist_id=playlist.playlist_id)
    world.fail(replace(fault, on="POST"))
    for _ in range(3):
        try:
            applied = mover.run(made)
            break
        except Transient:
            continue
    assert applied.is_done
    assert mover.tracks(made) == [str(number) for number in range(1, 61)]
    assert len(world.playlists) == 1


@pytest.mark.parametrize("seed", range(12))
def test_killed_between_any_two_steps_it_goes_on_and_adds_nothing_twice(
    mover: Mover, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    mover.tidal.add_tracks(40)
    numbers = [chance.randint(1, 40) for _ in range(130)]
    is_equal = seed % 2 == 1
    there = (
        mover.tidal.tidal.world.make_playlist(mover.tidal.ana, "There", tracks=["1", "2", "2"]) if is_equal else None
    )
    made = mover.plan(mover.source(numbers), into=there and there.playlist_id, is_equal=is_equal)

    def may_kill(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*given: Any, **named: Any) -> Any:
            if chance.random() < 0.15:
                raise Killed
            answer = call(*given, **named)
            if chance.random() < 0.15:
                raise Killed
            return answer

        return wrapped

    # A kill is no error of ours: what the process would have done next is not done.
    for name in ("begin", "settle", "begin_creation", "settle_creation"):
        monkeypatch.setattr(journal.StoredJournal, name, may_kill(getattr(journal.StoredJournal, name)))
    for name in ("add", "move", "remove", "create"):
        writer = type(mover.target.writer)
        monkeypatch.setattr(writer, name, may_kill(getattr(writer, name)))
    for _ in range(200):
        try:
            assert mover.run(made).is_done
            break
        except Killed:
            continue
    assert mover.tracks(made) == [str(number) for number in numbers]
    assert len(mover.tidal.tidal.world.playlists) == 1


def test_a_cancelled_migration_writes_nothing_more(mover: Mover) -> None:
    mover.tidal.add_tracks(2)
    made = mover.plan(mover.source([1, 2]))
    moving.cancel(mover.connection, mover.find(made), now=LONG_AGO)
    with pytest.raises(BadInput, match="was cancelled"):
        mover.run(made)
    assert mover.writes == 0


def test_nobody_sees_the_migrations_of_others(mover: Mover, warehouse: Warehouse) -> None:
    mover.tidal.add_tracks(1)
    made = mover.plan(mover.source([1]))
    with pytest.raises(BadInput):
        store.get_migration(mover.connection, user_id=mover.user_id + 1, migration_id=made)
    tables = ("app.migrations", "app.migration_items", "app.migration_writes", "app.match_decisions")
    with warehouse.connect(Role.APP) as connection:
        connection.execute("select set_config('app.user_id', %s, true)", (str(mover.user_id + 1),))
        for table in tables:
            assert connection.execute(f"select count(*) from {table}").fetchone() == (0,), table
        connection.execute("select set_config('app.user_id', %s, true)", (str(mover.user_id),))
        assert connection.execute("select count(*) from app.migrations").fetchone() == (1,)


@pytest.fixture
def said(
    mover: Mover,
    warehouse: Warehouse,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    environment_for_tests: dict[str, str],
) -> Callable[..., tuple[int, str]]:
    """Runs a command in this process; gives its exit code and what it wrote. Ana is signed in to TIDAL."""
    settings, tidal = mover.tidal.settings, mover.tidal.tidal
    more = {
        "MYI_TIDAL_CLIENT_ID": tidal.sign_in.client_id, "MYI_TIDAL_CLIENT_SECRET": tidal.sign_in.secret,
        "MYI_TIDAL_API_URL": tidal.api_url, "MYI_TIDAL_LOGIN_URL": tidal.login_url,
        "MYI_TIDAL_AUTH_URL": tidal.auth_url, "MYI_TIDAL_REQUESTS_PER_MINUTE": "100000",
    }  # fmt: skip
    for name, value in (environment_for_tests | more).items():
        monkeypatch.setenv(name, value)
    access, refresh = tidal.sign_in.token_for("ana")
    now = datetime.now(UTC)
    accounts.link_account(
        mover.connection, require_keys(settings, warehouse), user_id=mover.user_id, provider=Provider.TIDAL,
        provider_account="ana", name="Ana", client_id=tidal.sign_in.client_id,
        grant=TokenGrant(AccessToken(access, now + timedelta(hours=1)), refresh, frozenset()), now=now,
    )  # fmt: skip

    def run(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([*arguments])
        return int(ended.value.code or 0), capsys.readouterr().out

    return run


@pytest.fixture
def myi(said: Callable[..., tuple[int, str]]) -> Callable[..., tuple[int, Any]]:
    """As `said`, with the document."""

    def run(*arguments: str) -> tuple[int, Any]:
        code, out = said(*arguments, "--json")
        return code, json.loads(out)

    return run


def test_commands_lead_from_the_plan_to_the_list(mover: Mover, myi: Callable[..., tuple[int, Any]]) -> None:
    mover.tidal.add_tracks(5)
    playlist_id = mover.source([1, 900, 2])
    code, planned = myi("migrate-playlist", "plan", "ana", str(playlist_id))
    assert (code, planned["counts"]) == (0, {"matched": 2, "missing": 1})
    assert planned["preview"]["additions"] == 2
    made = str(planned["migration"]["migration_id"])
    code, reviewed = myi("migrate-playlist", "review", "ana", made)
    assert [each["position"] for each in reviewed["entries"]] == [1]
    assert myi("migrate-playlist", "review", "ana", made, "--entry", "2", "--take", "tidal:track:5")[0] == 0
    code, applied = myi("migrate-playlist", "apply", "ana", made)
    assert (code, applied["migration"]["state"], applied["counts"]) == (0, "done", {"matched": 3})
    assert mover.tracks(int(made)) == ["1", "5", "2"]
    assert myi("migrate-playlist", "apply", "ana", made)[1]["applied"]["requests"] == 0
    assert myi("migrate-playlist", "status", "ana")[1]["migrations"][0]["requests"] == 2
    assert myi("migrate-playlist", "cancel", "ana", made)[0] == 1
    assert myi("migrate-playlist", "review", "ana", made, "--entry", "2")[0] == 2
    assert myi("migrate-playlist", "status", "ana", "999")[0] == 1


def test_names_of_the_service_neither_control_the_terminal_nor_break_the_database(
    mover: Mover, said: Callable[..., tuple[int, str]]
) -> None:
    mover.tidal.add_tracks(1)
    world = mover.tidal.tidal.world
    world.add_tracks(tidal_track(7, title="Song 7 - Live\x00\x1b[31m", artists=("Ar\x00tist 0\x1b]0;x\x07",)))
    there = world.make_playlist(mover.tidal.ana, "The\x00re\x1b[2J", tracks=["1"])
    playlist_id = mover.source([1, 7])
    account = str(mover.connection.execute("select max(account_id) from app.provider_accounts").fetchone()[0])  # type: ignore[index]
    planned = ("migrate-playlist", "plan", "ana", str(playlist_id), "--account", account, "--into", there.playlist_id)
    code, text = said(*planned)
    assert code == 0, text
    (made,) = store.list_migrations(mover.connection, user_id=mover.user_id)
    texts = [text]
    for command in ("review", "apply", "apply", "status", "cancel"):
        more = ("--all",) if command == "review" else ()
        texts.append(said("migrate-playlist", command, "ana", str(made.migration_id), *more)[1])
    assert "\\x1b[31m" in texts[1]
    assert not any(char in text for text in texts for char in "\x00\x1b\x07")


def test_a_playlist_that_was_changed_after_it_was_moved_is_told_and_left(
    mover: Mover, said: Callable[..., tuple[int, str]]
) -> None:
    mover.tidal.add_tracks(2)
    code, text = said("migrate-playlist", "status", "ana")
    assert (code, text.startswith("No migrations yet. Start with")) == (0, True)
    made = mover.plan(mover.source([1, 2]))
    mover.run(made)
    found = mover.find(made).target_playlist
    assert found is not None
    mover.tidal.tidal.world.playlists[found].entries.clear()
    mover.connection.execute(
        "update app.migrations set target_account_id = (select max(account_id) from app.provider_accounts)"
    )
    code, text = said("migrate-playlist", "apply", "ana", str(made))
    assert (code, "plan again" in text, mover.tracks(made)) == (0, True, [])
