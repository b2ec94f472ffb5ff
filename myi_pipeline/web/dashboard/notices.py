"""A person's notices: open and past ones, where they are sent, which kinds, and quiet hours."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import time
from itertools import takewhile
from urllib.parse import urlsplit
from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.requests import Request

from myi_pipeline.errors import BadInput, MyiError
from myi_pipeline.notices import journal, store, targets
from myi_pipeline.notices.kinds import IMPORT_FAILED, KINDS, LOGIN, MIGRATION_WAITING, TEST, Kind, kinds_for
from myi_pipeline.notices.messengers import SCHEMES
from myi_pipeline.notices.store import Notice, Wishes
from myi_pipeline.notices.targets import Added, Channel
from myi_pipeline.web.dashboard.inputs import form_of, missing
from myi_pipeline.web.dashboard.pages import show
from myi_pipeline.web.dashboard.signed_in import NoticesForm, Person
from myi_pipeline.web.notices import add_target, rotate, send_test
from myi_pipeline.web.security.client_address import client_address
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.site import Site, TheSite

router = APIRouter()

_DELIVERIES_SHOWN = 30
# No part of a path that a person reads as a name is longer.
_SHORTEST_TOKEN = 16
DONE = {
    "added": "Notices are sent there from now on. Send a test to be sure.",
    "removed": "Nothing is sent there any more.",
    "tested": "A test is on its way. The result appears below; reload in a few seconds.",
    "kept": "Your settings are saved.",
}
# What a person can fix, and where.
MENDED_AT = {LOGIN.name: "/account", IMPORT_FAILED.name: "/imports", MIGRATION_WAITING.name: "/migrations"}


@router.get("/notices")
async def notices(request: Request, person: Person, site: TheSite) -> HTMLResponse:
    return await _page(request, person, site, done=DONE.get(request.query_params.get("done", "")))


@router.post("/notices/targets")
async def add(request: Request, person: NoticesForm, site: TheSite) -> Response:
    """The address of a messenger, or a webhook."""
    form = await form_of(request)
    channel = Channel.WEBHOOK if form.get("channel") == "webhook" else Channel.APPRISE
    try:
        made = await add_target(
            request, site, person, channel=channel, url=form.get("url", ""), name=form.get("name"), kinds=None
        )  # fmt: skip
    except MyiError as error:
        typed = {"name": form.get("name", ""), "url": without_secrets(form.get("url", ""), channel)}
        return await _page(request, person, site, mistake=(channel.value, str(error)), typed=typed)
    if made.secret is not None:
        return await _page(request, person, site, added=made)
    return RedirectResponse("/notices?done=added", 303)


@router.post("/notices/targets/{target_id}/test")
async def test(target_id: str, person: NoticesForm, site: TheSite) -> Response:
    if await send_test(site, person, _id(target_id)) is None:
        raise _no_such()
    return RedirectResponse("/notices?done=tested#sent", 303)


@router.post("/notices/targets/{target_id}/secret")
async def new_secret(target_id: str, request: Request, person: NoticesForm, site: TheSite) -> Response:
    number = _id(target_id)
    secret = await rotate(request, site, person, number)
    if secret is None:
        raise _no_such()
    return await _page(request, person, site, added=Added(number, secret))


@router.post("/notices/targets/{target_id}/remove")
async def remove(target_id: str, request: Request, person: NoticesForm, site: TheSite) -> Response:
    address = client_address(request, site.settings.trusted_networks)
    found = await site.pools.in_thread(
        targets.remove_target, user_id=person.user_id, target_id=_id(target_id), address=address
    )
    if not found:
        raise _no_such()
    return RedirectResponse("/notices?done=removed", 303)


@router.post("/notices/wishes")
async def wish(request: Request, person: NoticesForm, site: TheSite) -> Response:
    """Kinds that are not ticked are not sent; two equal times, or none, mean no quiet hours."""
    form = await form_of(request)
    muted = tuple(kind.name for kind in _choices() if form.get(f"want-{kind.name}") is None)
    try:
        wishes = Wishes(muted=muted, quiet_from=_time(form.get("from")), quiet_until=_time(form.get("until")))
        await site.pools.in_thread(store.store_wishes, user_id=person.user_id, wishes=wishes)
    except BadInput as error:
        return await _page(request, person, site, mistake=("wishes", str(error)))
    return RedirectResponse("/notices?done=kept", 303)


def without_secrets(url: str, channel: Channel) -> str:
    """What of an address is shown again.

    Of a messenger, whose address is all secrets, how it begins; of a webhook its host and path, up to the first part
    that may be a token.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if not parts.scheme or channel is not Channel.WEBHOOK:
        return f"{parts.scheme}://" if parts.scheme else ""
    host = parts.netloc.rpartition("@")[2]
    named = takewhile(lambda part: len(part) < _SHORTEST_TOKEN, parts.path.split("/"))
    return f"{parts.scheme}://{host}{'/'.join(named)}"


async def mendable(site: Site, user_id: int) -> list[tuple[Notice, str]]:
    """Open notices that the person can fix, each with the page to do so."""
    found = await site.pools.in_thread(store.list_notices, user_id=user_id, with_past=False)
    return [(each, MENDED_AT[each.kind]) for each in found if each.kind in MENDED_AT]


async def _page(
    request: Request,
    person: Visitor,
    site: Site,
    *,
    done: str | None = None,
    added: Added | None = None,
    mistake: tuple[str, str] | None = None,
    typed: Mapping[str, str] | None = None,
) -> HTMLResponse:
    found = await site.pools.in_thread(store.list_notices, user_id=person.user_id, with_installation=True)
    known = await site.pools.in_thread(targets.list_targets, user_id=person.user_id)
    sent = await site.pools.in_thread(journal.list_deliveries, user_id=person.user_id, limit=_DELIVERIES_SHOWN)
    names = {each.target_id: each.name for each in known}
    values = {
        "open": [(each, MENDED_AT.get(each.kind)) for each in found if each.is_open],
        "past": [each for each in found if not each.is_open],
        "targets": known,
        "most_targets": targets.MOST_TARGETS,
        "sent": [(each, _label(each.kind), names.get(each.target_id)) for each in sent if each.target_id],
        "kinds": _choices(),
        "wishes": await site.pools.in_thread(store.read_wishes, user_id=person.user_id),
        "schemes": SCHEMES,
        "done": done,
        "added": added,
        "mistake": mistake,
        "typed": typed or {},
    }
    answer = show(request, person, "notices.html", values, path="/notices")
    if mistake is not None:
        answer.status_code = 422
    return answer


def _choices() -> list[Kind]:
    return [kind for kind in kinds_for(operator=False) if not kind.is_for_programs]


def _label(kind: str) -> str:
    return "Test" if kind == TEST else KINDS[kind].label if kind in KINDS else kind


def _time(given: str | None) -> time | None:
    if not given:
        return None
    try:
        return time.fromisoformat(given).replace(second=0, microsecond=0, tzinfo=None)
    except ValueError:
        raise BadInput("a time must look like 22:30", place="quiet hours") from None


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise _no_such() from None


def _no_such() -> Exception:
    return missing("This address no longer exists.")
