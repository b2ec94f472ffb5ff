"""Playlists that are made here: from a former version of one, from what was removed, or from what you played most.

The answer comes once the list is stored; it appears among your playlists with the next refresh of the marts, within a
minute or two. Making it again adds a version if anything differs.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool

from myi_pipeline.errors import BadInput
from myi_pipeline.people.kept_answers import KeptAnswer
from myi_pipeline.playlists.own_lists import LONGEST_NAME, MadeList, restore
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.web.api.contract_route import ContractRoute
from myi_pipeline.web.api.parameters import BodyDay, Moment, whole_number
from myi_pipeline.web.api.routes.playlist_files import refusal
from myi_pipeline.web.api.routes.playlists import PlaylistId
from myi_pipeline.web.api.routes.reading import problems
from myi_pipeline.web.idempotency import REPLAYED_HEADER, IdempotencyKey, repeatable
from myi_pipeline.web.problems import Problem
from myi_pipeline.web.reads.cursors import MOST_INT
from myi_pipeline.web.reads.played_lists import MOST_TRACKS, PlayedDays, PlayedList
from myi_pipeline.web.reads.spans import Period, moment, today_in
from myi_pipeline.web.reads.top import By, Listed
from myi_pipeline.web.security.identity import PlaylistMover
from myi_pipeline.web.security.rate_limits import Tier, limited
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.shown.contract import Answer, fields_of
from myi_pipeline.web.shown.made_playlists import list_of_plays
from myi_pipeline.web.site import Site, TheSite

router = APIRouter(route_class=ContractRoute, prefix="/v1/me", tags=["playlists"])

_NONE = "You have no playlist with this id."
_LIMITED = [Depends(limited(Tier.SENSITIVE, "playlists"))]
_REFUSALS = problems(
    401, 422, 429, 503, 504, _400="The body cannot be read.",
    _403="This token is read-only; making playlists needs the scope `playlists:write`.",
    _413="The body is too large.",
)  # fmt: skip
Number = Annotated[int | None, BeforeValidator(whole_number)]
Name = Annotated[str | None, Field(max_length=LONGEST_NAME, examples=["Songs of a summer"])]


class PlaylistMade(Answer):
    playlist_id: int = Field(examples=[12])
    name: str = Field(examples=["Sunday morning, 2024-03-09"])
    version_no: int = Field(ge=1, examples=[1])
    entries: int = Field(ge=0, examples=[42])
    is_new: bool = Field(description="Whether a version was added; false if nothing changed.", examples=[True])


_MADE: dict[int | str, dict[str, Any]] = {
    200: {"description": "Nothing changed.", "model": PlaylistMade, "headers": REPLAYED_HEADER},
    201: {"description": "Created, or a version was added.", "headers": REPLAYED_HEADER},
    **_REFUSALS,
}


class RestorationWish(BaseModel):
    """The point in time: a version, a day (its end) or a moment; not needed for everything that was ever removed."""

    model_config = ConfigDict(extra="forbid")

    version_no: Number = Field(default=None, ge=1, le=MOST_INT, examples=[3])
    day: BodyDay = Field(default=None, description="As it was at the end of this day.", examples=["2024-03-09"])
    at: Moment = Field(default=None, description="As it was at this moment.", examples=["2024-03-09T21:14:07Z"])
    only_removed: StrictBool = Field(default=False, description="Only entries that were removed since.")
    name: Name = Field(default=None, description="Name of the new playlist.")


class PlayedListWish(BaseModel):
    """Selects plays: a period, or the days from `first_day` to `last_day`."""

    model_config = ConfigDict(extra="forbid")

    period: Literal["week", "month", "year", "all"] | None = Field(default=None, examples=["month"])
    date: BodyDay = Field(
        default=None, description="Any day of the period; defaults to today.", examples=["2024-03-09"]
    )
    first_day: BodyDay = Field(default=None, examples=["2024-03-01"])
    last_day: BodyDay = Field(default=None, examples=["2024-03-31"])
    limit: Annotated[int, BeforeValidator(whole_number)] = Field(default=50, ge=1, le=MOST_TRACKS, examples=[100])
    rank_by: By = Field(default="plays", description="Rank by counted plays or by time heard.")
    by: Literal["recording", "track"] = Field(default="recording", description="Songs or single tracks.")
    new_only: StrictBool = Field(default=False, description="Only what was first heard during these days.")
    not_since: BodyDay = Field(
        default=None, description="Only what was not heard on this day or later.", examples=["2024-01-01"]
    )
    name: Name = Field(default=None, description="The same name means the same list.")


@router.post(
    "/playlists/{playlist_id}/restorations",
    operation_id="restorePlaylist",
    status_code=201,
    response_model=PlaylistMade,
    responses={**_MADE, **problems(_404=_NONE)},
    dependencies=_LIMITED,
    summary="Make a playlist from a former version of one",
)
async def restore_playlist(
    wish: RestorationWish,
    request: Request,
    mover: PlaylistMover,
    site: TheSite,
    playlist_id: PlaylistId,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """All of it, or only what was removed since. The original playlist does not change."""
    if sum(given is not None for given in (wish.version_no, wish.day, wish.at)) > 1:
        raise Problem(422, "invalid-request", "Give exactly one of `version_no`, `day` and `at`.")
    before = wish.at + timedelta(microseconds=1) if wish.at is not None else None
    if wish.day is not None:
        before = moment(wish.day, mover.zones, is_end=True)
    make = partial(
        restore, user_id=mover.user_id, playlist_id=playlist_id, version_no=wish.version_no, before=before,
        only_removed=wish.only_removed, name=wish.name, now=datetime.now(UTC),
    )  # fmt: skip
    return await _answer(request, site, mover, idempotency_key, make)


@router.post(
    "/playlists",
    operation_id="makePlaylist",
    status_code=201,
    response_model=PlaylistMade,
    responses=_MADE,
    dependencies=_LIMITED,
    summary="Make a playlist from what you played most",
)
async def playlist_of_plays(
    wish: PlayedListWish, request: Request, mover: PlaylistMover, site: TheSite, idempotency_key: IdempotencyKey = None
) -> Response:
    """Plays of all tracks of a song are added up; the song is listed as the track that services know best."""
    today = today_in(mover.time_zone)
    wanted = PlayedList(
        days=_days(wish, today), limit=wish.limit, by=wish.rank_by, counted_by=Listed(wish.by),
        new_only=wish.new_only, not_since=wish.not_since,
    )  # fmt: skip
    make = await list_of_plays(site, mover, wanted, name=wish.name, today=today)
    return await _answer(request, site, mover, idempotency_key, make)


def _days(wish: PlayedListWish, today: date) -> PlayedDays:
    """Raises Problem 422."""
    if wish.first_day is None and wish.last_day is None:
        return PlayedDays.of(Period(wish.period or "all"), wish.date or today)
    if wish.period is not None or wish.date is not None:
        raise Problem(422, "invalid-request", "`period` cannot be combined with `first_day` and `last_day`.")
    try:
        return PlayedDays.between(wish.first_day, wish.last_day, today=today)
    except ValueError:
        raise Problem(422, "invalid-request", "`first_day` must not be after `last_day`.") from None


async def _answer(
    request: Request, site: Site, mover: Visitor, key: str | None, make: Callable[[Connection], MadeList]
) -> Response:
    def work(connection: Connection) -> KeptAnswer:
        made = make(connection)
        (fields,) = fields_of(PlaylistMade, [made])
        return KeptAnswer(status=201 if made.is_new else 200, body=orjson.dumps(fields).decode())

    try:
        return await repeatable(request, site, mover, key, work)
    except BadInput as error:
        raise refusal(error) from None
