"""Signing in and out: with Spotify, by a one-time link, and the address to which Spotify sends browsers back.

Belongs here: forms, redirects and cookies. Not here: who may come in (services/sign_in, services/manage_access).
Invariants: a session begins only by a request of this site's own page or by an answer bound to this browser; it always
gets a new reference; no address of these routes is logged or told to another site.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qs, urlsplit

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.requests import Request

from myi_pipeline.api import pages
from myi_pipeline.api.problems import Problem
from myi_pipeline.api.security import cookies
from myi_pipeline.api.security.identity import find_visitor
from myi_pipeline.api.security.known_visitors import Visitor
from myi_pipeline.api.security.rate_limits import Tier, limited
from myi_pipeline.api.security.secrets_of_visitors import is_secret
from myi_pipeline.api.site import Site, TheSite
from myi_pipeline.api.spotify_door import begin, finish
from myi_pipeline.services import manage_access, sign_in
from myi_pipeline.services.manage_access import LinkUsed
from myi_pipeline.settings import Settings

SIGN_IN = "/sign-in"
_NO_REFERRER = {"Referrer-Policy": "no-referrer"}
_SENSITIVE = [Depends(limited(Tier.SENSITIVE, "sign-in"))]
_NORMAL = [Depends(limited(Tier.NORMAL, "pages"))]


def make_router(settings: Settings) -> APIRouter:
    """The routes; Spotify's redirect address is one of the settings."""
    router = APIRouter(include_in_schema=False)
    router.add_api_route(SIGN_IN, show_sign_in, methods=["GET"], dependencies=_NORMAL)
    router.add_api_route(f"{SIGN_IN}/spotify", begin_with_spotify, methods=["POST"], dependencies=_SENSITIVE)
    router.add_api_route("/connect/spotify", connect_spotify, methods=["POST"], dependencies=_SENSITIVE)
    router.add_api_route("/link/{secret}", show_link, methods=["GET"], dependencies=_SENSITIVE)
    router.add_api_route("/link/{secret}", use_link, methods=["POST"], dependencies=_SENSITIVE)
    router.add_api_route("/sign-out", sign_out, methods=["POST"], dependencies=_NORMAL)
    path = urlsplit(settings.spotify_redirect_uri).path or "/"
    router.add_api_route(path, receive_from_spotify, methods=["GET"], dependencies=_SENSITIVE)
    return router


async def show_sign_in(request: Request, site: TheSite) -> Response:
    """The page with the button."""
    return_to = pages.local_address(request.query_params.get("return_to"))
    if await find_visitor(request, site) is not None:
        return RedirectResponse(return_to, 303)
    trouble = spotify_trouble(site.settings)
    return pages.page("sign_in.html", return_to=return_to, spotify_trouble=trouble, is_open=site.settings.open_signup)


async def begin_with_spotify(request: Request, site: TheSite) -> Response:
    """To Spotify, as nobody yet."""
    fields = parse_qs((await request.body()).decode("utf-8", "replace"), max_num_fields=20)
    return await _to_spotify(site, return_to=pages.local_address(fields.get("return_to", ["/"])[0]), user_id=None)


async def _person(request: Request, site: TheSite) -> Visitor:
    visitor = await find_visitor(request, site)
    if visitor is None or visitor.session_id is None:
        raise Problem(401, "not-signed-in", "Sign in first.")
    return visitor


async def connect_spotify(site: TheSite, person: Annotated[Visitor, Depends(_person)]) -> Response:
    """To Spotify, as the user who is signed in: the account becomes theirs."""
    return await _to_spotify(site, return_to="/account", user_id=person.user_id)


async def receive_from_spotify(request: Request, site: TheSite) -> Response:
    """Back from Spotify: to the browser that asked, or to the command that waits."""
    query = request.url.query
    if await site.pools.in_thread(sign_in.keep_answer, query=query):
        return _quiet(pages.page("answer_kept.html"))
    browser_secret = cookies.read_sign_in(request, site.settings) or ""
    visitor = await find_visitor(request, site)
    session_user = visitor.user_id if visitor is not None else None
    finished = await finish(site, query=query, browser_secret=browser_secret, session_user=session_user)
    reference = await site.pools.in_thread(
        manage_access.begin_session,
        user_id=finished.user_id,
        method="spotify",
        device=request.headers.get("user-agent", ""),
        instead_of=cookies.read_session(request, site.settings),
    )
    answer = _signed_in(site, reference, finished.return_to)
    cookies.clear_sign_in(answer, site.settings)
    return _quiet(answer)


async def show_link(secret: str, site: TheSite) -> HTMLResponse:
    """Asks before it signs in: programs that look at links ahead of people must not use them up."""
    key = await site.pools.in_thread(manage_access.link_owner, secret=_link_secret(secret))
    return pages.page("link.html", user_key=key)


async def use_link(secret: str, request: Request, site: TheSite) -> Response:
    """Signs in by a one-time link."""
    reference = await site.pools.in_thread(
        manage_access.use_link,
        secret=_link_secret(secret),
        device=request.headers.get("user-agent", ""),
        instead_of=cookies.read_session(request, site.settings),
    )
    return _quiet(_signed_in(site, reference, "/"))


async def sign_out(request: Request, site: TheSite) -> Response:
    """Ends this browser's session."""
    reference = cookies.read_session(request, site.settings)
    if reference is not None:
        await site.pools.in_thread(manage_access.end_session, reference=reference)
        site.visitors.forget_all()
    answer = RedirectResponse(SIGN_IN, 303)
    cookies.clear_session(answer, site.settings)
    answer.headers["Clear-Site-Data"] = '"cache", "storage"'
    return answer


async def _to_spotify(site: Site, *, return_to: str, user_id: int | None) -> Response:
    trouble = spotify_trouble(site.settings)
    if trouble is not None:
        raise Problem(409, "no-spotify-sign-in", trouble)
    begun = await begin(site, return_to=return_to, user_id=user_id)
    answer = RedirectResponse(begun.url, 303)
    cookies.set_sign_in(answer, site.settings, begun.browser_secret)
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
        raise LinkUsed("this link is not whole: copy all of it")
    return text


def spotify_trouble(settings: Settings) -> str | None:
    """Why nobody can sign in with Spotify here; None when they can."""
    if settings.spotify_client_id is None:
        return "Signing in with Spotify is not set up here (MYI_SPOTIFY_CLIENT_ID)."
    redirect = urlsplit(settings.spotify_redirect_uri)
    if f"{redirect.scheme}://{redirect.netloc}" != settings.site_origin:
        return (
            "Signing in with Spotify is not set up here: MYI_SPOTIFY_REDIRECT_URI must be an address of this site,"
            f" such as {settings.site_origin}/callback."
        )
    return None
