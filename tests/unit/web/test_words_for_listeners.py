"""Pages speak to listeners: no command, setting, request or class is named on them."""

from __future__ import annotations

import inspect
import re

import pytest

from myi_pipeline.cli.app import app
from myi_pipeline.cli.audit import UNRECORDED
from myi_pipeline.notices.targets import Channel
from myi_pipeline.web.audit_words import COMMANDS
from myi_pipeline.web.dashboard.notices import without_secrets
from myi_pipeline.web.dashboard.pages import FOLDER
from myi_pipeline.web.shown.formats import plain_trouble

TEMPLATES = {path.relative_to(FOLDER / "templates").as_posix(): path for path in FOLDER.glob("templates/**/*.html")}


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (
            "GET /1/user/x%20y%2Fz/listens: the connection to ListenBrainz failed (ConnectError)",
            "the connection to ListenBrainz failed",
        ),
        ("GET user.getrecenttracks: Last.fm answered 503", "Last.fm answered 503"),
        ("POST /api/token: Spotify did not answer in time", "Spotify did not answer in time"),
        ("GET /v1/me: Spotify's answer cannot be read (DecodingError)", "Spotify's answer cannot be read"),
        ("there is no user ana at Last.fm: check the name", "there is no user ana at Last.fm: check the name"),
        ("set MYI_LASTFM_API_KEY", "something went wrong here"),
        ("resume with: myi user resume ana", "something went wrong here"),
        ("OperationalError", "something went wrong here"),
    ],
)
def test_what_went_wrong_is_told_without_the_request_and_the_class(told: str, words: str) -> None:
    assert plain_trouble(told) == words


def test_each_command_about_a_user_has_its_sentence_in_the_activity() -> None:
    groups = [(f"{group.name} ", group.typer_instance) for group in app.registered_groups]
    about_users = {
        f"{prefix}{info.name}"
        for prefix, typer in [("", app), *groups]
        for info in typer.registered_commands  # type: ignore[union-attr]
        if inspect.signature(info.callback).parameters.keys() & {"key", "user"}  # type: ignore[arg-type]
    }
    assert set(COMMANDS) == about_users - UNRECORDED
    assert not [words for words in COMMANDS.values() if re.search(r"\bmyi\b|--|MYI_", words)]


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_page_names_a_command_or_a_setting(name: str) -> None:
    text = TEMPLATES[name].read_text(encoding="utf-8")
    assert re.findall(r"\bmyi [a-z-]+|MYI_[A-Z_]+", text) == []
    assert re.findall(r"\b[Hh]and(?:ed)? (?:it |one |the \w+ )?in\b", text) == []


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_address_is_escaped_twice(name: str) -> None:
    """What is in an expression is escaped by itself: an `&amp;` there reaches the browser as a name of its own."""
    assert re.findall(r"\{[{%][^{}]*&amp;[^{}]*[%}]\}", TEMPLATES[name].read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("channel", "url", "shown"),
    [
        (Channel.WEBHOOK, "https://home.example/hooks/myi", "https://home.example/hooks/myi"),
        (Channel.WEBHOOK, "https://ana:secret@home.example/hooks?token=secret", "https://home.example/hooks"),
        (
            Channel.WEBHOOK,
            "https://chat.example/api/webhooks/1/AbCdEfGhIjKlMnOpQrSt",
            "https://chat.example/api/webhooks/1",
        ),
        (Channel.WEBHOOK, "home.example", ""),
        (Channel.WEBHOOK, "https://[", ""),
        (Channel.APPRISE, "mailtos://ana:secret@example.org?to=ana@example.org", "mailtos://"),
        (Channel.APPRISE, "tgram://123456:secret/1", "tgram://"),
    ],
)
def test_an_address_is_shown_again_without_its_secrets(channel: Channel, url: str, shown: str) -> None:
    assert without_secrets(url, channel) == shown
