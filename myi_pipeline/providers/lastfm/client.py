"""Last.fm's API 2.0: scrobbles of a user, the way to a session key, and scrobbling.

Facts are from https://www.last.fm/api/show/user.getRecentTracks, .../track.scrobble, .../auth.getSession,
https://www.last.fm/api/authspec and https://lastfm-docs.github.io/api-docs: errors come with any HTTP status, 200 too,
as {"error": n, "message": ...}; a list of one is an object; numbers are texts; the currently playing track comes first,
without a date and in addition to the page's limit; whether bounds are inclusive is not documented; scrobbles older than
two weeks are ignored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from myi_pipeline.errors import (
    AuthRevoked,
    BadInput,
    Forbidden,
    Gone,
    MyiError,
    Permanent,
    RateLimited,
    Transient,
    UnexpectedAnswer,
)
from myi_pipeline.providers.quota_rules import Bucket
from myi_pipeline.providers.scrobbles import (
    BadScrobble,
    Outgoing,
    Scrobble,
    ScrobblePage,
    Service,
    Verdict,
    read_mbid,
    read_stamp,
    read_text,
    read_whole,
    stamp,
)
from myi_pipeline.providers.transport import Answer, Gate, HttpClient, retry_after, send

PAGE = 200
_ONE_SECOND = timedelta(seconds=1)
_DAILY_LIMIT = 5
_IGNORED = {
    1: "Last.fm ignores this artist",
    2: "Last.fm ignores this track",
    3: "it is too old for Last.fm",
    4: "its time is ahead of Last.fm's clock",
    5: "Last.fm's daily limit of scrobbles is reached",
}


class NotAllowedYet(BadInput):
    """The person has not agreed on Last.fm's page yet, or the hour for doing so is over."""


class LastfmClient:
    """Thread-safe. `secret` is the app's shared secret, needed to sign requests for session keys and scrobbles."""

    service = Service.LASTFM
    most_at_once = 50

    def __init__(
        self,
        http: HttpClient,
        *,
        url: str,
        api_key: str,
        secret: str | None,
        gate: Gate,
        clock: Callable[[], datetime],
    ) -> None:
        self._http = http
        self._url = url.rstrip("/") + "/2.0/"
        self._api_key = api_key
        self._secret = secret
        self._gate = gate
        self._clock = clock

    def __repr__(self) -> str:
        return f"LastfmClient({self._url!r})"

    def page(
        self, account: str, *, before: datetime | None = None, since: datetime | None = None, token: str | None = None
    ) -> ScrobblePage:
        """See ScrobbleReader. Always the first page below a moment: numbered pages move while scrobbles arrive."""
        params = {"user": account, "limit": str(PAGE), "page": "1"}
        if before is not None:
            params["to"] = str(stamp(before))
        if since is not None:
            # One more, in case the bounds are exclusive.
            params["from"] = str(max(stamp(since) - 1, 0))
        answer, found = self._get("user.getRecentTracks", params, account=account)
        listed = found.get("recenttracks")
        if not isinstance(listed, dict):
            raise UnexpectedAnswer(f"{answer.what}: Last.fm's answer has no recenttracks")
        return _read(listed, before=before)

    def check_account(self, account: str) -> str:
        """The account's name as Last.fm writes it. Raises Gone, and Forbidden if its listening is private."""
        answer, found = self._get("user.getRecentTracks", {"user": account, "limit": "1"}, account=account)
        listed = found.get("recenttracks")
        about = listed.get("@attr") if isinstance(listed, dict) else None
        if not isinstance(about, dict):
            raise UnexpectedAnswer(f"{answer.what}: Last.fm's answer has no recenttracks")
        return read_text(about.get("user")) or account

    def request_token(self) -> str:
        """A token for the person to allow on Last.fm's page within an hour."""
        answer, found = self._get("auth.getToken", {}, is_signed=True)
        token = read_text(found.get("token"))
        if token is None:
            raise UnexpectedAnswer(f"{answer.what}: Last.fm gave no token")
        return token

    def session(self, token: str) -> tuple[str, str]:
        """The account's name and its session key, which does not expire. Raises NotAllowedYet."""
        answer, found = self._get("auth.getSession", {"token": token}, is_signed=True)
        session = found.get("session")
        session = session if isinstance(session, dict) else {}
        name, key = read_text(session.get("name")), read_text(session.get("key"))
        if name is None or key is None:
            raise UnexpectedAnswer(f"{answer.what}: Last.fm gave no session")
        return name, key

    def send(self, plays: Sequence[Outgoing], *, account: str, secret: str, is_past: bool) -> tuple[Verdict, ...]:
        """See ScrobbleWriter. Each play is accepted or ignored individually."""
        form = {"method": "track.scrobble", "sk": secret}
        for place, play in enumerate(plays):
            form |= _scrobble_fields(place, play)
        found = self._exchange("POST", self._signed(form))[1]
        return _verdicts(found, len(plays))

    def _get(
        self, method: str, params: Mapping[str, str], *, is_signed: bool = False, account: str | None = None
    ) -> tuple[Answer, dict[str, Any]]:
        named = {"method": method, **params}
        given = self._signed(named) if is_signed else {**named, "api_key": self._api_key, "format": "json"}
        return self._exchange("GET", given, account=account)

    def _signed(self, params: Mapping[str, str]) -> dict[str, str]:
        """Adds the key and the signature, which covers all parameters except format, sorted by name, and the secret."""
        if self._secret is None:
            raise Permanent("scrobbling to Last.fm needs the app's shared secret: set MYI_LASTFM_API_SECRET")
        named = {**params, "api_key": self._api_key}
        text = "".join(name + named[name] for name in sorted(named)) + self._secret
        # The protocol requires this hash; it does not protect a secret of ours.
        signature = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
        return {**named, "api_sig": signature, "format": "json"}

    def _exchange(
        self, verb: str, params: Mapping[str, str], *, account: str | None = None
    ) -> tuple[Answer, dict[str, Any]]:
        self._gate.before(Bucket.PERSONAL)
        is_read = verb == "GET"
        answer = send(
            self._http,
            verb,
            self._url,
            params=params if is_read else None,
            headers={} if is_read else {"Content-Type": "application/x-www-form-urlencoded"},
            content=None if is_read else urlencode(params).encode(),
            service=self.service.label,
        )
        what = f"Last.fm's {params['method']}"
        try:
            found = answer.document()
        except UnexpectedAnswer:
            if answer.status == 429 or answer.status >= 500:
                raise self._failure(None, answer, what, account) from None
            raise
        code = read_whole(found.get("error"))
        if code is not None or answer.status != 200:
            raise self._failure(code, answer, what, account)
        self._gate.passed(Bucket.PERSONAL)
        return answer, found

    def _failure(self, code: int | None, answer: Answer, what: str, account: str | None) -> MyiError:
        said = answer.message()
        if code == 29 or answer.status == 429:
            wait = retry_after(answer, self._clock())
            until = self._gate.blocked(Bucket.PERSONAL, retry_after=wait, quota_exceeded=False)
            return RateLimited(
                f"{what}: Last.fm says too many requests; again at {until:%Y-%m-%d %H:%M:%S} UTC", retry_at=until
            )
        if code in (8, 11, 16) or (code is None and answer.status >= 500):
            return Transient(f"{what}: Last.fm is out of order for now ({said or answer.status})")
        if code in (6, 7) and account is not None:
            return Gone(f"Last.fm knows no user {account}")
        if code == 17:
            return Forbidden(
                f"the recent listening of {account or 'this account'} is private at Last.fm; it can be opened there"
                " under Settings, Privacy: Hide recent listening information"
            )
        if code == 9:
            return AuthRevoked("Last.fm no longer accepts the session; allow MYI there again")
        if code in (14, 15):
            return NotAllowedYet("Last.fm reports that MYI has not been allowed yet", place="Last.fm")
        if code in (10, 26):
            why = "does not know the API key" if code == 10 else "has suspended the API key"
            return Permanent(f"Last.fm {why}: check MYI_LASTFM_API_KEY")
        if code == 13:
            return Permanent("Last.fm does not accept the signature: check MYI_LASTFM_API_SECRET")
        if code is None:
            return UnexpectedAnswer(f"{what}: Last.fm answered {answer.status}")
        return UnexpectedAnswer(f"{what}: Last.fm answered with error {code}{f' ({said})' if said else ''}")


def _read(listed: Mapping[str, Any], *, before: datetime | None) -> ScrobblePage:
    items = _as_list(listed.get("track"))
    scrobbles: list[Scrobble] = []
    bad: list[BadScrobble] = []
    is_playing = False
    for item in items:
        if _is_playing(item):
            is_playing = True
            continue
        index = len(scrobbles) + len(bad)
        read = _scrobble(index, item)
        if isinstance(read, Scrobble):
            scrobbles.append(read)
        else:
            bad.append(read)
    about = listed.get("@attr")
    pages = read_whole(about.get("totalPages")) if isinstance(about, dict) else None
    is_full = len(scrobbles) + len(bad) >= PAGE
    oldest = min((each.listened_at for each in scrobbles), default=None)
    more, is_skipping = None, False
    # A page may have fewer items than requested although there are more.
    if oldest is not None and (is_full or (pages or 0) > 1):
        # The page may have split the scrobbles of its last second, so that second is read again.
        more = oldest + _ONE_SECOND
        if before is not None and more >= before:
            more, is_skipping = min(oldest, before - _ONE_SECOND), is_full
    return ScrobblePage(
        scrobbles=tuple(scrobbles),
        bad=tuple(bad),
        more_before=more,
        is_playing=is_playing,
        is_skipping=is_skipping,
    )


def _is_playing(item: Any) -> bool:
    about = item.get("@attr") if isinstance(item, dict) else None
    return isinstance(about, dict) and str(about.get("nowplaying", "")).lower() in ("true", "1")


def _scrobble(index: int, item: Any) -> Scrobble | BadScrobble:
    if not isinstance(item, dict):
        return BadScrobble(index, item, "not_an_object", "A track must be an object.")
    date = item.get("date")
    told = date.get("uts") if isinstance(date, dict) else date
    if told in (None, ""):
        return BadScrobble(
            index, item, "missing_timestamp", "date is missing, and it is not the currently playing track."
        )
    listened_at = read_stamp(told)
    if listened_at is None:
        return BadScrobble(index, item, "bad_timestamp", "date.uts must be whole seconds since 1970.")
    return Scrobble(
        index=index,
        listened_at=listened_at,
        title=read_text(item.get("name")),
        artist=_name(item.get("artist")),
        album=_name(item.get("album")),
        recording_mbid=read_mbid(item.get("mbid")),
    )


def _name(value: Any) -> str | None:
    """Name of an artist or album: an object with "#text" (in extended answers "name"), or the text itself."""
    if isinstance(value, dict):
        return read_text(value.get("#text")) or read_text(value.get("name"))
    return read_text(value)


def _as_list(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return value if isinstance(value, list) else [value]


def _scrobble_fields(place: int, play: Outgoing) -> dict[str, str]:
    fields = {
        f"artist[{place}]": play.artist,
        f"track[{place}]": play.title,
        f"timestamp[{place}]": str(stamp(play.listened_at)),
    }
    if play.album:
        fields[f"album[{place}]"] = play.album
    if play.duration_ms is not None and play.duration_ms >= 1000:
        fields[f"duration[{place}]"] = str(play.duration_ms // 1000)
    if play.recording_mbid is not None:
        fields[f"mbid[{place}]"] = play.recording_mbid
    return fields


def _verdicts(found: Mapping[str, Any], count: int) -> tuple[Verdict, ...]:
    """Last.fm answers in the order of the plays that were sent."""
    answer = found.get("scrobbles")
    told = _as_list(answer.get("scrobble")) if isinstance(answer, dict) else []
    if len(told) != count or not all(isinstance(each, dict) for each in told):
        raise UnexpectedAnswer("Last.fm did not answer for each scrobble whether it was accepted")
    return tuple(_verdict(each) for each in told)


def _verdict(told: Mapping[str, Any]) -> Verdict:
    ignored = told.get("ignoredMessage")
    code = read_whole(ignored.get("code")) if isinstance(ignored, dict) else None
    if code is None:
        return Verdict()
    said = read_text(ignored.get("#text")) if isinstance(ignored, dict) else None
    reason = f"{_IGNORED.get(code, said or 'Last.fm ignores it')} (code {code})"
    return Verdict(reason, is_for_now=code == _DAILY_LIMIT)
