"""A user's signed-in browsers and access tokens.

Only browsers may ask: a token cannot manage tokens. What belongs to another user does not exist here, and a token is
shown once, by the answer that makes it.
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
from myi_pipeline.people.manage_access import LONGEST_NAME, LONGEST_TOKEN_DAYS, TokenScope
from myi_pipeline.web.answers import CSV, accept_list, untagged_list
from myi_pipeline.web.api.contract_route import ContractRoute
from myi_pipeline.web.api.models import Answer
from myi_pipeline.web.api.routes.reading import fields_of
from myi_pipeline.web.problems import Problem, problem_responses
from myi_pipeline.web.security.client_address import client_address
from myi_pipeline.web.security.identity import CurrentPerson
from myi_pipeline.web.site import TheSite

router = APIRouter(
    route_class=ContractRoute, prefix="/v1/me", tags=["account"], responses=problem_responses(401, 403, 429, 503)
)

_LARGEST = 2**63 - 1
_LIST = {
    200: {"description": "All of them.", "content": {CSV: {"schema": {"type": "string"}}}},
    **problem_responses(406),
}
Number = Annotated[int, Path(ge=1, le=_LARGEST, description="Its number in the list.")]
_AT = [datetime.fromisoformat("2024-03-09T21:14:07Z")]


class SignIn(Answer):
    """One browser that is signed in."""

    renamed: ClassVar[Mapping[str, str]] = {"id": "session_id"}

    id: int = Field(examples=[3])
    session_id: int = Field(description="The same as `id`.", examples=[3])
    method: str = Field(description="`spotify` or `link`.", examples=["spotify"])
    device: str = Field(description="What the browser calls itself.", examples=["Mozilla/5.0 (X11; Linux x86_64)"])
    created_at: datetime = Field(examples=_AT)
    last_seen_at: datetime = Field(description="To the minute.", examples=_AT)
    is_this: bool = Field(description="Whether it is the browser that asks.")


class _WholeList(Answer):
    next: None = Field(description="Null, as `data` is the whole list.", examples=[None])


class SignIns(_WholeList):
    """The last seen first."""

    data: list[SignIn]
    sign_ins: list[SignIn] = Field(description="The same as `data`.")


class Token(Answer):
    """One access token, without the token."""

    renamed: ClassVar[Mapping[str, str]] = {"id": "token_id"}

    id: int = Field(examples=[7])
    token_id: int = Field(description="The same as `id`.", examples=[7])
    name: str = Field(examples=["notebook"])
    scope: str = Field(
        description="`read`; `operate` uses Dagster's pages too; `listens:write` submits listens and reads nothing.",
        examples=["read"],
    )
    created_at: datetime = Field(examples=_AT)
    expires_at: datetime | None = Field(
        description="None: until revoked, as tokens of older versions were.", examples=_AT
    )
    last_used_at: datetime | None = Field(description="To the minute.", examples=_AT)


class Tokens(_WholeList):
    """The newest first."""

    data: list[Token]
    tokens: list[Token] = Field(description="The same as `data`.")


class TokenMade(Token):
    """The only answer that holds the token itself."""

    token: str = Field(description="Keep it: it is not shown again.", examples=["myi_" + "A" * 43])


def no_truth(value: object) -> object:
    """Python counts true as 1; JSON Schema does not."""
    if isinstance(value, bool):
        raise ValueError("must be a whole number")
    return value


class TokenWish(BaseModel):
    """What a token is to be."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=LONGEST_NAME, examples=["notebook"])
    days: Annotated[int | None, BeforeValidator(no_truth)] = Field(
        default=None, ge=1, le=LONGEST_TOKEN_DAYS, description="Days until it ends; None: a year.", examples=[90]
    )
    scope: Literal["read", "listens:write"] = Field(
        default="read", description="`read`, or `listens:write` for a scrobbler.", examples=["listens:write"]
    )


@router.get("/sign-ins", operation_id="listSignIns", response_model=SignIns, responses=_LIST)
async def list_sign_ins(request: Request, person: CurrentPerson, site: TheSite) -> Response:
    """Browsers that are signed in as you."""
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
    """Sign one of your browsers out."""
    address = client_address(request, site.settings.trusted_networks)
    found = await site.pools.in_thread(
        manage_access.end_session_of, user_id=person.user_id, session_id=session_id, address=address
    )
    return _ended(site, found, "You have no such sign-in.")


@router.get("/tokens", operation_id="listTokens", response_model=Tokens, responses=_LIST)
async def list_tokens(request: Request, person: CurrentPerson, site: TheSite) -> Response:
    """Your access tokens that are good."""
    media_type = accept_list(request)
    found = await site.pools.in_thread(manage_access.list_tokens, user_id=person.user_id)
    return _whole_list(media_type, Token, found, "tokens")


@router.post("/tokens", operation_id="makeToken", status_code=201, responses=problem_responses(400, 413, 422))
async def make_token(wish: TokenWish, request: Request, person: CurrentPerson, site: TheSite) -> TokenMade:
    """A new access token, which only reads, or only submits listens. The answer alone ever shows it."""
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
    """End one of your tokens at once."""
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
