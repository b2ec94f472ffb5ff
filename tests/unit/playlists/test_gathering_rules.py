"""What a list of a listing needs: it is read when the service says that it changed, and asked for no oftener."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from myi_pipeline.playlists.rules import GATHER_EVERY, REFUSED_AGAIN_AFTER, KnownList, Need, need_of, users_of_a_run

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def known(
    state: str = "readable",
    *,
    read_version: str | None = "v1",
    permission: str = "mine",
    read_at: datetime = NOW - timedelta(hours=3),
) -> KnownList:
    return KnownList(
        playlist_id=1,
        provider_playlist="p",
        state=state,
        is_collaborative=None,
        read_version=read_version,
        read_permission=permission,
        read_at=read_at,
    )


@pytest.mark.parametrize(
    ("version", "is_readable", "before", "need"),
    [
        ("v1", True, None, "read"),
        ("v1", True, known(), "unchanged"),
        ("v2", True, known(), "read"),
        # A service without versions is read each time.
        (None, True, known(read_version=None), "read"),
        # Refused at this version: not asked for again before it changes.
        ("v1", True, known("unreadable"), "unreadable"),
        ("v2", True, known("unreadable"), "read"),
        # It came back as it was.
        ("v1", True, known("gone"), "unchanged"),
        ("v1", False, known(), "unreadable"),
        ("v1", False, None, "unreadable"),
        # The service lets somebody in, or shuts somebody out, at the same version.
        ("v1", True, known("unreadable", permission="theirs"), "read"),
        ("v1", True, known(permission="theirs"), "read"),
        # It may do that without saying so.
        ("v1", True, known("unreadable", read_at=NOW - REFUSED_AGAIN_AFTER), "read"),
        # A clock that was wrong keeps nobody out.
        ("v1", True, known("unreadable", read_at=NOW + REFUSED_AGAIN_AFTER), "read"),
    ],
)
def test_a_list_is_read_when_its_version_is_another(
    version: str | None, is_readable: bool, before: KnownList | None, need: Need
) -> None:
    assert need_of(version, is_readable=is_readable, permission="mine", known=before, now=NOW) == need


def test_of_1600_users_each_is_gathered_within_hours_whatever_place_they_have() -> None:
    users = [f"user{number}" for number in range(1_600)]
    now = datetime(2026, 11, 1, tzinfo=UTC)
    due_at = dict.fromkeys(users, now)
    last = dict(due_at)
    for hour in range(24):
        moment = now + timedelta(hours=hour)
        due = sorted((key for key in users if due_at[key] <= moment), key=lambda key: due_at[key])
        chosen = users_of_a_run(users, due, most=500)
        assert len(chosen) == min(len(due), 500), "no run is smaller than it could be"
        assert not due or due[0] in chosen
        for key in chosen:
            due_at[key], last[key] = moment + GATHER_EVERY, moment
    assert min(last.values()) >= now + timedelta(hours=24 - 6)


def test_a_run_takes_a_range_of_those_who_are_due_and_have_a_partition() -> None:
    assert users_of_a_run(["a", "b", "c", "d", "e"], ["new", "d", "b", "d", "e"], most=2) == ["d", "e"]
    assert users_of_a_run(["a", "b", "c"], ["c", "a"], most=2) == ["a", "c"]
    assert users_of_a_run(["a"], ["new"], most=2) == []
    assert users_of_a_run([], [], most=2) == []
