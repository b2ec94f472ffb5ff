"""Which tracks count as one song, and your decisions about it.

A decision affects only your own figures and takes effect with the next refresh. Only a browser may decide; tokens read.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, ClassVar, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from myi_pipeline.errors import BadInput
from myi_pipeline.people import recording_decisions
from myi_pipeline.web.answers import CSV, accept_list, untagged_list
from myi_pipeline.web.api.contract_route import ContractRoute
from myi_pipeline.web.api.models import EntityId, Heard, WholeDocument
from myi_pipeline.web.api.parameters import no_truth
from myi_pipeline.web.api.routes.account import Number
from myi_pipeline.web.api.routes.music import EntityId as TrackId
from myi_pipeline.web.api.routes.reading import Fields, responses, serve_document
from myi_pipeline.web.problems import Problem, problem_responses
from myi_pipeline.web.reads.cursors import MOST_INT
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.recordings import names_of_tracks, recording_of, tracks_of_recording
from myi_pipeline.web.security.client_address import client_address
from myi_pipeline.web.security.identity import CurrentPerson, CurrentUser
from myi_pipeline.web.shown.contract import Answer, fields_of
from myi_pipeline.web.site import TheSite

router = APIRouter(route_class=ContractRoute, prefix="/v1/me", tags=["music"])

_AT = [datetime.fromisoformat("2024-03-09T21:14:07Z")]
_BROWSER = problem_responses(401, 403, 429, 503)


class RecordingTrack(Heard):
    """A track that is counted in a recording."""

    recording_id: EntityId = Field(description="The id of the recording, which is that of one of its tracks.")
    track_id: EntityId
    uri: str | None = Field(examples=["spotify:track:4uLU6hMCjMI75M1A2tKUQC"])
    name: str | None = Field(examples=["Sinnerman"])
    artist_id: EntityId | None
    artist_name: str | None = Field(examples=["Nina Simone"])
    album_id: EntityId | None
    album_name: str | None = Field(examples=["Pastel Blues"])
    duration_ms: int | None = Field(ge=0, description="Null if unknown.", examples=[622_000])
    isrc: str | None = Field(description="International Standard Recording Code.", examples=["USPR36500027"])
    confidence: float | None = Field(
        ge=0, le=1, description="How certain the match is; null if you decided.", examples=[0.97]
    )
    reason: str = Field(description="Code of the rule, or `decided`.", examples=["names_and_length"])


class RecordingTracks(WholeDocument):
    """Most heard first."""

    data: list[RecordingTrack]


class Decision(Answer):
    renamed: ClassVar[Mapping[str, str]] = {
        "id": "decision_id", "track_id": "content_id", "other_track_id": "other_id",
    }  # fmt: skip

    id: int = Field(examples=[4])
    decision: Literal["same", "apart"] = Field(examples=["same"])
    track_id: EntityId
    other_track_id: EntityId | None = Field(description="Null for `apart`.")
    decided_at: datetime = Field(examples=_AT)


class Decisions(Answer):
    """Newest first."""

    next: None = Field(description="Always null: `data` is the whole list.", examples=[None])
    data: list[Decision]


# Field first: after a BeforeValidator the bounds are missing from the schema.
_Id = Annotated[int, Field(ge=1, le=MOST_INT, examples=[271]), BeforeValidator(no_truth)]


class DecisionWish(BaseModel):
    """`same`: two tracks are one song. `apart`: a track is not the song that it is counted as."""

    model_config = ConfigDict(extra="forbid")

    decision: Literal["same", "apart"] = Field(examples=["same"])
    track_id: _Id
    other_track_id: _Id | None = Field(default=None, description="With `same` alone.")


@router.get(
    "/tracks/{track_id}/recording",
    operation_id="getRecordingOfTrack",
    response_model=RecordingTracks,
    responses=responses(is_table=True, _404="You have not played it."),
    summary="The tracks that are one song with a track",
)
async def recording(request: Request, visitor: CurrentUser, site: TheSite, track_id: TrackId) -> Response:
    """All of them that you heard, and why each is counted there."""

    async def build(marts: Marts) -> Fields:
        number = await recording_of(marts, track_id)
        rows = await tracks_of_recording(marts, number) if number is not None else []
        if not rows:
            raise Problem(404, "not-found", "You have not played this track.")
        return {"data": fields_of(RecordingTrack, rows)}

    return await serve_document(request, visitor, site, build, table_of=RecordingTrack)


@router.get(
    "/recording-decisions",
    operation_id="listRecordingDecisions",
    response_model=Decisions,
    responses={
        200: {"description": "All of them.", "content": {CSV: {"schema": {"type": "string"}}}},
        **problem_responses(406),
        **_BROWSER,
    },
    summary="Your decisions about recordings",
)
async def list_decisions(request: Request, person: CurrentPerson, site: TheSite) -> Response:
    """Tracks that you declared to be one song, or not."""
    media_type = accept_list(request)
    found = await site.pools.in_thread(recording_decisions.list_decisions, user_id=person.user_id)
    return untagged_list(
        media_type, fields_of(Decision, found), list(Decision.model_fields), beside={"next": None}
    )  # fmt: skip


@router.post(
    "/recording-decisions",
    operation_id="decideRecording",
    status_code=201,
    responses={**problem_responses(400, 404, 413, 422), **_BROWSER},
    summary="Decide what is one song",
)
async def make_decision(wish: DecisionWish, request: Request, person: CurrentPerson, site: TheSite) -> Decision:
    wanted = {wish.track_id} | ({wish.other_track_id} if wish.other_track_id is not None else set())

    async def heard(marts: Marts) -> bool:
        return len(await names_of_tracks(marts, sorted(wanted))) == len(wanted)

    if (wish.decision == "same") != (wish.other_track_id is not None) or wish.track_id == wish.other_track_id:
        raise Problem(422, "invalid-request", "`same` takes two different tracks, `apart` takes one.")
    if not await site.pools.read(person.user_id, heard):
        raise Problem(404, "not-found", "You have not played this track.")
    try:
        made = await site.pools.in_thread(
            recording_decisions.decide,
            user_id=person.user_id,
            decision=wish.decision,
            track_id=wish.track_id,
            other_track_id=wish.other_track_id,
            address=client_address(request, site.settings.trusted_networks),
        )
    except BadInput as error:
        raise Problem(422, "invalid-request", f"{error}.") from None
    (fields,) = fields_of(Decision, [made])
    return Decision(**fields)


@router.delete(
    "/recording-decisions/{decision_id}",
    operation_id="takeBackRecordingDecision",
    status_code=204,
    responses={**problem_responses(404, 422), **_BROWSER},
    summary="Undo a decision",
)
async def take_back(decision_id: Number, request: Request, person: CurrentPerson, site: TheSite) -> Response:
    """As if you had never made it."""
    found = await site.pools.in_thread(
        recording_decisions.take_back,
        user_id=person.user_id,
        decision_id=decision_id,
        address=client_address(request, site.settings.trusted_networks),
    )
    if not found:
        raise Problem(404, "not-found", "You have no such decision.")
    return Response(status_code=204)
