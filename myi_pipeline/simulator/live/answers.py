"""The Web API's answers to admitted requests: about a person at /me and below, and about tracks, albums and artists,
one by one or, for old apps, in batches. Ids may exist, have moved, or be gone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from myi_pipeline.simulator.live.documents import dump
from myi_pipeline.simulator.live.failing import error
from myi_pipeline.simulator.live.listener import TERMS, WINDOW, LiveListener
from myi_pipeline.simulator.live.plays import LivePlay
from myi_pipeline.simulator.live.spec import AppSpec
from myi_pipeline.simulator.live.state import SimulatorState
from myi_pipeline.simulator.live.world import TrackEntry, World

JSON = "application/json; charset=utf-8"


class BadParameter(Exception):
    """A 400 with a message for the client."""


@dataclass(frozen=True)
class Asked:
    """One admitted request."""

    state: SimulatorState
    app: AppSpec
    listener: LiveListener
    request: Request
    scopes: frozenset[str] = frozenset()
    body: bytes = b""

    def number(self, name: str, usual: int, least: int, most: int) -> int:
        text = self.request.query_params.get(name)
        if text is None:
            return usual
        try:
            value = int(text)
        except ValueError:
            raise BadParameter(f"Invalid {name}") from None
        if not least <= value <= most:
            raise BadParameter(f"Invalid {name}")
        return value


def me(asked: Asked) -> Response:
    app = asked.app
    document = asked.state.documents.me(
        asked.listener.spec, app.dialect, account_id=app.account_id, profile_id=app.profile_id
    )
    return Response(dump(document), media_type=JSON)


def recent(asked: Asked) -> Response:
    state, query = asked.state, asked.request.query_params
    limit = asked.number("limit", 20, 1, WINDOW)
    if "after" in query and "before" in query:
        raise BadParameter("Only one of after and before may be specified")
    most = 1 << 62
    after, before = asked.number("after", -1, 0, most), asked.number("before", most, 0, most)
    window = [play for play in asked.listener.window(state.clock.now_ms()) if after < play.reported_ms < before]
    page = window[:limit]
    href = f"{state.documents.api_url}/me/player/recently-played"
    cursors = _cursors(page)
    following = None
    if len(window) > len(page) and cursors:
        following = f"{href}?{urlencode({'before': cursors['before'], 'limit': limit})}"
    tail = {
        "next": following,
        "cursors": cursors,
        "limit": limit,
        "href": f"{href}?{urlencode({**query, 'limit': limit})}",
    }
    now, is_relisted = state.clock.now_ms(), asked.listener.is_relisted
    items = b",".join(
        state.documents.play_item(play, asked.app.dialect, is_again=is_relisted(play, now)) for play in page
    )
    return Response(b'{"items":[%b],%b' % (items, dump(tail)[1:]), media_type=JSON)


def _cursors(page: list[LivePlay]) -> dict[str, str] | None:
    if not page:
        return None
    times = [play.reported_ms for play in page]
    return {"after": str(max(times)), "before": str(min(times))}


def playing(asked: Asked) -> Response:
    now, documents = asked.state.clock.now_ms(), asked.state.documents
    play = asked.listener.playing(now)
    if play is None:
        return Response(status_code=204)
    head = {
        "timestamp": play.start_ms,
        "progress_ms": min(now - play.start_ms, play.ms_played),
        "is_playing": now < play.start_ms + play.ms_played,
        "context": documents.context(play),
        "actions": {"disallows": {"resuming": True}},
    }
    track = asked.state.world.tracks.get(play.thing)
    if track is not None:
        item, kind = documents.track(track, asked.app.dialect), "track"
    else:
        wanted = "episode" in asked.request.query_params.get("additional_types", "").split(",")
        item, kind = dump(documents.episode(play) if wanted else None), "episode"
    body = b'%b,"currently_playing_type":"%b","item":%b}' % (dump(head)[:-1], kind.encode(), item)
    return Response(body, media_type=JSON)


def top(asked: Asked) -> Response:
    state, kind = asked.state, asked.request.path_params["kind"]
    if kind not in ("tracks", "artists"):
        return error(404, "Service not found")
    wanted = asked.request.query_params.get("time_range", "medium_term")
    term = next((each for each in TERMS if each == wanted), None)
    if term is None:
        raise BadParameter("Invalid time range")
    limit, offset = asked.number("limit", 20, 1, 50), asked.number("offset", 0, 0, 1000)
    counts = asked.listener.top(term, state.clock.now_ms())
    world, documents, dialect = state.world, state.documents, asked.app.dialect
    if kind == "tracks":
        ranked = sorted(counts, key=lambda index: (-counts[index], index))[:50]
        pieces = [documents.track(world.tracks[index], dialect) for index in ranked[offset : offset + limit]]
    else:
        plays: dict[str, int] = {}
        for index, count in counts.items():
            name = world.thing(index).artist or "Somebody"
            plays[name] = plays.get(name, 0) + count
        ranked_names = sorted(plays, key=lambda name: (-plays[name], name))[:50]
        ranked = list(range(len(ranked_names)))
        pieces = [
            dump(documents.artist(world.artists[name], dialect)) for name in ranked_names[offset : offset + limit]
        ]
    href = f"{documents.api_url}/me/top/{kind}"

    def page(start: int) -> str:
        return f"{href}?{urlencode({'time_range': term, 'limit': limit, 'offset': start})}"

    tail = {
        "total": len(ranked),
        "limit": limit,
        "offset": offset,
        "href": page(offset),
        "next": page(offset + limit) if offset + limit < len(ranked) else None,
        "previous": page(max(0, offset - limit)) if offset else None,
    }
    return Response(b'{"items":[%b],%b' % (b",".join(pieces), dump(tail)[1:]), media_type=JSON)


_ID_LENGTH = 22
_BATCHES = {"tracks": 50, "albums": 20, "artists": 50}


def _found(asked: Asked, kind: str, identifier: str) -> bytes | None:
    world, documents, dialect = asked.state.world, asked.state.documents, asked.app.dialect
    if len(identifier) != _ID_LENGTH or not identifier.isascii() or not identifier.isalnum():
        raise BadParameter("Invalid base62 id")
    if kind == "tracks":
        track = world.by_track_id.get(identifier)
        return None if track is None or track.is_gone or track.is_local else documents.track(track, dialect)
    if kind == "albums":
        number = world.by_album_id.get(identifier)
        return None if number is None else dump(documents.album(world.albums[number], dialect))
    artist = world.by_artist_id.get(identifier)
    return None if artist is None else dump(documents.artist(artist, dialect))


def _one(asked: Asked, kind: str) -> Response:
    found = _found(asked, kind, asked.request.path_params["id"])
    return error(404, "Resource not found") if found is None else Response(found, media_type=JSON)


def track(asked: Asked) -> Response:
    return _one(asked, "tracks")


def album(asked: Asked) -> Response:
    return _one(asked, "albums")


def artist(asked: Asked) -> Response:
    return _one(asked, "artists")


def batch(asked: Asked) -> Response:
    kind = asked.request.url.path.rsplit("/", 1)[1]
    if asked.app.dialect == "new":
        return error(403, "Forbidden")
    identifiers = [each for each in asked.request.query_params.get("ids", "").split(",") if each]
    if not identifiers:
        raise BadParameter("Missing required field: ids")
    if len(identifiers) > _BATCHES[kind]:
        raise BadParameter("Too many ids requested")
    found = [_found(asked, kind, each) or b"null" for each in identifiers]
    return Response(b'{"%b":[%b]}' % (kind.encode(), b",".join(found)), media_type=JSON)


_MOST_FOUND = 10
_FIELD = re.compile(r"\b(isrc|track|artist):")


def search(asked: Asked) -> Response:
    """Tracks by isrc:, by the fields track: and artist:, or by words: best match first, including partial matches."""
    if asked.request.query_params.get("type") != "track":
        raise BadParameter("This simulated Spotify only searches for tracks")
    limit, offset = asked.number("limit", 5, 1, _MOST_FOUND), asked.number("offset", 0, 0, 1_000)
    query = asked.request.query_params.get("q", "").strip()
    if not query:
        raise BadParameter("No search query")
    world, found = asked.state.world, list[TrackEntry]()
    parts = _FIELD.split(query)
    fields = dict(zip(parts[1::2], (each.strip() for each in parts[2::2]), strict=True))
    if "isrc" in fields:
        found = [each for each in world.by_isrc.get(fields["isrc"].upper(), []) if _is_offered(each)]
    else:
        found = [track for _, track in sorted(_ranked(world, parts[0], fields), key=lambda each: -each[0])]
    pieces = [asked.state.documents.track(each, asked.app.dialect) for each in found[offset : offset + limit]]
    tail = {
        "href": f"{asked.state.documents.api_url}/search", "limit": limit, "next": None, "offset": offset,
        "previous": None, "total": len(found),
    }  # fmt: skip
    return Response(b'{"tracks":{"items":[%b],%b}' % (b",".join(pieces), dump(tail)[1:]), media_type=JSON)


def _is_offered(track: TrackEntry) -> bool:
    return not track.is_gone and not track.is_local


def _ranked(world: World, words: str, fields: dict[str, str]) -> Iterator[tuple[float, TrackEntry]]:
    """Every track that has all words of the fields, or some of the other words."""
    wanted = words.casefold().split()
    for track in world.tracks.values():
        thing = world.thing(track.thing)
        title, artist = (thing.title_in("new") or "").casefold(), f"{thing.artist} {track.featured or ''}".casefold()
        if not _is_offered(track):
            continue
        if not wanted:
            has_title = all(word in title for word in fields.get("track", "").casefold().split())
            if has_title and all(word in artist for word in fields.get("artist", "").casefold().split()):
                yield 1 / (1 + len(title)), track
        elif shared := sum(word in f"{title} {artist}" for word in wanted):
            yield shared / len(wanted) + 1 / (100 + len(title)), track
