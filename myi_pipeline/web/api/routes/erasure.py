"""Erasing an account: what would be deleted, requesting it, and withdrawing the request in time.

Only a signed-in browser may request or withdraw; tokens read. The receipt is a page, open to anybody who has its id.
"""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from myi_pipeline.errors import BadInput
from myi_pipeline.people.erasures import ErasureRequest, ImportIsRunning
from myi_pipeline.web.api.contract_route import ContractRoute
from myi_pipeline.web.erasing import ask_for_erasure, look_at_erasure, withdraw_erasure
from myi_pipeline.web.problems import Problem, problem_responses, refused, sentence
from myi_pipeline.web.security.identity import CurrentPerson, CurrentUser
from myi_pipeline.web.shown.contract import Answer
from myi_pipeline.web.site import TheSite

router = APIRouter(
    route_class=ContractRoute, prefix="/v1/me", tags=["account"], responses=problem_responses(401, 403, 429, 503)
)
_AT = [datetime.fromisoformat("2024-03-09T21:14:07Z")]
_RECEIPT = ["0123456789abcdef01234567"]


class KeptOfYou(Answer):
    what: str = Field(description="In words.", examples=["plays"])
    count: int = Field(ge=0, description="Rows or files.", examples=[120_000])


class ErasureAsked(Answer):
    """A pending erasure; its receipt is the page `/erasures/{receipt_id}`."""

    receipt_id: str = Field(description="Id of the receipt.", examples=_RECEIPT)
    requested_at: datetime = Field(examples=_AT)
    due_at: datetime = Field(description="When it is carried out; it can be withdrawn until then.", examples=_AT)
    last_error: str | None = Field(
        description="Why it has not been carried out yet.", examples=["an archive is being imported at this moment"]
    )


class ErasureState(Answer):
    """What would be deleted, and whether an erasure was requested."""

    would_go: list[KeptOfYou]
    asked: ErasureAsked | None = Field(description="Null if none was requested.")
    grace_days: int = Field(ge=0, description="Days during which a request can be withdrawn.", examples=[0])


class ErasureWish(BaseModel):
    model_config = ConfigDict(extra="forbid")

    confirmation: str = Field(max_length=63, description="Your own user key.", examples=["ana"])


@router.get("/erasure", operation_id="getErasure")
async def state(visitor: CurrentUser, site: TheSite) -> ErasureState:
    """What would be erased, and the state of your request."""
    counts, wish = await look_at_erasure(site, visitor)
    return ErasureState(
        would_go=[KeptOfYou(what=what, count=count) for what, count in counts.items()],
        asked=_asked(wish) if wish is not None else None,
        grace_days=site.settings.erasure_grace_days,
    )


@router.post(
    "/erasure",
    operation_id="askForErasure",
    status_code=202,
    responses=problem_responses(400, 409, 413, 422),
)
async def ask(wish: ErasureWish, request: Request, person: CurrentPerson, site: TheSite) -> ErasureAsked:
    """Request the erasure of your account. A second request does not change the first."""
    try:
        made = await ask_for_erasure(request, site, person, confirmation=wish.confirmation)
    except BadInput as error:
        raise refused(error) from None
    except ImportIsRunning as error:
        raise Problem(409, "import-running", sentence(str(error))) from None
    return _asked(made)


@router.delete("/erasure", operation_id="withdrawErasure", status_code=204, responses=problem_responses(404))
async def withdraw(request: Request, person: CurrentPerson, site: TheSite) -> Response:
    """Withdraw the request before it is due."""
    if not await withdraw_erasure(request, site, person):
        raise Problem(404, "not-found", "There is no request that could be withdrawn.")
    return Response(status_code=204)


def _asked(wish: ErasureRequest) -> ErasureAsked:
    return ErasureAsked(
        receipt_id=wish.receipt_id, requested_at=wish.requested_at, due_at=wish.due_at, last_error=wish.last_error
    )
