"""What pages call an archive and the source of a play."""

from __future__ import annotations

import json
from datetime import UTC

import jinja2
import pytest

from myi_pipeline.archives.files import FORMATS, kinds
from myi_pipeline.archives.files.formats import READ_SUFFIXES
from myi_pipeline.catalogue.plays import Source
from myi_pipeline.catalogue.sources import TRAITS
from myi_pipeline.cli.import_archives import IMPORT_HELP
from myi_pipeline.people.corrections import Described
from myi_pipeline.web.api.write_openapi import FILE
from myi_pipeline.web.dashboard.corrections import words_of
from myi_pipeline.web.dashboard.pages import FOLDER, _environment
from myi_pipeline.web.shown.formats import FILTERS

KINDS = {each.source.name.lower(): TRAITS[each.source].label for each in FORMATS.values()}


@pytest.fixture(scope="module")
def pages() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER / "templates"), undefined=jinja2.StrictUndefined, autoescape=True
    )
    made.filters.update(FILTERS)
    return made


@pytest.mark.parametrize(
    ("kind", "words"), [*sorted(KINDS.items()), ("mixed", "Several kinds"), ("unknown", "An archive")]
)
def test_an_archive_of_every_kind_has_words(pages: jinja2.Environment, kind: str, words: str) -> None:
    shown = pages.from_string('{% import "parts/imports.html" as parts %}{{ parts.kind(kind) }}').render(kind=kind)
    assert shown == words


@pytest.mark.parametrize("source", TRAITS)
def test_the_source_of_every_play_has_words(pages: jinja2.Environment, source: object) -> None:
    name = source.name.lower()  # type: ignore[attr-defined]
    assert pages.from_string("{{ name|source_short }}").render(name=name) == TRAITS[source].short  # type: ignore[index]


def test_no_two_sources_have_the_same_words() -> None:
    """Whoever hides plays by their source chooses one of these; two were called Last.fm."""
    for words in ([each.short for each in TRAITS.values()], [each.label for each in TRAITS.values()]):
        assert sorted(words) == sorted(set(words))


@pytest.mark.parametrize("source", TRAITS)
def test_plays_that_are_corrected_by_their_source_have_its_words(source: Source) -> None:
    words = words_of(Described(source=source.name.lower()), UTC, {})
    assert words == f"every play from “{TRAITS[source].label}”"


def test_whoever_exports_a_source_is_named_wherever_files_are_asked_for(pages: jinja2.Environment) -> None:
    exporters = {traits.exporter for traits in TRAITS.values() if traits.exporter is not None}
    template = '{% import "parts/uploads.html" as uploads with context %}{{ uploads.drop(1, "UTC") }}'
    places = {
        "the uploads page": _environment().from_string(template).render(),
        "what people read of a wrong file": kinds.WANTED,
        "myi import --help": IMPORT_HELP,
        "/v1": json.loads(FILE.read_bytes())["paths"]["/v1/me/imports"]["post"]["description"],
    }
    assert not [(place, name) for place, words in places.items() for name in exporters if name not in words]
    assert not [suffix for suffix in READ_SUFFIXES if suffix not in places["the uploads page"]]
