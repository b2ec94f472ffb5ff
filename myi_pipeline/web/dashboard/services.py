"""The forms of the account page for Last.fm and ListenBrainz: linking, pausing, unlinking, and sending plays on.

A page can link an account and seal its token; only the process that polls can use it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from myi_pipeline.errors import BadInput, MyiError
from myi_pipeline.onward.journal import end_wish, wish_for
from myi_pipeline.people.links import (
    begin_allowing,
    finish_allowing,
    link_account,
    pause_account,
    services_of,
    unlink_account,
)
from myi_pipeline.postgres.connections import Role
from myi_pipeline.providers.open_services import open_services, service_trouble
from myi_pipeline.providers.scrobbles import Service
from myi_pipeline.web.dashboard.account import Allowing, Mistake, account_page
from myi_pipeline.web.dashboard.inputs import form_of
from myi_pipeline.web.dashboard.signed_in import AccountForm
from myi_pipeline.web.problems import Problem
from myi_pipeline.web.security.client_address import client_address
from myi_pipeline.web.security.rate_limits import Tier
from myi_pipeline.web.site import Site, TheSite

router = APIRouter()
_LASTFM_TOKEN = re.compile(r"[A-Za-z0-9_-]{8,128}")


@router.post("/account/services")
async def link(request: Request, person: AccountForm, site: TheSite) -> Response:
    """Asks the service whether the account exists, so it is rate-limited as sensitive."""
    site.limits.take(Tier.SENSITIVE, "links", str(person.user_id))
    form = await form_of(request)
    service = _service(form.get("service", ""))
    trouble = service_trouble(site.settings, service)
    if trouble is not None:
        return await _wrong(request, person, site, f"{service.label} is not set up here yet", form)
    address = client_address(request, site.settings.trusted_networks)

    def work() -> None:
        with (
            open_services(site.settings, site.warehouse, role=Role.APP) as services,
            site.warehouse.connect(Role.APP, autocommit=True) as connection,
        ):
            link_account(
                services,
                connection,
                user_id=person.user_id,
                service=service,
                account=form.get("account", ""),
                token=form.get("token"),
                now=datetime.now(UTC),
                address=address,
            )

    try:
        await run_in_threadpool(work)
    except MyiError as error:
        return await _wrong(request, person, site, str(error), form)
    return _back("linked")


@router.post("/account/services/{name}/unlink")
async def unlink(name: str, request: Request, person: AccountForm, site: TheSite) -> Response:
    address = client_address(request, site.settings.trusted_networks)
    await site.pools.in_thread(unlink_account, user_id=person.user_id, service=_service(name), address=address)
    return _back("unlinked")


@router.post("/account/services/{name}/pause")
async def pause(name: str, request: Request, person: AccountForm, site: TheSite) -> Response:
    return await _pause(request, person, site, _service(name), now=datetime.now(UTC))


@router.post("/account/services/{name}/resume")
async def resume(name: str, request: Request, person: AccountForm, site: TheSite) -> Response:
    return await _pause(request, person, site, _service(name), now=None)


async def _pause(
    request: Request, person: AccountForm, site: Site, service: Service, *, now: datetime | None
) -> Response:
    try:
        await site.pools.in_thread(pause_account, user_id=person.user_id, service=service, now=now)
    except BadInput as error:
        return await account_page(request, person, site, trouble=str(error))
    return _back("service-paused" if now is not None else "service-resumed")


@router.post("/account/services/{name}/send")
async def send(name: str, request: Request, person: AccountForm, site: TheSite) -> Response:
    """Sends plays on from now on; with `past`, earlier ones as well."""
    service, form = _service(name), await form_of(request)
    linked = await site.pools.in_thread(services_of, user_id=person.user_id)
    if not any(each.service is service and each.has_secret and not each.secret_ended_at for each in linked):
        trouble = f"{service.label} has not allowed MYI to send plays."
        return await account_page(request, person, site, trouble=trouble)
    await site.pools.in_thread(
        wish_for, user_id=person.user_id, service=service, with_past=form.get("past") == "yes", now=datetime.now(UTC)
    )
    return _back("sending")


@router.post("/account/services/{name}/stop")
async def stop(name: str, request: Request, person: AccountForm, site: TheSite) -> Response:
    await site.pools.in_thread(end_wish, user_id=person.user_id, service=_service(name))
    return _back("sending-stopped")


@router.post("/account/services/lastfm/allow")
async def allow(request: Request, person: AccountForm, site: TheSite) -> Response:
    """Links to Last.fm's page, where the person allows MYI to send plays.

    This is Last.fm's flow for desktop programs, without a redirect: Last.fm could not redirect to a site that only this
    network knows.
    """
    site.limits.take(Tier.SENSITIVE, "links", str(person.user_id))
    api_key = site.settings.lastfm_api_key
    if api_key is None or site.settings.lastfm_api_secret is None:
        return await account_page(request, person, site, trouble="Last.fm is not set up here for sending yet.")

    def work() -> Allowing:
        with open_services(site.settings, site.warehouse, role=Role.APP) as services:
            token, page = begin_allowing(
                services, site_url=site.settings.lastfm_site_url, api_key=api_key.get_secret_value()
            )
        return Allowing(page, token)

    try:
        allowing = await run_in_threadpool(work)
    except MyiError as error:
        return await account_page(request, person, site, trouble=str(error))
    return await account_page(request, person, site, allowing=allowing)


@router.post("/account/services/lastfm/allowed")
async def allowed(request: Request, person: AccountForm, site: TheSite) -> Response:
    """The person confirms that they have agreed there."""
    site.limits.take(Tier.SENSITIVE, "links", str(person.user_id))
    token = (await form_of(request)).get("token", "")
    if not _LASTFM_TOKEN.fullmatch(token):
        return await account_page(request, person, site, trouble="That does not belong to a page of Last.fm.")
    address = client_address(request, site.settings.trusted_networks)

    def work() -> None:
        with (
            open_services(site.settings, site.warehouse, role=Role.APP) as services,
            site.warehouse.connect(Role.APP, autocommit=True) as connection,
        ):
            finish_allowing(
                services, connection, user_id=person.user_id, token=token, now=datetime.now(UTC), address=address
            )

    try:
        await run_in_threadpool(work)
    except MyiError as error:
        return await account_page(request, person, site, trouble=str(error))
    return _back("allowed")


async def _wrong(request: Request, person: AccountForm, site: Site, text: str, form: Mapping[str, str]) -> Response:
    # What was typed is shown again, except for the token.
    typed = {key: value for key, value in form.items() if key != "token"}
    return await account_page(request, person, site, mistake=Mistake("service", text, typed))


def _service(name: str) -> Service:
    try:
        return Service(name)
    except ValueError:
        raise Problem(404, "not-found", "There is no such service here.") from None


def _back(done: str) -> Response:
    return RedirectResponse(f"/account?done={done}", 303)
