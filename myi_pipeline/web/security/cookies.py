"""The cookies: the session's, the one that binds sign-ins to a browser, whether pages are light or dark, and, beside a
replica, where in the database's log the browser's last change ended.

Always HttpOnly, SameSite=Lax and for the site's path alone; Secure and the `__Host-` prefix wherever the site's origin
is https, as browsers accept them only there. Below a path the prefix is `__Secure-`: `__Host-` is for whole hosts.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import HTTPConnection
from starlette.responses import Response

from myi_pipeline.settings import Settings

_SESSION, _SIGN_IN = "myi_session", "myi_sign_in"
_SCHEME, _A_YEAR_S = "myi_scheme", 31_536_000
# A position has 63 bits.
_POSITION, _LONGEST_POSITION = "myi_position", 19
SIGN_IN_SECONDS = 600
MOST_SIGN_INS = 5
# Not in the alphabet of secrets, and needs no quotes in a cookie.
_BETWEEN = "."


def session_cookie(settings: Settings) -> str:
    return _name(settings, _SESSION)


def read_session(connection: HTTPConnection, settings: Settings) -> str | None:
    return connection.cookies.get(_name(settings, _SESSION))


def set_session(response: Response, settings: Settings, reference: str) -> None:
    _set(response, settings, _SESSION, reference, settings.session_days * 86_400)


def clear_session(response: Response, settings: Settings) -> None:
    """And what this person has changed, which is nothing to whoever signs in next."""
    _set(response, settings, _SESSION, "", 0)
    _set(response, settings, _POSITION, "", 0)


def read_sign_in(connection: HTTPConnection, settings: Settings) -> tuple[str, ...]:
    """The secrets of the sign-ins that this browser has begun, in any of its tabs, the latest last."""
    given = connection.cookies.get(_name(settings, _SIGN_IN), "")
    return tuple(each for each in given.split(_BETWEEN) if each)[-MOST_SIGN_INS:]


def set_sign_in(response: Response, settings: Settings, secrets: Sequence[str]) -> None:
    """Only the latest are kept: of more sign-ins at once, those can be finished."""
    _set(response, settings, _SIGN_IN, _BETWEEN.join(secrets[-MOST_SIGN_INS:]), SIGN_IN_SECONDS if secrets else 0)


def read_scheme(connection: HTTPConnection, settings: Settings) -> str | None:
    return connection.cookies.get(_name(settings, _SCHEME))


def set_scheme(response: Response, settings: Settings, scheme: str | None) -> None:
    """None forgets it."""
    _set(response, settings, _SCHEME, scheme or "", _A_YEAR_S if scheme else 0)


def read_position(connection: HTTPConnection, settings: Settings) -> int:
    """0 without one, or with something else in it: a browser that makes one up reads the primary, and nothing more."""
    given = connection.cookies.get(_name(settings, _POSITION), "")
    return int(given) if given.isascii() and given.isdigit() and len(given) <= _LONGEST_POSITION else 0


def set_position(response: Response, settings: Settings, position: int, *, seconds: int) -> None:
    _set(response, settings, _POSITION, str(position), seconds)


def _name(settings: Settings, name: str) -> str:
    if not _is_secure(settings):
        return name
    return f"__Secure-{name}" if settings.site_path else f"__Host-{name}"


def _is_secure(settings: Settings) -> bool:
    return settings.site_origin.startswith("https://")


def _set(response: Response, settings: Settings, name: str, value: str, max_age_s: int) -> None:
    response.set_cookie(
        _name(settings, name),
        value,
        max_age=max_age_s,
        path=settings.site_path or "/",
        secure=_is_secure(settings),
        httponly=True,
        samesite="lax",
    )
