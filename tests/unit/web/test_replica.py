"""How far a replica is behind, from what two servers say of their logs; and whom it may serve."""

from __future__ import annotations

import pytest

from myi_pipeline.web.reads.replica import Look, Replica, Seen


class Watched:
    """A replica that is looked at when the test says so."""

    def __init__(self, limit_s: float = 30.0) -> None:
        self.now = 1_000.0
        self.replica = Replica(limit_s=limit_s, clock=lambda: self.now)

    def look(
        self,
        primary: int | None,
        replica: int | None,
        *,
        idle_s: float | None = 0.0,
        after_s: float = 1.0,
        timelines: tuple[str, str | None] = ("00000001", None),
        systems: tuple[int, int] = (1, 1),
        follows: str = "00000001",
    ) -> None:
        began = self.now
        self.now += 0.01
        self.replica.note(
            Look(primary, timelines[0], None, systems[0], timelines[0]) if primary is not None else None,
            Look(replica, timelines[1], idle_s, systems[1], timelines[1] or follows) if replica is not None else None,
            began=began,
        )
        self.now += after_s


def test_it_serves_once_it_was_seen_and_no_longer_than_a_look_counts() -> None:
    watched = Watched()
    assert watched.replica.why_not(1, None) == "lost"
    watched.look(100, 100)
    assert watched.replica.why_not(1, None) is None
    watched.now += 10
    assert watched.replica.why_not(1, None) == "lost"


def test_an_idle_primary_is_no_lag_however_old_its_last_change() -> None:
    watched = Watched()
    watched.look(100, 100, idle_s=86_400)
    assert (watched.replica.lag_s, watched.replica.lag_bytes) == (0.0, 0)
    # One change after a quiet day, which the replica has not replayed for a second: not a day of lag.
    watched.look(200, 100, idle_s=86_400)
    assert watched.replica.lag_s == pytest.approx(1.02, abs=0.1)
    assert watched.replica.lag_bytes == 100


def test_a_lag_that_began_before_the_process_is_told_by_the_replicas_clock() -> None:
    watched = Watched()
    watched.look(9_000, 100, idle_s=3_600)
    assert watched.replica.lag_s == pytest.approx(3_600, abs=1)
    # So long it is not used: it was never known to be nearly up to date.
    assert not watched.replica.is_up
    watched.look(9_000, 8_990, idle_s=2)
    assert watched.replica.is_up


def test_a_slow_clock_of_the_replica_hides_no_lag() -> None:
    watched = Watched(limit_s=5)
    for second in range(20):
        watched.look(100 + second, 100, idle_s=-60.0)
    assert watched.replica.lag_s == pytest.approx(19, abs=1)


def test_a_lag_that_nobody_knows_is_no_small_one() -> None:
    """Postgres forgets when the last change was made as it starts: a replica that was away for days says nothing."""
    watched = Watched()
    watched.look(9_000, 100, idle_s=None)
    assert watched.replica.lag_s is None
    assert not watched.replica.is_up
    watched.look(None, 100, idle_s=None)
    assert not watched.replica.is_up
    watched.look(9_000, 9_000, idle_s=None)
    assert watched.replica.is_up


def test_the_lag_grows_while_replaying_stands_still_and_it_goes_on_serving() -> None:
    watched = Watched(limit_s=5)
    for second in range(20):
        watched.look(100 + second, 100, idle_s=float(second))
    assert watched.replica.lag_s == pytest.approx(19, abs=1)
    assert watched.replica.is_up
    seen = Seen()
    watched.replica.note_read(seen)
    assert seen.as_of is not None
    watched.look(120, 120)
    seen = Seen()
    watched.replica.note_read(seen)
    assert seen.as_of is None


def test_after_a_failure_it_serves_again_only_when_it_is_less_behind_than_the_limit() -> None:
    watched = Watched(limit_s=5)
    watched.look(100, 100)
    watched.replica.lost()
    assert watched.replica.why_not(1, None) == "lost"
    watched.now += 60
    watched.look(500, 100, idle_s=60)
    watched.look(600, 400, idle_s=60)
    assert watched.replica.why_not(1, None) == "lost"
    watched.look(700, 690, idle_s=1)
    assert watched.replica.why_not(1, None) is None


def test_one_that_was_promoted_is_no_replica_and_the_primary_under_another_name_is_one() -> None:
    watched = Watched()
    watched.look(100, 100)
    watched.look(100, 200, timelines=("00000001", "00000002"))
    assert not watched.replica.is_up
    watched.look(100, 101, timelines=("00000001", "00000001"))
    assert watched.replica.is_up


def test_one_that_was_promoted_is_not_used_when_the_primary_does_not_answer_for_once() -> None:
    watched = Watched()
    watched.look(100, 100)
    watched.look(100, 90, timelines=("00000001", "00000002"))
    watched.look(None, 90, timelines=("00000001", "00000002"))
    assert watched.replica.why_not(1, None) == "lost"


def test_a_replica_of_another_server_is_none_however_far_its_log_goes() -> None:
    """After a restore to a new server, the old one's replica still answers, with another past."""
    watched = Watched()
    watched.look(100, 9_000, systems=(2, 1))
    assert watched.replica.why_not(1, None) == "lost"
    # Nor while the primary is silent for once, or was never heard.
    watched.look(None, 9_000, systems=(2, 1))
    assert not watched.replica.is_up
    unheard = Watched()
    unheard.look(None, 9_000, systems=(2, 1))
    assert not unheard.replica.is_up
    # The same server, restored to an earlier moment: its replica went on with what is no longer so.
    restored = Watched()
    restored.look(100, 9_000, timelines=("00000002", None), follows="00000001")
    assert not restored.replica.is_up
    restored.look(9_000, 9_000, timelines=("00000002", None), follows="00000002")
    assert restored.replica.is_up


def test_without_the_primary_the_lag_is_what_the_replicas_clock_says() -> None:
    watched = Watched()
    watched.look(100, 100)
    watched.look(None, 100, idle_s=12.0)
    assert watched.replica.is_up
    assert watched.replica.lag_s == pytest.approx(1.0, abs=0.1)
    assert watched.replica.lag_bytes is None


def test_a_users_own_change_is_waited_for_and_nobody_elses() -> None:
    watched = Watched()
    watched.look(100, 100)
    watched.replica.remember_change(1, 150)
    assert watched.replica.why_not(1, None) == "own_change"
    assert watched.replica.why_not(2, None) is None
    # Another process made it, and the browser brings the position.
    assert watched.replica.why_not(2, Seen(position=101)) == "own_change"
    watched.look(160, 160)
    assert watched.replica.why_not(1, None) is None
    assert watched.replica.why_not(2, Seen(position=101)) is None
    assert watched.replica.why_not(2, Seen(primary_alone=True)) == "change"


def test_a_change_of_which_nobody_knows_where_it_ended_is_waited_for_a_while() -> None:
    watched = Watched()
    watched.replica.remember_change(1, None)
    for _ in range(25):
        watched.look(100, 100)
    assert watched.replica.why_not(1, None) == "own_change"
    for _ in range(10):
        watched.look(100, 100)
    assert watched.replica.why_not(1, None) is None
