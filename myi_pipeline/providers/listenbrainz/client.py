"""ListenBrainz' API: listens of a user, the owner of a token, and submitting listens.

Facts are from https://listenbrainz.readthedocs.io/en/latest/users/api/core.html and .../users/json.html: time bounds
are exclusive; listens come newest first, at most 1,000 at once; a submission has at most 1,000 listens; reading needs
no token; X-RateLimit-Remaining and -Reset-In give the remaining quota; a listen is identified by its second and its
names, so that submitting it again adds nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from myi_pipeline.errors import AuthRevoked, BadInput, Gone, Permanent, RateLimited, Transient, UnexpectedAnswer
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

PAGE = 1_000
# For the last days, every few minutes: most days have fewer.
_SHORT_PAGE = 200
# A thousand listens with everything that players add take 2 to 3 MB.
_MOST_BYTES = 32 * 1024**2
_ONE_SECOND = timedelta(seconds=1)
# For a span that is reported as empty although there are older listens.
_STEP = timedelta(days=30)
_SPOTIFY_TRACK = re.compile(
    r"(?:https?://open\.spotify\.com/(?:intl-[a-z]+/)?track/|spotify:track:)([A-Za-z0-9]{22})\b"
)
_ISRC = re.compile(r"[A-Z]{2}[A-Z0-9]{3}[0-9]{7}\Z")
_LONGEST_RESET_S = 3_600


class ListenBrainzClient:
    """Thread-safe."""

    service = Service.LISTENBRAINZ
    # The service accepts 1,000; with fewer, less is lost if one answer does not arrive.
    most_at_once = 100

    def __init__(self, http: HttpClient, *, url: str, gate: Gate, clock: Callable[[], datetime]) -> None:
        self._http = http
        self._url = url.rstrip("/")
        self._gate = gate
        self._clock = clock

    def page(
        self, account: str, *, before: datetime | None = None, since: datetime | None = None, token: str | None = None
    ) -> ScrobblePage:
        """See ScrobbleReader."""
        # min_ts is never sent: alone, it returns the oldest first, and not every server accepts both bounds.
        count = PAGE if since is None else _SHORT_PAGE
        params = {"count": str(count)}
        if before is not None:
            params["max_ts"] = str(stamp(before))
        answer = self._ask("GET", f"/1/user/{quote(account, safe='')}/listens", params=params, token=token)
        if answer.status == 404:
            raise Gone(f"ListenBrainz knows no user {account}")
        payload = _payload(answer)
        items = payload.get("listens")
        if not isinstance(items, list):
            raise UnexpectedAnswer(f"{answer.what}: ListenBrainz' answer has no list of listens")
        return _read(items, payload, before=before, since=since, count=count)

    def check_account(self, account: str) -> str:
        """The account's name as ListenBrainz writes it. Raises Gone."""
        answer = self._ask("GET", f"/1/user/{quote(account, safe='')}/listens", params={"count": "1"})
        if answer.status == 404:
            raise Gone(f"ListenBrainz knows no user {account}")
        return read_text(_payload(answer).get("user_id")) or account

    def check_token(self, token: str) -> str:
        """The owner of a token. Raises BadInput if it is unknown."""
        answer = self._ask("GET", "/1/validate-token", token=token)
        found = answer.document() if answer.status == 200 else {}
        name = read_text(found.get("user_name"))
        if found.get("valid") is not True or name is None:
            raise BadInput("ListenBrainz does not know this token; it is shown on your settings page", place="token")
        return name

    def send(self, plays: Sequence[Outgoing], *, account: str, secret: str, is_past: bool) -> tuple[Verdict, ...]:
        """See ScrobbleWriter. ListenBrainz accepts all or, if one is invalid, none."""
        kind = "import" if is_past or len(plays) > 1 else "single"
        body = json.dumps({"listen_type": kind, "payload": [_listen(play) for play in plays]}).encode()
        answer = self._ask("POST", "/1/submit-listens", token=secret, content=body)
        if answer.status == 400:
            if len(plays) == 1:
                return (Verdict(f"ListenBrainz refuses it: {answer.message() or 'no reason given'}"),)
            return tuple(self.send([play], account=account, secret=secret, is_past=is_past)[0] for play in plays)
        if answer.status != 200 or answer.document().get("status") != "ok":
            raise UnexpectedAnswer(f"{answer.what}: ListenBrainz did not confirm the listens")
        return tuple(Verdict() for _ in plays)

    def _ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        token: str | None = None,
        content: bytes | None = None,
    ) -> Answer:
        self._gate.before(Bucket.PERSONAL)
        headers = {"Authorization": f"Token {token}"} if token else {}
        if content is not None:
            headers["Content-Type"] = "application/json"
        answer = send(
            self._http,
            method,
            self._url + path,
            headers=headers,
            params=params,
            content=content,
            most_bytes=_MOST_BYTES,
            service=self.service.label,
        )
        status, what = answer.status, answer.what
        if status == 429:
            wait = _reset_in(answer) or retry_after(answer, self._clock())
            until = self._gate.blocked(Bucket.PERSONAL, retry_after=wait, quota_exceeded=False)
            raise RateLimited(
                f"{what}: ListenBrainz says too many requests; again at {until:%Y-%m-%d %H:%M:%S} UTC", retry_at=until
            )
        if status in (401, 403) and token:
            raise AuthRevoked("ListenBrainz no longer accepts the token; link the account again with a new one")
        if status >= 500:
            raise Transient(f"{what}: ListenBrainz answered {status}")
        if status not in (200, 400, 404):
            said = answer.message()
            raise UnexpectedAnswer(f"{what}: ListenBrainz answered {status}{f' ({said})' if said else ''}")
        if status == 400 and content is None:
            raise Permanent(f"{what}: ListenBrainz refuses the request ({answer.message() or 'no reason given'})")
        if answer.headers.get("x-ratelimit-remaining", "").strip() == "0":
            self._gate.blocked(Bucket.PERSONAL, retry_after=_reset_in(answer), quota_exceeded=False)
        else:
            self._gate.passed(Bucket.PERSONAL)
        return answer


def _reset_in(answer: Answer) -> timedelta | None:
    value = answer.headers.get("x-ratelimit-reset-in", "").strip()
    if not (value.isascii() and value.isdigit() and len(value) < 10):
        return None
    return timedelta(seconds=min(int(value), _LONGEST_RESET_S))


def _payload(answer: Answer) -> dict[str, Any]:
    found = answer.document().get("payload")
    if not isinstance(found, dict):
        raise UnexpectedAnswer(f"{answer.what}: ListenBrainz' answer has no payload")
    return found


def _read(
    items: list[Any], payload: Mapping[str, Any], *, before: datetime | None, since: datetime | None, count: int
) -> ScrobblePage:
    read = [_scrobble(index, item) for index, item in enumerate(items)]
    scrobbles = tuple(each for each in read if isinstance(each, Scrobble))
    bad = tuple(each for each in read if isinstance(each, BadScrobble))
    told = read_stamp(payload.get("oldest_listen_ts"))
    # An unreadable time does not show how far the page reaches.
    oldest = min((each.listened_at for each in scrobbles), default=None)
    more, is_skipping = None, False
    if oldest is not None:
        is_full = len(items) >= count
        is_last = not is_full and (told is None or told >= oldest)
        if not is_last and (since is None or oldest >= since):
            # A full page may have split the listens of its last second, so that second is read again.
            more = oldest + _ONE_SECOND if is_full else oldest
            if before is not None and more >= before:
                more, is_skipping = min(oldest, before - _ONE_SECOND), is_full
    elif before is not None and told is not None and told < before and since is None:
        more = max(told + _ONE_SECOND, before - _STEP) if before - told > _ONE_SECOND else None
    return ScrobblePage(scrobbles=scrobbles, bad=bad, more_before=more, is_skipping=is_skipping)


def _scrobble(index: int, item: Any) -> Scrobble | BadScrobble:
    if not isinstance(item, dict):
        return BadScrobble(index, item, "not_an_object", "A listen must be an object.")
    if "listened_at" not in item:
        return BadScrobble(index, item, "missing_timestamp", "listened_at is missing.")
    listened_at = read_stamp(item["listened_at"])
    if listened_at is None:
        return BadScrobble(index, item, "bad_timestamp", "listened_at must be whole seconds since 1970.")
    told = item.get("track_metadata")
    if not isinstance(told, dict):
        return BadScrobble(index, item, "bad_item", "track_metadata must be an object.")
    more = told.get("additional_info")
    more = more if isinstance(more, dict) else {}
    mapped = told.get("mbid_mapping")
    mapped = mapped if isinstance(mapped, dict) else {}
    seconds = read_whole(more.get("duration"), most=2_000_000)
    return Scrobble(
        index=index,
        listened_at=listened_at,
        title=read_text(told.get("track_name")),
        artist=read_text(told.get("artist_name")),
        album=read_text(told.get("release_name")),
        recording_mbid=read_mbid(more.get("recording_mbid")) or read_mbid(mapped.get("recording_mbid")),
        isrc=_isrc(more.get("isrc")),
        duration_ms=read_whole(more.get("duration_ms")) or (seconds * 1000 if seconds is not None else None),
        spotify_uri=_spotify_uri(more.get("spotify_id")),
    )


def _isrc(value: Any) -> str | None:
    plain = value.replace("-", "").strip().upper() if isinstance(value, str) else ""
    return plain if _ISRC.match(plain) else None


def _spotify_uri(value: Any) -> str | None:
    found = _SPOTIFY_TRACK.match(value.strip()) if isinstance(value, str) else None
    return f"spotify:track:{found[1]}" if found else None


def _listen(play: Outgoing) -> dict[str, Any]:
    more: dict[str, Any] = {"submission_client": "MYI", "media_player": "MYI"}
    if play.duration_ms is not None:
        more["duration_ms"] = play.duration_ms
    if play.recording_mbid is not None:
        more["recording_mbid"] = play.recording_mbid
    if play.isrc is not None:
        more["isrc"] = play.isrc
    if play.spotify_uri is not None and play.spotify_uri.startswith("spotify:track:"):
        more["spotify_id"] = f"https://open.spotify.com/track/{play.spotify_uri.removeprefix('spotify:track:')}"
    told: dict[str, Any] = {"artist_name": play.artist, "track_name": play.title, "additional_info": more}
    if play.album:
        told["release_name"] = play.album
    return {"listened_at": stamp(play.listened_at), "track_metadata": told}
