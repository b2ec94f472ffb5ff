"""Routes that read are called directly: the same functions with the same parameters, found by their address.

Belongs here: finding the route, reading its parameters from its signature, calling it. Not here: routes, nor any other
route, which FastAPI calls. Invariant: a route answers the same both ways (a test asks each of them); what is told of it
in the contract is FastAPI's in any case.

FastAPI's general way (routers within routers, dependencies with stacks, telemetry) costs a read 1 ms; most reads
themselves take less.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from fastapi.exceptions import RequestValidationError
from fastapi.params import Depends, Query
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.requests import HTTPConnection, Request
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

Call = Callable[..., Awaitable[Any]]
Errors = list[dict[str, Any]]


@dataclass(frozen=True)
class _Value:
    """A parameter of the query. `default` is inspect's `empty` where there is none."""

    name: str
    alias: str
    default: Any
    adapter: TypeAdapter[Any]

    def read(self, query: Mapping[str, str], errors: Errors) -> Any:
        given = query.get(self.alias)
        if given is None:
            if self.default is inspect.Parameter.empty:
                errors.append({"type": "missing", "loc": ("query", self.alias), "msg": "Field required"})
            return self.default
        try:
            return self.adapter.validate_python(given)
        except ValidationError as error:
            found = error.errors(include_url=False)
            errors.extend({**each, "loc": ("query", self.alias, *each["loc"])} for each in found)
            return None


@dataclass(frozen=True)
class _Plan:
    """How a function is called: its values, what it depends on, and the name under which it gets the request."""

    call: Call
    request_name: str | None
    values: tuple[_Value, ...]
    parts: tuple[tuple[str, _Plan], ...]

    async def run(self, request: Request, solved: dict[Call, Any], errors: Errors) -> Any:
        """What the function gives; None when anything it needs was wrong, which is then in `errors`."""
        before = len(errors)
        given: dict[str, Any] = {}
        for name, part in self.parts:
            if part.call not in solved:
                solved[part.call] = await part.run(request, solved, errors)
            given[name] = solved[part.call]
        if self.values:
            query = request.query_params if request.scope["query_string"] else {}
            for value in self.values:
                given[value.name] = value.read(query, errors)
        if len(errors) > before:
            return None
        if self.request_name is not None:
            given[self.request_name] = request
        return await self.call(**given)


class DirectReads:
    """Calls those of the routes that are read at one address; passes everything else on."""

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute]) -> None:
        self._app = app
        self._routes = {
            route.path: (route, plan_of(route.endpoint))
            for route in routes
            if isinstance(route, APIRoute) and route.methods == {"GET"} and not route.param_convertors
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._routes.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "GET" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        scope["route"], plan = found
        errors: Errors = []
        response = await plan.run(Request(scope, receive), {}, errors)
        if errors:
            raise RequestValidationError(errors)
        await response(scope, receive, send)


def plan_of(call: Call) -> _Plan:
    """How the route or dependency is called. Raises TypeError when its signature holds what is not known here."""
    hints = get_type_hints(call, include_extras=True)
    request_name: str | None = None
    values, parts = [], []
    for name, parameter in inspect.signature(call).parameters.items():
        kind, *notes = get_args(hints[name]) if get_origin(hints[name]) is Annotated else (hints[name],)
        depends = [each for each in notes if isinstance(each, Depends)]
        queries = [each for each in notes if isinstance(each, Query)]
        if isinstance(kind, type) and issubclass(kind, HTTPConnection):
            request_name = name
        elif depends and depends[-1].dependency is not None:
            parts.append((name, plan_of(depends[-1].dependency)))
        elif queries:
            checks = [each for each in notes if not isinstance(each, Query)] + queries[-1].metadata
            annotated: Any = Annotated[(kind, *checks)] if checks else kind
            alias = queries[-1].alias or name
            values.append(_Value(name, alias, parameter.default, TypeAdapter(annotated)))
        else:
            raise TypeError(f"{call.__qualname__} has a parameter that is no request, dependency or query: {name}")
    if not inspect.iscoroutinefunction(call):
        raise TypeError(f"{call.__qualname__} is no coroutine function")
    return _Plan(call, request_name, tuple(values), tuple(parts))
