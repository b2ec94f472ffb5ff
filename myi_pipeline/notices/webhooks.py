"""Webhooks according to https://www.standardwebhooks.com: a signed POST of a JSON document; any 2xx means accepted.

Redirects are not followed, at most a few kilobytes of an answer are read, and an attempt has a total time limit,
whatever the receiver does.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from http import HTTPStatus
from uuid import UUID

from myi_pipeline import __version__
from myi_pipeline.errors import BadInput, Transient
from myi_pipeline.notices.addresses import Lookup, Place, reach, read_place, system_lookup

LIMIT_S = 15.0
_CONNECT_S = 5.0
_MOST_READ = 16_384
_SECRET_BYTES = 32
# A slow name server occupies a thread for longer than the attempt lasts, but nobody waits for it.
_LOOKUPS = ThreadPoolExecutor(max_workers=40, thread_name_prefix="lookup")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of one attempt.

    `is_gone`: the receiver wants no more messages; `retry_after`: when it wants the next attempt.
    """

    is_taken: bool
    status: int | None = None
    error: str | None = None
    is_gone: bool = False
    retry_after: timedelta | None = None


def new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode("ascii")


def message_id(delivery_id: UUID) -> str:
    """The same for every attempt, so that a receiver recognises duplicates."""
    return f"msg_{delivery_id.hex}"


def signed_headers(payload: str, *, delivery_id: UUID, signing: Sequence[str], now: datetime) -> dict[str, str]:
    """`signing`: the secret and, for a while, the former one: a receiver that knows either can verify."""
    from standardwebhooks import Webhook

    identity = message_id(delivery_id)
    signatures = [Webhook(secret).sign(msg_id=identity, timestamp=now, data=payload) for secret in signing]
    return {
        "webhook-id": identity,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


async def post(
    url: str,
    payload: str,
    *,
    delivery_id: UUID,
    signing: Sequence[str],
    now: datetime,
    allow_private: bool,
    limit_s: float = LIMIT_S,
    lookup: Lookup = system_lookup,
) -> Outcome:
    """One attempt. Never raises because of what a receiver does."""
    try:
        place = read_place(url, allow_private=allow_private)
        headers = signed_headers(payload, delivery_id=delivery_id, signing=signing, now=now)
        async with asyncio.timeout(limit_s):
            return await _post(place, payload, headers, allow_private=allow_private, lookup=lookup)
    except TimeoutError:
        return Outcome(is_taken=False, error=f"no answer within {limit_s:g} seconds")
    except (BadInput, Transient) as error:
        return Outcome(is_taken=False, error=str(error))


async def _post(
    place: Place, payload: str, headers: dict[str, str], *, allow_private: bool, lookup: Lookup
) -> Outcome:  # fmt: skip
    import httpx

    resolve = partial(reach, place.host, place.port, allow_private=allow_private, lookup=lookup)
    addresses = await asyncio.get_running_loop().run_in_executor(_LOOKUPS, resolve)
    sent = {
        **headers,
        "host": place.host_header,
        "content-type": "application/json",
        "user-agent": f"MYI/{__version__}",
        "accept-encoding": "identity",
    }
    # Never through a proxy from the environment, which would resolve the name itself.
    client = httpx.AsyncClient(
        trust_env=False, follow_redirects=False, timeout=httpx.Timeout(LIMIT_S, connect=_CONNECT_S)
    )
    async with client:
        for number, address in enumerate(addresses):
            host = f"[{address}]" if ":" in address else address
            request = client.build_request(
                "POST",
                f"{place.scheme}://{host}:{place.port}{place.path}",
                content=payload.encode(),
                headers=sent,
                # The certificate must match the name.
                extensions={"sni_hostname": place.host},
            )
            try:
                answer = await client.send(request, stream=True)
                try:
                    await _read_some(answer)
                finally:
                    await answer.aclose()
            except httpx.ConnectError as error:
                if "CERTIFICATE_VERIFY_FAILED" in str(error):
                    return Outcome(is_taken=False, error=f"the certificate is not valid for {place.host}")
                if number + 1 < len(addresses):
                    continue
                return Outcome(is_taken=False, error="no connection could be made")
            except httpx.HTTPError as error:
                return Outcome(is_taken=False, error=f"the connection failed: {type(error).__name__}")
            return _judge(answer.status_code, answer.headers.get("retry-after"))
    return Outcome(is_taken=False, error="no connection could be made")


async def _read_some(answer: object) -> None:
    """The answer is not used; reading it to the end closes the connection cleanly."""
    read = 0
    async for piece in answer.aiter_raw():  # type: ignore[attr-defined]
        read += len(piece)
        if read > _MOST_READ:
            return


def _judge(status: int, retry_after: str | None) -> Outcome:
    if 200 <= status < 300:
        return Outcome(is_taken=True, status=status)
    wished: timedelta | None = None
    with suppress(ValueError, OverflowError):
        wished = timedelta(seconds=max(0, int(retry_after))) if retry_after is not None else None
    phrase = ""
    with suppress(ValueError):
        phrase = f" {HTTPStatus(status).phrase}"
    said = f"answered {status}{phrase}"
    if 300 <= status < 400:
        said += ", and no redirect is followed"
    return Outcome(
        is_taken=False, status=status, error=said, is_gone=status == HTTPStatus.GONE, retry_after=wished
    )  # fmt: skip
