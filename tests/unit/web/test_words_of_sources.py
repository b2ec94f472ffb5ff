"""What pages call an archive and the source of a play."""

from __future__ import annotations

import jinja2
import pytest

from myi_pipeline.archives.files import FORMATS
from myi_pipeline.catalogue.sources import TRAITS
from myi_pipeline.web.dashboard.formats import FILTERS
from myi_pipeline.web.dashboard.pages import FOLDER

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
