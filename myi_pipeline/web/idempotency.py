"""The header Idempotency-Key: a request that is sent again, because its answer was lost, is not done again.

For routes whose whole work is one transaction of the role `app`; a file that is made besides is left over if that
transaction fails, and deleted with the others. Among them `repeatable` is the only way to answer.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from typing import Annotated, Any, Protocol, TypeVar

from fastapi import Header, Request, Response

from myi_pipeline.people.kept_answers import LONGEST_KEY, KeptAnswer, KeyReused, answer_once
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.web.answers import JSON
from myi_pipeline.web.problems import Problem
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.site import Site

T = TypeVar("T")
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="Any text of yours, another one for each request that you mean. The same request with the same key"
        " gets the same answer for 24 hours and is done once; another request with it is refused (422).",
        min_length=1,
        max_length=LONGEST_KEY,
        pattern=r"^[\x21-\x7e]+$",
        examples=["3f0a6f0e-6f5d-4a53-9f2c-0d9b5a0c7a11"],
    ),
]
REPLAYED = "Idempotent-Replayed"
# For the documentation of answers.
REPLAYED_HEADER: dict[str, Any] = {
    REPLAYED: {"description": "`true` where this was answered before.", "schema": {"type": "string"}}
}


class Runner(Protocol):
    """Calls a function with a connection of the role `app`, in a thread."""

    async def __call__(self, work: Callable[[Connection], T], /) -> T: ...


async def repeatable(
    request: Request,
    site: Site,
    visitor: Visitor,
    key: str | None,
    work: Callable[[Connection], KeptAnswer],
    *,
    run: Runner | None = None,
) -> Response:
    """What `work` answers, or answered. `run`: where it takes longer than a connection of the pool may be held. Raises
    Problem 422, and what `work` raises.
    """
    in_thread = run or site.pools.in_thread
    if key is None:
        return _response(await in_thread(work), is_repeated=False)
    once = partial(
        answer_once, work=work, user_id=visitor.user_id, key=key, fingerprint=await _fingerprint(request),
        now=datetime.now(UTC),
    )  # fmt: skip
    try:
        answer, is_repeated = await in_thread(once)
    except KeyReused as error:
        fields = [{"place": "header.Idempotency-Key", "message": "was used for another request"}]
        told = f"{str(error)[:1].upper()}{str(error)[1:]}: name another one."
        raise Problem(422, "idempotency-key-reused", told, errors=fields) from None
    return _response(answer, is_repeated=is_repeated)


async def _fingerprint(request: Request) -> bytes:
    scope = request.scope
    address = f"{request.method} {scope['path']}?{scope['query_string'].decode('latin-1')}\n"
    return sha256(address.encode("utf-8", "surrogateescape") + await request.body()).digest()


def _response(answer: KeptAnswer, *, is_repeated: bool) -> Response:
    headers = {"location": answer.location} if answer.location is not None else {}
    if is_repeated:
        headers[REPLAYED] = "true"
    return Response(answer.body, status_code=answer.status, media_type=JSON, headers=headers)
