"""The headers of every answer: rules for browsers about content, frames, referrers, caches and TLS.

No inline script or style runs, nothing is loaded from another site, and no answer is cached unless its route says so.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from myi_pipeline.settings import Settings

_TWO_YEARS_S = 63_072_000


def content_security_policy(settings: Settings) -> str:
    # Chrome applies form-action to the redirect after a form, so the services' sign-in pages are listed.
    pages = [settings.spotify_accounts_url]
    pages += [settings.tidal_login_url] if settings.tidal_client_id is not None else []
    pages += [settings.youtube_login_url] if settings.youtube_client_id is not None else []
    origins = " ".join(f"{parts.scheme}://{parts.netloc}" for parts in map(urlsplit, pages))
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            "font-src 'self'",
            "connect-src 'self'",
            "manifest-src 'self'",
            f"form-action 'self' {origins}",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )


class SecurityHeadersMiddleware:
    """Adds headers that a route did not set itself."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        headers = {
            "content-security-policy": content_security_policy(settings),
            "x-content-type-options": "nosniff",
            "x-frame-options": "DENY",
            # A page with a form must send its origin to this site.
            "referrer-policy": "same-origin",
            "cross-origin-opener-policy": "same-origin",
            "cross-origin-resource-policy": "same-origin",
            "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
            "cache-control": "no-store",
        }
        if settings.site_origin.startswith("https://"):
            headers["strict-transport-security"] = f"max-age={_TWO_YEARS_S}; includeSubDomains"
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = list(message["headers"])
                names = {name.lower() for name, _ in given}
                message["headers"] = given + [header for header in self._headers if header[0] not in names]
            await send(message)

        await self._app(scope, receive, send_with_headers)
