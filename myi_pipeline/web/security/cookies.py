"""The two cookies: the session's, and the one that binds a sign-in to a browser.

Belongs here: their names and attributes. Invariant: HttpOnly, SameSite=Lax and Path=/ always; Secure and the `__Host-`
prefix wherever the site's origin is https, which is where browsers take them.
"""

from __future__ import annotations

from starlette.requests import HTTPConnection
from starlette.responses import Response

from myi_pipeline.settings import Settings

_SESSION, _SIGN_IN = "myi_session", "myi_sign_in"
SIGN_IN_SECONDS = 600


def session_cookie(settings: Settings) -> str:
    return _name(settings, _SESSION)


def read_session(connection: HTTPConnection, settings: Settings) -> str | None:
    return connection.cookies.get(_name(settings, _SESSION))


def set_session(response: Response, settings: Settings, reference: str) -> None:
    _set(response, settings, _SESSION, reference, settings.session_days * 86_400)


def clear_session(response: Response, settings: Settings) -> None:
    _set(response, settings, _SESSION, "", 0)


def read_sign_in(connection: HTTPConnection, settings: Settings) -> str | None:
    return connection.cookies.get(_name(settings, _SIGN_IN))


def set_sign_in(response: Response, settings: Settings, secret: str) -> None:
    _set(response, settings, _SIGN_IN, secret, SIGN_IN_SECONDS)


def clear_sign_in(response: Response, settings: Settings) -> None:
    _set(response, settings, _SIGN_IN, "", 0)


def _name(settings: Settings, name: str) -> str:
    return f"__Host-{name}" if _is_secure(settings) else name


def _is_secure(settings: Settings) -> bool:
    return settings.site_origin.startswith("https://")


def _set(response: Response, settings: Settings, name: str, value: str, max_age_s: int) -> None:
    response.set_cookie(
        _name(settings, name),
        value,
        max_age=max_age_s,
        path="/",
        secure=_is_secure(settings),
        httponly=True,
        samesite="lax",
    )
