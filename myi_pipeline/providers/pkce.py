"""Proof Key for Code Exchange (RFC 7636), and reading what the browser brings back.

A code is taken only from an answer that carries our own state, compared in constant time; no code or verifier is in a
repr or an error.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from myi_pipeline.errors import BadInput, Permanent

METHOD = "S256"


class LoginDenied(Permanent):
    """The person, or Spotify, said no."""


@dataclass(frozen=True)
class Challenge:
    """What one sign-in needs to know until its answer comes."""

    state: str = field(repr=False)
    verifier: str = field(repr=False)

    @property
    def code_challenge(self) -> str:
        """The verifier's SHA-256 in base64url without padding."""
        digest = hashlib.sha256(self.verifier.encode("ascii")).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def new_challenge() -> Challenge:
    """A state of 192 bits and a verifier of 512."""
    return Challenge(state=secrets.token_urlsafe(24), verifier=secrets.token_urlsafe(64))


def belongs_to(address: str, challenge: Challenge) -> bool:
    """Whether the address answers this sign-in, with yes or no."""
    return secrets.compare_digest(
        _values(address).get("state", "").encode("utf-8", "replace"), challenge.state.encode()
    )


def read_redirect(address: str, challenge: Challenge) -> str:
    """The code out of the redirected address (or its query alone).

    Raises BadInput when it is not the answer to this sign-in, LoginDenied when it says no.
    """
    values = _values(address)
    if not belongs_to(address, challenge):
        raise BadInput(
            "this is not the address that Spotify redirected to for this sign-in: copy the whole address of the page"
            " that opened after you agreed",
            place="redirected address",
            rule="?code=...&state=...",
        )
    if "error" in values:
        said = values["error"]
        if said == "access_denied":
            raise LoginDenied("the sign-in was refused on Spotify's page; nothing was changed")
        raise LoginDenied(f"Spotify ended the sign-in: {said[:60] if said.isprintable() else 'unreadable'}")
    code = values.get("code", "")
    if not code:
        raise BadInput("the redirected address holds no code", place="redirected address", rule="?code=...&state=...")
    return code


def _values(address: str) -> dict[str, str]:
    """What the query names once."""
    text = address.strip()
    try:
        query = urlsplit(text).query if "?" in text else text
        return {name: found[0] for name, found in parse_qs(query, max_num_fields=20).items() if len(found) == 1}
    except ValueError:
        return {}
