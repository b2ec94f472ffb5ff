"""The OpenAPI document: FastAPI's own, with what FastAPI does not know: who may call what, and how errors look."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from myi_pipeline.web.problems import ProblemDocument

Document = dict[str, Any]
_METHODS = ("get", "put", "post", "delete", "patch")
DESCRIPTION = """A listener's own history, read from the marts: lists, top lists and sums.

Every answer names its bytes (`ETag`); while your marts do not change, `If-None-Match` is answered 304. Lists come in
pages (`Link`), as JSON or, by `Accept: text/csv`, as a table. Errors are problem documents (RFC 9457). Fields are
added, never taken away."""
SECURITY = {
    "accessToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "A personal access token (`myi token new`, or the account page); it only reads.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "myi_session",
        "description": "A browser that is signed in; behind TLS the cookie's name begins with `__Host-`, below a"
        " path with `__Secure-`.",
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
            # What changes anything is for browsers alone.
            operation["security"] = [{"session": []}] + ([{"accessToken": []}] if method == "get" else [])
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
