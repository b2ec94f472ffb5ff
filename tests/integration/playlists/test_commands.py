"""`myi playlists` and `myi providers`: what people see of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from myi_pipeline.cli.app import main
from myi_pipeline.simulator.live import ScriptedEntry
from tests.integration.playlists.conftest import Lists


@pytest.fixture
def myi(lists: Lists, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
        environment_for_tests: dict[str, str]) -> Any:  # fmt: skip
    """Runs a command in this process; gives its exit code and what it printed."""
    settings = lists.setup.settings
    more = {
        "MYI_SPOTIFY_API_URL": settings.spotify_api_url,
        "MYI_SPOTIFY_ACCOUNTS_URL": settings.spotify_accounts_url,
        "MYI_SPOTIFY_CLIENT_ID": settings.spotify_client_id or "",
    }
    for name, value in (environment_for_tests | more).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "200")

    def run(arguments: Sequence[str]) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        return int(ended.value.code or 0), capsys.readouterr().out

    return run


def test_lists_are_gathered_shown_and_their_history_too(lists: Lists, myi: Any) -> None:
    lists.put("mine", (*lists.entries([1]), ScriptedEntry(kind="local", title="A demo tape")), name="Mine")
    code, shown = myi(["playlists", "gather", "--user", "ana"])
    assert (code, "gathered" in shown, "myi refresh" in shown) == (0, True, True)
    lists.put("mine", lists.entries([1, 2, 3]), name="Mine")
    assert myi(["playlists", "gather"])[1] == "Nothing is due. To read now: myi playlists gather --force\n"
    assert myi(["playlists", "gather", "--force"])[0] == 0
    code, shown = myi(["playlists", "list", "ana"])
    assert (code, "Mine" in shown, "Liked songs" in shown) == (0, True, True)
    ((number,),) = lists.setup.sql("select playlist_id from raw.playlists where provider_playlist = 'mine'")
    assert "A demo tape" not in myi(["playlists", "show", "ana", str(number)])[1]
    assert "A demo tape" in myi(["playlists", "show", "ana", str(number), "--version", "1"])[1]
    assert myi(["playlists", "history", "ana", str(number)])[1].count("readable") == 2
    assert myi(["playlists", "show", "ana", str(number), "--version", "9"])[0] == 1
    lists.setup.user("ben")
    assert myi(["playlists", "show", "ben", str(number)])[0] == 1


def test_lists_of_two_accounts_are_told_apart_by_the_account(lists: Lists, myi: Any) -> None:
    assert myi(["playlists", "gather", "--user", "ana"])[0] == 0
    lists.setup.sql("update app.provider_accounts set name = 'ana'")
    assert "Spotify: ana" not in myi(["playlists", "list", "ana"])[1]
    lists.setup.sql(
        """
        with dad as (
            insert into app.provider_accounts (user_id, provider, provider_account, name, linked_at)
            select user_id, 'spotify', 'id:dad', 'dad', now() from app.users returning user_id, account_id
        ),

        listed as (
            insert into raw.playlists (user_id, account_id, provider, provider_playlist, first_seen_at)
            select user_id, account_id, 'spotify', 'liked', now() from dad
            union all
            select user_id, null, 'file', '/plays/Most played', now() from dad
            returning playlist_id, provider
        )

        insert into raw.playlist_versions (playlist_id, version_no, seen_at, state, name)
        select playlist_id, 1, now(), 'unreadable', 'Liked songs' from listed
        """
    )
    shown = [each.split() for each in myi(["playlists", "list", "ana"])[1].splitlines() if "Liked songs" in each]
    assert [each[3:5] for each in shown] == [["Spotify:", "ana"], ["Spotify:", "dad"], ["MYI", "unreadable"]]


def test_who_did_not_allow_playlists_is_told_how_to(lists: Lists, myi: Any) -> None:
    lists.sign_in(with_playlists=False)
    code, shown = myi(["playlists", "gather", "--user", "ana"])
    assert (code, "myi user login ana --playlists" in shown) == (1, True)
    assert "does not allow playlists" in myi(["providers", "list"])[1]
    # A name is the service's text, which must not control a terminal.
    lists.setup.sql("update app.provider_accounts set name = E'\\x1b[2J', paused_at = now()")
    assert "Spotify account \\x1b[2J is paused.\n" in myi(["playlists", "gather"])[1]
    ((account,),) = lists.setup.sql("select account_id from app.provider_accounts")
    code, shown = myi(["providers", "unlink", str(account)])
    assert (code, shown) == (0, "ana's Spotify account \\x1b[2J is no longer linked. What was read stays.\n")
    assert lists.setup.sql("select count(*) from app.credentials") == [(0,)]
    assert myi(["providers", "unlink", str(account)])[0] == 1
    assert myi(["providers", "link", "ana", "napster"])[0] == 2
