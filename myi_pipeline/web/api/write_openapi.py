"""Writing docs/openapi.json: `scripts/write-openapi`. Needs no database and no settings.

Refuses changes that would break a client, and lists them, unless `--break` is given.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import orjson

from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.settings import Settings
from myi_pipeline.web.api.openapi import Document, describe_app, operations
from myi_pipeline.web.app import create_app

FILE = Path(__file__).parents[3] / "docs" / "openapi.json"
_NOWHERE = "postgresql://nobody@127.0.0.1:1/nowhere"


def current() -> Document:
    """The contract according to the code."""
    nowhere = Warehouse(urls=dict.fromkeys(Role, _NOWHERE), dagster_url=_NOWHERE)
    with tempfile.TemporaryDirectory() as home:
        document = describe_app(create_app(Settings(home=Path(home)), nowhere))
    # As in the file: an enumeration as a default becomes its text.
    return dict(orjson.loads(orjson.dumps(document)))


def as_text(document: Document) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def breaking_changes(old: Document, new: Document) -> list[str]:
    """The changes that would break a client of the old contract."""
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
            yield f"parameter {name} accepts other types"
        if not _choices(old, was) <= _choices(new, now) and _choices(new, now):
            yield f"parameter {name} accepts fewer values"
        if was.get("maximum", 0) > now.get("maximum", was.get("maximum", 0)):
            yield f"parameter {name} has stricter limits"
    for (place, name), parameter in given.items():
        if parameter.get("required") and not known.get((place, name), {}).get("required"):
            yield f"parameter {name} has become required"


def _choices(document: Document, schema: Document) -> set[str]:
    schema = _resolved(document, schema)
    return {str(value) for value in schema.get("enum", [schema["const"]] if "const" in schema else [])}


def _answers(
    old: Document, new: Document, was: Document, now: Document, *, place: str, seen: frozenset[str]
) -> Iterator[str]:
    """What an answer no longer guarantees."""
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


def main(arguments: list[str]) -> int:
    new = current()
    broken = breaking_changes(orjson.loads(FILE.read_bytes()), new) if FILE.exists() else []
    for text in broken:
        sys.stderr.write(f"breaks clients: {text}\n")
    if broken and "--break" not in arguments:
        return 1
    FILE.write_bytes(as_text(new))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
