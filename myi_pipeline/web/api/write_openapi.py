"""The contract: what the API promises, as OpenAPI 3.1.

Belongs here: its outer parts, and telling which change of it would break a program. Not here: parameters and answers,
which stand at the routes. Invariant: docs/openapi.json is what a running API serves, byte for byte, and a change that
breaks a program is never made to it by accident (scripts/write-openapi refuses, and tests say which).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from myi_pipeline.api.problems import ProblemDocument

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
        "description": "A browser that is signed in; behind TLS the cookie's name begins with `__Host-`.",
    },
}


def describe_app(app: FastAPI) -> Document:
    """The contract of the app; computed once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, openapi_version="3.1.0", description=DESCRIPTION, routes=app.routes
        )
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


def breaking_changes(old: Document, new: Document) -> list[str]:
    """What would break a program that goes by the old contract."""
    found: list[str] = []
    for path, method, before in operations(old):
        name = f"{method.upper()} {path}"
        after = new["paths"].get(path, {}).get(method)
        if after is None:
            found.append(f"{name} is gone")
            continue
        found += [f"{name}: {text}" for text in _parameters(old, new, before, after)]
        for status, answer in before["responses"].items():
            if not status.startswith("2"):
                continue
            given = after["responses"].get(status)
            if given is None:
                found.append(f"{name}: {status} is gone")
                continue
            for kind, media in answer.get("content", {}).items():
                if kind not in given.get("content", {}):
                    found.append(f"{name}: {status} no longer comes as {kind}")
                else:
                    shapes = (media.get("schema", {}), given["content"][kind].get("schema", {}))
                    found += [f"{name}: {text}" for text in _answers(old, new, *shapes, place="", seen=frozenset())]
    return found


def _resolved(document: Document, schema: Document) -> Document:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def _types(document: Document, schema: Document) -> set[str]:
    """The JSON types that a schema lets through."""
    schema = _resolved(document, schema)
    if "anyOf" in schema:
        return set().union(*(_types(document, each) for each in schema["anyOf"]))
    kind = schema.get("type", "any")
    return {kind} if isinstance(kind, str) else set(kind)


def _parameters(old: Document, new: Document, before: Document, after: Document) -> Iterator[str]:
    known = {(each["in"], each["name"]): each for each in before.get("parameters", [])}
    given = {(each["in"], each["name"]): each for each in after.get("parameters", [])}
    for (place, name), parameter in known.items():
        if (place, name) not in given:
            yield f"parameter {name} is gone"
            continue
        was, now = parameter["schema"], given[place, name]["schema"]
        if not _types(old, was) <= _types(new, now):
            yield f"parameter {name} takes other types"
        if not _choices(old, was) <= _choices(new, now) and _choices(new, now):
            yield f"parameter {name} takes fewer values"
        if was.get("maximum", 0) > now.get("maximum", was.get("maximum", 0)):
            yield f"parameter {name} takes less"
    for (place, name), parameter in given.items():
        if parameter.get("required") and not known.get((place, name), {}).get("required"):
            yield f"parameter {name} has become necessary"


def _choices(document: Document, schema: Document) -> set[str]:
    schema = _resolved(document, schema)
    return {str(value) for value in schema.get("enum", [schema["const"]] if "const" in schema else [])}


def _answers(
    old: Document, new: Document, was: Document, now: Document, *, place: str, seen: frozenset[str]
) -> Iterator[str]:
    """What an answer no longer promises."""
    reference = was.get("$ref", "")
    if reference in seen:
        return
    seen = seen | {reference} if reference else seen
    if not _types(new, now) <= _types(old, was):
        yield f"{place or 'the answer'} may have other types"
        return
    if _choices(old, was) and not _choices(new, now) <= _choices(old, was):
        yield f"{place} may have new values"
    was, now = _one(old, was), _one(new, now)
    for name, schema in was.get("properties", {}).items():
        there = now.get("properties", {}).get(name)
        if there is None or (name in was.get("required", []) and name not in now.get("required", [])):
            yield f"field {place}{name} is gone"
        else:
            yield from _answers(old, new, schema, there, place=f"{place}{name}.", seen=seen)
    if "items" in was and "items" in now:
        yield from _answers(old, new, was["items"], now["items"], place=place, seen=seen)


def _one(document: Document, schema: Document) -> Document:
    """The part of a schema that is not null."""
    schema = _resolved(document, schema)
    parts = [each for each in schema.get("anyOf", []) if each.get("type") != "null"]
    return _resolved(document, parts[0]) if len(parts) == 1 else schema
