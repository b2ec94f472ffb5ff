"""The routes of the contract, which refuse parameters that they do not have.

Else a misspelt `limit` would be a list of another length, and nobody would notice.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from myi_pipeline.web.problems import Problem, did_you_mean, shown
from myi_pipeline.web.security.identity import current_user
from myi_pipeline.web.site import site_of


class ContractRoute(APIRoute):
    """For `APIRouter(route_class=...)`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        known = frozenset(_query_parameters(self.dependant))

        async def handle_known(request: Request) -> Response:
            if request.scope["query_string"]:
                unknown = [name for name in request.query_params if name not in known]
                if unknown:
                    # A stranger is told nothing but to sign in, and a flood of bad requests is a flood.
                    await current_user(request, await site_of(request))
                    raise _unknown(unknown, known)
            return await handle(request)

        return handle_known


def _query_parameters(dependant: Dependant) -> Iterator[str]:
    yield from (field.alias for field in dependant.query_params)
    for each in dependant.dependencies:
        yield from _query_parameters(each)


def _unknown(names: list[str], known: frozenset[str]) -> Problem:
    fields = [{"place": f"query.{shown(name)}", "message": _message(name, known)} for name in names[:20]]
    first = fields[0]["message"]
    return Problem(422, "invalid-request", first[0].upper() + first[1:], errors=fields)


def _message(name: str, known: frozenset[str]) -> str:
    there = f"there are {', '.join(sorted(known))}" if known else "there is none here"
    return f"unknown parameter '{shown(name)}': {did_you_mean(name, known) or there}"
