"""Routes that refuse unknown query parameters, and one that is given twice: a misspelt `limit`, or one of two, would
otherwise go unnoticed and change the list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from myi_pipeline.web.problems import Problem, did_you_mean, shown
from myi_pipeline.web.security.identity import reader
from myi_pipeline.web.site import site_of


class ContractRoute(APIRoute):
    """For `APIRouter(route_class=...)`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        known = frozenset(_query_parameters(self.dependant))

        async def handle_known(request: Request) -> Response:
            if request.scope["query_string"]:
                wrong = {
                    name: _message(name, known) if name not in known else f"'{name}' is given more than once"
                    for name, times in Counter(name for name, _ in request.query_params.multi_items()).items()
                    if name not in known or times > 1
                }
                if wrong:
                    # Somebody who is not signed in gets no hint about parameters, and bad requests count towards the
                    # rate limit.
                    await reader(request, await site_of(request))
                    raise _refusal(wrong)
            return await handle(request)

        return handle_known


def _query_parameters(dependant: Dependant) -> Iterator[str]:
    yield from (field.alias for field in dependant.query_params)
    for each in dependant.dependencies:
        yield from _query_parameters(each)


def _refusal(wrong: dict[str, str]) -> Problem:
    """`wrong`: what is wrong with each parameter."""
    fields = [{"place": f"query.{shown(name)}", "message": message} for name, message in list(wrong.items())[:20]]
    first = fields[0]["message"]
    return Problem(422, "invalid-request", first[0].upper() + first[1:], errors=fields)


def _message(name: str, known: frozenset[str]) -> str:
    there = f"known are {', '.join(sorted(known))}" if known else "this route takes none"
    return f"unknown parameter '{shown(name)}': {did_you_mean(name, known) or there}"
