"""The contract: the file is what the code serves, and what would break a program is noticed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from jsonschema import Draft202012Validator

from myi_pipeline.web.api.openapi import Document, operations
from myi_pipeline.web.api.write_openapi import FILE, as_text, breaking_changes, current

COMMITTED: Document = orjson.loads(FILE.read_bytes())
PLAYS = COMMITTED["paths"]["/v1/me/plays"]["get"]


def test_the_file_is_what_the_code_serves() -> None:
    assert breaking_changes(COMMITTED, current()) == []
    assert as_text(current()) == FILE.read_bytes(), "run scripts/write-openapi"


def schema(document: Document, name: str) -> Any:
    return document["components"]["schemas"][name]


def parameter(document: Document, name: str) -> Any:
    return next(each for each in document["paths"]["/v1/me/plays"]["get"]["parameters"] if each["name"] == name)


BREAKING: dict[str, Callable[[Document], object]] = {
    "GET /v1/me/plays is gone": lambda d: d["paths"].pop("/v1/me/plays"),
    "GET /v1/me/plays: parameter artist_id is gone": lambda d: d["paths"]["/v1/me/plays"]["get"]["parameters"].remove(
        parameter(d, "artist_id")
    ),
    "GET /v1/me/plays: parameter limit has stricter limits": lambda d: parameter(d, "limit")["schema"].update(
        maximum=100
    ),
    "GET /v1/me/plays: parameter limit accepts other types": lambda d: parameter(d, "limit")["schema"].update(
        type="string"
    ),
    "GET /v1/me/plays: parameter from has become required": lambda d: parameter(d, "from").update(required=True),
    "GET /v1/me/plays: 200 no longer comes as text/csv": lambda d: d["paths"]["/v1/me/plays"]["get"]["responses"][
        "200"
    ]["content"].pop("text/csv"),
    "GET /v1/me/plays: field data.title is gone": lambda d: schema(d, "Play")["properties"].pop("title"),
    "GET /v1/me/plays: data.play_id. may have other types": lambda d: schema(d, "Play")["properties"]["play_id"].update(
        type="integer"
    ),
    "GET /v1/me/plays: data.kind. may have new values": lambda d: schema(d, "Play")["properties"]["kind"][
        "enum"
    ].append("film"),
    "GET /v1/me/plays: field data.ms_played is gone": lambda d: schema(d, "Play")["required"].remove("ms_played"),
}


@pytest.mark.parametrize("text", BREAKING)
def test_each_change_that_breaks_a_program_is_named(text: str) -> None:
    changed = copy.deepcopy(COMMITTED)
    BREAKING[text](changed)
    assert text in breaking_changes(COMMITTED, changed)


def test_what_is_added_breaks_nothing() -> None:
    changed = copy.deepcopy(COMMITTED)
    schema(changed, "Play")["properties"]["mood"] = {"type": "string"}
    schema(changed, "Play")["required"].append("mood")
    changed["paths"]["/v1/me/moods"] = {"get": PLAYS}
    parameter(changed, "limit")["schema"]["maximum"] = 1000
    changed["paths"]["/v1/me/plays"]["get"]["parameters"].append({**parameter(changed, "from"), "name": "until"})
    assert breaking_changes(COMMITTED, changed) == []


def test_every_operation_says_who_may_what_it_does_and_how_it_fails() -> None:
    for path, method, operation in operations(COMMITTED):
        name = f"{method} {path}"
        # An app that is to be let in has nothing to show yet.
        is_for_strangers = path.startswith("/auth/")
        assert bool(operation["security"]) is not is_for_strangers, name
        assert operation["summary"], name
        assert operation["operationId"].isalnum(), name
        assert {"429", "503"} | (set() if is_for_strangers else {"401"}) <= set(operation["responses"]), name
        for status, answer in operation["responses"].items():
            assert answer["description"], f"{name} {status}"
            if status >= "400":
                assert list(answer["content"]) == ["application/problem+json"], f"{name} {status}"
        for each in operation.get("parameters", []):
            assert each.get("description"), f"{name} {each['name']}"
    names = [operation["operationId"] for _, _, operation in operations(COMMITTED)]
    assert len(names) == len(set(names))


def test_every_reference_leads_somewhere_and_every_schema_is_one() -> None:
    text = FILE.read_text(encoding="utf-8")
    for name, one in COMMITTED["components"]["schemas"].items():
        Draft202012Validator.check_schema(one)
        assert f'"#/components/schemas/{name}"' in text, f"{name} is used nowhere"
    references = {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    # As Python names bounds; JSON Schema would take no notice.
    assert [name for name in ("ge", "gt", "le", "lt") if f'"{name}":' in text] == []
    assert references == set(COMMITTED["components"]["schemas"])


def test_every_plain_field_has_an_example_that_it_would_take() -> None:
    missing = []
    for name, one in COMMITTED["components"]["schemas"].items():
        for field, given in one.get("properties", {}).items():
            parts = [given, *given.get("anyOf", [])]
            is_plain = given.get("type") not in ("array", "boolean") and "$ref" not in str(given)
            is_boolean = any(part.get("type") == "boolean" for part in parts)
            is_shown = any({"examples", "enum", "const"} & set(part) for part in parts)
            if is_plain and not is_boolean and not is_shown:
                missing.append(f"{name}.{field}")
            for part in parts:
                for example in part.get("examples", []):
                    Draft202012Validator(part).validate(example)
    assert missing == []
