"""What pages call the changes of a playlist: no name of the marts' own is shown to people."""

from __future__ import annotations

from datetime import UTC, datetime

import jinja2
import pytest

from myi_pipeline.web.dashboard.pages import FOLDER
from myi_pipeline.web.dashboard.playlists import words_of
from myi_pipeline.web.reads.playlists import PlaylistChangeRow
from myi_pipeline.web.shown.formats import FILTERS


def change(name: str, before: str | None = None, after: str | None = None) -> PlaylistChangeRow:
    return PlaylistChangeRow(
        version_no=2,
        place=1,
        change=name,
        previous_seen_at=None,
        seen_at=datetime(2026, 11, 1, tzinfo=UTC),
        kind=None,
        content_id=None,
        title=None,
        creator=None,
        position_before=None,
        position_after=None,
        value_before=before,
        value_after=after,
    )


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("false", "true", "made public"),
        ("true", "false", "made private"),
        (None, "true", "made public"),
        ("true", None, "visibility unknown"),
        ("true", "true", "collaboration switched on or off"),
        (None, None, "collaboration switched on or off"),
    ],
)
def test_whether_others_see_a_list_is_said_in_words(before: str | None, after: str | None, words: str) -> None:
    assert words_of(change("visibility", before, after)) == words


def test_every_change_has_words() -> None:
    names = ("created", "described", "owner", "readable", "unreadable", "gone")
    assert not [name for name in names if words_of(change(name)) == name]
    assert words_of(change("described", "a", "b")) == "description changed"
    assert words_of(change("owner", "x1", "x2")) == "new owner"
    assert [words_of(change(name)) for name in ("renamed", "moved")] == ["renamed", "moved"]
    assert [words_of(change(name), "spotify") for name in ("gone", "readable")] == [
        "left your library", "available again"
    ]  # fmt: skip
    assert [words_of(change(name), "file") for name in ("gone", "readable")] == ["removed", "brought back"]


def test_without_playlists_a_listener_is_led_to_the_account_page() -> None:
    templates = jinja2.ChoiceLoader(
        [
            jinja2.DictLoader({"base.html": "{% block main %}{% endblock %}"}),
            jinja2.FileSystemLoader(FOLDER / "templates"),
        ]
    )
    made = jinja2.Environment(loader=templates, undefined=jinja2.StrictUndefined, autoescape=True)
    made.filters.update(FILTERS)
    shown = made.get_template("playlists.html").render(
        rows=[], here="/playlists", warnings=[], trouble=None, suffixes=[".m3u8"], most_bytes=1
    )  # fmt: skip
    assert '<a href="/account">account page</a>' in shown
    assert "myi " not in shown, "commands are for the operator"
