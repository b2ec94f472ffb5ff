"""The Web API under /v1: routes, and who may call them.

Checks are made in this order: scripted fault, token, app, quota, scope, parameters.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from myi_pipeline.simulator.live import answers, failing, playlist_answers
from myi_pipeline.simulator.live.answers import Asked, BadParameter
from myi_pipeline.simulator.live.failing import error
from myi_pipeline.simulator.live.spec import AppSpec, Bucket
from myi_pipeline.simulator.live.state import SimulatorState

NOT_REGISTERED = (
    "The user is not registered for this application. Please check your settings on "
    "https://developer.spotify.com/dashboard."
)
NO_PREMIUM = "Active premium subscription required for the owner of the app."


Handler = Callable[[Asked], Response]


def routes(state: SimulatorState) -> list[Route]:
    """The routes of the Web API."""
    table: list[tuple[str, str, Bucket, str | None, Handler]] = [
        ("/v1/me", "/me", "personal", None, answers.me),
        (
            "/v1/me/player/recently-played",
            "/me/player/recently-played",
            "polls",
            "user-read-recently-played",
            answers.recent,
        ),
        (
            "/v1/me/player/currently-playing",
            "/me/player/currently-playing",
            "polls",
            "user-read-currently-playing",
            answers.playing,
        ),
        ("/v1/me/top/{kind}", "/me/top/{kind}", "personal", "user-top-read", answers.top),
        ("/v1/tracks/{id}", "/tracks/{id}", "catalogue", None, answers.track),
        ("/v1/albums/{id}", "/albums/{id}", "catalogue", None, answers.album),
        ("/v1/artists/{id}", "/artists/{id}", "catalogue", None, answers.artist),
        ("/v1/tracks", "/tracks", "catalogue", None, answers.batch),
        ("/v1/albums", "/albums", "catalogue", None, answers.batch),
        ("/v1/artists", "/artists", "catalogue", None, answers.batch),
        ("/v1/search", "/search", "catalogue", None, answers.search),
    ]
    lists = playlist_answers
    of_lists: list[tuple[str, str, str, str | None, Handler]] = [
        ("GET", "/v1/me/playlists", "/me/playlists", lists.READ_PRIVATE, lists.mine),
        ("POST", "/v1/me/playlists", "/me/playlists", None, lists.create),
        ("GET", "/v1/me/tracks", "/me/tracks", "user-library-read", lists.liked),
        ("GET", "/v1/playlists/{id}", "/playlists/{id}", None, lists.head),
        ("GET", "/v1/playlists/{id}/items", "/playlists/{id}/items", lists.READ_PRIVATE, lists.only_in_new_dialect),
        ("GET", "/v1/playlists/{id}/tracks", "/playlists/{id}/tracks", lists.READ_PRIVATE, lists.only_in_dialect),
        ("POST", "/v1/playlists/{id}/items", "/playlists/{id}/items", None, lists.add),
        ("PUT", "/v1/playlists/{id}/items", "/playlists/{id}/items", None, lists.change),
        ("DELETE", "/v1/playlists/{id}/items", "/playlists/{id}/items", None, lists.remove),
    ]
    return [
        Route(path, _endpoint(state, name, bucket, scope, handler), methods=["GET"])
        for path, name, bucket, scope, handler in table
    ] + [
        Route(path, _endpoint(state, name, "personal", scope, handler), methods=[method])
        for method, path, name, scope, handler in of_lists
    ]


def _endpoint(
    state: SimulatorState, name: str, bucket: Bucket, scope: str | None, handler: Handler
) -> Callable[[Request], object]:
    async def endpoint(request: Request) -> Response:
        token = request.headers.get("authorization", "")
        try:
            grant = state.accounts.holder(token.removeprefix("Bearer ")) if token.startswith("Bearer ") else None
            refusal = None if grant else error(401, "Invalid access token" if token else "No token provided")
        except TimeoutError:
            grant, refusal = None, error(401, "The access token expired")
        key, client_id = (grant.listener, grant.client_id) if grant else ("", "")
        route = name.replace("{kind}", request.path_params.get("kind", ""))
        body = await request.body()
        now_ms = state.clock.now_ms()
        state.writes += request.method != "GET"
        state.quota.note(client_id, bucket, now_ms)
        fault = state.faults.strike(
            path=request.url.path, listener=key or None, client_id=client_id or None, method=request.method
        )
        if fault and fault.status == 429 and fault.kind == "status" and isinstance(fault.retry_after, int):
            state.quota.tell_to_wait(client_id, bucket, now_ms + fault.retry_after * 1000)
        answer = failing.instead(fault) if fault else None
        if answer is None:
            answer = refusal
            if answer is None and grant is not None:
                app = state.accounts.apps[client_id]
                answer = _refuse(state, app, key, bucket)
                if answer is None and scope and scope not in grant.scopes:
                    answer = error(403, "Insufficient client scope")
                if answer is None:
                    try:
                        answer = handler(Asked(state, app, state.listeners[key], request, grant.scopes, body))
                    except BadParameter as complaint:
                        answer = error(400, str(complaint))
            assert answer is not None
            if fault:
                answer = failing.spoil(fault, answer)
        status = 0 if failing.is_broken(answer) else answer.status_code
        state.count(client_id=client_id, listener=key, route=route, status=status)
        return answer

    return endpoint


def _refuse(state: SimulatorState, app: AppSpec, listener: str, bucket: Bucket) -> Response | None:
    if not app.premium:
        return error(403, NO_PREMIUM)
    if not state.accounts.is_registered_user(app, listener):
        # Plain text with status 403, as observed on the real one.
        return Response(NOT_REGISTERED, 403, media_type="text/plain")
    refusal = state.quota.take(app, bucket, state.clock.now_ms())
    if refusal is None:
        return None
    headers = {} if refusal.retry_after_s is None else {"retry-after": str(refusal.retry_after_s)}
    reason = "QUOTA_EXCEEDED" if refusal.is_day and refusal.retry_after_s is None else None
    return error(429, "API rate limit exceeded", headers=headers, reason=reason)
