"""The part of ListenBrainz' API that scrobblers use: a player that can submit to ListenBrainz can submit here.

https://listenbrainz.readthedocs.io/en/latest/users/api/core.html, with the answers of listenbrainz-server's
`webserver/views/api.py`. It is served at `/1/...` and at `/apis/listenbrainz/1/...`, as Maloja and Koito serve it. What
clients do, according to their source:

- Navidrome (`adapters/listenbrainz/client.go`) has the `/1/` in its base address, sends `Token ...`, one listen at a
  time, and goes by `code` in the answer's body.
- Jellyfin's plugin (`BaseApiClient.cs`, `HttpClient.cs`) adds `/1/`, sends `token ...` and batches of up to 100, and
  has its token in the body too: bodies are never kept. It sends again after 500, 502, 503, 504, 507 and 429.
- multi-scrobbler (`ListenbrainzApiClient.ts`) adds `/1/`, sends again after all but 400, 401 and 403, and before each
  scrobble asks for `listens` of the time around it; without an answer it scrobbles nothing.
- Pano Scrobbler (`ListenBrainz.kt`, `PendingScrobblesWorker.kt`) adds `1/`, and sends batches of up to 50 as `import`,
  the same again until they are taken.

An access token with the scope `listens:write` can submit and read back what was submitted, nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from myi_pipeline.people.manage_access import TokenScope
from myi_pipeline.polling.now_playing import NOW_PLAYING_OF, Reading
from myi_pipeline.submissions import inbox
from myi_pipeline.submissions.listens import MOST_BYTES, BadSubmission, Submission, read_submission, unpacked
from myi_pipeline.web.problems import Problem
from myi_pipeline.web.reads.marts import Marts, MartsMissing, MartsOutdated
from myi_pipeline.web.reads.plays import USUAL_SPAN, SubmittedRow, submitted
from myi_pipeline.web.security.identity import find_token_holder
from myi_pipeline.web.security.rate_limits import Tier
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.site import Site, TheSite

_BASES: Final = ("", "/apis/listenbrainz")
_SUBMIT: Final = "/1/submit-listens"
LARGER_BODIES: Final = {("POST", base + _SUBMIT): MOST_BYTES for base in _BASES}
# Larger bodies are parsed in a thread: a thousand listens take a tenth of a second.
_LARGE_BYTES: Final = 64 * 1024
# ListenBrainz: DEFAULT_ITEMS_PER_GET, MAX_ITEMS_PER_GET.
_USUAL_LISTENS, _MOST_LISTENS = 25, 1_000
_EARLIEST, _LATEST = 0, 253_402_300_799
_GZIP: Final = ("gzip", "x-gzip")
_RETRY_AFTER_S = 60
_COUNT = b"select ops.count_submitted(%(user_id)s)"
_LATEST_IMPORT = b"select ops.latest_import_of(%(user_id)s)"
_NOTE_IMPORT = b"select ops.note_latest_import(%(user_id)s, %(seconds)s)"
_OK: Final = {"status": "ok"}


async def token_holder(request: Request, site: TheSite) -> Visitor:
    """The user whose token the request carries. Raises Problem 401 and 429."""
    token = _shown_token(request)
    if token is None:
        raise Problem(401, "not-signed-in", "You need to provide an Authorization header.")
    visitor = await find_token_holder(request, site, token)
    if visitor is None:
        raise Problem(401, "not-signed-in", "Invalid authorization token.")
    site.limits.take(Tier.NORMAL, "listens", str(visitor.user_id))
    return visitor


token_holder.tier = Tier.NORMAL  # type: ignore[attr-defined]
Holder = Annotated[Visitor, Depends(token_holder)]


async def submitter(holder: Holder) -> Visitor:
    """The same, but requires the scope for submitting. Raises Problem 401, as ListenBrainz does."""
    if holder.scope != TokenScope.SUBMIT_LISTENS:
        raise Problem(401, "wrong-scope", _wrong_scope(holder))
    return holder


Submitter = Annotated[Visitor, Depends(submitter)]


async def counted_when_wrong() -> None:
    """For routes that reveal whether a token is valid: a wrong one is counted as a guess (find_token_holder)."""


counted_when_wrong.tier = Tier.SENSITIVE  # type: ignore[attr-defined]


async def submit_listens(request: Request, holder: Submitter, site: TheSite) -> Response:
    """Accepts every valid listen: 200 once they are committed, 400 if none is valid."""
    body, now = await request.body(), datetime.now(UTC)
    try:
        if request.headers.get("content-encoding", "").strip().lower() in _GZIP:
            body = await run_in_threadpool(unpacked, body)
        if len(body) > _LARGE_BYTES:
            submission = await run_in_threadpool(read_submission, body, now=now)
        else:
            submission = read_submission(body, now=now)
    except BadSubmission as error:
        raise Problem(400, "bad-submission", str(error)) from None
    if submission.listen_type == "playing_now":
        if submission.listens:
            values = inbox.playing_values(submission.listens[-1], user_id=holder.user_id, now=now)
            await site.pools.ask_access(inbox.TELL_PLAYING, values)
    else:
        await _accept(site, holder, submission)
    if not submission.listens:
        raise Problem(400, "bad-submission", submission.refused[0].detail)
    return JSONResponse(_OK)


async def _accept(site: Site, holder: Visitor, submission: Submission) -> None:
    assert holder.token_id is not None
    values = inbox.accept_values(submission, user_id=holder.user_id, token_id=holder.token_id)
    found = await site.pools.ask_access(inbox.ACCEPT, values)
    if found is None or not found[0]:
        raise Problem(
            503,
            "inbox-full",
            "Too many of your listens are waiting to be loaded by `myi up`; send them again later.",
            headers={"Retry-After": str(_RETRY_AFTER_S)},
        )


async def validate_token(request: Request, site: TheSite) -> Response:
    """Whether the token can submit listens.

    Other scopes count as invalid, because every submission would be refused.
    """
    token = _shown_token(request) or request.query_params.get("token")
    if not token:
        raise Problem(400, "bad-submission", "You need to provide an Authorization token.")
    visitor = await find_token_holder(request, site, token)
    if visitor is None:
        return JSONResponse({"code": 200, "message": "Token invalid.", "valid": False})
    if visitor.scope != TokenScope.SUBMIT_LISTENS:
        return JSONResponse({"code": 200, "message": f"Token invalid. {_wrong_scope(visitor)}", "valid": False})
    return JSONResponse({"code": 200, "message": "Token valid.", "valid": True, "user_name": visitor.user_key})


async def listen_count(user_name: str, holder: Holder, site: TheSite) -> Response:
    """The number of listens that were submitted."""
    _require_own(user_name, holder)
    found = await site.pools.ask_access(_COUNT, {"user_id": holder.user_id})
    return JSONResponse({"payload": {"count": found[0] if found else 0}})


async def listens(user_name: str, request: Request, holder: Holder, site: TheSite) -> Response:
    """Submitted listens, newest first, as in the marts; the last 90 days unless the request names a start."""
    _require_own(user_name, holder)
    most = min(_seconds(request, "count", _USUAL_LISTENS), _MOST_LISTENS)
    to_s = _seconds(request, "max_ts", int(datetime.now(UTC).timestamp()) + 86_400)
    from_s = _seconds(request, "min_ts", max(0, to_s - int(USUAL_SPAN.total_seconds())))

    async def read(marts: Marts) -> list[SubmittedRow]:
        window = {"after_at": datetime.fromtimestamp(from_s, UTC), "before_at": datetime.fromtimestamp(to_s, UTC)}
        return await submitted(marts, **window, limit=most)

    try:
        rows = await site.pools.read(holder.user_id, read)
    except (MartsMissing, MartsOutdated):
        # Before the marts are built, the answer is empty; without an answer, multi-scrobbler would send nothing.
        rows = []
    found = [_as_listen(holder.user_key, row) for row in rows]
    times = [each["listened_at"] for each in found]
    payload = {
        "count": len(found),
        "user_id": holder.user_key,
        "listens": found,
        "latest_listen_ts": max(times, default=0),
        "oldest_listen_ts": min(times, default=0),
    }
    return JSONResponse({"payload": payload})


async def playing_now(user_name: str, holder: Holder, site: TheSite) -> Response:
    """What a player reported as playing."""
    _require_own(user_name, holder)
    row = await site.pools.ask_access(NOW_PLAYING_OF, {"user_id": holder.user_id})
    reading = Reading(*row) if row is not None else None
    found = []
    # Spotify's answers do not name the player.
    if reading is not None and reading.is_fresh(datetime.now(UTC)) and reading.answer and "player" in reading.answer:
        told = reading.answer
        info = {"duration_ms": told["duration_ms"], "submission_client": told["player"]}
        track = _track(told["title"], told["artists"][0], told["album"], **info)
        found = [{"playing_now": True, "track_metadata": track}]
    payload = {"count": len(found), "user_id": holder.user_key, "playing_now": True, "listens": found}
    return JSONResponse({"payload": payload})


async def latest_import(request: Request, holder: Holder, site: TheSite) -> Response:
    """How far an importer has come, as it reported."""
    _require_own(request.query_params.get("user_name", holder.user_key), holder)
    found = await site.pools.ask_access(_LATEST_IMPORT, {"user_id": holder.user_id})
    return JSONResponse({"musicbrainz_id": holder.user_key, "latest_import": found[0] if found else 0})


async def note_latest_import(request: Request, holder: Submitter, site: TheSite) -> Response:
    """An importer reports how far it has come."""
    try:
        given = (await request.json())["ts"]
        seconds = int(given) if not isinstance(given, bool) else -1
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
        seconds = -1
    if not _EARLIEST <= seconds <= _LATEST:
        raise Problem(400, "bad-submission", "Invalid data sent: 'ts' must be in seconds since 1970.")
    await site.pools.ask_access(_NOTE_IMPORT, {"user_id": holder.user_id, "seconds": seconds})
    return JSONResponse(_OK)


def make_router() -> APIRouter:
    """A router with every address below each of the base paths."""
    router = APIRouter()
    routes: list[tuple[str, str, Callable[..., Any]]] = [
        ("POST", _SUBMIT, submit_listens),
        ("GET", "/1/user/{user_name}/listen-count", listen_count),
        ("GET", "/1/user/{user_name}/listens", listens),
        ("GET", "/1/user/{user_name}/playing-now", playing_now),
        ("GET", "/1/latest-import", latest_import),
        ("POST", "/1/latest-import", note_latest_import),
    ]
    for base in _BASES:
        for method, path, endpoint in routes:
            router.add_api_route(base + path, endpoint, methods=[method], response_model=None)
        router.add_api_route(
            f"{base}/1/validate-token", validate_token, methods=["GET"], response_model=None,
            dependencies=[Depends(counted_when_wrong)],
        )  # fmt: skip
    return router


def _shown_token(request: Request) -> str | None:
    """`Token xxx`, in any case; `Bearer xxx` is accepted, too."""
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    return shown.strip() or None if scheme.lower() in ("token", "bearer") else None


def _wrong_scope(holder: Visitor) -> str:
    return f"Insufficient scope: this token has '{holder.scope}', and submitting needs '{TokenScope.SUBMIT_LISTENS}'."


def _require_own(user_name: str, holder: Visitor) -> None:
    if user_name.casefold() != holder.user_key.casefold():
        raise Problem(404, "not-found", f"Cannot find user: {user_name[:100]}")


def _seconds(request: Request, name: str, default: int) -> int:
    given = request.query_params.get(name)
    if given is None:
        return default
    if not (given.isascii() and given.isdigit() and len(given) <= 12 and int(given) <= _LATEST):
        raise Problem(400, "bad-submission", f"Invalid {name} argument: it must be a whole number of at least 0.")
    return int(given)


def _as_listen(user_key: str, row: SubmittedRow) -> dict[str, Any]:
    info = {"spotify_id": f"https://open.spotify.com/track/{row.uri.rpartition(':')[2]}"} if row.uri else {}
    track = _track(row.title, row.creator, row.collection, **info)
    return {"listened_at": int(row.played_at.timestamp()), "user_name": user_key, "track_metadata": track}


def _track(title: str | None, artist: str | None, album: str | None, **info: Any) -> dict[str, Any]:
    return {
        "track_name": title or "",
        "artist_name": artist or "",
        **({"release_name": album} if album else {}),
        "additional_info": {name: value for name, value in info.items() if value is not None},
    }
