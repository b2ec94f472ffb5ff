"""Proof Key for Code Exchange (RFC 7636), and reading the redirected address.

A code is accepted only from an answer with our own state, compared in constant time; no repr or error contains a code
or verifier.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from myi_pipeline.errors import BadInput, Permanent

METHOD = "S256"


class LoginDenied(Permanent):
    """The person or the service declined."""


@dataclass(frozen=True)
class Challenge:
    """What a sign-in must remember until its answer arrives."""

    state: str = field(repr=False)
    verifier: str = field(repr=False)

    @property
    def code_challenge(self) -> str:
        """The verifier's SHA-256 in base64url without padding."""
        digest = hashlib.sha256(self.verifier.encode("ascii")).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def authorise_url(
    address: str, challenge: Challenge, *, client_id: str, redirect_uri: str, scopes: Iterable[str], **more: str
) -> str:
    """The authorisation page at the service's `address`; `more` are additional parameters of that service."""
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join(scopes),
        "state": challenge.state,
        "code_challenge_method": METHOD,
        "code_challenge": challenge.code_challenge,
        **more,
    }
    return f"{address}?{urlencode(query, quote_via=quote)}"


def new_challenge() -> Challenge:
    """A state of 192 bits and a verifier of 512."""
    return Challenge(state=secrets.token_urlsafe(24), verifier=secrets.token_urlsafe(64))


def belongs_to(address: str, challenge: Challenge) -> bool:
    """Whether the address is the answer to this sign-in, granted or not."""
    return secrets.compare_digest(
        _values(address).get("state", "").encode("utf-8", "replace"), challenge.state.encode()
    )


def read_redirect(address: str, challenge: Challenge, *, service: str = "Spotify") -> str:
    """The code in the redirected address (or its query alone).

    Raises BadInput if it is not the answer to this sign-in, LoginDenied if it was declined.
    """
    values = _values(address)
    if not belongs_to(address, challenge):
        raise BadInput(
            f"this is not the address that {service} redirected to for this sign-in: copy the whole address of the page"
            " that opened after you agreed",
            place="redirected address",
            rule="?code=...&state=...",
        )
    if "error" in values:
        said = values["error"]
        if said == "access_denied":
            raise LoginDenied(f"the sign-in was refused on {service}'s page; nothing was changed")
        raise LoginDenied(f"{service} ended the sign-in: {said[:60] if said.isprintable() else 'unreadable'}")
    code = values.get("code", "")
    if not code:
        raise BadInput(
            "the redirected address contains no code", place="redirected address", rule="?code=...&state=..."
        )
    return code


def _values(address: str) -> dict[str, str]:
    """Query parameters that occur once."""
    text = address.strip()
    try:
        query = urlsplit(text).query if "?" in text else text
        return {name: found[0] for name, found in parse_qs(query, max_num_fields=20).items() if len(found) == 1}
    except ValueError:
        return {}
