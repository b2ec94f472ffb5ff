"""The simulated Last.fm: its API 2.0 in JSON, and the page on which a person authorises a program.

It has these oddities of the real one: a list with one item is an object, numbers are strings, unknown values are empty
strings, the track playing now is first on every page and not counted in its limit, pages are numbered from the newest
scrobble and so shift when new ones arrive, and errors may have status 200.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from myi_pipeline.simulator.live.failing import Broken
from myi_pipeline.simulator.services.accounts import ServiceAccount, ServiceFault, ServiceState, TrueListen

API_KEY, API_SECRET = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
_TWO_WEEKS = timedelta(days=14)
_STATUSES = {6: 404, 9: 403, 10: 403, 13: 403, 14: 403, 17: 403, 29: 429, 3: 400}
_WORDS = {
    3: "Invalid Method - No method with that name in this package",
    6: "User not found",
    8: "Operation failed - Most likely the backend service failed. Please try again.",
    9: "Invalid session key - Please re-authenticate",
    10: "Invalid API key - You must be granted a valid key by last.fm",
    13: "Invalid method signature supplied",
    14: "Unauthorized Token - This token has not been issued",
    17: "Login: User required to be logged in",
    29: "Rate Limit Exceeded - Your IP has made too many requests in a short period",
}


class LastfmError(Exception):
    """An answer with an error code."""

    def __init__(self, code: int, words: str = "") -> None:
        self.code, self.words = code, words or _WORDS.get(code, "Error")


def routes(state: ServiceState, prefix: str) -> list[Route]:
    """The API below `prefix`, and the authorisation page."""

    async def api(request: Request) -> Response:
        sent = (await request.body()).decode()
        given = dict(request.query_params) | dict(parse_qsl(sent, keep_blank_values=True))
        return answer(state, given, is_post=request.method == "POST")

    async def allow(request: Request) -> Response:
        return HTMLResponse("<p>Allow access?</p>")

    return [
        Route(f"{prefix}/2.0/", api, methods=["GET", "POST"]),
        Route(f"{prefix}/api/auth/", allow, methods=["GET"]),
    ]


def answer(state: ServiceState, given: dict[str, str], *, is_post: bool) -> Response:
    """Answers one request."""
    method = given.get("method", "").lower()
    fault = state.note(method)
    if fault is not None and fault.is_reset:
        return Broken()
    if fault is not None and not fault.is_lost:
        return _failed(fault)
    try:
        if state.left_of_minute() < 0:
            raise LastfmError(29)
        if given.get("api_key") != API_KEY:
            raise LastfmError(10)
        work = _METHODS.get(method)
        if work is None or (method == "track.scrobble") != is_post:
            raise LastfmError(3)
        found = work(state, given)
    except LastfmError as error:
        status = 200 if state.errors_with_200 else _STATUSES.get(error.code, 500)
        return _json({"error": error.code, "message": error.words, "links": []}, status)
    return Broken() if fault is not None else _json(found, 200)


def _failed(fault: ServiceFault) -> Response:
    page = "<!doctype html><title>Last.fm</title><h1>Sorry</h1>"
    is_page = fault.body is None
    return Response(
        page if fault.body is None else fault.body,
        fault.status,
        dict(fault.headers),
        "text/html" if is_page else "application/json",
    )


def _json(found: dict[str, Any], status: int) -> Response:
    return Response(json.dumps(found), status, media_type="application/json")


def _recent(state: ServiceState, given: dict[str, str]) -> dict[str, Any]:
    account = state.find(given.get("user", ""))
    if account is None:
        raise LastfmError(6)
    if account.is_private:
        raise LastfmError(17)
    limit = min(_number(given, "limit", 50), 200)
    page = _number(given, "page", 1)
    listens = [each for each in account.shown() if _is_within(state, given, each)]
    pages = max(-(-len(listens) // limit), 1)
    shown = listens[(page - 1) * limit : page * limit]
    if state.short_pages and len(shown) == limit > 1 and page < pages:
        # The real one sometimes omits items from a page; they are only returned for another time span.
        shown = shown[:-1]
    tracks = [_track(each) for each in shown]
    if account.playing is not None:
        playing = _track(account.playing)
        del playing["date"]
        tracks.insert(0, playing | {"@attr": {"nowplaying": "true"}})
    about = {
        "user": account.name,
        "page": str(page),
        "perPage": str(limit),
        "totalPages": str(pages if listens else 0),
        "total": str(len(listens)),
    }
    listed: dict[str, Any] = {"@attr": about}
    if len(tracks) == 1:
        listed["track"] = tracks[0]
    elif tracks or account.name != account.name.lower():
        listed["track"] = tracks
    return {"recenttracks": listed}


def _is_within(state: ServiceState, given: dict[str, str], listen: TrueListen) -> bool:
    since, until = given.get("from"), given.get("to")
    if state.bounds_are_inclusive:
        return (not since or listen.second >= int(since)) and (not until or listen.second <= int(until))
    return (not since or listen.second > int(since)) and (not until or listen.second < int(until))


def _number(given: dict[str, str], name: str, usual: int) -> int:
    text = given.get(name, "")
    if text and not text.isdigit():
        raise LastfmError(6, "Invalid parameters - Your request is missing a required parameter")
    return max(int(text or usual), 1)


def _track(listen: TrueListen) -> dict[str, Any]:
    return {
        "artist": {"mbid": "", "#text": listen.artist},
        "streamable": "0",
        "image": [{"size": "small", "#text": ""}],
        "mbid": listen.recording_mbid or "",
        "album": {"mbid": "", "#text": listen.album or ""},
        "name": listen.title,
        "url": "https://www.last.fm/music/_",
        "date": {"uts": str(listen.second), "#text": f"{listen.started_at:%d %b %Y, %H:%M}"},
    }


def _require_signature(given: dict[str, str]) -> None:
    """See https://www.last.fm/api/authspec: all parameters but format and callback, sorted by name, then the secret."""
    named = {name: value for name, value in given.items() if name not in ("format", "callback", "api_sig")}
    text = "".join(name + named[name] for name in sorted(named)) + API_SECRET
    if hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() != given.get("api_sig"):
        raise LastfmError(13)


def _token(state: ServiceState, given: dict[str, str]) -> dict[str, Any]:
    _require_signature(given)
    token = secrets.token_hex(16)
    state.tokens[token] = None
    return {"token": token}


def _session(state: ServiceState, given: dict[str, str]) -> dict[str, Any]:
    _require_signature(given)
    name = state.tokens.get(given.get("token", ""))
    if name is None:
        raise LastfmError(14)
    del state.tokens[given["token"]]
    account = state.account(name)
    return {"session": {"name": account.name, "key": account.secret, "subscriber": 0}}


def _scrobble(state: ServiceState, given: dict[str, str]) -> dict[str, Any]:
    _require_signature(given)
    account = state.holder(given.get("sk", ""))
    if account is None:
        raise LastfmError(9)
    places = sorted(int(name[7:-1]) for name in given if name.startswith("artist[") and name[7:-1].isdigit())
    if not places or len(places) > 50:
        raise LastfmError(6, "Invalid parameters")
    results = [_take(state, account, given, place) for place in places]
    ignored = sum(each["ignoredMessage"]["code"] != "0" for each in results)
    about = {"accepted": len(results) - ignored, "ignored": ignored}
    return {"scrobbles": {"@attr": about, "scrobble": results[0] if len(results) == 1 else results}}


def _take(state: ServiceState, account: ServiceAccount, given: dict[str, str], place: int) -> dict[str, Any]:
    artist, title = given[f"artist[{place}]"], given.get(f"track[{place}]", "")
    stamp = int(given.get(f"timestamp[{place}]", "0"))
    started_at, now = datetime.fromtimestamp(stamp, UTC), state.clock()
    length = int(given.get(f"duration[{place}]", "0")) * 1000
    listen = TrueListen(
        started_at=started_at,
        title=title,
        artist=artist,
        album=given.get(f"album[{place}]"),
        duration_ms=length or None,
    )
    code = (
        1
        if artist in state.ignored_artists
        else 2
        if not title
        else 3
        if started_at < now - _TWO_WEEKS
        else 4
        if started_at > now + timedelta(hours=1)
        else 5
        if account.sent_today >= state.most_a_day
        else 0
    )
    corrected = state.corrections.get(artist)
    if code == 0 and (state.takes_twice or not account.has(stamp, corrected or artist, title)):
        account.sent_today += 1
        account.take(replace(listen, artist=corrected or artist), shown_in=state.shown_in)
    return {
        "artist": {"corrected": "1" if corrected else "0", "#text": corrected or artist},
        "album": {"corrected": "0"},
        "track": {"corrected": "0", "#text": title},
        "timestamp": str(stamp),
        "ignoredMessage": {"code": str(code), "#text": ""},
    }


_METHODS: dict[str, Callable[[ServiceState, dict[str, str]], dict[str, Any]]] = {
    "user.getrecenttracks": _recent,
    "auth.gettoken": _token,
    "auth.getsession": _session,
    "track.scrobble": _scrobble,
}
