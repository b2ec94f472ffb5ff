"""PKCE, what the browser brings back, the six months, and which failure is tried again when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from myi_pipeline.errors import (
    AuthRevoked,
    BadInput,
    Busy,
    CircuitOpen,
    Forbidden,
    Gone,
    MyiError,
    Permanent,
    RateLimited,
    TokenRejected,
    Transient,
    UnexpectedAnswer,
)
from myi_pipeline.providers.login_terms import (
    PLAYLIST_SCOPES,
    SCOPES,
    WRITE_SCOPES,
    Feature,
    days_left,
    denied,
    ends_at,
    features,
    scopes_to_ask,
    warning_stage,
)
from myi_pipeline.providers.pkce import Challenge, LoginDenied, belongs_to, new_challenge, read_redirect
from myi_pipeline.providers.retries import FailureKind, failure_kind, is_worth_another_try, try_again_at

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
OURS = Challenge(state="the-state", verifier="v" * 43)


def test_the_challenge_is_the_one_of_the_rfc() -> None:
    """RFC 7636, appendix B."""
    challenge = Challenge(state="", verifier="dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    assert challenge.code_challenge == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_verifier_and_state_are_new_each_time_long_enough_and_not_shown() -> None:
    first, second = new_challenge(), new_challenge()
    assert first.verifier != second.verifier
    assert first.state != second.state
    assert 43 <= len(first.verifier) <= 128
    assert first.verifier not in repr(first)
    assert first.state not in repr(first)


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:8898/callback?code=abc&state=the-state",
        "  http://127.0.0.1:8898/callback?state=the-state&code=abc\n",
        "/callback?code=abc&state=the-state",
        "code=abc&state=the-state",
        "https://elsewhere/?code=abc&state=the-state#_=_",
    ],
)
def test_the_code_is_found_in_whatever_part_of_the_address_is_pasted(address: str) -> None:
    assert read_redirect(address, OURS) == "abc"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "http://127.0.0.1:8898/callback",
        "http://127.0.0.1:8898/callback?code=abc",
        "http://127.0.0.1:8898/callback?code=abc&state=another",
        "http://127.0.0.1:8898/callback?code=abc&state=the-state&state=another",
        "http://[::1?code=abc&state=\udcff",
        "&".join(f"a{number}=1" for number in range(100)),
    ],
)
def test_an_address_that_is_not_the_answer_is_refused_without_repeating_it(address: str) -> None:
    with pytest.raises(BadInput, match="copy the whole address") as caught:
        read_redirect(address, OURS)
    assert "abc" not in str(caught.value)
    assert not belongs_to(address, OURS)


def test_a_no_is_an_answer() -> None:
    with pytest.raises(LoginDenied, match="refused on Spotify's page"):
        read_redirect("?error=access_denied&state=the-state", OURS)
    with pytest.raises(LoginDenied, match="server_error"):
        read_redirect("?error=server_error&state=the-state", OURS)
    with pytest.raises(BadInput, match="no code"):
        read_redirect("?state=the-state", OURS)


@pytest.mark.parametrize(
    ("authorised", "ends"),
    [
        ("2026-03-02", "2026-09-02"),
        ("2026-08-31", "2027-02-28"),
        ("2027-08-31", "2028-02-29"),
        ("2026-07-15", "2027-01-15"),
    ],
)
def test_a_login_ends_six_calendar_months_later(authorised: str, ends: str) -> None:
    began, end = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (authorised, ends))
    assert ends_at(began) == end


@pytest.mark.parametrize(
    ("before_the_end", "days", "stage"),
    [
        (timedelta(days=31), 31, None),
        (timedelta(days=30, seconds=1), 31, None),
        (timedelta(days=30), 30, 30),
        (timedelta(days=7, seconds=1), 8, 30),
        (timedelta(days=7), 7, 7),
        (timedelta(days=1), 1, 1),
        (timedelta(seconds=1), 1, 1),
        (timedelta(0), 0, 0),
        (timedelta(days=-40), 0, 0),
    ],
)
def test_it_warns_at_30_7_and_1_days(before_the_end: timedelta, days: int, stage: int | None) -> None:
    moment = ends_at(NOW) - before_the_end
    assert days_left(NOW, moment) == days
    assert warning_stage(NOW, moment) == stage


def test_every_scope_says_why_and_what_stops_without_it() -> None:
    with_playlists = scopes_to_ask(with_playlists=True)
    assert all(scope.reason and scope.without for scope in with_playlists)
    assert features(scope.name for scope in with_playlists) == set(Feature) - {Feature.PLAYLIST_WRITES}
    assert not [scope.name for scope in with_playlists if "modify" in scope.name], "nothing changes what Spotify has"
    with_writes = scopes_to_ask(with_playlists=False, with_writes=True)
    assert set(with_writes) == {*with_playlists, *WRITE_SCOPES}
    assert all(scope.reason and scope.without for scope in with_writes)
    assert features(scope.name for scope in with_writes) == set(Feature)
    assert denied((scope.name for scope in with_playlists), with_writes=True) == WRITE_SCOPES
    assert features(scope.name for scope in SCOPES) == {Feature.POLLS, Feature.TOP_LISTS, Feature.NOW_PLAYING}
    assert denied((scope.name for scope in SCOPES), with_playlists=True) == PLAYLIST_SCOPES
    # These make a feature whole, and do not make one.
    assert features(["playlist-read-collaborative", "playlist-modify-public"]) == set()
    missing = ["user-read-recently-played", "user-read-currently-playing"]
    assert [scope.name for scope in denied(["user-top-read", "something-else"])] == missing
    # Not asked for, and enough.
    assert features(["user-read-playback-state"]) == {Feature.NOW_PLAYING}
    assert features(["playlist-modify-private"]) == {Feature.PLAYLIST_WRITES}
    assert denied(scope.name for scope in SCOPES) == ()


@pytest.mark.parametrize(
    ("error", "kind", "is_repeated"),
    [
        (RateLimited("", retry_at=NOW), FailureKind.PUT_OFF, False),
        (CircuitOpen("", retry_at=NOW), FailureKind.PUT_OFF, False),
        (Busy(), FailureKind.PUT_OFF, False),
        (Transient(), FailureKind.NETWORK, True),
        (UnexpectedAnswer(), FailureKind.UNKNOWN, True),
        (AuthRevoked(), FailureKind.AUTHORISATION, False),
        (TokenRejected(), FailureKind.AUTHORISATION, False),
        (Forbidden(), FailureKind.AUTHORISATION, False),
        (Gone(), FailureKind.GONE, False),
        (Permanent(), FailureKind.UNKNOWN, False),
        (KeyError(), FailureKind.UNKNOWN, False),
    ],
)
def test_each_error_has_its_kind(error: Exception, kind: FailureKind, is_repeated: bool) -> None:
    assert failure_kind(error) is kind
    assert is_worth_another_try(error) is is_repeated


def test_what_failed_is_tried_again_in_minutes_hours_or_never() -> None:
    def waits(error: MyiError) -> list[float | None]:
        due = [try_again_at(error, failures=count, now=NOW) for count in (1, 2, 3, 100)]
        return [None if moment is None else (moment - NOW) / timedelta(minutes=1) for moment in due]

    assert waits(Transient()) == [5, 10, 20, 360]
    assert waits(UnexpectedAnswer()) == [120, 240, 480, 7 * 24 * 60]
    assert waits(Gone()) == [None] * 4
    later = NOW + timedelta(hours=20)
    assert try_again_at(RateLimited("", retry_at=later), failures=3, now=NOW) == later
    assert try_again_at(Transient(), failures=1, now=NOW, jitter=1.0) == NOW + timedelta(minutes=5.5)
