"""The rules of notices: what changed, when something is sent, which addresses are public."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime, time, timedelta
from ipaddress import ip_address
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myi_pipeline.errors import BadInput, Transient
from myi_pipeline.notices import addresses, messengers
from myi_pipeline.notices.comparing import Changes, Open, compare
from myi_pipeline.notices.kinds import CIRCUIT, IMPORT_FAILED, KINDS, LOGIN, Condition, check_kinds
from myi_pipeline.notices.pace import DELAYS, after_quiet, next_try
from myi_pipeline.notices.words import words_of
from myi_pipeline.operations.failed_runs import EndedRun, made_good, still_failing

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")

conditions = st.builds(
    lambda kind, subject, user_id, stage: Condition(kind=kind, subject=subject, user_id=user_id, stage=stage),
    st.sampled_from([LOGIN, CIRCUIT, IMPORT_FAILED]), st.sampled_from(["a", "b"]), st.sampled_from([None, 1, 2]),
    st.sampled_from(["", "7", "1"]),
)  # fmt: skip
findings = st.lists(conditions, max_size=8, unique_by=lambda each: each.key)


def applied(standing: list[Open], changes: Changes) -> list[Open]:
    """The open notices after these changes."""
    moved = dict(changes.moved)
    kept = [
        Open(notice_id=each.notice_id, kind=each.kind, subject=each.subject, user_id=each.user_id,
             stage=moved[each.notice_id].stage if each.notice_id in moved else each.stage)
        for each in standing if each.notice_id not in changes.ended
    ]  # fmt: skip
    first = max((each.notice_id for each in standing), default=0) + 1
    return kept + [
        Open(notice_id=first + place, kind=each.kind.name, subject=each.subject, user_id=each.user_id, stage=each.stage)
        for place, each in enumerate(changes.begun)
    ]


def law(rounds: list[list[Condition]], how: object) -> None:
    standing: list[Open] = []
    for found in rounds:
        standing = applied(standing, how(standing, found, asked=tuple(KINDS)))  # type: ignore[operator]
        assert {(each.key, each.stage) for each in standing} == {(each.key, each.stage) for each in found}
        assert compare(standing, found, asked=tuple(KINDS)) == Changes((), (), ())


@given(st.lists(findings, max_size=5))
def test_what_is_open_is_what_is_true_and_the_same_again_changes_nothing(rounds: list[list[Condition]]) -> None:
    law(rounds, compare)


def test_the_law_is_broken_by_a_comparison_that_forgets_whose_it_is() -> None:
    def broken(standing: list[Open], found: list[Condition], *, asked: tuple[str, ...]) -> Changes:
        known = {(each.kind, each.subject) for each in standing}
        begun = tuple(each for each in found if (each.kind.name, each.subject) not in known)
        return Changes(begun, (), compare(standing, found, asked=asked).ended)

    one, two = (Condition(kind=CIRCUIT, subject="polls", user_id=user_id) for user_id in (1, 2))
    with pytest.raises(AssertionError):
        law([[one], [one, two]], broken)


def test_a_source_that_was_silent_ends_nothing_of_its_kinds() -> None:
    standing = [Open(notice_id=1, kind=CIRCUIT.name, subject="polls", user_id=1, stage="")]
    assert compare(standing, [], asked=[LOGIN.name]).ended == ()
    assert compare(standing, [], asked=[CIRCUIT.name]) == Changes((), (), (1,), (1,))
    assert compare(standing, [], asked=[CIRCUIT.name], mended={(CIRCUIT.name, "polls", 1)}) == Changes((), (), (1,))


@pytest.mark.parametrize(
    "at, until",
    [
        ("2026-03-02T20:59:00+00:00", None),
        ("2026-03-02T21:00:00+00:00", "2026-03-03T06:00:00+00:00"),
        ("2026-03-03T05:59:00+00:00", "2026-03-03T06:00:00+00:00"),
        ("2026-03-03T06:00:00+00:00", None),
        # The night in which clocks go forward is an hour shorter.
        ("2026-03-28T22:30:00+00:00", "2026-03-29T05:00:00+00:00"),
    ],
)
def test_quiet_hours_are_those_of_the_persons_clock(at: str, until: str | None) -> None:
    moment = datetime.fromisoformat(at)
    found = after_quiet(moment, zone=BERLIN, quiet_from=time(22), quiet_until=time(7))
    assert found == (datetime.fromisoformat(until) if until else moment)


def test_quiet_hours_by_day_end_on_the_same_day_and_none_hold_nothing_back() -> None:
    assert after_quiet(NOW, zone=BERLIN, quiet_from=time(12), quiet_until=time(14)) == NOW + timedelta(hours=1)
    assert after_quiet(NOW, zone=BERLIN, quiet_from=None, quiet_until=None) == NOW
    assert after_quiet(NOW, zone=BERLIN, quiet_from=time(13), quiet_until=time(13)) == NOW


def test_tries_go_on_for_three_days_by_chance_a_little_later_and_as_a_receiver_wishes() -> None:
    at = NOW
    for attempts in range(1, len(DELAYS) + 1):
        early, late = (next_try(attempts, now=at, chance=lambda c=chance: c) for chance in (0.0, 1.0))
        assert early is not None
        assert late is not None
        assert early - at == DELAYS[attempts - 1]
        assert timedelta(0) < late - early <= DELAYS[attempts - 1] / 4
        at = early
    assert timedelta(days=3) < at - NOW < timedelta(days=4)
    assert next_try(len(DELAYS) + 1, now=at, chance=lambda: 0.0) is None
    assert next_try(1, now=NOW, chance=lambda: 0.0, wished=timedelta(hours=1)) == NOW + timedelta(hours=1)
    assert next_try(1, now=NOW, chance=lambda: 0.0, wished=timedelta(days=99)) == NOW + timedelta(days=1)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "198.18.0.1", "192.0.2.1", "240.0.0.1", "::1", "::", "fe80::1", "fc00::1", "fec0::1",
        "ff02::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::",
        "2002:a00:1::", "2001:db8::1", "2001:0:0:0:0:0:f5ff:fffe",
    ],
)  # fmt: skip
def test_addresses_of_networks_and_of_this_machine_are_not_public(address: str) -> None:
    assert not addresses.is_public(ip_address(address))


@pytest.mark.parametrize("address", ["93.184.216.34", "1.1.1.1", "2606:4700:4700::1111", "64:ff9b::5db8:d822"])
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert addresses.is_public(ip_address(address))


def test_a_name_with_one_private_address_is_refused_whatever_the_others_are() -> None:
    def lookup(*_: object) -> list[str]:
        return ["93.184.216.34", "10.0.0.1"]

    with pytest.raises(BadInput, match="private network"):
        addresses.reach("example.org", 443, allow_private=False, lookup=lookup)
    assert addresses.reach("example.org", 443, allow_private=True, lookup=lookup) == ("93.184.216.34", "10.0.0.1")
    with pytest.raises(Transient, match="there is no host"):
        addresses.reach("example.org", 443, allow_private=True, lookup=lambda *_: [])


@pytest.mark.parametrize(
    "url",
    [
        "file:///tmp/x", "exec:///bin/sh", "syslog://", "dbus://", "json://example.org", "form://example.org",
        "MYSCHEME://x", "ntfy", "mailto://", "ntfys://ntfy.sh/topic?template=/etc/passwd",
        "ntfys://ntfy.sh/topic?attach=file:///etc/passwd", "gotify://example.org/token?+header=x",
        "mailtos://a:b@example.org?pgpkey=/etc/passwd", "ntfys://ntfy.sh/a ntfys://ntfy.sh/b",
        "zulip://bot@10.0.0.5%3A8123%2F/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "gotifys://10%2e0.0.5/a-token",
        "gotifys://push.example.org/a-token?verify=no", "ntfys://push.example.org/a?Verify=no",
        "ntfys://ntfy.sh/a/b/c/d/e/f",
    ],
)  # fmt: skip
def test_what_is_no_messenger_or_reads_files_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(BadInput) as refused:
        messengers.check_address(url, allow_private=True)
    assert "passwd" not in str(refused.value)


@pytest.mark.parametrize(
    "url, shown",
    [
        ("ntfys://ntfy.sh/topic", "ntfys://ntfy.sh"),
        ("ntfys://topic", "ntfys://…"),
        ("tgram://123456789:ABCdefghijklmnopqrstuvwxyz012345678/12315544/", "tgram://…"),
        ("gotifys://push.example.org/a-token?redirect=yes", "gotifys://push.example.org"),
        ("mailtos://ana:password@example.org?smtp=mail.example.org", "mailtos://mail.example.org"),
        ("zulip://bot@chat.example.org/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "zulip://chat.example.org"),
        ("zulip://bot@music/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "zulip://music.zulipchat.com"),
        ("mailtos://ana:p%40ss%3Aword@example.org", "mailtos://example.org"),
    ],
)
def test_of_an_address_its_service_is_shown_and_no_redirect_is_followed(url: str, shown: str) -> None:
    asked: list[str] = []

    def lookup(host: str, _: int) -> list[str]:
        asked.append(host)
        return ["93.184.216.34"]

    assert messengers.check_address(url, allow_private=False, lookup=lookup) == shown
    opened, _ = messengers._open(url)
    assert opened[0].redirects is False
    # Who has a server of their own is looked up.
    assert asked == ([shown.partition("://")[2]] if "…" not in shown else [])


@pytest.mark.parametrize(
    "host, is_refused", [("127.0.0.1", True), ("localhost", True), ("::ffff:10.0.0.1", True), ("93.184.216.34", False)]
)
def test_where_private_networks_are_forbidden_each_connection_is_judged(host: str, is_refused: bool) -> None:
    # Audit hooks stay for as long as a process lasts.
    code = """
import socket, sys
from myi_pipeline.notices.messenger_process import forbid_private
forbid_private()
made = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
made.setblocking(False)
try:
    made.connect((sys.argv[1], 9))
except PermissionError as error:
    print(error)
except OSError:
    pass
"""
    done = subprocess.run([sys.executable, "-c", code, host], capture_output=True, text=True, timeout=60, check=True)
    assert ("private network" in done.stdout) is is_refused


def test_every_kind_has_words_for_its_beginning_and_where_it_is_told_for_its_end() -> None:
    for kind in KINDS.values():
        assert words_of(kind.name, detail={"account": "Spotify", "job": "poll_users"}).title
        if kind.tells_end and not kind.is_event:
            over = words_of(kind.name, detail={"account": "Spotify", "job": "poll_users"}, is_over=True)
            assert not over.title.startswith("Over: "), kind.name
    with pytest.raises(BadInput, match="is not a kind of notice"):
        check_kinds(("disk.full",), operator=False)
    assert check_kinds(("marts.refreshed", "login.ending"), operator=False) == ("login.ending", "marts.refreshed")


def run(job: str, first: str | None, last: str | None, minutes: float, *, will_retry: bool = False) -> EndedRun:
    return EndedRun(job, first, last, NOW + timedelta(minutes=minutes), will_retry)


def test_a_failed_run_is_made_good_by_a_later_success_for_all_of_its_users_alone() -> None:
    places = {"ana": 1, "ben": 2, "cara": 3, "dan": 4}
    failure = run("polls", "ben", "cara", 0)

    def failing(*successes: EndedRun) -> bool:
        return bool(still_failing([failure], successes, places=places, now=NOW + timedelta(hours=1)))

    assert failing()
    assert failing(run("polls", "ana", "ben", 1))
    assert failing(run("polls", "ana", "dan", -1))
    assert failing(run("imports", "ana", "dan", 1))
    assert not failing(run("polls", "ana", "dan", 1))
    assert not failing(run("polls", "ben", "cara", 1))
    # Nobody can run it again for users who are gone; that made nothing good.
    assert not still_failing([failure], [], places={"ana": 1}, now=NOW)
    success = run("polls", "ana", "dan", 1)
    assert made_good([failure], [success], places=places) == (failure,)
    assert made_good([failure], [success], places={"ana": 1}) == ()
    assert made_good([failure], [], places=places) == ()


def test_a_failure_that_is_retried_is_told_when_the_retries_are_over() -> None:
    failure = run("refresh", None, None, 0, will_retry=True)
    assert not still_failing([failure], [], places={}, now=NOW + timedelta(minutes=4))
    assert still_failing([failure], [], places={}, now=NOW + timedelta(minutes=5))
    # One that was told before is not over as it is tried again.
    assert still_failing([failure], [], places={}, now=NOW + timedelta(minutes=4), is_told=lambda _: True)
    assert not still_failing([failure], [run("refresh", None, None, 1)], places={}, now=NOW + timedelta(minutes=5))


def test_the_documentation_has_every_kind_with_a_message_and_every_service() -> None:
    text = (Path(__file__).parents[3] / "docs" / "notices.md").read_text(encoding="utf-8")
    for name in KINDS:
        assert text.count(f"| `{name}` |") == 2, name
    named = {scheme.removesuffix("s") for scheme in re.findall(r"`([a-z]+)://", text)}
    # One name stands for a service, with TLS or without.
    assert {scheme.removesuffix("s") for scheme in messengers.SCHEMES} - named <= {"spush", "simplepush"}
