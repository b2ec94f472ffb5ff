"""Signing in and out: with Spotify, by a one-time link, and Spotify's redirect address.

A session begins only by a request from this site's own page or by an answer bound to this browser, and always gets a
new reference. No address of these routes is logged or sent to another site. Spotify is used in a thread, as the role
`app`, which can store a login but never read one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, TypeVar
from urllib.parse import parse_qs, urlsplit

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from myi_pipeline.people import audit, manage_access, sign_in
from myi_pipeline.people.audit import Event
from myi_pipeline.people.manage_access import LinkUsed
from myi_pipeline.people.sign_in import (
    BegunSignIn,
    FinishedSignIn,
    NotExpected,
    NotInvited,
    OtherAccount,
    require_awaited,
)
from myi_pipeline.postgres.connections import Connection, Role
from myi_pipeline.providers.encryption_keys import require_keys
from myi_pipeline.providers.login_owners import AccountTaken, AccountUnclear
from myi_pipeline.providers.spotify.open_spotify import Spotify, open_spotify
from myi_pipeline.providers.transport import utc_now
from myi_pipeline.settings import Settings
from myi_pipeline.web.dashboard import pages
from myi_pipeline.web.dashboard.inputs import form_of
from myi_pipeline.web.dashboard.polling_news import spotify_trouble
from myi_pipeline.web.problems import Problem
from myi_pipeline.web.security import cookies
from myi_pipeline.web.security.client_address import client_address
from myi_pipeline.web.security.identity import find_visitor
from myi_pipeline.web.security.rate_limits import Tier, limited, limited_when_wrong, note_guess
from myi_pipeline.web.security.visitors import Visitor, is_secret
from myi_pipeline.web.site import Site, TheSite

T = TypeVar("T")

SIGN_IN, LINK = "/sign-in", "/link"
_HASH = re.compile(r"[0-9a-f]{64}\Z")
_ATTEMPT = re.compile(r"[A-Za-z0-9_-]{22}\Z")
_NO_REFERRER = {"Referrer-Policy": "no-referrer"}
_BEGINS, _OLDER_LINKS = ([Depends(limited(Tier.SENSITIVE, what))] for what in ("sign-in", "links"))
# Somebody who guesses links and answers does not keep others at the same address from signing in.
_SECRETS = [Depends(limited_when_wrong(Tier.SENSITIVE))]
_NORMAL = [Depends(limited(Tier.NORMAL, "pages"))]


def make_router(settings: Settings) -> APIRouter:
    """The routes; Spotify's redirect address is one of the settings."""
    router = APIRouter(include_in_schema=False)
    router.add_api_route(SIGN_IN, show_sign_in, methods=["GET"], dependencies=_NORMAL)
    router.add_api_route(f"{SIGN_IN}/spotify", begin_with_spotify, methods=["POST"], dependencies=_BEGINS)
    router.add_api_route("/connect/spotify", connect_spotify, methods=["POST"], dependencies=_BEGINS)
    router.add_api_route(LINK, show_link, methods=["GET"], dependencies=_NORMAL)
    router.add_api_route(LINK, use_link, methods=["POST"], dependencies=_SECRETS)
    router.add_api_route(LINK + "/{secret}", refuse_older_link, methods=["GET", "POST"], dependencies=_OLDER_LINKS)
    router.add_api_route("/sign-out", sign_out, methods=["POST"], dependencies=_NORMAL)
    path = urlsplit(settings.spotify_redirect_uri).path or "/"
    if path.startswith(f"{settings.site_path}/"):
        path = path.removeprefix(settings.site_path)
    router.add_api_route(path, receive_from_spotify, methods=["GET"], dependencies=_SECRETS)
    return router


async def show_sign_in(request: Request, site: TheSite) -> Response:
    """The page with the button."""
    return_to = pages.local_address(request.query_params.get("return_to"))
    if await find_visitor(request, site) is not None:
        return RedirectResponse(return_to, 303)
    trouble = spotify_trouble(site.settings)
    answer = pages.page("sign_in.html", return_to=return_to, spotify_trouble=trouble, is_open=site.settings.open_signup)
    if cookies.read_session(request, site.settings):
        # A cookie that is no longer valid would count as a guess with every request.
        cookies.clear_session(answer, site.settings)
    return answer


async def begin_with_spotify(request: Request, site: TheSite) -> Response:
    """Send a visitor who is not signed in to Spotify."""
    fields = parse_qs((await request.body()).decode("utf-8", "replace"), max_num_fields=20)
    return_to = pages.local_address(fields.get("return_to", ["/"])[0])
    # The attempt of the app that the person wants to let in afterwards.
    attempt_id = fields.get("attempt", [""])[0]
    return await _to_spotify(
        request,
        site,
        return_to=return_to,
        user_id=None,
        with_playlists="playlists" in fields,
        attempt_id=attempt_id if _ATTEMPT.match(attempt_id) else None,
    )


async def _person(request: Request, site: TheSite) -> Visitor:
    visitor = await find_visitor(request, site)
    if visitor is None or visitor.session_id is None:
        raise Problem(401, "not-signed-in", "Sign in first.")
    return visitor


async def connect_spotify(request: Request, site: TheSite, person: Annotated[Visitor, Depends(_person)]) -> Response:
    """Redirects a signed-in user to Spotify: the account becomes theirs."""
    fields = parse_qs((await request.body()).decode("utf-8", "replace"), max_num_fields=20)
    # The account that the page asked about, instead of the connected one.
    agreed = fields.get("switch_to", [""])[0]
    switch_to = bytes.fromhex(agreed) if _HASH.match(agreed) else None
    return await _to_spotify(
        request,
        site,
        return_to="/account",
        user_id=person.user_id,
        switch_to=switch_to,
        with_playlists="playlists" in fields,
        with_writes="playlist_writes" in fields,
        is_further="further" in fields,
    )


async def receive_from_spotify(request: Request, site: TheSite) -> Response:
    """Spotify's answer, for the browser that started the sign-in or for a waiting command."""
    query = request.url.query
    address = client_address(request, site.settings.trusted_networks)
    try:
        await site.pools.in_thread(require_awaited, query=query)
    except NotExpected:
        await note_guess(site, address, "answer", event=Event.SIGN_IN_REFUSED)
        raise
    # Each check costs more than a guess does. Only the browser or command that began has a state.
    site.limits.take(Tier.SENSITIVE, "answers", query)
    if await _keep_for_command(site, query=query):
        return _quiet(pages.page("answer_kept.html"))
    browser_secrets = cookies.read_sign_in(request, site.settings)
    visitor = await find_visitor(request, site)
    session_user = visitor.user_id if visitor is not None else None
    try:
        finished = await _finish(
            site, query=query, browser_secrets=browser_secrets, session_user=session_user, address=address
        )
    except NotExpected:
        await note_guess(site, address, "answer", event=Event.SIGN_IN_REFUSED)
        raise
    except (AccountTaken, AccountUnclear, NotInvited) as error:
        detail = {"reason": type(error).__name__}
        await site.pools.in_thread(
            audit.record, Event.SIGN_IN_REFUSED, user_id=session_user, address=address, detail=detail
        )
        raise
    except OtherAccount as found:
        return _quiet(pages.page("switch_account.html", switch_to=found.switch_to, status=409))
    reference = await site.pools.in_thread(
        manage_access.begin_session,
        user_id=finished.user_id,
        method="spotify",
        device=request.headers.get("user-agent", ""),
        instead_of=cookies.read_session(request, site.settings),
        address=address,
    )
    # The cookie stays: other tabs may have begun sign-ins of their own, and a secret is useless without its row.
    return _quiet(_signed_in(site, reference, finished.return_to))


async def show_link() -> HTMLResponse:
    """The page that links lead to; the secret after the # is sent by its form, filled by a script or by hand."""
    return pages.page("link.html")


async def use_link(request: Request, site: TheSite) -> Response:
    """Shows whom the link signs in, and does so once confirmed."""
    fields = await form_of(request)
    address = client_address(request, site.settings.trusted_networks)
    try:
        # People paste the whole link as often as its end.
        secret = _link_secret(fields.get("secret", "").rpartition("#")[2])
        if fields.get("confirm") != "yes":
            key = await site.pools.in_thread(manage_access.link_owner, secret=secret)
            return pages.page("link_confirm.html", user_key=key, secret=secret)
        reference = await site.pools.in_thread(
            manage_access.use_link,
            secret=secret,
            device=request.headers.get("user-agent", ""),
            instead_of=cookies.read_session(request, site.settings),
            address=address,
        )
    except LinkUsed:
        await note_guess(site, address, "link", event=Event.LINK_REFUSED)
        raise
    return _quiet(_signed_in(site, reference, "/"))


async def refuse_older_link() -> Response:
    """Older links had the secret in the path, which proxies write into their logs."""
    raise LinkUsed("links of this form are no longer valid: ask for a new one")


async def sign_out(request: Request, site: TheSite) -> Response:
    """Ends this browser's session."""
    reference = cookies.read_session(request, site.settings)
    if reference is not None:
        address = client_address(request, site.settings.trusted_networks)
        await site.pools.in_thread(manage_access.end_session, reference=reference, address=address)
        site.visitors.forget_all()
    answer = RedirectResponse(SIGN_IN, 303)
    cookies.clear_session(answer, site.settings)
    answer.headers["Clear-Site-Data"] = '"cache", "storage"'
    return answer


async def _to_spotify(
    request: Request,
    site: Site,
    *,
    return_to: str,
    user_id: int | None,
    switch_to: bytes | None = None,
    with_playlists: bool = False,
    with_writes: bool = False,
    is_further: bool = False,
    attempt_id: str | None = None,
) -> Response:
    trouble = spotify_trouble(site.settings)
    if trouble is not None:
        raise Problem(409, "no-spotify-sign-in", trouble)
    begun = await _begin(
        site,
        return_to=return_to,
        user_id=user_id,
        switch_to=switch_to,
        with_playlists=with_playlists,
        with_writes=with_writes,
        is_further=is_further,
        attempt_id=attempt_id,
    )
    answer = RedirectResponse(begun.url, 303)
    cookies.set_sign_in(answer, site.settings, [*cookies.read_sign_in(request, site.settings), begun.browser_secret])
    return _quiet(answer)


def _signed_in(site: Site, reference: str, return_to: str) -> Response:
    site.visitors.forget_all()
    answer = RedirectResponse(return_to, 303)
    cookies.set_session(answer, site.settings, reference)
    return answer


def _quiet(answer: Response) -> Response:
    answer.headers.update(_NO_REFERRER)
    return answer


def _link_secret(text: str) -> str:
    if not is_secret(text):
        raise LinkUsed("this link is incomplete: copy all of it")
    return text


async def _begin(
    site: Site,
    *,
    return_to: str,
    user_id: int | None,
    switch_to: bytes | None,
    with_playlists: bool,
    with_writes: bool,
    is_further: bool,
    attempt_id: str | None,
) -> BegunSignIn:
    """Raises MyiError."""
    begin = partial(
        sign_in.begin_sign_in, return_to=return_to, user_id=user_id, switch_to=switch_to,
        with_playlists=with_playlists, with_writes=with_writes, is_further=is_further, attempt_id=attempt_id,
    )  # fmt: skip
    return await run_in_threadpool(_at_spotify, site, begin)


async def _finish(
    site: Site, *, query: str, browser_secrets: Sequence[str], session_user: int | None, address: str
) -> FinishedSignIn:
    """Raises MyiError with a message for the person."""
    finish = partial(
        sign_in.finish_sign_in, query=query, browser_secrets=browser_secrets, session_user=session_user, now=utc_now(),
        address=address,
    )  # fmt: skip
    return await run_in_threadpool(_at_spotify, site, finish)


def _at_spotify(site: Site, work: Callable[[Connection, Spotify, Settings], T]) -> T:
    """Runs `work` as the role that serves people."""
    with (
        open_spotify(site.settings, site.warehouse, role=Role.APP) as spotify,
        site.warehouse.connect(Role.APP, autocommit=True) as connection,
    ):
        return work(connection, spotify, site.settings)


async def _keep_for_command(site: Site, *, query: str) -> bool:
    """Keeps the answer, sealed, if a command waits for it. Raises MyiError."""
    if not await site.pools.in_thread(sign_in.is_awaited_by_command, query=query):
        return False

    def work() -> bool:
        keys = require_keys(site.settings, site.warehouse, role=Role.APP)
        with site.warehouse.connect(Role.APP, autocommit=True) as connection:
            return sign_in.keep_answer(connection, query=query, keys=keys)

    return await run_in_threadpool(work)
