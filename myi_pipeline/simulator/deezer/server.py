"""The simulated Deezer on a loopback port, in a thread of this process, and its data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from threading import RLock
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from myi_pipeline.simulator.live.failing import Broken
from myi_pipeline.simulator.live.server import listening_on, served_in_a_thread, url_of
from myi_pipeline.simulator.services.accounts import ServiceFault

PAGE, MOST, WINDOW = 25, 50, timedelta(seconds=5)
_TYPES = {4: "Exception", 200: "OAuthException", 800: "DataException", 500: "ParameterException"}
_WORDS = {4: "Quota limit exceeded", 200: "This is not public", 800: "no data", 500: "Wrong parameter"}


@dataclass(frozen=True, kw_only=True)
class DeezerTrack:
    track_id: int
    title: str
    artists: tuple[str, ...]
    isrc: str
    album: str = "Album"
    seconds: int = 200
    version: str = ""


@dataclass
class DeezerPlaylist:
    """`hidden`: positions that are omitted from pages, but counted."""

    playlist_id: int
    owner_id: str
    title: str
    track_ids: list[int]
    added_at: datetime
    is_public: bool = True
    is_loved: bool = False
    hidden: frozenset[int] = frozenset()


@dataclass
class DeezerWorld:
    """`numbers_are_texts`: some numbers in answers are strings. `next_host`: host in the address of the next page."""

    clock: Callable[[], datetime]
    most: int = MOST
    numbers_are_texts: bool = False
    next_host: str | None = None
    calls: list[str] = field(default_factory=list)
    accounts: dict[str, str] = field(default_factory=dict)
    tracks: dict[int, DeezerTrack] = field(default_factory=dict)
    playlists: dict[int, DeezerPlaylist] = field(default_factory=dict)
    refused: int = 0
    _times: list[datetime] = field(default_factory=list)
    _faults: list[ServiceFault] = field(default_factory=list)
    _guard: RLock = field(default_factory=RLock)

    def add_tracks(self, *tracks: DeezerTrack) -> None:
        self.tracks.update({each.track_id: each for each in tracks})

    def make_playlist(self, owner_id: str, title: str, track_ids: Sequence[int]) -> DeezerPlaylist:
        self.accounts.setdefault(owner_id, f"listener {owner_id}")
        made = DeezerPlaylist(1_000 + len(self.playlists), owner_id, title, list(track_ids), self.clock())
        self.playlists[made.playlist_id] = made
        return made

    def fail(self, fault: ServiceFault) -> None:
        self._faults.append(fault)

    def note(self, path: str) -> ServiceFault | None:
        with self._guard:
            self.calls.append(path)
            if not self._faults:
                return None
            fault = self._faults.pop(0)
            if fault.times > 1:
                self._faults.insert(0, replace(fault, times=fault.times - 1))
            return fault

    def is_too_often(self) -> bool:
        now = self.clock()
        with self._guard:
            self._times = [each for each in self._times if now - each < WINDOW]
            if len(self._times) >= self.most:
                self.refused += 1
                return True
            self._times.append(now)
            return False


class DeezerError(Exception):
    """An error, which is answered with status 200."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class SimulatedDeezer:
    url: str
    world: DeezerWorld = field(repr=False)


def _routes(world: DeezerWorld) -> list[Route]:
    def route(path: str, work: Callable[[Request], dict[str, Any]]) -> Route:
        async def answer(request: Request) -> Response:
            fault = world.note(request.url.path)
            if fault is not None:
                return Broken() if fault.is_reset else Response(fault.body or "<h1>Sorry</h1>", fault.status)
            try:
                found = {"error": _error(4)} if world.is_too_often() else work(request)
            except DeezerError as error:
                found = {"error": _error(error.code)}
            return Response(json.dumps(found), media_type="application/json; charset=utf-8")

        return Route(path, answer)

    def user(request: Request) -> dict[str, Any]:
        named = request.path_params["named"]
        if named not in world.accounts:
            raise DeezerError(800)
        return {"id": _number(world, int(named)), "name": world.accounts[named], "country": "FR", "type": "user"}

    def playlists(request: Request) -> dict[str, Any]:
        named = request.path_params["named"]
        if named not in world.accounts:
            raise DeezerError(800)
        found = [each for each in world.playlists.values() if each.owner_id == named and each.is_public]
        return _paged(world, request, [_playlist(world, each) for each in found])

    def playlist(request: Request) -> dict[str, Any]:
        return _playlist(world, _public(world, request.path_params["named"]))

    def tracks(request: Request) -> dict[str, Any]:
        found = _public(world, request.path_params["named"])
        listed = [
            None if place in found.hidden else _listed(world, number, found.added_at)
            for place, number in enumerate(found.track_ids)
        ]
        return _paged(world, request, listed)

    def track(request: Request) -> dict[str, Any]:
        code = request.path_params["named"].removeprefix("isrc:")
        found = next((each for each in world.tracks.values() if each.isrc == code), None)
        if found is None:
            raise DeezerError(800)
        return _track(world, found) | {
            "contributors": [{"id": 1, "name": name, "role": "Main"} for name in found.artists],
            "track_position": 3,
            "disk_number": 1,
            "release_date": "2019-05-17",
        }

    def search(request: Request) -> dict[str, Any]:
        if "q" not in request.query_params:
            raise DeezerError(500)
        words = set(request.query_params["q"].replace('"', " ").replace(":", " ").casefold().split())
        found = [
            _track(world, each)
            for each in world.tracks.values()
            if words & set(f"{each.title} {' '.join(each.artists)}".casefold().split())
        ]
        return _paged(world, request, found)

    return [
        route("/user/{named}", user),
        route("/user/{named}/playlists", playlists),
        route("/playlist/{named}", playlist),
        route("/playlist/{named}/tracks", tracks),
        route("/track/{named}", track),
        route("/search/track", search),
    ]


def _public(world: DeezerWorld, named: str) -> DeezerPlaylist:
    found = world.playlists.get(int(named)) if named.isdigit() else None
    if found is None:
        raise DeezerError(800)
    if not found.is_public:
        raise DeezerError(200)
    return found


def _paged(world: DeezerWorld, request: Request, whole: Sequence[dict[str, Any] | None]) -> dict[str, Any]:
    """25 items from an index on, without hidden ones, which the total includes."""
    start = int(request.query_params.get("index", "0"))
    end = start + PAGE
    found: dict[str, Any] = {"data": [each for each in whole[start:end] if each is not None], "total": len(whole)}
    if end < len(whole):
        found["next"] = f"{world.next_host or str(request.base_url).rstrip('/')}{request.url.path}?index={end}"
    return found


def _playlist(world: DeezerWorld, made: DeezerPlaylist) -> dict[str, Any]:
    checksum = hashlib.md5(json.dumps([made.title, made.track_ids]).encode(), usedforsecurity=False).hexdigest()
    return {
        "id": _number(world, made.playlist_id),
        "title": made.title,
        "public": made.is_public,
        "is_loved_track": made.is_loved,
        "collaborative": False,
        "nb_tracks": _number(world, len(made.track_ids)),
        "checksum": checksum,
        "creator": {"id": _number(world, int(made.owner_id)), "name": world.accounts[made.owner_id], "type": "user"},
        "picture_big": "https://api.deezer.com/playlist/1/image",
        "type": "playlist",
    }


def _listed(world: DeezerWorld, number: int, added_at: datetime) -> dict[str, Any]:
    found = world.tracks.get(number)
    made = (
        _track(world, found) if found is not None else {"id": number, "readable": False, "title": "", "type": "track"}
    )
    return made | {"time_add": int(added_at.timestamp())}


def _track(world: DeezerWorld, track: DeezerTrack) -> dict[str, Any]:
    return {
        "id": _number(world, track.track_id),
        "readable": True,
        "title": track.title,
        "title_version": track.version,
        "isrc": track.isrc,
        "duration": _number(world, track.seconds),
        "explicit_lyrics": False,
        "artist": {"id": 1, "name": track.artists[0], "type": "artist"},
        "album": {"id": 2, "title": track.album, "type": "album"},
        "type": "track",
    }


def _number(world: DeezerWorld, number: int) -> int | str:
    return str(number) if world.numbers_are_texts else number


def _error(code: int) -> Mapping[str, Any]:
    return {"type": _TYPES[code], "message": _WORDS[code], "code": code}


@contextmanager
def running_deezer(
    *, clock: Callable[[], datetime] = lambda: datetime.now(UTC), port: int = 0
) -> Iterator[SimulatedDeezer]:
    """Runs the service for the duration of the block. Raises SimulatorFailed."""
    world = DeezerWorld(clock)
    app = Starlette(routes=_routes(world))
    with listening_on(port) as listening, served_in_a_thread(app, listening):
        yield SimulatedDeezer(url_of(listening), world)
