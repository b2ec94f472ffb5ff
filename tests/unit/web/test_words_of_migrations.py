"""What pages say of moves: every code has words, and what is for programs or operators is shown to nobody else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from myi_pipeline.catalogue.matching import choices
from myi_pipeline.catalogue.matching.choices import Kinship, Outcome
from myi_pipeline.catalogue.matching.verdicts import Reason
from myi_pipeline.playlists.migration.views import MigrationView, Progress
from myi_pipeline.web.dashboard.migration_stages import STEPS, plain_reason, stage_of, when
from myi_pipeline.web.dashboard.migration_texts import (
    KINSHIPS,
    OUTCOMES,
    REASONS,
    playlist_page,
    reason_text,
    track_page,
    versions_of,
)

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
VIEW = MigrationView(
    migration_id=3, source_playlist_id=1, source_name="Mine", source_version_no=1, target_account_id=1,
    provider="tidal", account_name="Ana", target_playlist=None, target_name="Mine", is_equal=False, state="planned",
    ordered=None, created_at=NOW, begun_at=None, finished_at=None, goes_on_at=None, reason=None, note=None,
    is_being_cancelled=False, account_obstacle=None, entries=5, matched=3, ambiguous=1, missing=1, unavailable=0,
    decided=0, refused=0, in_doubt=2,
)  # fmt: skip


def stage(*, is_served: bool = True, is_at_work: bool = False, **fields: object) -> tuple[str, int, str]:
    """Name, step and words."""
    view = replace(VIEW, **fields)  # type: ignore[arg-type]
    progress = Progress(migration=view, confirmed=1, wanted=3, requests=1)
    found = stage_of(progress, zone="UTC", now=NOW, is_served=is_served, is_at_work=is_at_work)
    return found.name, found.step, found.words


def test_every_code_has_words() -> None:
    own = {
        choices.NO_CANDIDATE, choices.RIVALS, choices.NOT_OFFERED, choices.EXPLICIT_DIFFERS, choices.ROMANISED,
        choices.OTHER_NAME, choices.TWO_SLIPS, choices.ALBUM_VERSION, "decided", "left_out", "taken_back",
    }  # fmt: skip
    assert set(REASONS) == {str(each) for each in Reason} | own
    assert set(OUTCOMES) == {str(each) for each in Outcome}
    assert set(KINSHIPS) == {str(each) for each in Kinship}
    assert "_" not in "".join([*REASONS.values(), *OUTCOMES.values(), *KINSHIPS.values(), reason_text("a_new_one")])


def test_each_state_has_its_step() -> None:
    assert stage(state="ordered", ordered="plan")[:2] == ("planning", 1)
    assert stage(state="failed", reason="x")[:2] == ("failed", 1)
    assert stage() == ("review", 2, "Nothing is written yet.")
    assert stage(state="applying", ordered="apply")[:2] == ("moving", 3)
    assert stage(state="applying")[:2] == ("halted", 3)
    assert stage(state="incomplete")[:2] == ("incomplete", 3)
    assert stage(state="cancelled")[:2] == ("cancelled", 3)
    assert stage(state="done")[:2] == ("done", len(STEPS))


def test_what_waits_says_for_what() -> None:
    under_way = {"state": "applying", "ordered": "apply"}
    tomorrow = {"goes_on_at": NOW + timedelta(hours=13), "reason": "TIDAL says too many requests"}
    told = "It continues automatically tomorrow at 01:00: TIDAL says too many requests."
    assert stage(**under_way, **tomorrow)[2] == told
    assert stage(**under_way, **tomorrow, is_at_work=True)[2] == ""
    # Begun, and not come to anything yet: the moment is when somebody would look after it.
    assert stage(**under_way, goes_on_at=NOW + timedelta(minutes=2))[2] == ""
    assert "is paused here" in stage(**under_way, account_obstacle="paused")[2]
    assert "signed in there again" in stage(**under_way, account_obstacle="reauth_required")[2]
    assert "being stopped" in stage(**under_way, is_being_cancelled=True, is_at_work=True)[2]
    assert "not running" in stage(**under_way, is_served=False)[2]
    assert stage(**under_way, is_served=False, is_at_work=True)[2] == ""


@pytest.mark.parametrize(
    ("hours", "zone", "words"),
    [
        (1, "UTC", "today at 13:00"),
        (13, "UTC", "tomorrow at 01:00"),
        (13, "America/New_York", "today at 20:00"),
        (40, "UTC", "on 1 December 2026, 04:00"),
    ],
)
def test_moments_are_those_of_the_persons_zone(hours: int, zone: str, words: str) -> None:
    assert when(NOW + timedelta(hours=hours), zone=zone, now=NOW) == words


@pytest.mark.parametrize(
    "reason", ["MYI_TIDAL_CLIENT_ID is not set", "no key: run `myi keys new`", "see myi providers list"]
)
def test_what_only_operators_understand_is_not_shown(reason: str) -> None:
    told = plain_reason(reason, "TIDAL")
    assert told == "TIDAL is not set up here, or no longer; the operator of this MYI can see why"


def test_other_reasons_are_told_as_they_are() -> None:
    assert plain_reason("the playlist has changed since it was planned: plan again", "TIDAL").startswith("the playlist")
    assert plain_reason(None, "TIDAL") == ""


def test_versions_are_named() -> None:
    assert versions_of("Song (Live at the Hall)") == ["live"]
    assert versions_of("Song - Radio Edit") == ["edit"]
    assert versions_of("Song") == []


@pytest.mark.parametrize(
    ("uri", "page"),
    [
        ("tidal:track:5", "https://tidal.com/track/5"),
        ("tidal:video:5", "https://tidal.com/video/5"),
        ("spotify:track:4uLU6hMCjMI75M1A2tKUQC", "https://open.spotify.com/track/4uLU6hMCjMI75M1A2tKUQC"),
        ("tidal:track:5/../x", None),
        ("javascript:alert(1)", None),
        (None, None),
    ],
)
def test_a_track_is_shown_where_its_service_shows_it(uri: str | None, page: str | None) -> None:
    assert track_page(uri) == page


def test_a_playlist_is_shown_where_its_service_shows_it() -> None:
    assert playlist_page("tidal", "36ea71a8-445e-41a4-82ab-6628c581535d") is not None
    assert playlist_page("tidal", "../x") is None
    assert playlist_page("tidal", None) is None
    assert playlist_page("spotify", "1") is None
