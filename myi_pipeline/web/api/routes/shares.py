"""Share reports: choosing and previewing the content, creating the link, changing and revoking it.

Only a signed-in browser may create, change or revoke one; tokens read the list. Another user's report is answered with
404. Visitors see a report as a page (`web/dashboard/shared_page.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Annotated, Any, ClassVar, Literal

import orjson
from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool
from starlette.requests import Request

from myi_pipeline.errors import BadInput, Gone
from myi_pipeline.people.kept_answers import KeptAnswer
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.sharing import shares as kept
from myi_pipeline.sharing.rules import LONGEST_TITLE, PARTS, Kind, Part, usual_expiry
from myi_pipeline.sharing.shares import Share, ShareWish
from myi_pipeline.sharing.snapshots import MOST_ROWS, Snapshot
from myi_pipeline.web.answers import JSON, accept_json, accept_list, untagged_list
from myi_pipeline.web.api.contract_route import ContractRoute
from myi_pipeline.web.api.parameters import BodyDay, Moment, whole_number
from myi_pipeline.web.api.routes.reading import problems, responses
from myi_pipeline.web.idempotency import REPLAYED_HEADER, IdempotencyKey, repeatable
from myi_pipeline.web.problems import Problem, refused
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.spans import Period, today_in
from myi_pipeline.web.reads.top import By
from myi_pipeline.web.security.client_address import client_address
from myi_pipeline.web.security.identity import CurrentPerson, CurrentUser
from myi_pipeline.web.security.rate_limits import Tier, limited
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.shown.contract import Answer, fields_of
from myi_pipeline.web.shown.snapshots import Chosen, What, take_snapshot, usual_title
from myi_pipeline.web.shown.spans import Span
from myi_pipeline.web.site import Site, TheSite

router = APIRouter(route_class=ContractRoute, prefix="/v1/me", tags=["shares"])

_NONE = "You have no such report."
_NOTHING = "Nothing was heard on these days."
_LIMITED = [Depends(limited(Tier.SENSITIVE, "shares"))]
_AT = [datetime.fromisoformat("2024-03-09T21:14:07Z")]
_DAY = [date(2024, 3, 9)]
_FOR_BROWSERS = {"_403": "Only a signed-in browser can do this.", "_400": "The body cannot be read.",
                 "_413": "The body is too large."}  # fmt: skip
ShareId = Annotated[
    str,
    Path(pattern="^[0-9A-Za-z]{12}$", description="The last part of its address.", examples=["7Hq2ZkP0aXcT"]),
]
Number = Annotated[int, BeforeValidator(whole_number)]
Count = Annotated[int, Field(ge=0, examples=[42])]


class ShareFacts(Answer):
    """A report without its content."""

    renamed: ClassVar[dict[str, str]] = {"id": "share_id"}

    id: str = Field(description="The last part of its address.", examples=["7Hq2ZkP0aXcT"])
    url: str = Field(description="The link to share.", examples=["https://music.example.org/s/7Hq2ZkP0aXcT"])
    kind: Kind = Field(examples=["year"])
    title: str = Field(examples=["My 2024"])
    state: str = Field(description="open, expired or revoked.", examples=["open"])
    made_at: datetime = Field(examples=_AT)
    expires_at: datetime | None = Field(description="Null: never.", examples=_AT)
    revoked_at: datetime | None = Field(description="Null while it is shared.", examples=_AT)
    is_indexed: bool = Field(description="Whether search engines may list it.")
    views: int = Field(ge=0, description="Visitors, each counted once a day; you are not counted.", examples=[3])


class ShareList(Answer):
    data: list[ShareFacts] = Field(description="Newest first; revoked ones stay listed for 400 days.")
    next: None = Field(description="Always null: `data` is the whole list.", examples=[None])


class SharedFigures(Answer):
    ms_played: int = Field(ge=0, examples=[7_560_000])
    plays: Count
    days: int = Field(ge=0, description="Days with plays.", examples=[211])
    unknown_plays: int = Field(ge=0, description="Plays of unknown length.", examples=[0])
    known_days: int = Field(
        ge=0, description="The number of `asked_days` on which no play can be missing.", examples=[366]
    )
    asked_days: int = Field(ge=0, examples=[366])


class SharedRow(Answer):
    rank: int = Field(ge=1, examples=[1])
    name: str | None = Field(examples=["Sinnerman"])
    artist: str | None = Field(description="Null in a list of artists.", examples=["Nina Simone"])
    plays: int | None = Field(description="Counted plays; null if figures are left out.", examples=[42])
    ms_played: int | None = Field(description="Null if figures are left out.", examples=[7_560_000])


class SharedTop(Answer):
    what: What
    ranked_by: By
    rows: list[SharedRow]


class SharedBar(Answer):
    starts_on: date = Field(examples=_DAY)
    ms_played: int = Field(ge=0, examples=[7_560_000])


class SharedOverTime(Answer):
    by: Literal["day", "month", "year"]
    bars: list[SharedBar]


class SharedCard(Answer):
    name: str = Field(examples=["hours"])
    says: str = Field(description="The card as a sentence.", examples=["You listened for. 1,204 hours."])


class ShareSnapshot(Answer):
    """Exactly what the page shows."""

    kind: Kind = Field(examples=["year"])
    label: str = Field(examples=["2024"])
    first_day: date = Field(examples=_DAY)
    last_day: date = Field(examples=_DAY)
    known_to: date | None = Field(description="Null if the period had ended.", examples=_DAY)
    taken_on: date = Field(examples=_DAY)
    owner: str | None = Field(description="The name that is shown.", examples=["Ada"])
    figures: SharedFigures | None
    lists: list[SharedTop]
    over_time: SharedOverTime | None
    clock: list[Count] | None = Field(description="Milliseconds by hour of the day.", examples=[[7_560_000] * 24])
    cards: list[SharedCard] = Field(description="Of a story.")


class ShareDocument(ShareFacts):
    snapshot: ShareSnapshot | None = Field(description="Its content; null after it was revoked.")


class SharePreview(Answer):
    title: str = Field(description="The title it would get.", examples=["My 2024"])
    snapshot: ShareSnapshot


class ShareChoice(BaseModel):
    """What the report contains, and of which days.

    A `year` or `month` containing `date`; a `range` from `first_day` to `last_day`; a `top` list of a `period` or a
    range; or the `story` of a `period` (year or month)."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    date: BodyDay = Field(default=None, description="Any day of it; defaults to today.", examples=["2024-03-09"])
    period: Literal["week", "month", "year", "all"] | None = Field(default=None, examples=["year"])
    first_day: BodyDay = Field(default=None, examples=["2024-03-01"])
    last_day: BodyDay = Field(default=None, examples=["2024-03-31"])
    parts: list[Part] | None = Field(
        default=None,
        max_length=len(PARTS),
        description="What it contains, except for a story; null: everything. Without `figures`, names are shown"
        " without counts and times.",
        examples=[["figures", "artists"]],
    )
    cards: list[Annotated[str, Field(pattern="^[a-z]{1,20}$")]] | None = Field(
        default=None, max_length=12, description="Stories only, by name; null: all.", examples=[["hours"]]
    )
    what: What = Field(default="artists", description="Top lists only.")
    rank_by: By = Field(default="plays", description="Top lists only.")
    limit: Number = Field(default=25, ge=1, le=MOST_ROWS, description="Top lists only.", examples=[25])
    with_name: StrictBool = Field(default=False, description="Whether it shows your display name.")


class SharesWish(ShareChoice):
    title: str | None = Field(default=None, min_length=1, max_length=LONGEST_TITLE, examples=["My 2024"])
    expires_at: Moment = Field(default=None, description="In the future; null: after MYI_SHARE_DAYS.", examples=_AT)
    never_expires: StrictBool = Field(default=False, description="Cannot be combined with `expires_at`.")
    is_indexed: StrictBool = Field(default=False, description="Whether search engines may list it.")


class ShareChange(BaseModel):
    """Fields that are left out do not change."""

    model_config = ConfigDict(extra="forbid")

    title: str | None = Field(default=None, min_length=1, max_length=LONGEST_TITLE, examples=["My 2024"])
    expires_at: Moment = Field(default=None, description="In the future.", examples=_AT)
    never_expires: StrictBool = Field(default=False, description="Cannot be combined with `expires_at`.")
    is_indexed: StrictBool | None = Field(default=None, description="Whether search engines may list it.")


@router.get(
    "/shares",
    operation_id="listShares",
    response_model=ShareList,
    responses=responses(is_table=True, tagged=False),
    summary="Your share reports",
)
async def list_shares(request: Request, visitor: CurrentUser, site: TheSite) -> Response:
    media_type = accept_list(request)
    found = await site.pools.in_thread(kept.list_shares, user_id=visitor.user_id, now=datetime.now(UTC))
    return untagged_list(
        media_type, _facts(site, found), list(ShareFacts.model_fields), beside={"next": None}
    )  # fmt: skip


@router.post(
    "/share-previews",
    operation_id="previewShare",
    responses=problems(401, 422, 429, 503, 504, _404=_NOTHING, **_FOR_BROWSERS),
    dependencies=_LIMITED,
    summary="Preview a share report",
)
async def preview(choice: ShareChoice, person: CurrentPerson, site: TheSite) -> SharePreview:
    """Nothing is stored or shared."""
    chosen = _chosen(choice, person)
    snapshot = await _taken(site, person, chosen)
    return SharePreview(title=usual_title(chosen, person), snapshot=ShareSnapshot(**_document(snapshot)))


@router.post(
    "/shares",
    operation_id="makeShare",
    status_code=201,
    response_model=ShareFacts,
    responses={
        201: {
            "description": "Shared: `url` is the link to share.",
            "headers": {
                "Location": {"description": "Address of the report in this API.", "schema": {"type": "string"}},
                **REPLAYED_HEADER,
            },
        },
        **problems(401, 422, 429, 503, 504, _404=_NOTHING, **_FOR_BROWSERS),
    },
    dependencies=_LIMITED,
    summary="Share a report",
)
async def make(
    wish: SharesWish, request: Request, person: CurrentPerson, site: TheSite, idempotency_key: IdempotencyKey = None
) -> Response:
    """Stores a copy of the current figures behind a link that nobody can guess."""
    now = datetime.now(UTC)
    chosen = _chosen(wish, person)
    expires_at = _expiry(wish.expires_at, never=wish.never_expires)
    if expires_at is None and not wish.never_expires:
        expires_at = usual_expiry(days=site.settings.share_days, now=now)
    asked = ShareWish(
        title=wish.title or usual_title(chosen, person), expires_at=expires_at, is_indexed=wish.is_indexed
    )
    snapshot = await _taken(site, person, chosen)

    def work(connection: Connection) -> KeptAnswer:
        made = kept.make_share(
            connection, user_id=person.user_id, snapshot=snapshot, wish=asked, now=now, address=_address(request, site)
        )
        (facts,) = _facts(site, [made])
        body = orjson.dumps(facts, option=orjson.OPT_UTC_Z).decode()
        return KeptAnswer(status=201, body=body, location=f"/v1/me/shares/{made.share_id}")

    try:
        return await repeatable(request, site, person, idempotency_key, work)
    except BadInput as error:
        raise refused(error) from None


@router.get(
    "/shares/{share_id}",
    operation_id="getShare",
    response_model=ShareDocument,
    responses=responses(tagged=False, _404=_NONE),
    summary="One share report",
)
async def get(share_id: ShareId, request: Request, visitor: CurrentUser, site: TheSite) -> Response:
    """Including its content."""
    accept_json(request)
    try:
        share, snapshot = await site.pools.in_thread(
            kept.get_with_snapshot, user_id=visitor.user_id, share_id=share_id, now=datetime.now(UTC)
        )
    except Gone:
        raise Problem(404, "not-found", _NONE) from None
    (facts,) = _facts(site, [share])
    return _json({**facts, "snapshot": _document(snapshot) if snapshot is not None else None})


@router.patch(
    "/shares/{share_id}",
    operation_id="changeShare",
    response_model=ShareFacts,
    responses=problems(401, 422, 429, 503, _404=_NONE, _409="The report was revoked.", **_FOR_BROWSERS),
    summary="Change the title or expiry of a share report",
)
async def change(
    share_id: ShareId, wish: ShareChange, request: Request, person: CurrentPerson, site: TheSite
) -> Response:
    """Its content and the fields that are left out do not change. A later expiry shares an expired report again."""
    now = datetime.now(UTC)
    until = _expiry(wish.expires_at, never=wish.never_expires)
    try:
        before = await site.pools.in_thread(kept.get_share, user_id=person.user_id, share_id=share_id, now=now)
        asked = ShareWish(
            title=before.title if wish.title is None else wish.title,
            expires_at=None if wish.never_expires else until if until is not None else before.expires_at,
            is_indexed=before.is_indexed if wish.is_indexed is None else wish.is_indexed,
        )
        if before.state == "revoked":
            raise Problem(409, "revoked", "This report was revoked; create a new one.")
        changed = await site.pools.in_thread(
            kept.change_share, user_id=person.user_id, share_id=share_id, wish=asked, now=now,
            address=_address(request, site),
        )  # fmt: skip
    except Gone:
        raise Problem(404, "not-found", _NONE) from None
    except BadInput as error:
        raise refused(error) from None
    (facts,) = _facts(site, [changed])
    return _json(facts)


@router.delete(
    "/shares/{share_id}",
    operation_id="revokeShare",
    status_code=204,
    responses=problems(401, 422, 429, 503, _403="Only a signed-in browser can do this.", _404=_NONE),
    summary="Stop sharing a report",
)
async def revoke(share_id: ShareId, request: Request, person: CurrentPerson, site: TheSite) -> Response:
    """Its link stops working, and its content is deleted."""
    found = await site.pools.in_thread(
        kept.revoke_share, user_id=person.user_id, share_id=share_id, now=datetime.now(UTC),
        address=_address(request, site),
    )  # fmt: skip
    if not found:
        raise Problem(404, "not-found", _NONE)
    return Response(status_code=204)


async def _taken(site: Site, person: Visitor, chosen: Chosen) -> Snapshot:
    async def read(marts: Marts) -> Snapshot:
        return await take_snapshot(marts, chosen, person)

    return await site.pools.read(person.user_id, read)


def _chosen(choice: ShareChoice, person: Visitor) -> Chosen:
    """Raises Problem 422."""
    if choice.kind == "story" and choice.parts is not None:
        raise _wrong("A story has `cards`, not `parts`.")
    if choice.kind != "story" and choice.cards is not None:
        raise _wrong("Only a story has `cards`.")
    return Chosen(
        kind=choice.kind,
        span=_span(choice, today_in(person.time_zone)),
        parts=frozenset(PARTS if choice.parts is None else choice.parts),
        cards=frozenset(choice.cards) if choice.cards is not None else None,
        with_name=choice.with_name,
        what=choice.what,
        ranked=choice.rank_by,
        limit=choice.limit,
    )


def _span(choice: ShareChoice, today: date) -> Span:
    at: date = choice.date or today
    days = (choice.first_day, choice.last_day)
    if choice.kind == "range" or (choice.kind == "top" and days != (None, None)):
        first, last = days
        if first is None or last is None or first > last or choice.period is not None or choice.date is not None:
            raise _wrong("Give `first_day` and `last_day`, in order, but neither `period` nor `date`.")
        return Span(None, first, last)
    if days != (None, None):
        raise _wrong("Only a range or a top list has `first_day` and `last_day`.")
    if choice.kind in ("year", "month"):
        if choice.period is not None:
            raise _wrong("Only a top list or a story has `period`.")
        return Span.of(Period(choice.kind), at)
    period = Period(choice.period or ("all" if choice.kind == "top" else "year"))
    if choice.kind == "story" and period not in (Period.YEAR, Period.MONTH):
        raise _wrong("A story covers a year or a month.")
    return Span.of(period, at)


def _expiry(at: datetime | None, *, never: bool) -> datetime | None:
    if never and at is not None:
        raise _wrong("`never_expires` cannot be combined with `expires_at`.")
    return at


def _facts(site: Site, found: Sequence[Share]) -> list[dict[str, Any]]:
    url = site.settings.site_url
    rows = [SimpleNamespace(**vars(each), url=f"{url}/s/{each.share_id}") for each in found]
    return fields_of(ShareFacts, rows)


def _document(snapshot: Snapshot) -> dict[str, Any]:
    """A card is reduced to its name and its sentence; the layout is only for pages."""
    whole = snapshot.model_dump(exclude={"version", "cards"})
    return {**whole, "cards": [{"name": card.name, "says": card.says} for card in snapshot.cards]}


def _json(content: object) -> Response:
    return Response(orjson.dumps(content, option=orjson.OPT_UTC_Z), media_type=JSON)


def _address(request: Request, site: Site) -> str:
    return client_address(request, site.settings.trusted_networks)


def _wrong(detail: str) -> Problem:
    return Problem(422, "invalid-request", detail)
