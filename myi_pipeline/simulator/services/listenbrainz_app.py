"""The simulated ListenBrainz: listens, submissions and tokens.

It has these oddities of the real one: additional_info may be null, durations are numbers or strings, in milliseconds or
seconds, unknown values are empty strings, bounds are exclusive, so that a page may end within a second, and a
submission that is repeated may create a second listen.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from myi_pipeline.simulator.live.failing import Broken
from myi_pipeline.simulator.services.accounts import ServiceAccount, ServiceState, TrueListen

# Constants in https://listenbrainz.readthedocs.io/en/latest/users/api/core.html.
MOST_A_PAGE, USUAL_PAGE, MOST_SENT = 1_000, 25, 1_000
OLDEST = 1_033_430_400


class Refused(Exception):
    """An answer with an error status."""

    def __init__(self, status: int, words: str) -> None:
        self.status, self.words = status, words


def routes(state: ServiceState, prefix: str) -> list[Route]:
    """The API below `prefix`."""

    async def listens(request: Request) -> Response:
        return _answer(state, "listens", lambda: _listens(state, request))

    async def submit(request: Request) -> Response:
        body = await request.body()
        return _answer(state, "submit-listens", lambda: _submit(state, request, body))

    async def validate(request: Request) -> Response:
        return _answer(state, "validate-token", lambda: _validate(state, request))

    return [
        Route(f"{prefix}/1/user/{{name}}/listens", listens, methods=["GET"]),
        Route(f"{prefix}/1/submit-listens", submit, methods=["POST"]),
        Route(f"{prefix}/1/validate-token", validate, methods=["GET"]),
    ]


def _answer(state: ServiceState, name: str, work: Any) -> Response:
    fault = state.note(name)
    if fault is not None and fault.is_reset:
        return Broken()
    if fault is not None and not fault.is_lost:
        kind = "text/html" if fault.body is None else "application/json"
        return Response(fault.body or "<h1>Bad gateway</h1>", fault.status, dict(fault.headers), kind)
    left = state.left_of_minute()
    headers = {
        "X-RateLimit-Limit": str(state.requests_a_minute),
        "X-RateLimit-Remaining": str(max(left, 0)),
        "X-RateLimit-Reset-In": "10",
    }
    if left < 0:
        found, status = {"code": 429, "error": "You have exceeded your rate limit. See the headers."}, 429
    else:
        try:
            found, status = work(), 200
        except Refused as error:
            found, status = {"code": error.status, "error": error.words}, error.status
    if fault is not None:
        return Broken()
    return Response(json.dumps(found), status, headers, "application/json")


def _listens(state: ServiceState, request: Request) -> dict[str, Any]:
    account = state.find(request.path_params["name"])
    if account is None:
        raise Refused(404, f"Cannot find user: {request.path_params['name']}")
    latest, earliest = _whole(request, "max_ts"), _whole(request, "min_ts")
    if latest is not None and earliest is not None and latest < earliest:
        raise Refused(400, "max_ts should be greater than min_ts")
    count = min(_whole(request, "count") or USUAL_PAGE, MOST_A_PAGE)
    every = account.shown()
    found = [
        each
        for each in every
        if (latest is None or each.second < latest) and (earliest is None or each.second > earliest)
    ]
    # With only a lower bound, the oldest listens after it.
    shown = found[-count:] if earliest is not None and latest is None else found[:count]
    return {
        "payload": {
            "count": len(shown),
            "user_id": account.name,
            "listens": [_listen(account, each) for each in shown],
            "latest_listen_ts": every[0].second if every else 0,
            "oldest_listen_ts": every[-1].second if every else 0,
        }
    }


def _whole(request: Request, name: str) -> int | None:
    text = request.query_params.get(name)
    if not text:
        return None
    if not text.isdigit():
        raise Refused(400, f"'{name}' should be a non-negative integer")
    return int(text)


def _listen(account: ServiceAccount, listen: TrueListen) -> dict[str, Any]:
    info: dict[str, Any] | None = {}
    if listen.duration_ms is not None:
        kinds: list[dict[str, Any]] = [
            {"duration_ms": listen.duration_ms},
            {"duration_ms": str(listen.duration_ms)},
            {"duration": listen.duration_ms // 1000},
        ]
        info = dict(kinds[listen.second % 3])
    assert info is not None
    if listen.isrc:
        info["isrc"] = listen.isrc
    if listen.spotify_id:
        info |= {"spotify_id": f"https://open.spotify.com/track/{listen.spotify_id}", "music_service": "spotify.com"}
    mapped = {"recording_mbid": listen.recording_mbid, "artist_mbids": []} if listen.recording_mbid else None
    return {
        "inserted_at": listen.second + 5,
        "listened_at": listen.second,
        "recording_msid": f"{listen.second:032x}",
        "user_name": account.name,
        "track_metadata": {
            "artist_name": listen.artist,
            "track_name": listen.title,
            "release_name": listen.album or "",
            "additional_info": info or None,
            "mbid_mapping": mapped,
        },
    }


def _secret(request: Request) -> str:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token if kind == "Token" else ""


def _submit(state: ServiceState, request: Request, body: bytes) -> dict[str, Any]:
    if not request.headers.get("authorization"):
        raise Refused(401, "You need to provide an Authorization header.")
    account = state.holder(_secret(request))
    if account is None:
        raise Refused(401, "Invalid authorization token.")
    try:
        given = json.loads(body)
        kind, payload = given["listen_type"], given["payload"]
    except (ValueError, KeyError, TypeError):
        raise Refused(400, "Invalid JSON document submitted.") from None
    if kind not in ("single", "import", "playing_now"):
        raise Refused(400, "JSON document requires a valid listen_type key.")
    if not payload or len(payload) > MOST_SENT:
        raise Refused(400, "Too many listens. You may not submit more than 1000 listens at once.")
    if kind != "import" and len(payload) > 1:
        raise Refused(400, "JSON document contains more than listen for a single/playing_now.")
    listens = [_read(state, each) for each in payload]
    for listen in listens:
        if state.takes_twice or not account.has(listen.second, listen.artist, listen.title):
            account.take(listen, shown_in=state.shown_in)
    return {"status": "ok"}


def _read(state: ServiceState, given: Any) -> TrueListen:
    metadata = given.get("track_metadata", {})
    second = given.get("listened_at")
    if set(given) - {"listened_at", "track_metadata"}:
        raise Refused(400, "JSON document may only contain listened_at and track_metadata top level keys")
    if not isinstance(second, int) or second < OLDEST:
        raise Refused(400, "Value for key listened_at is too low.")
    if datetime.fromtimestamp(second, UTC) > state.clock() + timedelta(hours=1):
        raise Refused(400, "Value for key listened_at is too high.")
    if not metadata.get("track_name") or not metadata.get("artist_name"):
        raise Refused(400, "JSON document does not contain required track_metadata.")
    if metadata["artist_name"] in state.ignored_artists:
        raise Refused(400, "artist_name is not acceptable.")
    more = metadata.get("additional_info", {})
    return TrueListen(
        started_at=datetime.fromtimestamp(second, UTC),
        title=metadata["track_name"],
        artist=state.corrections.get(metadata["artist_name"], metadata["artist_name"]),
        album=metadata.get("release_name"),
        duration_ms=more.get("duration_ms"),
        recording_mbid=more.get("recording_mbid"),
    )


def _validate(state: ServiceState, request: Request) -> dict[str, Any]:
    account = state.holder(_secret(request) or request.query_params.get("token", ""))
    if account is None:
        return {"code": 200, "message": "Token invalid.", "valid": False}
    return {"code": 200, "message": "Token valid.", "valid": True, "user_name": account.name}
