"""One HTTP request, bounded in time and size, whose failures are core.errors.

Belongs here: the connection's settings, reading an answer, mapping what breaks on the way. Not here: what a status
means. Invariant: a request takes at most DEADLINE_S plus one read, an answer at most MAX_BYTES or fewer; an error names
the method and the path, and nothing that was sent.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx

from myi_pipeline.core.errors import Transient, UnexpectedAnswer

TIMEOUT = httpx.Timeout(connect=10.0, read=10.0, write=10.0, pool=10.0)
DEADLINE_S = 25.0
# Fifty plays with every market of the old dialect take half a megabyte.
MAX_BYTES = 4 * 1024**2
_LONGEST_MESSAGE = 200
# Codes, tokens, verifiers and client secrets have 32 characters and more; an answer may repeat one, also an older one.
_MAYBE_A_TOKEN = re.compile(r"\S{20,}")

Clock = Callable[[], datetime]


class TooLarge(UnexpectedAnswer):
    """The answer has more bytes than its kind ever has."""


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Answer:
    """A whole answer. `what` names the request for people."""

    what: str
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def document(self) -> dict[str, Any]:
        """The JSON object. Raises UnexpectedAnswer when it is none."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            kind = self.headers.get("content-type", "").partition(";")[0][:40] or "no type"
            raise UnexpectedAnswer(
                f"{self.what}: Spotify answered {self.status} with something other than whole JSON ({kind})"
            ) from None
        if not isinstance(found, dict):
            raise UnexpectedAnswer(f"{self.what}: Spotify answered {self.status} with JSON that is no object")
        return found

    def message(self) -> str:
        """What Spotify says about an error, for people: short, printable, without anything that may be a token."""
        try:
            found = json.loads(self.body)
            error = found.get("error") if isinstance(found, dict) else None
            said = error.get("message") if isinstance(error, dict) else found.get("error_description") or error
        except (ValueError, RecursionError, AttributeError):
            is_text = self.headers.get("content-type", "").startswith("text/plain")
            said = self.body[:_LONGEST_MESSAGE].decode("utf-8", "replace") if is_text else ""
        text = _MAYBE_A_TOKEN.sub("***", said if isinstance(said, str) else "")
        return "".join(char if char.isprintable() else " " for char in text[:_LONGEST_MESSAGE]).strip()


def make_http(*urls: str) -> httpx.Client:
    """A client for these addresses. Proxies of the environment serve all but this machine's own."""
    is_local = all((urlsplit(url).hostname or "") in ("127.0.0.1", "::1", "localhost") for url in urls)
    return httpx.Client(
        timeout=TIMEOUT,
        follow_redirects=False,
        trust_env=not is_local,
        limits=httpx.Limits(max_connections=32, max_keepalive_connections=32, keepalive_expiry=30.0),
        headers={"Accept": "application/json", "User-Agent": "myi"},
    )


def send(
    http: httpx.Client,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
    form: Mapping[str, str] | None = None,
    most_bytes: int | None = None,
    is_unpacked: bool = True,
) -> Answer:
    """Make one request and read the whole answer, as it was sent unless `is_unpacked`.

    Raises Transient and UnexpectedAnswer; TooLarge beyond `most_bytes`.
    """
    what = f"{method} {urlsplit(url).path}"
    until = time.monotonic() + DEADLINE_S
    most = MAX_BYTES if most_bytes is None else most_bytes
    try:
        with http.stream(method, url, headers=headers, params=params, data=form, timeout=TIMEOUT) as response:
            parts, size = [], 0
            for part in response.iter_bytes() if is_unpacked else response.iter_raw():
                size += len(part)
                if size > most:
                    raise TooLarge(f"{what}: Spotify's answer is larger than {most:,} bytes")
                if time.monotonic() > until:
                    raise Transient(f"{what}: Spotify's answer took longer than {DEADLINE_S:.0f} s")
                parts.append(part)
            return Answer(what, response.status_code, dict(response.headers), b"".join(parts))
    # Never chained: the library's errors hold the request, and that holds the token.
    except httpx.TimeoutException:
        raise Transient(f"{what}: Spotify did not answer in time") from None
    except httpx.TransportError as error:
        raise Transient(f"{what}: the connection to Spotify failed ({type(error).__name__})") from None
    except httpx.HTTPError as error:
        raise UnexpectedAnswer(f"{what}: Spotify's answer cannot be read ({type(error).__name__})") from None


def retry_after(answer: Answer, now: datetime) -> timedelta | None:
    """The Retry-After header: seconds, or a date. None when there is none that makes sense."""
    value = answer.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit() and len(value) < 9:
        return timedelta(seconds=int(value))
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    return max(moment.replace(tzinfo=moment.tzinfo or UTC) - now, timedelta(0))
