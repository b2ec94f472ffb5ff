"""`myi user login` and the commands around it, as a person types them."""

from __future__ import annotations

import io
import json
import os
import sys
import threading
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from myi_pipeline.cli.app import run
from myi_pipeline.operations.checks import logins_are_good
from myi_pipeline.operations.doctor.check import Check, Status
from myi_pipeline.operations.doctor.run import run_checks
from myi_pipeline.people import logins
from myi_pipeline.people.logins import PendingLogin
from tests.integration.credentials.conftest import CANARY, Setup, SetupMaker


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def now_setup(make_setup: SetupMaker) -> Setup:
    """The commands go by the machine's clock."""
    setup = make_setup()
    setup.clock.set(datetime.now(UTC))
    return setup


@pytest.fixture
def myi(now_setup: Setup, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    for name in [name for name in os.environ if name.startswith("MYI_")]:
        monkeypatch.delenv(name)
    for name, value in now_setup.settings.environment().items():
        monkeypatch.setenv(name, value)

    def call(*arguments: str) -> Ran:
        capsys.readouterr()
        code = run(arguments)
        captured = capsys.readouterr()
        assert CANARY not in captured.out + captured.err
        return Ran(code, captured.out, captured.err)

    return call


@pytest.fixture
def opened() -> list[str]:
    """The addresses that a browser was asked to open."""
    return []


@pytest.fixture
def browser(now_setup: Setup, opened: list[str], monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """A browser in which listener-1 agrees at once, after some noise on our port."""
    threads: list[threading.Thread] = []

    def agree(url: str) -> None:
        base = now_setup.settings.spotify_redirect_uri
        assert httpx.get(base.replace("/callback", "/favicon.ico")).status_code == 404
        assert httpx.get(base, params={"code": "x", "state": "of another sign-in"}).status_code == 400
        now_setup.simulator.visit(url, "listener-1", follow=True)

    def open_it(url: str) -> bool:
        opened.append(url)
        threads.append(threading.Thread(target=agree, args=(url,)))
        threads[-1].start()
        return True

    monkeypatch.setattr(webbrowser, "open", open_it)
    return threads


@pytest.fixture
def no_browser(now_setup: Setup, monkeypatch: pytest.MonkeyPatch) -> list[PendingLogin]:
    """A machine without one; what the person pastes comes through standard input. What was begun."""
    begun: list[PendingLogin] = []
    begin = logins.begin_login

    def remember(*given: Any, **options: Any) -> PendingLogin:
        begun.append(begin(*given, **options))
        return begun[-1]

    class Person:
        def readline(self) -> str:
            return now_setup.simulator.visit(begun[-1].url, "listener-1", denied=("user-top-read",)) + "\n"

        def isatty(self) -> bool:
            return False

    monkeypatch.setattr(logins, "begin_login", remember)
    monkeypatch.setattr(webbrowser, "open", lambda _: False)
    monkeypatch.setattr(sys, "stdin", Person())
    return begun


def test_a_person_signs_in_with_the_browser(
    myi: Callable[..., Ran], browser: list[threading.Thread], opened: list[str]
) -> None:
    ran = myi("user", "login", "ana", "--create")
    assert ran.code == 0, ran.err
    # On a line of its own, with nothing before or behind it: a double click copies it.
    assert opened in ([line] for line in ran.err.splitlines())
    assert "\\n" not in ran.err
    assert "signed in for: now playing, polls, top lists" in ran.out
    assert "user-read-recently-played: to read the last 50 plays" in ran.err
    for thread in browser:
        thread.join(10)
    (login,) = myi("user", "logins", "--json").document["logins"]
    assert (login["user_key"], login["state"], login["warning"]) == ("ana", "active", None)
    assert "ana" in myi("user", "logins").out


@pytest.mark.parametrize("options", [(), ("--no-browser",)])
def test_without_a_browser_the_address_is_pasted(
    myi: Callable[..., Ran], no_browser: list[PendingLogin], options: tuple[str, ...]
) -> None:
    ran = myi("user", "login", "ana", "--create", *options)
    assert ran.code == 0, ran.err
    assert no_browser[0].url in ran.err.splitlines()
    assert "\\n" not in ran.err
    assert "Permission not granted: user-top-read; therefore Spotify's top lists are not recorded." in ran.out


def test_another_account_is_taken_only_when_that_is_meant(
    myi: Callable[..., Ran], no_browser: list[PendingLogin], now_setup: Setup
) -> None:
    now_setup.sign_in(now_setup.open(), listener="listener-2")
    before = now_setup.credential()
    ran = myi("user", "login", "ana", "--json")
    assert (ran.code, ran.document["error"]["kind"]) == (1, "AnotherAccount")
    assert "--switch-account" in ran.err
    assert now_setup.credential() == before
    assert myi("user", "login", "ana", "--switch-account").code == 0
    assert now_setup.credential().account_id == now_setup.simulator.control.account_id("listener-1")


def test_a_wrong_paste_is_refused_with_what_is_wanted(myi: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("http://127.0.0.1/callback?code=1&state=2\n"))
    ran = myi("user", "login", "ana", "--create", "--no-browser")
    assert ran.code == 1
    assert "copy the whole address" in ran.err


def test_who_is_no_user_is_not_signed_in(myi: Callable[..., Ran]) -> None:
    assert "there is no user 'ana'" in myi("user", "login", "ana").err


def test_a_login_is_paused_resumed_and_disconnected(myi: Callable[..., Ran], no_browser: None) -> None:
    myi("user", "login", "ana", "--create")
    assert "is paused" in myi("user", "pause", "ana").out
    assert myi("user", "logins", "--json").document["logins"][0]["state"] == "paused"
    assert myi("user", "resume", "ana", "--json").document == {"user_key": "ana", "paused": False}
    assert "is deleted" in myi("user", "disconnect", "ana").out
    assert "was not signed in" in myi("user", "disconnect", "ana").out
    assert myi("user", "pause", "ana").code == 1
    assert "Nobody is signed in" in myi("user", "logins").out


def test_keys_are_made_listed_and_rotated(myi: Callable[..., Ran], no_browser: None) -> None:
    assert "No key yet" in myi("keys", "list").out
    myi("user", "login", "ana", "--create")
    assert myi("keys", "rotate").code == 1
    assert "New logins are sealed with key" in myi("keys", "new").out
    ran = myi("keys", "rotate")
    assert (ran.code, "1 login sealed again" in ran.out) == (0, True)
    assert "No longer needed" in ran.out
    uses = myi("keys", "list", "--json").document["keys"]
    assert [(use["seals_new"], use["logins"]) for use in uses] == [(True, 1), (False, 0)]
    printed = myi("keys", "new", "--print").out.strip()
    assert len(printed) == 44
    assert myi("keys", "new", "--print").out.strip() != printed


def test_quota_and_circuits_are_shown(myi: Callable[..., Ran], no_browser: None, now_setup: Setup) -> None:
    assert "No service has been called yet" in myi("quota").out
    assert "Every circuit is closed" in myi("circuit", "list").out
    myi("user", "login", "ana", "--create")
    assert "1 of 120" in myi("quota").out
    buckets = {use["bucket"]: use["calls_of_day"] for use in myi("quota", "--json").document["buckets"]}
    assert buckets == {"polls": 0, "tokens": 1, "now_playing": 0, "personal": 1, "catalogue": 0}
    assert "0 of 160" in myi("quota").out, "the polls a day that one user's client id plans with"
    now_setup.sql(
        "insert into ops.circuits (user_id, state, network_failures, opened_at, open_until, kind, reason)"
        " select user_id, 'open', 5, now(), now() + interval '2 hours', 'network', 'no answer' from app.users"
    )
    ran = myi("circuit", "list")
    assert "5 network" in ran.out
    assert "no answer" in ran.out
    assert "is closed" in myi("circuit", "reset", "ana").out
    assert "there was nothing to reset" in myi("circuit", "reset", "ana").out
    assert myi("circuit", "list", "--user", "ana", "--json").document["history"][0]["reason"] == "reset by hand"


def test_circuits_of_accounts_are_shown_and_reset(myi: Callable[..., Ran], no_browser: None, now_setup: Setup) -> None:
    myi("user", "login", "ana", "--create")
    now_setup.user("ben")
    now_setup.sql(
        "insert into app.provider_accounts (user_id, provider, provider_account, linked_at)"
        " values ((select user_id from app.users where user_key = 'ana'), 'tidal', 't1', now())"
    )
    ((number,),) = now_setup.sql("select account_id from app.provider_accounts where provider = 'tidal'")
    now_setup.sql(
        "insert into ops.account_circuits"
        " (account_id, state, authorisation_failures, opened_at, open_until, kind, reason)"
        " values (%s, 'open', 3, now(), now() + interval '1 day', 'authorisation', 'refused')", number,
    )  # fmt: skip
    shown = myi("circuit", "list").out
    assert (f"TIDAL account {number}" in shown, "3 authorisation" in shown) == (True, True)
    (circuit,) = myi("circuit", "list", "--json").document["circuits"]
    assert (circuit["provider"], circuit["account_id"], circuit["state"]) == ("tidal", number, "open")
    # The circuit of polls is another one, and the account is not Ben's.
    assert "nothing to reset" in myi("circuit", "reset", "ana").out
    assert myi("circuit", "reset", "ben", "--account", str(number)).code == 1
    assert "is closed" in myi("circuit", "reset", "ana", "--account", str(number)).out
    assert "Every circuit is closed" in myi("circuit", "list").out


def test_youtubes_units_are_shown(myi: Callable[..., Ran], now_setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "YouTube" not in myi("quota").out
    client = "123-abc.apps.googleusercontent.com"
    monkeypatch.setenv("MYI_YOUTUBE_CLIENT_ID", client)
    now_setup.sql(
        "insert into ops.service_units values"
        " (%s, (now() at time zone 'America/Los_Angeles')::date, 'units', 2500)", f"youtube.com/{client}",
    )  # fmt: skip
    assert "2,500 of 10,000" in myi("quota").out
    units = {each["kind"]: (each["used"], each["limit"]) for each in myi("quota", "--json").document["youtube"]}
    assert units == {"units": (2_500, 10_000), "searches": (0, 100)}
    now_setup.settings = now_setup.settings.model_copy(update={"youtube_client_id": client})
    check = found(now_setup, "YouTube's units")
    assert (check.status, "2,500 of 10,000 units used" in check.found) == (Status.OK, True)
    now_setup.sql("update ops.service_units set used = 10000")
    check = found(now_setup, "YouTube's units")
    assert (check.status, "new ones at" in check.found) == (Status.WARN, True)


def test_a_further_account_is_linked_shown_made_the_main_one_and_unlinked(
    myi: Callable[..., Ran], now_setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    listeners = iter(("listener-1", "listener-2"))

    def open_it(url: str) -> bool:
        agree = threading.Thread(target=now_setup.simulator.visit, args=(url, next(listeners)), kwargs={"follow": True})
        agree.start()
        return True

    monkeypatch.setattr(webbrowser, "open", open_it)
    assert myi("user", "login", "ana", "--create").code == 0
    ran = myi("providers", "link", "ana", "spotify", "--further")
    assert (ran.code, "myi providers main" in ran.out) == (0, True), ran.err
    first, second = (row[0] for row in now_setup.sql("select account_id from app.provider_accounts order by 1"))
    listed = [each["account"] for each in myi("providers", "list", "--json").document["accounts"]]
    assert [(each["account_id"], each["is_main"], each["name"]) for each in listed] == [
        (first, True, "listener-1"), (second, False, "listener-2"),
    ]  # fmt: skip
    uses = [(each["account_id"], each["is_main"]) for each in myi("user", "logins", "--json").document["logins"]]
    assert uses == [(first, True), (second, False)]
    assert myi("providers", "main", str(second)).code == 0
    assert myi("providers", "main", "999").code == 1
    assert now_setup.sql("select provider_account_id from app.credentials where is_main") == [(second,)]
    assert myi("providers", "unlink", str(first)).code == 0
    assert now_setup.sql("select provider_account_id from app.credentials") == [(second,)]
    assert myi("providers", "link", "ana", "tidal", "--further").code == 2


# What doctor and the asset check find


def found(setup: Setup, name: str) -> Check:
    (check,) = [check for check in run_checks(setup.settings, {}) if check.name == name]
    return check


def test_a_sound_setup_has_nothing_to_mend(now_setup: Setup, myi: Callable[..., Ran], no_browser: None) -> None:
    myi("user", "login", "ana", "--create")
    for name in ("encryption keys", "Spotify app", "stored logins", "logins"):
        assert found(now_setup, name).status is Status.OK, found(now_setup, name)
    assert logins_are_good(now_setup.warehouse).passed


def test_doctor_counts_a_login_down(now_setup: Setup, myi: Callable[..., Ran], no_browser: None) -> None:
    myi("user", "login", "ana", "--create")
    for days, warns in ((140, False), (160, True), (180, True), (190, True)):
        now_setup.sql("update app.credentials set authorised_at = %s", datetime.now(UTC) - timedelta(days=days))
        check = found(now_setup, "logins")
        assert (check.status is Status.WARN) is warns
        assert not warns or check.mend == "myi user login ana"
        assert logins_are_good(now_setup.warehouse).passed is not warns
    assert "must sign in again" in check.found


def test_doctor_names_a_redirect_that_is_not_registered(now_setup: Setup) -> None:
    now_setup.settings = now_setup.settings.model_copy(update={"spotify_redirect_uri": "http://127.0.0.1:1/other"})
    assert "http://127.0.0.1:1/other" in found(now_setup, "Spotify app").mend


def test_doctor_says_why_pages_cannot_sign_in_with_spotify(now_setup: Setup) -> None:
    """The pages themselves only tell listeners that it is not set up."""
    redirect = now_setup.settings.spotify_redirect_uri
    origin = redirect.removesuffix("/callback")
    for public_url, is_said in ((origin, False), (f"{origin}/music", True), ("https://listening.example", True)):
        now_setup.settings = now_setup.settings.model_copy(update={"public_url": public_url})
        assert ("pages cannot sign in with Spotify" in found(now_setup, "Spotify app").found) is is_said


def test_doctor_names_a_missing_key(now_setup: Setup, myi: Callable[..., Ran], no_browser: None) -> None:
    myi("user", "login", "ana", "--create")
    (now_setup.settings.secrets_folder / "encryption_keys").unlink()
    assert found(now_setup, "stored logins").status is Status.FAIL


def test_doctor_sees_a_key_that_others_may_read(now_setup: Setup, myi: Callable[..., Ran], no_browser: None) -> None:
    myi("user", "login", "ana", "--create")
    (now_setup.settings.secrets_folder / "encryption_keys").chmod(0o644)
    assert found(now_setup, "encryption keys").status is Status.FAIL


def test_doctor_says_when_spotify_cannot_be_asked(now_setup: Setup) -> None:
    now_setup.settings = now_setup.settings.model_copy(update={"spotify_accounts_url": "http://127.0.0.1:9"})
    assert found(now_setup, "Spotify app").status is Status.WARN
