"""A user's notices, and the webhooks of their programs.

Tokens may read; adding, changing and testing needs a signed-in browser, as with tokens: a webhook keeps receiving news
for as long as it exists. Its address is never shown in full again, and its secret only once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from myi_pipeline.errors import MyiError
from myi_pipeline.notices import journal, store, targets
from myi_pipeline.notices.addresses import LONGEST_ADDRESS
from myi_pipeline.notices.journal import Delivery
from myi_pipeline.notices.kinds import kinds_for
from myi_pipeline.notices.store import Notice
from myi_pipeline.notices.targets import LONGEST_NAME, Channel, Target
from myi_pipeline.notices.webhooks import message_id
from myi_pipeline.web.answers import CSV, accept_list, untagged_list
from myi_pipeline.web.api.contract_route import ContractRoute
from myi_pipeline.web.notices import add_target, rotate, send_test
from myi_pipeline.web.problems import Problem, problem_responses, refused
from myi_pipeline.web.security.client_address import client_address
from myi_pipeline.web.security.identity import CurrentPerson, CurrentUser
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.shown.contract import Answer
from myi_pipeline.web.site import Site, TheSite

router = APIRouter(
    route_class=ContractRoute, prefix="/v1/me", tags=["notices"], responses=problem_responses(401, 403, 429, 503)
)

_TABLE = {
    200: {"description": "All of them.", "content": {CSV: {"schema": {"type": "string"}}}},
    **problem_responses(406),
}
_AT = [datetime.fromisoformat("2026-03-09T21:14:07Z")]
_ID = [UUID("5f0a1c7e-2f5b-4d0e-9b1a-6c1d2e3f4a5b")]
_SECRET = "whsec_" + "A" * 43 + "="
_KINDS = ", ".join(f"`{kind.name}`" for kind in kinds_for(operator=False))
WebhookId = Annotated[UUID, Path(description="Its id in the list.")]
DeliveryId = Annotated[UUID, Path(description="Its id in the list of deliveries.")]
KindNames = Annotated[list[str], Field(max_length=50, examples=[["import.finished", "marts.refreshed"]])]


class NoticeShown(Answer):
    """A notice, open or closed."""

    id: int = Field(examples=[12])
    kind: str = Field(
        description=f"One of {_KINDS}; operators also see those of the installation, such as `disk.full`.",
        examples=["login.ending"],
    )
    state: Literal["open", "over", "happened"] = Field(
        description="`open`: true now; `over`: no longer true; `happened`: a single event.", examples=["open"]
    )
    stage: str = Field(description="Its level; for a login, the days left.", examples=["7"])
    title: str = Field(examples=["The Spotify login ends in 7 days"])
    text: str = Field(examples=["Sign in again on the account page. Nothing is lost if you do it in time."])
    detail: dict[str, int | str | bool | None] = Field(
        description="Figures, depending on the kind; not in a CSV table.",
        examples=[{"account": "Spotify", "days_left": 7}],
    )
    began_at: datetime = Field(examples=_AT)
    ended_at: datetime | None = Field(description="Null while it is open.", examples=_AT)


class NoticeList(Answer):
    """Open ones first, then the others; each newest first; of the last 90 days."""

    data: list[NoticeShown]
    next: None = Field(description="Always null: `data` is the whole list.", examples=[None])


class Webhook(Answer):
    """An address to which messages are posted, without its secret parts."""

    id: UUID = Field(examples=_ID)
    name: str = Field(examples=["home automation"])
    origin: str = Field(
        description="Host of the address; its path is not shown again.", examples=["https://example.org"]
    )
    kinds: list[str] | None = Field(
        description="Kinds of notices it receives; null: all except `marts.refreshed`.", examples=[["import.finished"]]
    )
    created_at: datetime = Field(examples=_AT)
    former_secret_until: datetime | None = Field(
        description="Until then, messages are signed with the former secret as well.", examples=_AT
    )
    stopped_at: datetime | None = Field(
        description="When the receiver answered 410; nothing is sent since then.", examples=_AT
    )


class WebhookList(Answer):
    """Oldest first."""

    data: list[Webhook]
    next: None = Field(description="Always null: `data` is the whole list.", examples=[None])


class WebhookAdded(Answer):
    """The only answer that contains the secret."""

    id: UUID = Field(examples=_ID)
    secret: str = Field(description="Store it now: it is not shown again.", examples=[_SECRET])


class SecretMade(Answer):
    secret: str = Field(description="Store it now: it is not shown again.", examples=[_SECRET])


class WebhookWish(BaseModel):
    """A webhook to add."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(min_length=1, max_length=LONGEST_ADDRESS, examples=["https://example.org/hooks/myi"])
    name: str | None = Field(default=None, max_length=LONGEST_NAME, examples=["home automation"])
    kinds: KindNames | None = Field(
        default=None, description=f"Of {_KINDS}; null: all except `marts.refreshed`."
    )  # fmt: skip


class WebhookChange(BaseModel):
    """Fields that are left out do not change."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(default=None, min_length=1, max_length=LONGEST_NAME, examples=["home automation"])
    kinds: KindNames | None = Field(default=None, description="Null: all except `marts.refreshed`.")
    is_stopped: Literal[False] = Field(default=False, description="Resume after the receiver answered 410.")


class DeliveryShown(Answer):
    """One message to one webhook."""

    id: UUID = Field(examples=_ID)
    message_id: str = Field(
        description="The `webhook-id` header of every attempt.", examples=["msg_5f0a1c7e2f5b4d0e9b1a6c1d2e3f4a5b"]
    )
    type: str = Field(examples=["import.finished"])
    state: Literal["waiting", "delivered", "given_up"] = Field(examples=["delivered"])
    attempts: int = Field(ge=0, examples=[1])
    created_at: datetime = Field(examples=_AT)
    due_at: datetime | None = Field(description="Time of the next attempt; null if there is none.", examples=_AT)
    tried_at: datetime | None = Field(description="Time of the last attempt.", examples=_AT)
    status: int | None = Field(description="The receiver's last status.", examples=[204])
    error: str | None = Field(
        description="Why the last attempt failed.", examples=["answered 500 Internal Server Error"]
    )


class DeliveryList(Answer):
    """Newest first, at most 100."""

    data: list[DeliveryShown]
    next: None = Field(description="Always null: there are no further pages.", examples=[None])


class DeliveryMade(Answer):
    id: UUID = Field(description="Its id in the list of deliveries.", examples=_ID)


@router.get("/notices", operation_id="listNotices", response_model=NoticeList, responses=_TABLE)
async def list_notices(request: Request, visitor: CurrentUser, site: TheSite) -> Response:
    """Your notices: logins that end, imports, polls, playlists being moved."""
    media_type = accept_list(request)
    found = await site.pools.in_thread(store.list_notices, user_id=visitor.user_id, with_installation=True)
    return _whole_list(media_type, NoticeShown, [_notice(each) for each in found])


def _notice(notice: Notice) -> NoticeShown:
    words = notice.words
    return NoticeShown(
        id=notice.notice_id, kind=notice.kind, state="happened" if notice.is_event else _state(notice),
        stage=notice.stage, title=words.title, text=words.text, detail=notice.detail, began_at=notice.began_at,
        ended_at=notice.ended_at,
    )  # fmt: skip


def _state(notice: Notice) -> Literal["open", "over"]:
    return "open" if notice.is_open else "over"


@router.get("/webhooks", operation_id="listWebhooks", response_model=WebhookList, responses=_TABLE)
async def list_webhooks(request: Request, visitor: CurrentUser, site: TheSite) -> Response:
    """Your webhooks."""
    media_type = accept_list(request)
    found = await site.pools.in_thread(targets.list_targets, user_id=visitor.user_id, channel=Channel.WEBHOOK)
    return _whole_list(media_type, Webhook, [_webhook(each) for each in found])


@router.post("/webhooks", operation_id="addWebhook", status_code=201, responses=problem_responses(400, 413, 422))
async def add_webhook(wish: WebhookWish, request: Request, person: CurrentPerson, site: TheSite) -> WebhookAdded:
    """Post messages to this address from now on. Its host is resolved and must not be a private address."""
    kinds = tuple(wish.kinds) if wish.kinds else None
    try:
        made = await add_target(
            request, site, person, channel=Channel.WEBHOOK, url=wish.url, name=wish.name, kinds=kinds
        )  # fmt: skip
    except MyiError as error:
        raise refused(error) from None
    assert made.secret is not None
    return WebhookAdded(id=made.target_id, secret=made.secret)


@router.get("/webhooks/{webhook_id}", operation_id="showWebhook", responses=problem_responses(404, 422))
async def show_webhook(webhook_id: WebhookId, visitor: CurrentUser, site: TheSite) -> Webhook:
    """One webhook."""
    return _webhook(await _find(site, visitor, webhook_id))


@router.patch(
    "/webhooks/{webhook_id}", operation_id="changeWebhook", responses=problem_responses(400, 404, 413, 422)
)  # fmt: skip
async def change_webhook(
    webhook_id: WebhookId, change: WebhookChange, person: CurrentPerson, site: TheSite
) -> Webhook:  # fmt: skip
    """Change its name or kinds, or resume it."""
    found = await _find(site, person, webhook_id)
    kinds = (tuple(change.kinds) if change.kinds else None) if "kinds" in change.model_fields_set else found.kinds
    try:
        await site.pools.in_thread(
            targets.change_target, user_id=person.user_id, target_id=webhook_id, name=change.name or found.name,
            kinds=kinds, is_on="is_stopped" in change.model_fields_set,
        )  # fmt: skip
    except MyiError as error:
        raise refused(error) from None
    return _webhook(await _find(site, person, webhook_id))


@router.delete(
    "/webhooks/{webhook_id}", operation_id="removeWebhook", status_code=204, responses=problem_responses(404, 422)
)
async def remove_webhook(webhook_id: WebhookId, request: Request, person: CurrentPerson, site: TheSite) -> Response:
    """Remove it, including messages still to be posted."""
    await _find(site, person, webhook_id)
    await site.pools.in_thread(
        targets.remove_target, user_id=person.user_id, target_id=webhook_id,
        address=client_address(request, site.settings.trusted_networks),
    )  # fmt: skip
    return Response(status_code=204)


@router.post(
    "/webhooks/{webhook_id}/rotate", operation_id="rotateWebhookSecret", responses=problem_responses(404, 422)
)  # fmt: skip
async def rotate_secret(webhook_id: WebhookId, request: Request, person: CurrentPerson, site: TheSite) -> SecretMade:
    """Create a new secret; for a day, messages are signed with the former one as well."""
    secret = await rotate(request, site, person, webhook_id)
    if secret is None:
        raise _missing()
    return SecretMade(secret=secret)


@router.post(
    "/webhooks/{webhook_id}/test",
    operation_id="testWebhook",
    status_code=202,
    responses=problem_responses(404, 422),
)
async def test_webhook(webhook_id: WebhookId, person: CurrentPerson, site: TheSite) -> DeliveryMade:
    """Send a message of type `test.sent` within seconds; its delivery shows the result."""
    await _find(site, person, webhook_id)
    made = await send_test(site, person, webhook_id)
    if made is None:
        raise _missing()
    return DeliveryMade(id=made)


@router.get(
    "/webhooks/{webhook_id}/deliveries",
    operation_id="listDeliveries",
    response_model=DeliveryList,
    responses={**_TABLE, **problem_responses(404, 422)},
)
async def list_deliveries(webhook_id: WebhookId, request: Request, visitor: CurrentUser, site: TheSite) -> Response:
    """Messages that were or will be posted there."""
    media_type = accept_list(request)
    await _find(site, visitor, webhook_id)
    found = await site.pools.in_thread(journal.list_deliveries, user_id=visitor.user_id, target_id=webhook_id)
    return _whole_list(media_type, DeliveryShown, [_delivery(each) for each in found])


@router.post(
    "/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver",
    operation_id="redeliver",
    status_code=202,
    responses=problem_responses(404, 422),
)
async def redeliver(
    webhook_id: WebhookId, delivery_id: DeliveryId, person: CurrentPerson, site: TheSite
) -> DeliveryMade:  # fmt: skip
    """Post it again, with the same `webhook-id`."""
    await _find(site, person, webhook_id)
    done = await site.pools.in_thread(
        journal.redeliver, user_id=person.user_id, target_id=webhook_id, delivery_id=delivery_id, now=datetime.now(UTC)
    )
    if not done:
        raise Problem(404, "not-found", "There is no such delivery, or it is being sent now.")
    return DeliveryMade(id=delivery_id)


async def _find(site: Site, visitor: Visitor, webhook_id: UUID) -> Target:
    found = await site.pools.in_thread(targets.find_target, user_id=visitor.user_id, target_id=webhook_id)
    if found is None or found.channel is not Channel.WEBHOOK:
        raise _missing()
    return found


def _whole_list(media_type: str, model: type[Answer], items: Sequence[Answer]) -> Response:
    # A nested document does not fit into a CSV cell.
    columns = [name for name in model.model_fields if name != "detail"]
    return untagged_list(media_type, [each.model_dump() for each in items], columns, beside={"next": None})


def _missing() -> Problem:
    return Problem(404, "not-found", "You have no such webhook.")


def _webhook(target: Target) -> Webhook:
    return Webhook(
        id=target.target_id, name=target.name, origin=target.shown,
        kinds=list(target.kinds) if target.kinds is not None else None, created_at=target.created_at,
        former_secret_until=target.former_until, stopped_at=target.stopped_at,
    )  # fmt: skip


def _delivery(delivery: Delivery) -> DeliveryShown:
    state: Literal["waiting", "delivered", "given_up"] = "waiting"
    if delivery.delivered_at is not None:
        state = "delivered"
    elif delivery.given_up_at is not None:
        state = "given_up"
    return DeliveryShown(
        id=delivery.delivery_id, message_id=message_id(delivery.delivery_id), type=delivery.kind, state=state,
        attempts=delivery.attempts, created_at=delivery.created_at,
        due_at=delivery.due_at if state == "waiting" else None, tried_at=delivery.tried_at, status=delivery.status,
        error=delivery.error,
    )  # fmt: skip
