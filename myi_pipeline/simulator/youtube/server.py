"""The simulated YouTube, with Google's sign-in, on a loopback port, in a thread of this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from myi_pipeline.simulator.live.failing import Broken
from myi_pipeline.simulator.live.server import listening_on, served_in_a_thread, url_of
from myi_pipeline.simulator.services.accounts import ServiceFault
from myi_pipeline.simulator.services.oauth import OAuthServer, agree
from myi_pipeline.simulator.youtube.world import Video, YouTubePlaylist, YouTubeWorld

READ, WRITE = "https://www.googleapis.com/auth/youtube.readonly", "https://www.googleapis.com/auth/youtube"
_Work = Callable[[Request, str, Any], dict[str, Any] | None]


class YouTubeError(Exception):
    """An error answer in Google's format."""

    def __init__(self, status: int, reason: str, message: str = "") -> None:
        super().__init__(reason)
        self.status, self.reason, self.message = status, reason, message or reason

    def response(self) -> Response:
        errors = [{"message": self.message, "domain": "youtube", "reason": self.reason}]
        return _json({"error": {"code": self.status, "message": self.message, "errors": errors}}, self.status)


@dataclass(frozen=True)
class SimulatedYouTube:
    """The service while it runs. No address ends in a slash."""

    url: str
    world: YouTubeWorld = field(repr=False)
    sign_in: OAuthServer = field(repr=False)

    @property
    def api_url(self) -> str:
        return f"{self.url}/youtube/v3"

    def visit(self, authorize_url: str, account: str, **decision: Any) -> str:
        """Opens the address as this account; returns where it is redirected to."""
        return agree(authorize_url, account, **decision)


class _App:
    """Handles every request: first faults, tokens and the daily quota, then the work."""

    def __init__(self, world: YouTubeWorld, sign_in: OAuthServer) -> None:
        self.world = world
        self.sign_in = sign_in

    def route(self, path: str, **works: _Work) -> Route:
        async def answer(request: Request) -> Response:
            fault = self.world.note(request.method, path)
            body = await request.body()
            is_read = request.method == "GET"
            if fault is not None and not fault.is_lost:
                self._record(request.method, path, done=False)
                return _failed(fault)
            try:
                account = self._admit(request, path, is_read=is_read)
                found = works[request.method](request, account, json.loads(body) if body else None)
            except YouTubeError as error:
                self._record(request.method, path, done=False)
                return error.response()
            self._record(request.method, path, done=True)
            if fault is not None:
                return Broken()
            return Response(status_code=204) if found is None else _json(found, 200)

        return Route(f"/youtube/v3{path}", answer, methods=list(works))

    def _admit(self, request: Request, path: str, *, is_read: bool) -> str:
        grant = self.sign_in.holder(request.headers.get("authorization", ""))
        if grant is None or grant.account is None:
            raise YouTubeError(401, "authError", "Invalid Credentials")
        if WRITE not in grant.scopes and not (is_read and READ in grant.scopes):
            raise YouTubeError(403, "insufficientPermissions", "Insufficient Permission")
        if self.world.too_fast > 0:
            self.world.too_fast -= 1
            raise YouTubeError(403, "rateLimitExceeded", "Too many requests")
        kind, units = ("searches", 1) if path == "/search" else ("units", 1 if is_read else 50)
        if not self.world.take(kind, units):
            raise YouTubeError(403, "quotaExceeded", "The request cannot be completed: you have exceeded your quota.")
        return grant.account

    def _record(self, method: str, path: str, *, done: bool) -> None:
        if method != "GET":
            self.world.writes.append((f"{method} {path}", done))


def _routes(world: YouTubeWorld, sign_in: OAuthServer) -> list[Route]:
    app = _App(world, sign_in)

    def channels(_: Request, account: str, __: Any) -> dict[str, Any]:
        found = {"id": f"UC{account}", "snippet": {"title": account, "country": "DE"}}
        return {"kind": "youtube#channelListResponse", "items": [found] if account in world.channels else []}

    def playlists(request: Request, account: str, _: Any) -> dict[str, Any]:
        query = request.query_params
        found = [each for each in world.playlists.values() if _may_see(each, account)]
        if "id" in query:
            found = [each for each in found if each.playlist_id in query["id"].split(",")]
        elif query.get("mine") == "true":
            found = [each for each in found if each.owner == account and not each.playlist_id.startswith("LL")]
        else:
            raise YouTubeError(400, "missingRequiredParameter")
        return _paged(world, query, [_playlist(each) for each in found])

    def items(request: Request, account: str, _: Any) -> dict[str, Any]:
        query = request.query_params
        if "id" in query:
            found = [
                _item(world, each, place)
                for each in world.playlists.values()
                if _may_see(each, account)
                for place in range(len(each.items))
                if each.items[place].item_id == query["id"]
            ]
            return _paged(world, query, found)
        made = _visible(world, query.get("playlistId", ""), account)
        return _paged(world, query, [_item(world, made, place) for place in range(len(made.items))])

    def videos(request: Request, _: str, __: Any) -> dict[str, Any]:
        wanted = request.query_params.get("id", "").split(",")
        if len(wanted) > 50:
            raise YouTubeError(400, "invalidParameter")
        found = [world.videos[each] for each in wanted if each in world.videos and not world.videos[each].is_gone]
        results = [{"id": each.video_id, "contentDetails": {"duration": _duration(each.seconds)}} for each in found]
        return {"kind": "youtube#videoListResponse", "items": results}

    def search(request: Request, _: str, __: Any) -> dict[str, Any]:
        words = set(request.query_params.get("q", "").casefold().split())

        def shared(video: Video) -> int:
            return len(words & set(f"{video.title} {video.channel}".casefold().split()))

        best = sorted((each for each in world.videos.values() if shared(each) and not each.is_gone), key=shared)
        hits = [
            {
                "id": {"kind": "youtube#video", "videoId": each.video_id},
                "snippet": {"title": each.title, "channelTitle": each.channel},
            }
            for each in reversed(best)
        ]
        return {"kind": "youtube#searchListResponse", "items": hits[: int(request.query_params.get("maxResults", "5"))]}

    def create(_: Request, account: str, sent: Any) -> dict[str, Any]:
        snippet, status = (sent or {}).get("snippet", {}), (sent or {}).get("status", {})
        if not snippet.get("title"):
            raise YouTubeError(400, "playlistTitleRequired")
        made = world.make_playlist(account, snippet["title"])
        made.description, made.privacy = snippet.get("description", ""), status.get("privacyStatus", "public")
        return _playlist(made)

    def add(_: Request, account: str, sent: Any) -> dict[str, Any]:
        snippet = (sent or {}).get("snippet", {})
        made = _owned(world, snippet.get("playlistId", ""), account)
        video = world.videos.get(snippet.get("resourceId", {}).get("videoId", ""))
        if video is None or video.is_gone:
            raise YouTubeError(404, "videoNotFound", "Video not found.")
        place = min(snippet.get("position", len(made.items)), len(made.items))
        made.items.insert(place, world.item(video.video_id))
        return _item(world, made, place)

    def move(_: Request, account: str, sent: Any) -> dict[str, Any]:
        snippet = (sent or {}).get("snippet", {})
        made = _owned(world, snippet.get("playlistId", ""), account)
        place = next((n for n, each in enumerate(made.items) if each.item_id == sent.get("id")), None)
        if place is None:
            raise YouTubeError(404, "playlistItemNotFound")
        if snippet.get("resourceId", {}).get("videoId") != made.items[place].video_id:
            raise YouTubeError(400, "invalidPlaylistItem")
        made.items.insert(snippet["position"], made.items.pop(place))
        return _item(world, made, snippet["position"])

    def remove(request: Request, account: str, _: Any) -> None:
        wanted = request.query_params.get("id")
        for each in world.playlists.values():
            if each.owner == account and any(item.item_id == wanted for item in each.items):
                each.items = [item for item in each.items if item.item_id != wanted]
                return
        raise YouTubeError(404, "playlistItemNotFound")

    return [
        app.route("/channels", GET=channels),
        app.route("/playlists", GET=playlists, POST=create),
        app.route("/playlistItems", GET=items, POST=add, PUT=move, DELETE=remove),
        app.route("/videos", GET=videos),
        app.route("/search", GET=search),
        *sign_in.routes(authorize="/o/oauth2/v2/auth", token="/token", revoke="/revoke"),
    ]


def _may_see(playlist: YouTubePlaylist, account: str) -> bool:
    return playlist.owner == account or playlist.privacy != "private"


def _visible(world: YouTubeWorld, playlist_id: str, account: str) -> YouTubePlaylist:
    found = world.playlists.get(world.liked_of(account) if playlist_id == "LL" else playlist_id)
    if found is None:
        raise YouTubeError(404, "playlistNotFound", "The playlist cannot be found.")
    if not _may_see(found, account):
        raise YouTubeError(403, "playlistItemsNotAccessible")
    return found


def _owned(world: YouTubeWorld, playlist_id: str, account: str) -> YouTubePlaylist:
    found = _visible(world, playlist_id, account)
    if found.owner != account:
        raise YouTubeError(403, "playlistItemsNotAccessible")
    return found


def _paged(world: YouTubeWorld, query: Mapping[str, str], whole: Sequence[dict[str, Any]]) -> dict[str, Any]:
    size = min(int(query.get("maxResults", "5")), world.page)
    start = int(query.get("pageToken", "at0").removeprefix("at"))
    page = {"totalResults": len(whole), "resultsPerPage": size}
    found: dict[str, Any] = {"items": list(whole[start : start + size]), "pageInfo": page}
    if start + size < len(whole):
        found["nextPageToken"] = f"at{start + size}"
    return found


def _playlist(made: YouTubePlaylist) -> dict[str, Any]:
    return {
        "kind": "youtube#playlist",
        "id": made.playlist_id,
        "snippet": {
            "title": made.title,
            "description": made.description,
            "channelId": f"UC{made.owner}",
            "channelTitle": made.owner,
            "thumbnails": {"default": {"url": "https://i.ytimg.com/vi/x/default.jpg"}},
        },
        "status": {"privacyStatus": made.privacy},
        "contentDetails": {"itemCount": len(made.items)},
    }


def _item(world: YouTubeWorld, made: YouTubePlaylist, place: int) -> dict[str, Any]:
    item = made.items[place]
    video = world.videos.get(item.video_id)
    snippet: dict[str, Any] = {
        "publishedAt": item.added_at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "channelId": f"UC{made.owner}",
        "playlistId": made.playlist_id,
        "position": place,
        "resourceId": {"kind": "youtube#video", "videoId": item.video_id},
        "title": "Deleted video",
    }
    if video is not None and not video.is_gone:
        snippet |= {"title": video.title, "videoOwnerChannelTitle": video.channel}
    return {
        "kind": "youtube#playlistItem",
        "id": item.item_id,
        "snippet": snippet,
        "contentDetails": {"videoId": item.video_id},
    }


def _duration(seconds: int) -> str:
    minutes, left = divmod(seconds, 60)
    return f"PT{minutes}M{left}S"


def _failed(fault: ServiceFault) -> Response:
    if fault.is_reset:
        return Broken()
    return Response(fault.body or "<h1>Sorry</h1>", fault.status, dict(fault.headers), "application/json")


def _json(found: dict[str, Any], status: int) -> Response:
    return Response(json.dumps(found), status, media_type="application/json; charset=UTF-8")


@contextmanager
def running_youtube(
    *, clock: Callable[[], datetime] = lambda: datetime.now(UTC), port: int = 0, is_testing: bool = True
) -> Iterator[SimulatedYouTube]:
    """Runs the service for the duration of the block. With `is_testing`, refresh tokens expire after seven days.

    Raises SimulatorFailed.
    """
    world = YouTubeWorld(clock)
    sign_in = OAuthServer(
        clock,
        accounts=lambda: list(world.channels),
        scopes=frozenset({READ, WRITE}),
        client_id="1234-made-up.apps.googleusercontent.com",
        needs_secret=True,
        allows_app_tokens=False,
        refresh_life=timedelta(days=7) if is_testing else None,
    )
    app = Starlette(routes=_routes(world, sign_in))
    with listening_on(port) as listening, served_in_a_thread(app, listening):
        yield SimulatedYouTube(url_of(listening), world, sign_in)
