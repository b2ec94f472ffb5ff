"""The account page's forms for TIDAL, YouTube Music and Deezer, and the redirect address of the first two.

If that address is not on this site, which is the default, the person copies it from their browser into a form instead.
A page can link an account and seal its login; only the processes that gather playlists can use it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends
from fastapi.responses import RedirectResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from myi_pipeline.errors import MyiError
from myi_pipeline.people import provider_sign_ins
from myi_pipeline.people.account_links import MadeLink, PendingLink, link_deezer, unlink
from myi_pipeline.people.audit import Event
from myi_pipeline.people.sign_in import NotExpected
from myi_pipeline.postgres.connections import Connection, Role
from myi_pipeline.providers.accounts import Provider
from myi_pipeline.providers.open_playlist_services import PlaylistServices, open_playlist_services
from myi_pipeline.providers.transport import utc_now
from myi_pipeline.settings import Settings
from myi_pipeline.web.dashboard.account import Mistake, account_page
from myi_pipeline.web.dashboard.inputs import form_of, number_in_path
from myi_pipeline.web.dashboard.pages import show
from myi_pipeline.web.dashboard.signed_in import AccountForm, Person
from myi_pipeline.web.problems import Problem
from myi_pipeline.web.security.client_address import client_address
from myi_pipeline.web.security.rate_limits import Tier, limited_when_wrong, note_guess
from myi_pipeline.web.site import Site, TheSite

T = TypeVar("T")
_LONGEST_ADDRESS = 4_000
_QUIET = {"Referrer-Policy": "no-referrer"}


def make_router(settings: Settings) -> APIRouter:
    """The routes; the redirect address is one of the settings."""
    router = APIRouter(include_in_schema=False)
    router.add_api_route("/account/providers", link, methods=["POST"])
    router.add_api_route("/account/providers/answer", paste_answer, methods=["POST"])
    router.add_api_route("/account/providers/{account_id}/unlink", unlink_account, methods=["POST"])
    if comes_back_here(settings):
        path = urlsplit(settings.providers_redirect_uri).path.removeprefix(settings.site_path)
        secrets = [Depends(limited_when_wrong(Tier.SENSITIVE))]
        router.add_api_route(path, receive, methods=["GET"], dependencies=secrets)
    return router


def comes_back_here(settings: Settings) -> bool:
    """Whether the services redirect browsers to this site."""
    return settings.is_on_site(settings.providers_redirect_uri)


async def link(request: Request, person: AccountForm, site: TheSite) -> Response:
    """Redirects to the service's page; a Deezer account is looked up by its number."""
    site.limits.take(Tier.SENSITIVE, "links", str(person.user_id))
    form = await form_of(request)
    provider = _provider(form.get("service", ""))
    try:
        if provider is Provider.DEEZER:
            address = client_address(request, site.settings.trusted_networks)
            await _with_services(
                site,
                lambda services, connection: link_deezer(
                    services, connection, user_id=person.user_id, number=form.get("account", ""), now=utc_now(),
                    address=address,
                ),
            )  # fmt: skip
            return _back()
        assert person.session_id is not None
        session_id = person.session_id
        pending: PendingLink = await _with_services(
            site,
            lambda services, connection: provider_sign_ins.begin(
                services, connection, provider=provider, user_id=person.user_id, session_id=session_id,
                redirect_uri=site.settings.providers_redirect_uri, now=utc_now(),
            ),
        )  # fmt: skip
    except MyiError as error:
        return await account_page(request, person, site, mistake=Mistake("provider", str(error), form))
    if comes_back_here(site.settings):
        return RedirectResponse(pending.url, 303, headers=_QUIET)
    return _paste_page(request, person, site, pending.url, provider)


async def receive(request: Request, person: Person, site: TheSite) -> Response:
    """The answer of the service, in the browser that started it."""
    return await _finish(request, person, site, request.url.query)


async def paste_answer(request: Request, person: AccountForm, site: TheSite) -> Response:
    """The address where the browser ended up, copied by the person."""
    site.limits.take(Tier.SENSITIVE, "links", str(person.user_id))
    return await _finish(request, person, site, (await form_of(request)).get("address", ""))


async def _finish(request: Request, person: Person, site: Site, redirected: str) -> Response:
    address = client_address(request, site.settings.trusted_networks)
    if person.session_id is None:
        raise Problem(403, "browser-only", "Sign in with a browser first.")
    session_id = person.session_id
    try:
        made: MadeLink = await _with_services(
            site,
            lambda services, connection: provider_sign_ins.finish(
                services, connection, user_id=person.user_id, session_id=session_id,
                redirected=redirected[:_LONGEST_ADDRESS], now=utc_now(), address=address,
            ),
        )  # fmt: skip
    except NotExpected as error:
        await note_guess(site, address, "answer", event=Event.SIGN_IN_REFUSED)
        return await account_page(request, person, site, trouble=str(error))
    except MyiError as error:
        return await account_page(request, person, site, trouble=str(error))
    if made.denied:
        told = "; ".join(f"{scope.name} was not allowed, so {scope.without}" for scope in made.denied)
        return await account_page(
            request, person, site, done=f"Your {made.provider.label} account is linked, but {told}."
        )
    return _back()


async def unlink_account(account_id: str, request: Request, person: AccountForm, site: TheSite) -> Response:
    """The login has been deleted when this answers; what was read stays."""
    number = number_in_path(account_id)
    address = client_address(request, site.settings.trusted_networks)
    found = await site.pools.in_thread(
        unlink, user_id=person.user_id, account_id=number, now=utc_now(), address=address
    )
    if not found:
        raise Problem(404, "not-found", "It no longer exists.")
    return RedirectResponse("/account?done=keeper-unlinked", 303)


async def _with_services(site: Site, work: Callable[[PlaylistServices, Connection], T]) -> T:
    def run() -> T:
        with (
            open_playlist_services(site.settings, site.warehouse, role=Role.APP) as services,
            site.warehouse.connect(Role.APP, autocommit=True) as connection,
        ):
            return work(services, connection)

    return await run_in_threadpool(run)


def _paste_page(request: Request, person: Person, site: Site, url: str, provider: Provider) -> Response:
    values = {"page": url, "service": provider.label, "comes_back_to": site.settings.providers_redirect_uri}
    answer = show(request, person, "link_service.html", values, path="/account")
    answer.headers.update(_QUIET)
    return answer


def _provider(name: str) -> Provider:
    for provider in (*provider_sign_ins.SIGN_INS, Provider.DEEZER):
        if provider.value == name:
            return provider
    raise Problem(404, "not-found", "There is no such service here.")


def _back() -> Response:
    return RedirectResponse("/account?done=keeper-linked", 303)
