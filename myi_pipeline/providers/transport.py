"""One HTTP request, bounded in time and size, whose failures become MYI's errors.

A request takes at most DEADLINE_S in total, an answer has at most MAX_BYTES; an error names the method and the path,
but nothing that was sent.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Protocol, Self, TypeVar
from urllib.parse import urlsplit

import httpx
from anyio.from_thread import start_blocking_portal

from myi_pipeline.errors import Permanent, Transient, UnexpectedAnswer
from myi_pipeline.providers.quota_rules import Bucket

TIMEOUT = httpx.Timeout(connect=10.0, read=10.0, write=10.0, pool=10.0)
DEADLINE_S = 25.0
# Fifty plays with every market, in the old dialect, take half a megabyte.
MAX_BYTES = 4 * 1024**2
_LONGEST_MESSAGE = 200
# Codes, tokens, verifiers and client secrets have at least 32 characters; an answer may repeat one, even an older one.
_MAYBE_A_TOKEN = re.compile(r"\S{20,}")

# OAuth's error codes, some of which are as long: temporarily_unavailable.
_ERROR_CODE = re.compile(r"(?=.{1,40}\Z)[a-z]+(_[a-z]+){1,4}")
_SECONDS = re.compile(r"[0-9]{1,8}(\.[0-9]{1,20})?(\s*,\s*[0-9]{1,8}(\.[0-9]{1,20})?){0,9}")

_LOCAL = ("127.0.0.1", "::1", "localhost")

Clock = Callable[[], datetime]
_T = TypeVar("_T")


class Gate(Protocol):
    """Counts requests. `before` raises RateLimited; `blocked` returns until when; `passed` follows a success."""

    def before(self, bucket: Bucket) -> None: ...

    def blocked(self, bucket: Bucket, *, retry_after: timedelta | None, quota_exceeded: bool) -> datetime: ...

    def passed(self, bucket: Bucket) -> None: ...


class TooLarge(UnexpectedAnswer):
    """The answer is larger than answers of its kind ever are."""


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Answer:
    """A complete answer. `what` describes the request for people, `service` names who answered."""

    what: str
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    service: str = "Spotify"

    def document(self) -> dict[str, Any]:
        """The JSON object. Raises UnexpectedAnswer if it is not one."""
        try:
            found = json.loads(self.body, parse_int=_number)
        except (ValueError, RecursionError):
            kind = self.headers.get("content-type", "").partition(";")[0][:40] or "no type"
            raise UnexpectedAnswer(
                f"{self.what}: {self.service} answered {self.status} with something other than whole JSON ({kind})"
            ) from None
        if not isinstance(found, dict):
            raise UnexpectedAnswer(
                f"{self.what}: {self.service} answered {self.status} with JSON that is not an object"
            )
        return found

    def message(self) -> str:
        """The service's error message, for people: short, printable, without anything that may be a token."""
        try:
            found = json.loads(self.body)
            error = found.get("error") if isinstance(found, dict) else None
            said = error.get("message") if isinstance(error, dict) else found.get("error_description") or error
            if not isinstance(said, str):
                # Last.fm and ListenBrainz give a number and a message.
                said = found.get("message") or found.get("error")
        except (ValueError, RecursionError, AttributeError):
            is_text = self.headers.get("content-type", "").startswith("text/plain")
            said = self.body[:_LONGEST_MESSAGE].decode("utf-8", "replace") if is_text else ""
        return plain_words(said if isinstance(said, str) else "")


def plain_words(said: str) -> str:
    """A service's text, for people: short, printable, without anything that may be a token."""
    text = said if _ERROR_CODE.fullmatch(said) else _MAYBE_A_TOKEN.sub("***", said)
    return "".join(char if char.isprintable() else " " for char in text[:_LONGEST_MESSAGE]).strip()


class HttpClient:
    """Connections to these addresses, shared by threads; close it, or use it as a context manager.

    Requests run on a separate event loop in a separate thread, because only there can a time limit cover a whole
    exchange: with a limit on each read alone, a server that sends a byte per second could hold a request for hours.
    Proxies from the environment are used for all addresses except this machine's own. Raises Permanent if the
    environment names a proxy or certificates that cannot be used.
    """

    def __init__(self, *urls: str) -> None:
        is_local = all((urlsplit(url).hostname or "") in _LOCAL for url in urls)
        try:
            self._client = httpx.AsyncClient(
                timeout=TIMEOUT,
                follow_redirects=False,
                trust_env=not is_local,
                limits=httpx.Limits(max_connections=32, max_keepalive_connections=32, keepalive_expiry=30.0),
                headers={"Accept": "application/json", "User-Agent": "myi"},
            )
        except (ImportError, ValueError, OSError, httpx.InvalidURL) as error:
            raise Permanent(_what_environment_broke(error)) from None
        self._opened = ExitStack()
        self._portal = self._opened.enter_context(start_blocking_portal())

    @property
    def trust_env(self) -> bool:
        return self._client.trust_env

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections and ends the thread."""
        try:
            self._portal.call(self._client.aclose)
        finally:
            self._opened.close()

    def exchange(self, request: Callable[[httpx.AsyncClient], Awaitable[_T]], *, deadline_s: float) -> _T:
        """Runs `request` on the event loop. Raises TimeoutError after `deadline_s` seconds, and what it raises."""

        async def bounded() -> _T:
            async with asyncio.timeout(deadline_s):
                return await request(self._client)

        return self._portal.call(bounded)


def _what_environment_broke(error: Exception) -> str:
    """Names the variables to check, but not their values, which may contain a password."""
    if isinstance(error, OSError):
        return (
            f"the certificates that SSL_CERT_FILE or SSL_CERT_DIR names cannot be read ({error.strerror}):"
            " set it to an existing file, or unset it"
        )
    return (
        "the proxy that HTTPS_PROXY or ALL_PROXY names cannot be used (a SOCKS proxy, or no address): set HTTPS_PROXY"
        " to an http:// address, or unset it"
    )


def make_http(*urls: str) -> HttpClient:
    return HttpClient(*urls)


def send(
    http: HttpClient,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
    form: Mapping[str, str] | None = None,
    content: bytes | None = None,
    most_bytes: int | None = None,
    is_unpacked: bool = True,
    deadline_s: float | None = None,
    service: str = "Spotify",
) -> Answer:
    """Makes one request and reads the whole answer, unchanged unless `is_unpacked`.

    The exchange takes at most `deadline_s` seconds, by default DEADLINE_S, for connecting, head and body together.
    `form` or `content` is sent; `service` is the name for messages. Raises Transient and UnexpectedAnswer; TooLarge
    beyond `most_bytes`.
    """
    what = f"{method} {urlsplit(url).path}"
    most = MAX_BYTES if most_bytes is None else most_bytes
    longest_s = DEADLINE_S if deadline_s is None else deadline_s

    async def request(client: httpx.AsyncClient) -> Answer:
        async with client.stream(
            method, url, headers=headers, params=params, data=form, content=content, timeout=TIMEOUT
        ) as response:
            parts, size = [], 0
            async for part in response.aiter_bytes() if is_unpacked else response.aiter_raw():
                size += len(part)
                if size > most:
                    raise TooLarge(f"{what}: {service}'s answer is larger than {most:,} bytes")
                parts.append(part)
            return Answer(what, response.status_code, dict(response.headers), b"".join(parts), service)

    try:
        return http.exchange(request, deadline_s=longest_s)
    # Never chained: the library's errors contain the request, and that contains the token.
    except TimeoutError:
        raise Transient(f"{what}: {service}'s answer took longer than {longest_s:.0f} s") from None
    except httpx.TimeoutException:
        raise Transient(f"{what}: {service} did not answer in time") from None
    except httpx.TransportError as error:
        raise Transient(f"{what}: the connection to {service} failed ({type(error).__name__})") from None
    except httpx.HTTPError as error:
        raise UnexpectedAnswer(f"{what}: {service}'s answer cannot be read ({type(error).__name__})") from None


def retry_after(answer: Answer, now: datetime) -> timedelta | None:
    """The Retry-After header: seconds or a date; None if it is missing or invalid.

    Seconds may have decimals and occur more than once (two servers on the way): the longest wait counts, rounded up. A
    date is compared with the answer's own Date header, so that a wrong clock on either side does not matter.
    """
    value = answer.headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(value):
        return timedelta(seconds=max(math.ceil(float(each)) for each in value.split(",")))
    moment = _http_date(value)
    if moment is None:
        return None
    return max(moment - (_http_date(answer.headers.get("date", "")) or now), timedelta(0))


def is_quota_exceeded(answer: Answer) -> bool:
    """Whether a 429 is about the day's quota, not about the last seconds."""
    return b"QUOTA_EXCEEDED" in answer.body[:4_096]


def _http_date(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC)


def _number(digits: str) -> int | float:
    """Python refuses to parse integers of more than 4,300 digits, and one field must not cost the whole answer."""
    return int(digits) if len(digits) < 100 else float(digits)
