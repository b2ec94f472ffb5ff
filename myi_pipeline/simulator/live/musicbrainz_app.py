"""The part of MusicBrainz' web service under /ws/2 that MYI uses, in JSON (musicbrainz.org/doc/MusicBrainz_API).

More than one request a second, beyond a burst of two, is answered with 503. Requests are refused if their User-Agent
lacks the name of a program and a contact, or if they contain credentials. Every second merged recording is answered
with a redirect, as by servers in front of the real one; the others with the recording that they were merged into.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from myi_pipeline.simulator.live import failing
from myi_pipeline.simulator.live.documents import dump
from myi_pipeline.simulator.live.musicbrainz import MadeArtist, MadeRecording, MadeVote, MusicBrainz, musicbrainz_of
from myi_pipeline.simulator.live.state import SimulatorState

PREFIX = "/ws/2"
_ISRC = re.compile(r"[A-Z]{2}[A-Z0-9]{3}[0-9]{7}\Z", re.ASCII)
_QUERY = re.compile(r'recording:"(?P<title>(?:[^"\\]|\\.)*)" AND artist:"(?P<artist>(?:[^"\\]|\\.)*)"\Z', re.DOTALL)
_PROGRAM = re.compile(r"\S+/\S+ +\(.*\S+@\S+|\S+/\S+ +\(.*https?://", re.ASCII)
_PERSONAL = ("authorization", "cookie")
_USAGE = "For usage, please see: https://musicbrainz.org/development/mmd"
# Each request adds one to the bucket, each second removes one.
_BURST = 2.0


@dataclass
class _Bucket:
    level: float = 0.0
    at_ms: int = 0

    def admits(self, now_ms: int) -> bool:
        self.level = max(0.0, self.level - max(0, now_ms - self.at_ms) / 1_000)
        self.at_ms = now_ms
        if self.level + 1 > _BURST:
            return False
        self.level += 1
        return True


def routes(state: SimulatorState) -> list[Route]:
    """The routes of the web service."""
    known, bucket = musicbrainz_of(state.world), _Bucket()

    def endpoint(kind: str) -> Any:
        async def answer(request: Request) -> Response:
            fault = state.faults.strike(path=request.url.path, listener=None, client_id=None)
            made = failing.instead(fault) if fault else None
            if made is None:
                made = _refusal(request, bucket, state.clock.now_ms()) or _answer(known, kind, request)
                if fault:
                    made = failing.spoil(fault, made)
            status = 0 if failing.is_broken(made) else made.status_code
            state.count(client_id="", listener="", route=f"{PREFIX}/{kind}", status=status)
            return made

        return answer

    return [
        Route(f"{PREFIX}/isrc/{{isrc}}", endpoint("isrc"), methods=["GET"]),
        Route(f"{PREFIX}/recording/{{mbid}}", endpoint("recording"), methods=["GET"]),
        Route(f"{PREFIX}/recording", endpoint("search"), methods=["GET"]),
        Route(f"{PREFIX}/artist/{{mbid}}", endpoint("artist"), methods=["GET"]),
    ]


def _refusal(request: Request, bucket: _Bucket, now_ms: int) -> Response | None:
    if any(name in request.headers for name in _PERSONAL):
        return _error(400, "The web service takes no credentials here.")
    if not _PROGRAM.match(request.headers.get("user-agent", "")):
        return _error(403, "Your requests need a meaningful User-Agent with a way to reach you.")
    if not bucket.admits(now_ms):
        return _error(503, "Your requests are exceeding the allowable rate limit. Please see the documentation.")
    return None


def _answer(known: MusicBrainz, kind: str, request: Request) -> Response:
    if kind == "search":
        return _search(known, request)
    parts = set(re.split(r"[ +]", request.query_params.get("inc", "")))
    if kind == "isrc":
        isrc = request.path_params["isrc"]
        if not _ISRC.match(isrc):
            return _error(400, "Invalid isrc.")
        found = known.by_isrc.get(isrc)
        return _json({"isrc": isrc, "recordings": [_recording(each, parts) for each in found]}) if found else _missing()
    mbid = _uuid(request.path_params["mbid"])
    if mbid is None:
        return _error(400, "Invalid mbid.")
    if kind == "artist":
        artist = known.artist_by_mbid.get(mbid)
        return _json(_artist(artist, parts)) if artist is not None else _missing()
    recording = known.by_mbid.get(mbid)
    if recording is None:
        return _missing()
    if recording.mbid != mbid and recording.thing % 2:
        return Response(status_code=301, headers={"location": f"{PREFIX}/recording/{recording.mbid}"})
    return _json(_recording(recording, parts))


def _search(known: MusicBrainz, request: Request) -> Response:
    asked = _QUERY.match(request.query_params.get("query", ""))
    if asked is None:
        return _error(400, "This simulated server does not understand the query.")
    hits = known.search(*(re.sub(r"\\(.)", r"\1", asked[name], flags=re.DOTALL) for name in ("title", "artist")))
    limit = int(request.query_params.get("limit", "25"))
    recordings = []
    for recording, score in hits[:limit]:
        # The search index has tags, but no genres.
        found = _recording(recording, {"artist-credits", "releases", "tags"})
        recordings.append({"score": score} | found)
    return _json({"created": "2026-01-01T00:00:00.000Z", "count": len(hits), "offset": 0, "recordings": recordings})


def _recording(made: MadeRecording, parts: set[str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": str(made.mbid),
        "title": made.title,
        "length": made.length_ms,
        "disambiguation": "",
        "video": False,
        "first-release-date": made.date,
    }
    if "artist-credits" in parts:
        found["artist-credit"] = [
            {"name": artist.name, "joinphrase": phrase, "artist": _artist(artist, parts, in_credit=True)}
            for artist, phrase in made.credits
        ]
    if "releases" in parts:
        found["releases"] = [
            {"id": str(made.release_mbid), "title": made.release, "status": "Official", "date": made.date}
        ]
    return found | _votes(made.votes, parts)


def _artist(made: MadeArtist, parts: set[str], *, in_credit: bool = False) -> dict[str, Any]:
    """In a credit, some artists include their genres, as from a server that has them cached."""
    found: dict[str, Any] = {"id": str(made.mbid), "name": made.name, "sort-name": made.name, "disambiguation": ""}
    return found if in_credit and made.mbid.int % 4 else found | _votes(made.votes, parts)


def _votes(votes: tuple[MadeVote, ...], parts: set[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "genres" in parts:
        found["genres"] = [
            {"id": str(UUID(int=hash_of(each.name))), "name": each.name, "count": each.count, "disambiguation": ""}
            for each in votes
            if each.is_genre
        ]
    if "tags" in parts:
        # Genres are tags too.
        found["tags"] = [{"name": each.name, "count": each.count} for each in votes]
    return found


def hash_of(name: str) -> int:
    """A number of 128 bits for a name."""
    return int.from_bytes(name.encode().ljust(16, b"\0")[:16], "big")


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _json(document: dict[str, Any]) -> Response:
    return Response(dump(document), media_type="application/json; charset=utf-8")


def _missing() -> Response:
    return _error(404, "Not Found")


def _error(status: int, message: str) -> Response:
    return Response(dump({"error": message, "help": _USAGE}), status, media_type="application/json; charset=utf-8")
