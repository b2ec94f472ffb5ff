"""Plays that a user hid, deleted or corrected: listing, previewing, making and undoing corrections.

Only a signed-in browser may make or undo one; tokens read. No answer reveals another user's plays or corrections.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from types import SimpleNamespace
from typing import Annotated, Any, ClassVar, Literal

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.requests import Request

from myi_pipeline.errors import BadInput
from myi_pipeline.people import corrections as rules
from myi_pipeline.people.corrections import LONGEST_NOTE, LONGEST_SHIFT_S, Action, Described, Kind, Wish
from myi_pipeline.web.answers import CSV, accept_list, untagged_list
from myi_pipeline.web.api.contract_route import ContractRoute
from myi_pipeline.web.api.models import Heard, PlayId
from myi_pipeline.web.api.parameters import Moment
from myi_pipeline.web.problems import Problem, problem_responses, refused
from myi_pipeline.web.reads.corrections import ReachedRow, reached_by
from myi_pipeline.web.reads.cursors import MOST_BIGINT, MOST_INT
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.security.client_address import client_address
from myi_pipeline.web.security.identity import CurrentPerson, CurrentUser
from myi_pipeline.web.shown.contract import Answer, fields_of
from myi_pipeline.web.site import TheSite

router = APIRouter(
    route_class=ContractRoute,
    prefix="/v1/me",
    tags=["corrections"],
    responses=problem_responses(401, 403, 429, 503),
)

_AT = [datetime.fromisoformat("2024-03-09T21:14:07Z")]
_LIST = {
    200: {"description": "All of them.", "content": {CSV: {"schema": {"type": "string"}}}},
    **problem_responses(406),
}
Number = Annotated[int, Path(ge=1, le=MOST_BIGINT, description="Its id in the list.")]


def _whole(value: object) -> object:
    """Python accepts true, 1.0 and "1" as whole numbers; JSON Schema accepts neither a text nor a boolean."""
    if isinstance(value, bool | str):
        raise ValueError("must be a whole number")
    return value


class CorrectionMade(Answer):
    """A selection of plays as their sources report them, and its correction. A null field does not narrow it."""

    renamed: ClassVar[Mapping[str, str]] = {"id": "correction_id"}

    id: int = Field(examples=[3])
    action: Action = Field(examples=["hide"])
    play_id: PlayId | None = Field(description="A single play: the one that contains this event.")
    reported_at: datetime | None = Field(description="When that event was reported.", examples=_AT)
    from_at: datetime | None = Field(description="Reported at this time or later.", examples=_AT)
    until_at: datetime | None = Field(description="Reported before this time.", examples=_AT)
    artist_id: int | None = Field(examples=[271])
    source: str | None = Field(description="The source that represents the play.", examples=["extended_history"])
    kind: Kind | None = Field(examples=["track"])
    shift_s: int | None = Field(description="Seconds by which the plays are moved.", examples=[3600])
    to_content_id: int | None = Field(description="What was played instead.", examples=[42])
    note: str | None = Field(examples=["white noise at night"])
    created_at: datetime = Field(examples=_AT)
    undone_at: datetime | None = Field(description="Null while it is in force.", examples=_AT)
    for_good_at: datetime | None = Field(
        description="When the source rows of the plays were deleted; null if they were kept.", examples=_AT
    )


class CorrectionList(Answer):
    """Corrections in force, newest first, then those that were undone."""

    data: list[CorrectionMade]
    next: None = Field(description="Always null: `data` is the whole list.", examples=[None])


class Reached(Heard):
    """The currently shown plays that a correction would affect."""

    days: int = Field(ge=0, description="Days with at least one of them.", examples=[5])
    first_day: date | None = Field(description="Null if there are none.", examples=[date(2024, 3, 9)])
    last_day: date | None = Field(description="Null if there are none.", examples=[date(2024, 3, 9)])


class CorrectionMadeNow(Answer):
    id: int = Field(description="Its id in the list.", examples=[3])


class PlaysMeant(BaseModel):
    """Selects plays by at least one field; a single play needs both its id and its time."""

    model_config = ConfigDict(extra="forbid")

    play_id: PlayId | None = None
    reported_at: Moment = Field(default=None, description="`reported_at` of that play.", examples=_AT)
    from_at: Moment = Field(default=None, description="Reported at this time or later.", examples=_AT)
    until_at: Moment = Field(default=None, description="Reported before this time.", examples=_AT)
    artist_id: Annotated[int | None, BeforeValidator(_whole)] = Field(default=None, ge=1, le=MOST_INT, examples=[271])
    source: str | None = Field(
        default=None, max_length=40, description="The `source` of the plays.", examples=["extended_history"]
    )
    kind: Literal["track", "episode", "chapter", "unknown"] | None = None

    def described(self) -> Described:
        """Raises Problem 422."""
        event_id = int(self.play_id) if self.play_id is not None else None
        if event_id is not None and not -MOST_BIGINT - 1 <= event_id <= MOST_BIGINT:
            raise Problem(422, "invalid-request", "There is no play with this id.")
        return Described(
            event_id=event_id, event_at=self.reported_at, from_at=self.from_at, until_at=self.until_at,
            artist_id=self.artist_id, source=self.source, kind=self.kind,
        )  # fmt: skip


class CorrectionWish(PlaysMeant):
    """What to do with them: `correct` moves them in time, replaces their content, or both."""

    action: Action
    shift_s: Annotated[int | None, BeforeValidator(_whole)] = Field(
        default=None,
        ge=-LONGEST_SHIFT_S,
        le=LONGEST_SHIFT_S,
        description="Seconds; positive if the clock was slow.",
        examples=[3600],
    )
    to_content_id: Annotated[int | None, BeforeValidator(_whole)] = Field(
        default=None, ge=1, le=MOST_INT, examples=[42]
    )
    note: str | None = Field(default=None, max_length=LONGEST_NOTE, examples=["white noise at night"])
    for_good: bool = Field(
        default=False,
        description="Deletes the source rows as well, which cannot be undone. Only with `delete` of a time span, an"
        " artist or a source, and without a note.",
    )


@router.get("/corrections", operation_id="listCorrections", response_model=CorrectionList, responses=_LIST)
async def list_corrections(request: Request, visitor: CurrentUser, site: TheSite) -> Response:
    """What you hid, deleted or corrected."""
    media_type = accept_list(request)
    found = await site.pools.in_thread(rules.list_corrections, user_id=visitor.user_id)
    rows = [
        SimpleNamespace(
            **vars(each),
            play_id=str(each.event_id) if each.event_id is not None else None,
            reported_at=each.event_at,
        )
        for each in found
    ]
    shown = fields_of(CorrectionMade, rows)
    return untagged_list(media_type, shown, list(CorrectionMade.model_fields), beside={"next": None})


@router.post("/correction-previews", operation_id="previewCorrection", responses=problem_responses(400, 413, 422, 504))
async def preview(meant: PlaysMeant, visitor: CurrentPerson, site: TheSite) -> Reached:
    """How many of your plays this would affect now."""
    described = meant.described()
    await _checked(site, described)

    async def read(marts: Marts) -> ReachedRow:
        return await reached_by(marts, described)

    (found,) = fields_of(Reached, [await site.pools.read(visitor.user_id, read)])
    return Reached(**found)


@router.post("/corrections", operation_id="correctPlays", status_code=201, responses=problem_responses(400, 413, 422))
async def correct(wish: CorrectionWish, request: Request, person: CurrentPerson, site: TheSite) -> CorrectionMadeNow:
    """Hide, delete or correct plays, including those that arrive later. Your figures follow within minutes."""
    made = Wish(
        action=wish.action, described=wish.described(), shift_s=wish.shift_s, to_content_id=wish.to_content_id,
        note=wish.note, for_good=wish.for_good,
    )  # fmt: skip
    address = client_address(request, site.settings.trusted_networks)
    try:
        number = await site.pools.in_thread(rules.add_correction, user_id=person.user_id, wish=made, address=address)
    except BadInput as error:
        raise refused(error) from None
    return CorrectionMadeNow(id=number)


@router.delete(
    "/corrections/{correction_id}",
    operation_id="undoCorrection",
    status_code=204,
    responses=problem_responses(404, 422),
)
async def undo(correction_id: Number, request: Request, person: CurrentPerson, site: TheSite) -> Response:
    """Undo a correction: its plays are again as the sources report them."""
    address = client_address(request, site.settings.trusted_networks)
    found = await site.pools.in_thread(
        rules.undo_correction, user_id=person.user_id, correction_id=correction_id, address=address
    )
    if not found:
        raise Problem(404, "not-found", "You have no such correction in force.")
    return Response(status_code=204)


async def _checked(site: Any, described: Described) -> None:
    try:
        rules.check_described(described)
        await site.pools.in_thread(rules.check_source, described.source)
    except BadInput as error:
        raise refused(error) from None
