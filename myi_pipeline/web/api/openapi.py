"""The OpenAPI document: FastAPI's own, plus who may call what and how errors look."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from myi_pipeline.web.problems import ProblemDocument

Document = dict[str, Any]
# Marks a route that changes something but accepts tokens of some scope; removed from the document.
FOR_TOKENS = "x-for-tokens"
_METHODS = ("get", "put", "post", "delete", "patch")
DESCRIPTION = """Your own listening history: lists, top lists and totals.

Every response has an `ETag`; until your figures change, `If-None-Match` is answered with 304. Lists are paged (`Link`)
and come as JSON or, with `Accept: text/csv`, as CSV. Errors are problem documents (RFC 9457). Fields may be added but
are never removed."""
SECURITY = {
    "accessToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "A personal access token (`myi token new` or the account page). It is read-only unless it has"
        " the scope `playlists:write`, which also moves playlists.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "myi_session",
        "description": "A signed-in browser; behind TLS the cookie's name begins with `__Host-`, or with `__Secure-`"
        " below a path.",
    },
}


def describe_app(app: FastAPI) -> Document:
    """The contract of the app; computed once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, openapi_version="3.1.0", description=DESCRIPTION, routes=app.routes
        )
        path = app.state.site.settings.site_path
        if path:
            document["servers"] = [{"url": path}]
        document["components"]["securitySchemes"] = SECURITY
        for _, method, operation in operations(document):
            if "security" in operation:
                continue  # callable without signing in
            # Only browsers may change anything, unless a route says otherwise.
            is_for_tokens = method == "get" or operation.pop(FOR_TOKENS, False)
            operation["security"] = [{"session": []}] + ([{"accessToken": []}] if is_for_tokens else [])
        problem = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
        document["components"]["schemas"] |= {**problem.pop("$defs"), ProblemDocument.__name__: problem}
        app.openapi_schema = document
    return app.openapi_schema


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    """Each path, method and operation."""
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                yield path, method, item[method]
