"""How pages look in one browser: light or dark by its cookie, a 12- or 24-hour clock by its language.

A browser without the cookie follows its system. The server writes the choice into the page, so nothing flashes and no
script is needed.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from myi_pipeline.settings import Settings
from myi_pipeline.web.problems import is_of_the_contract
from myi_pipeline.web.security import cookies

Scheme = Literal["light", "dark"]

# Languages with a 12-hour clock (CLDR 47, short time formats), and the regions of those that differ by region.
_LANGUAGES = {
    "am", "ar", "bn", "el", "fil", "gu", "hi", "km", "kn", "ko", "ml", "mr", "ms", "or", "pa", "so", "sq",
    "ta", "te", "ur",
}  # fmt: skip
_REGIONS = {
    "en": {
        "AU", "BD", "BM", "BS", "CA", "FJ", "GH", "HK", "IN", "JM", "LK",
        "MO", "MY", "NZ", "PH", "PK", "PR", "SG", "TT", "US", "ZM",
    },
    "es": {
        "419", "AR", "BO", "CL", "CO", "CR", "CU", "DO", "EC", "GT", "HN",
        "MX", "NI", "PA", "PE", "PH", "PR", "PY", "SV", "US", "UY", "VE",
    },
}  # fmt: skip
_LONGEST_HEADER = 500


@dataclass(frozen=True)
class Look:
    """`scheme` is None if the system decides."""

    scheme: Scheme | None = None
    has_12_hours: bool = False


# Templates and the code that prepares them use formats everywhere, so a request's look is a context variable.
current: ContextVar[Look] = ContextVar("look", default=Look())  # noqa: B039 - a look never changes


class LookMiddleware:
    """Gives each request for a page its look."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or is_of_the_contract(scope["path"]):
            await self._app(scope, receive, send)
            return
        scheme = scheme_of(cookies.read_scheme(HTTPConnection(scope), self._settings))
        language = Headers(scope=scope).get("accept-language", "")
        token = current.set(Look(scheme, has_12_hours(language)))
        try:
            await self._app(scope, receive, send)
        finally:
            current.reset(token)


def scheme_of(text: str | None) -> Scheme | None:
    return "light" if text == "light" else "dark" if text == "dark" else None


def has_12_hours(accept_language: str) -> bool:
    """Whether the preferred language (browsers list it first) has a 12-hour clock."""
    first = accept_language[:_LONGEST_HEADER].partition(",")[0].partition(";")[0].strip()
    language, *rest = first.replace("_", "-").split("-")
    region = next((part.upper() for part in rest if len(part) in (2, 3)), None)
    language = language.lower()
    if language == "en" and region is None:
        return True
    if language in _REGIONS:
        return region in _REGIONS[language]
    return language in _LANGUAGES
