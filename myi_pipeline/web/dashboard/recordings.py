"""Tracks that count as one song, on the page of a track, and the person's own decisions about them.

A decision affects only the figures of the person who makes it, and takes effect with the next refresh.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import RedirectResponse, Response
from starlette.requests import Request

from myi_pipeline.errors import BadInput
from myi_pipeline.people.recording_decisions import MadeDecision, decide, list_decisions, take_back
from myi_pipeline.web.dashboard.inputs import form_of, id_in_path, missing, number_in_path, text_of, wrong
from myi_pipeline.web.dashboard.signed_in import sender_of_form
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.recordings import (
    RecordingTrackRow,
    TrackNameRow,
    names_of_tracks,
    recording_of,
    tracks_of_recording,
)
from myi_pipeline.web.reads.search import SearchRow, search
from myi_pipeline.web.security.client_address import client_address
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.site import Site, TheSite

router = APIRouter()

TrackForm = Annotated[Visitor, Depends(sender_of_form("/top"))]
_OFFERED = 10
_DONE = {
    "same": "They are one song now. Figures follow with the next refresh, within a minute or two.",
    "apart": "It is counted separately now. Figures follow with the next refresh, within a minute or two.",
    "taken-back": "Your decision is undone. Figures follow with the next refresh, within a minute or two.",
}


@dataclass(frozen=True)
class Said:
    """A decision about a track of this song, with the names of both tracks."""

    decision: MadeDecision
    track: TrackNameRow | None
    other: TrackNameRow | None


@dataclass(frozen=True)
class Song:
    """The tracks counted as this song, the decisions about them, and tracks found by name that may be the same."""

    recording_id: int
    tracks: Sequence[RecordingTrackRow]
    said: Sequence[Said]
    typed: str
    offered: Sequence[SearchRow]
    done: str | None

    def own_track(self, asked_id: int) -> int:
        """The requested track, or the one that this person has heard most."""
        heard = [row.track_id for row in self.tracks]
        return asked_id if asked_id in heard or not heard else heard[0]


# The criteria of each rule in words; the codes are stored.
REASONS: Mapping[str, str] = {
    "same_isrc": "same recording code",
    "same_mbid": "same recording at MusicBrainz",
    "names_and_length": "same names and length",
    "names_and_album": "same names and album",
    "names": "same names",
    "another_label": "same names and length, labelled otherwise",
    "subtitle": "same length, with a subtitle",
    "typo": "nearly the same spelling",
    "sampler": "same title and length, on a compilation",
    "decided": "you decided so",
    "alone": "by its names",
}


async def read_song(marts: Marts, request: Request, track_id: int, decisions: Sequence[MadeDecision]) -> Song:
    recording_id = await recording_of(marts, track_id) or track_id
    tracks = await tracks_of_recording(marts, recording_id)
    mine = {row.track_id for row in tracks} | {track_id}
    about = [each for each in decisions if {each.content_id, each.other_id} & mine]
    ids = {id for each in about for id in (each.content_id, each.other_id) if id is not None}
    names = await names_of_tracks(marts, sorted(ids)) if ids else {}
    said = [
        Said(each, names.get(each.content_id), names.get(each.other_id) if each.other_id is not None else None)
        for each in about
    ]
    typed = text_of(request, "with")
    found = await search(marts, typed, kinds=("track",), limit=_OFFERED) if typed else []
    offered = [row for row in found if row.id not in mine]
    return Song(recording_id, tracks, said, typed, offered, _DONE.get(request.query_params.get("done", "")))


async def decisions_of(site: Site, person: Visitor) -> tuple[MadeDecision, ...]:
    return await site.pools.in_thread(list_decisions, user_id=person.user_id)


@router.post("/tracks/{track_id}/same")
async def say_same(request: Request, person: TrackForm, site: TheSite, track_id: str) -> Response:
    """Declares another track to be the same song."""
    form = await form_of(request)
    other = id_in_path(form.get("other", ""), what="track")
    return await _decide(request, person, site, id_in_path(track_id, what="track"), other)


@router.post("/tracks/{track_id}/apart")
async def say_apart(request: Request, person: TrackForm, site: TheSite, track_id: str) -> Response:
    """Declares that `track` is not the song of this page."""
    form = await form_of(request)
    track = id_in_path(form.get("track", ""), what="track")
    return await _decide(request, person, site, track, None, page=id_in_path(track_id, what="track"))


@router.post("/tracks/{track_id}/take-back")
async def say_nothing(request: Request, person: TrackForm, site: TheSite, track_id: str) -> Response:
    form = await form_of(request)
    page, number = id_in_path(track_id, what="track"), number_in_path(form.get("decision", ""))
    address = client_address(request, site.settings.trusted_networks)
    found = await site.pools.in_thread(take_back, user_id=person.user_id, decision_id=number, address=address)
    if not found:
        raise missing("This decision no longer exists.")
    return _back(page, "taken-back")


async def _decide(
    request: Request, person: Visitor, site: Site, track: int, other: int | None, *, page: int | None = None
) -> Response:
    wanted = [track] if other is None else [track, other]

    async def heard(marts: Marts) -> bool:
        return len(await names_of_tracks(marts, wanted)) == len(set(wanted))

    if not await site.pools.read(person.user_id, heard):
        raise missing("You have not heard this track.")
    try:
        made = await site.pools.in_thread(
            decide,
            user_id=person.user_id,
            decision="apart" if other is None else "same",
            track_id=track,
            other_track_id=other,
            address=client_address(request, site.settings.trusted_networks),
        )
    except BadInput as error:
        raise wrong(str(error)) from None
    return _back(page or track, made.decision)


def _back(track_id: int, done: str) -> Response:
    return RedirectResponse(f"/tracks/{track_id}?done={done}#song", 303)
