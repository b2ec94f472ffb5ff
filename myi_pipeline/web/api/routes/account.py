"""A user's signed-in browsers and access tokens.

Only browsers are admitted: a token cannot manage tokens. Anything of another user is answered with 404, and a token is
shown once, in the answer that creates it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Annotated, Any, ClassVar, Literal

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.requests import Request

from myi_pipeline.people import manage_access
from myi_pipeline.people.audit import list_audit
from myi_pipeline.people.manage_access import LONGEST_NAME, LONGEST_TOKEN_DAYS, TokenScope
from myi_pipeline.people.user_time_zones import list_time_zones
from myi_pipeline.web.answers import CSV, accept_list, link, untagged_list
from myi_pipeline.web.api.contract_route import ContractRoute
from myi_pipeline.web.api.parameters import PageOf, no_truth
from myi_pipeline.web.api.routes.reading import open_cursor, responses
from myi_pipeline.web.audit_words import audit_text
from myi_pipeline.web.problems import Problem, problem_responses
from myi_pipeline.web.security.client_address import client_address
from myi_pipeline.web.security.identity import CurrentPerson, CurrentUser
from myi_pipeline.web.shown.contract import Answer, fields_of
from myi_pipeline.web.site import TheSite

router = APIRouter(
    route_class=ContractRoute, prefix="/v1/me", tags=["account"], responses=problem_responses(401, 403, 429, 503)
)

_LARGEST = 2**63 - 1
_LIST = {
    200: {"description": "All of them.", "content": {CSV: {"schema": {"type": "string"}}}},
    **problem_responses(406),
}
Number = Annotated[int, Path(ge=1, le=_LARGEST, description="Its id in the list.")]
_AT = [datetime.fromisoformat("2024-03-09T21:14:07Z")]


class SignIn(Answer):
    """One signed-in browser."""

    renamed: ClassVar[Mapping[str, str]] = {"id": "session_id"}

    id: int = Field(examples=[3])
    session_id: int = Field(description="The same as `id`.", examples=[3])
    method: str = Field(description="`spotify` or `link`.", examples=["spotify"])
    device: str = Field(description="The browser's User-Agent.", examples=["Mozilla/5.0 (X11; Linux x86_64)"])
    created_at: datetime = Field(examples=_AT)
    last_seen_at: datetime = Field(description="Accurate to the minute.", examples=_AT)
    is_this: bool = Field(description="Whether it is the browser that sent this request.")


class _WholeList(Answer):
    next: None = Field(description="Always null: `data` is the whole list.", examples=[None])


class SignIns(_WholeList):
    """Most recently seen first."""

    data: list[SignIn]
    sign_ins: list[SignIn] = Field(description="The same as `data`.")


class Token(Answer):
    """One access token, without the token."""

    renamed: ClassVar[Mapping[str, str]] = {"id": "token_id"}

    id: int = Field(examples=[7])
    token_id: int = Field(description="The same as `id`.", examples=[7])
    name: str = Field(examples=["notebook"])
    scope: str = Field(
        description="`read`; `operate` also opens Dagster's pages; `playlists:write` also moves playlists;"
        " `listens:write` submits listens and reads nothing.",
        examples=["read"],
    )
    created_at: datetime = Field(examples=_AT)
    expires_at: datetime | None = Field(
        description="Null if valid until revoked, like tokens of older versions.", examples=_AT
    )
    last_used_at: datetime | None = Field(description="Accurate to the minute.", examples=_AT)


class Tokens(_WholeList):
    """Newest first."""

    data: list[Token]
    tokens: list[Token] = Field(description="The same as `data`.")


class TokenMade(Token):
    """The only answer that holds the token itself."""

    token: str = Field(description="Store it now: it is not shown again.", examples=["myi_" + "A" * 43])


class ZoneInTurn(Answer):
    """A time zone in which your days were counted."""

    time_zone: str = Field(description="An IANA name.", examples=["Europe/Berlin"])
    valid_from: datetime | None = Field(description="Null: from the start.", examples=_AT)


class ZonesInTurn(_WholeList):
    """In chronological order; the last one is current."""

    data: list[ZoneInTurn]


class AuditEntry(Answer):
    """One recorded action."""

    renamed: ClassVar[Mapping[str, str]] = {"id": "audit_id"}

    id: int = Field(examples=[1207])
    at: datetime = Field(examples=_AT)
    event: str = Field(description="The kind of action; more may be added.", examples=["token_first_used"])
    text: str = Field(description="A sentence about it.", examples=["The token “notebook” was used for the first time"])
    address: str | None = Field(
        description="The address the request came from; null for commands and jobs.",
        examples=["203.0.113.7"],
    )


class AuditLog(Answer):
    """Newest first, at most 400 days old."""

    data: list[AuditEntry]
    next: str | None = Field(
        description="Cursor of the next page; null on the last one. The Link header has the full address.",
        examples=["kX3v-0hJ2c1mB9aQe7Lw8VsiMjAyNC0wMy0xMCIsMTdd"],
    )


class TokenWish(BaseModel):
    """A token to create."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=LONGEST_NAME, examples=["notebook"])
    days: Annotated[int | None, BeforeValidator(no_truth)] = Field(
        default=None, ge=1, le=LONGEST_TOKEN_DAYS, description="Days until it expires; default: a year.", examples=[90]
    )
    scope: Literal["read", "listens:write", "playlists:write"] = Field(
        default="read",
        description="`read`; `listens:write` for a scrobbler; `playlists:write` to read and move playlists.",
        examples=["listens:write"],
    )


@router.get("/sign-ins", operation_id="listSignIns", response_model=SignIns, responses=_LIST)
async def list_sign_ins(request: Request, person: CurrentPerson, site: TheSite) -> Response:
    """Browsers signed in as you."""
    media_type = accept_list(request)
    found = await site.pools.in_thread(
        manage_access.list_sessions,
        user_id=person.user_id,
        idle_days=site.settings.session_idle_days,
        longest_days=site.settings.session_days,
    )
    mine = [SimpleNamespace(**vars(each), is_this=each.session_id == person.session_id) for each in found]
    return _whole_list(media_type, SignIn, mine, "sign_ins")


@router.delete(
    "/sign-ins/{session_id}", operation_id="endSignIn", status_code=204, responses=problem_responses(404, 422)
)
async def end_sign_in(session_id: Number, request: Request, person: CurrentPerson, site: TheSite) -> Response:
    """Sign out one of your browsers."""
    address = client_address(request, site.settings.trusted_networks)
    found = await site.pools.in_thread(
        manage_access.end_session_of, user_id=person.user_id, session_id=session_id, address=address
    )
    return _ended(site, found, "You have no such sign-in.")


@router.get("/time-zones", operation_id="listTimeZones", response_model=ZonesInTurn, responses=_LIST)
async def list_zones(request: Request, visitor: CurrentUser, site: TheSite) -> Response:
    """The time zones in which your days were counted, in chronological order."""
    media_type = accept_list(request)
    found = await site.pools.in_thread(list_time_zones, user_id=visitor.user_id)
    shown = fields_of(ZoneInTurn, found)
    return untagged_list(media_type, shown, list(ZoneInTurn.model_fields), beside={"next": None})


@router.get(
    "/audit",
    operation_id="listAudit",
    response_model=AuditLog,
    responses=responses(is_list=True, tagged=False),
    summary="What was done with your account",
)
async def list_audit_log(request: Request, person: CurrentPerson, site: TheSite, page: PageOf) -> Response:
    """Sign-ins, tokens and their first use, links, exports, wrong credentials, and what the operator did."""
    purpose = f"{person.user_id} {request.url.path}"
    before = int(open_cursor(site.cursors, purpose, page.cursor)[0]) if page.cursor is not None else None
    media_type = accept_list(request)
    found = await site.pools.in_thread(list_audit, user_id=person.user_id, limit=page.limit + 1, before=before)
    shown = [SimpleNamespace(**vars(row), text=audit_text(row)) for row in found[: page.limit]]
    rows = fields_of(AuditEntry, shown)
    cursor = site.cursors.seal(purpose, [found[page.limit - 1].audit_id]) if len(found) > page.limit else None
    links = {"link": link(request, "next", cursor=cursor)} if cursor is not None else {}
    return untagged_list(media_type, rows, list(AuditEntry.model_fields), headers=links, beside={"next": cursor})


@router.get("/tokens", operation_id="listTokens", response_model=Tokens, responses=_LIST)
async def list_tokens(request: Request, person: CurrentPerson, site: TheSite) -> Response:
    """Your valid access tokens."""
    media_type = accept_list(request)
    found = await site.pools.in_thread(manage_access.list_tokens, user_id=person.user_id)
    return _whole_list(media_type, Token, found, "tokens")


@router.post("/tokens", operation_id="makeToken", status_code=201, responses=problem_responses(400, 413, 422))
async def make_token(wish: TokenWish, request: Request, person: CurrentPerson, site: TheSite) -> TokenMade:
    """Create an access token, by default a read-only one. Only this answer ever shows it."""
    address = client_address(request, site.settings.trusted_networks)
    made = await site.pools.in_thread(
        manage_access.make_token,
        user_id=person.user_id,
        name=wish.name,
        days=wish.days,
        scope=TokenScope(wish.scope),
        address=address,
    )
    (about,) = fields_of(Token, [made.about])
    return TokenMade(**about, token=made.token)


@router.delete("/tokens/{token_id}", operation_id="revokeToken", status_code=204, responses=problem_responses(404, 422))
async def revoke_token(token_id: Number, request: Request, person: CurrentPerson, site: TheSite) -> Response:
    """Revoke one of your tokens at once."""
    address = client_address(request, site.settings.trusted_networks)
    found = await site.pools.in_thread(
        manage_access.revoke_token, token_id=token_id, user_id=person.user_id, address=address
    )
    return _ended(site, found, "You have no such token.")


def _whole_list(media_type: str, model: type[Answer], rows: Sequence[object], older_name: str) -> Response:
    shown = fields_of(model, rows)
    return untagged_list(media_type, shown, list(model.model_fields), beside={"next": None, older_name: shown})


def _ended(site: Any, found: bool, otherwise: str) -> Response:
    site.visitors.forget_all()
    if not found:
        raise Problem(404, "not-found", otherwise)
    return Response(status_code=204)
