"""Signing an app in: it begins an attempt, sends a person to the browser, and polls until it gets an access token.

The app is not signed in yet: requests are limited by address, and an attempt can be read only with its secret. A wrong
secret and an unknown attempt get the same answer.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Header, Path
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from myi_pipeline.people import sign_in_attempts
from myi_pipeline.people.manage_access import LONGEST_NAME, TokenScope
from myi_pipeline.people.sign_in_attempts import NoSuchAttempt, TooManyAttempts
from myi_pipeline.web.api.contract_route import ContractRoute
from myi_pipeline.web.problems import Problem, problem_responses
from myi_pipeline.web.security.client_address import client_address
from myi_pipeline.web.security.rate_limits import Tier, limited_by_address, note_guess
from myi_pipeline.web.shown.contract import Answer
from myi_pipeline.web.site import APP_SIGN_IN_PAGE, TheSite

POLL_AFTER_S = 2
_RETRY_AFTER_S = 60
_AT = [datetime.fromisoformat("2024-03-09T21:14:07Z")]
_ID, _SECRET = "L2Vl5Rr1cEzJ2hY8fQ0aXw", "A" * 43

router = APIRouter(
    route_class=ContractRoute, prefix="/auth/attempts", tags=["signing apps in"], responses=problem_responses(429, 503)
)
# Nobody is signed in yet.
_OPEN: dict[str, list[object]] = {"security": []}


class AttemptWish(BaseModel):
    """The app that asks."""

    model_config = ConfigDict(extra="forbid")

    app_name: str = Field(
        min_length=1,
        max_length=LONGEST_NAME,
        description="The name that the person sees.",
        examples=["Player on the phone"],
    )
    scope: Literal["read", "listens:write"] = Field(
        default="read", description="Scope of the token: `read`, or `listens:write` for a scrobbler.", examples=["read"]
    )


class AttemptMade(Answer):
    """The only answer that contains the secret."""

    id: str = Field(examples=[_ID])
    secret: str = Field(description="Keep it in the app and poll with it.", examples=[_SECRET])
    code: str = Field(
        description="Show it to the person: the page in the browser shows the same one.", examples=["K7QM-2XWD"]
    )
    browser_url: str = Field(
        description="Open it in a browser.", examples=[f"http://127.0.0.1:8898{APP_SIGN_IN_PAGE}/{_ID}"]
    )
    expires_at: datetime = Field(description="Until then, a person may let the app in.", examples=_AT)
    poll_after_s: int = Field(description="Seconds between two polls.", examples=[POLL_AFTER_S])


class AttemptState(Answer):
    """The state of an attempt."""

    state: Literal["pending", "done", "failed", "expired"] = Field(
        description="`pending`: poll again; all others are final.", examples=["done"]
    )
    reason: Literal["denied", "not-invited", "refused"] | None = Field(
        description="Why it failed: the person declined, nobody here has that Spotify account, or Spotify refused.",
        examples=["denied"],
    )
    token: str | None = Field(
        description="An access token; only in the first answer that is `done`.",
        examples=["myi_" + "A" * 43],
    )
    token_expires_at: datetime | None = Field(description="When the token expires.", examples=_AT)


@router.post(
    "",
    operation_id="beginAttempt",
    status_code=201,
    responses=problem_responses(400, 413, 422),
    openapi_extra=_OPEN,
    dependencies=[Depends(limited_by_address(Tier.SENSITIVE, "attempts"))],
)
async def begin_attempt(wish: AttemptWish, request: Request, site: TheSite) -> AttemptMade:
    """Begin an attempt; it is valid for ten minutes."""
    address = client_address(request, site.settings.trusted_networks)
    try:
        made = await site.pools.in_thread(
            sign_in_attempts.begin_attempt, app_name=wish.app_name, scope=TokenScope(wish.scope), address=address
        )
    except TooManyAttempts as error:
        raise Problem(429, "too-many-requests", str(error), headers={"Retry-After": str(_RETRY_AFTER_S)}) from None
    return AttemptMade(
        id=made.attempt_id,
        secret=made.secret,
        code=made.code,
        browser_url=f"{site.settings.site_url}{APP_SIGN_IN_PAGE}/{made.attempt_id}",
        expires_at=made.expires_at,
        poll_after_s=POLL_AFTER_S,
    )


@router.get(
    "/{attempt_id}",
    operation_id="showAttempt",
    responses=problem_responses(404, 422),
    openapi_extra=_OPEN,
    dependencies=[Depends(limited_by_address(Tier.NORMAL, "attempts"))],
)
async def show_attempt(
    attempt_id: Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{22}$", description="The `id` of the attempt.")],
    attempt_secret: Annotated[str, Header(pattern=r"^[A-Za-z0-9_-]{43}$", description="The `secret` of the attempt.")],
    request: Request,
    site: TheSite,
) -> AttemptState:
    """Its state. The first answer after a person let the app in contains the token; it is not shown again."""
    address = client_address(request, site.settings.trusted_networks)
    try:
        found = await site.pools.in_thread(
            sign_in_attempts.ask_outcome, attempt_id=attempt_id, secret=attempt_secret, address=address
        )
    except NoSuchAttempt as error:
        await note_guess(site, address, "attempt")
        raise Problem(404, "not-found", f"{str(error).capitalize()}.") from None
    return AttemptState(
        state=found.state,
        reason=found.reason,
        token=found.made.token if found.made is not None else None,
        token_expires_at=found.made.about.expires_at if found.made is not None else None,
    )
