"""What the authorisation page checks before anybody agrees: redirects, scopes, PKCE.

Source: Spotify's rules for redirect URIs since 2025; RFC 7636 with S256 only.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from hashlib import sha256
from urllib.parse import urlsplit

from myi_pipeline.simulator.live.spec import SCOPES

_LOOPBACK = ("127.0.0.1", "::1")
_ALL_SCOPES = frozenset(SCOPES) | {
    "user-read-email", "user-read-playback-state", "user-read-playback-position", "user-library-read",
    "playlist-read-private", "playlist-read-collaborative", "playlist-modify-private", "playlist-modify-public",
}  # fmt: skip


class AuthorisePageError(Exception):
    """What the authorisation page says instead of redirecting."""


def is_secure_redirect(uri: str) -> bool:
    """https, or http to a numeric loopback address; never localhost."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    if not parts.hostname or parts.fragment or parts.hostname == "localhost":
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)


def is_registered(uri: str, registered: str) -> bool:
    """Equal, or equal except for the port if the registered one is a loopback address without a port."""
    if uri == registered:
        return True
    given, known = urlsplit(uri), urlsplit(registered)
    return (
        known.hostname in _LOOPBACK
        and known.port is None
        and (given.scheme, given.hostname, given.path, given.query)
        == (known.scheme, known.hostname, known.path, known.query)
    )


def known_scopes(asked: str) -> tuple[str, ...]:
    """The scopes of a request, in order. Raises AuthorisePageError for one that does not exist."""
    scopes = tuple(asked.split())
    strange = [scope for scope in scopes if scope not in _ALL_SCOPES]
    if strange:
        raise AuthorisePageError("INVALID_SCOPE: Invalid scope")
    return scopes


def challenge_of(verifier: str) -> str:
    """The S256 challenge of a verifier (RFC 7636, section 4.2)."""
    return urlsafe_b64encode(sha256(verifier.encode("ascii")).digest()).rstrip(b"=").decode()


def fits(verifier: str, challenge: str) -> bool:
    if not 43 <= len(verifier) <= 128 or not verifier.isascii():
        return False
    return hmac.compare_digest(challenge_of(verifier), challenge)
