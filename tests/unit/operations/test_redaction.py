"""A key may be any word: what is taken out of a document leaves it what it was."""

from __future__ import annotations

import json

import pytest

from myi_pipeline.operations.redaction import Traces, redact

RUN = {
    "__class__": "DagsterRun",
    "job_name": "users",
    "run_id": "users",
    "tags": {
        "dagster/asset_partition_range_start": "ana",
        "dagster/asset_partition_range_end": "users",
        "cause": "users, again",
    },
    "asset_selection": {"__frozenset__": [{"__class__": "AssetKey", "path": ["users"]}]},
}


def test_a_key_that_is_a_word_of_the_form_goes_only_where_a_key_can_stand() -> None:
    found = json.loads(redact(json.dumps(RUN), Traces("users")))
    assert found["tags"] == {
        "dagster/asset_partition_range_start": "ana",
        "dagster/asset_partition_range_end": "erased",
        "cause": "erased, again",
    }
    assert {**found, "tags": RUN["tags"]} == RUN


def test_a_set_of_partitions_has_one_less_and_the_others_stay() -> None:
    inner = json.dumps({"version": 1, "subset": ["ana", "anabel", "ben"]})
    event = {"partitions_subset": {"serialized_subset": inner}, "partition": "anabel"}
    found = json.loads(redact(json.dumps(event), Traces("ana")))
    assert json.loads(found["partitions_subset"]["serialized_subset"])["subset"] == ["anabel", "ben"]
    assert found["partition"] == "anabel"


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("ana", "erased"),
        ("ana/one.zip", "erased/one.zip"),
        ("for ana: done", "for erased: done"),
        ("first\\nana", "first\\nerased"),
        ("ana-2 and ana_b and banana", "ana-2 and ana_b and banana"),
        ("Ana", "Ana"),
    ],
)
def test_a_key_is_a_whole_word(text: str, rest: str) -> None:
    assert Traces("ana").cleared(text) == rest
    assert Traces("ana").are_in(text) == (text != rest)


def test_names_go_however_json_writes_them() -> None:
    traces = Traces("ana", ("Canción.zip",))
    nested = json.dumps({"message": json.dumps({"file": "Canción.zip"})})
    assert "Canci" not in redact(nested, traces)
    assert traces.are_in(nested)
    assert redact("read Canción.zip", traces, is_free=True) == "read erased"


def test_a_name_that_is_a_number_or_a_short_word_is_no_trace() -> None:
    traces = Traces("ana", ("2026", "2025-11-29", "Anna", "message", "one.zip", "Anna Example"))
    for text in (
        "2026-11-29 12:00 INFO refreshed",
        "2025-11-29",
        "Anna, Hanna",
        "message",
        "clone.zip",
        "one.zip.part2",
    ):
        assert traces.are_in(text) == (text == "one.zip.part2"), text
    assert traces.cleared("one.zip of Anna Example, 2026") == "erased of erased, 2026"


def test_a_name_that_is_a_word_of_the_form_goes_only_where_a_name_can_stand() -> None:
    document = {"__class__": "Partition", "job_name": "import_uploads", "tags": {"list": "import_uploads"}}
    found = json.loads(redact(json.dumps(document), Traces("ana", ("import_uploads", "Partition"))))
    assert found == {**document, "tags": {"list": "erased"}}


def test_what_names_nobody_is_not_written_again() -> None:
    text = json.dumps({"message": "nothing of them"})
    assert Traces("ana").count_in(text) == 0
    assert json.loads(redact(text, Traces("ana"))) == json.loads(text)
