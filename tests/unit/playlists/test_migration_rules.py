"""Playlists are made what they should be by the fewest writes, each at most once, whatever is lost or killed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myi_pipeline.errors import Transient
from myi_pipeline.playlists.migration.applying import Applied, Applier, Goal, LastWrite, Sent
from myi_pipeline.playlists.migration.planning import (
    Wanted,
    common,
    least_requests,
    plan_additions,
    plan_equal,
    wanted_entries,
)
from myi_pipeline.playlists.migration.steps import (
    Add,
    Fingerprint,
    Move,
    Outcome,
    Remove,
    Replace,
    Step,
    apply,
    fingerprint,
    settle,
)
from myi_pipeline.providers.playlists import Added, Capabilities, ListedTrack, PlaylistEntry, PlaylistHead

NOW = datetime(2026, 5, 1, tzinfo=UTC)
BY_ITEM = Capabilities(
    creates=True, moves=True, removes=True, removes_one_of_equal=True,
    most_per_add=4, most_per_move=3, most_per_removal=4,
)  # fmt: skip
BY_URI = replace(BY_ITEM, removes_one_of_equal=False, most_per_add=5, most_per_removal=5)
NO_MOVES = replace(BY_ITEM, moves=False, most_per_add=1, most_per_removal=1)
SERVICES = (BY_ITEM, BY_URI, NO_MOVES, replace(BY_ITEM, idempotent_for_s=3_600))
# Few different ones, so that duplicates are everywhere.
lists = st.lists(st.sampled_from([f"x:{letter}" for letter in "abcdefg"]), max_size=14)
services = st.sampled_from(SERVICES)


class Killed(BaseException):
    """The process ends here."""


class FakeList:
    """A playlist in memory that does, does not or half does what it is asked, and may not answer."""

    def __init__(self, uris: Sequence[str], capabilities: Capabilities, luck: Callable[[int], int]) -> None:
        self.capabilities = capabilities
        self._luck = luck
        self._last_id = 0
        self.entries_now: list[tuple[str, str]] = [(uri, self._id()) for uri in uris]
        self.unknown: set[str] = set()
        # Tracks that are listed under another URI than they were added by.
        self.names: dict[str, str] = {}
        self.writes = self.lost = 0
        self._answers: dict[str, Added] = {}

    def _id(self) -> str:
        self._last_id += 1
        return f"item-{self._last_id}"

    @property
    def uris(self) -> list[str]:
        return [uri for uri, _ in self.entries_now]

    def entries(self, playlist_id: str) -> Iterator[PlaylistEntry]:
        assert playlist_id == "list"
        for uri, item_id in self.entries_now:
            yield PlaylistEntry(track=ListedTrack(uri=uri), item_id=item_id)

    def playlists(self) -> Iterator[PlaylistHead]:
        raise NotImplementedError

    def head(self, playlist_id: str) -> PlaylistHead:
        raise NotImplementedError

    def kept_name(self, name: str) -> str:
        return name

    def create(self, name: str, *, description: str | None, is_public: bool, key: str) -> PlaylistHead:
        raise NotImplementedError

    def _fate(self, size: int) -> tuple[int, bool]:
        """How many entries are done, and whether an answer comes."""
        self.writes += 1
        way = self._luck(8)
        if way < 5:
            return size, True
        self.lost += 1
        return (0, size, self._luck(size + 1))[way - 5], False

    def add(
        self,
        playlist_id: str,
        uris: Sequence[str],
        *,
        position: int | None,
        added_at: Sequence[datetime | None],
        key: str,
    ) -> Added:
        assert 0 < len(uris) <= self.capabilities.most_per_add
        assert len(added_at) == len(uris)
        if self.capabilities.idempotent_for_s and key in self._answers:
            return self._answers[key]
        done, is_answered = self._fate(len(uris))
        at = len(self.entries_now) if position is None else position
        skipped = tuple(place for place, uri in enumerate(uris) if uri in self.unknown)
        new = [
            (self.names.get(uri, uri), self._id())
            for place, uri in enumerate(uris)
            if place not in skipped and place < done
        ]
        self.entries_now[at:at] = new
        answer = Added(item_ids=tuple(id for _, id in new), skipped=skipped)
        if done == len(uris):
            self._answers[key] = answer
        self._answer(is_answered)
        return answer

    def move(
        self, playlist_id: str, *, start: int, length: int, before: int, item_ids: Sequence[str], key: str
    ) -> None:
        assert self.capabilities.moves
        assert 0 < length <= self.capabilities.most_per_move
        assert [id for _, id in self.entries_now[start : start + length]] == list(item_ids)
        if self.capabilities.idempotent_for_s and key in self._answers:
            return
        done, is_answered = self._fate(1)
        if done:
            block = self.entries_now[start : start + length]
            rest = self.entries_now[:start] + self.entries_now[start + length :]
            at = before if before <= start else before - length
            self.entries_now = rest[:at] + block + rest[at:]
            self._answers[key] = Added(item_ids=())
        self._answer(is_answered)

    def remove(
        self, playlist_id: str, *, positions: Sequence[int], uris: Sequence[str], item_ids: Sequence[str], key: str
    ) -> None:
        assert self.capabilities.removes
        named = len(positions) if self.capabilities.removes_one_of_equal else len(set(uris))
        assert 0 < named <= self.capabilities.most_per_removal
        if self.capabilities.idempotent_for_s and key in self._answers:
            return
        assert [self.entries_now[place] for place in positions] == list(zip(uris, item_ids, strict=True))
        done, is_answered = self._fate(len(positions))
        if self.capabilities.removes_one_of_equal:
            gone = set(item_ids[:done])
            self.entries_now = [each for each in self.entries_now if each[1] not in gone]
        else:
            all_of = set(list(dict.fromkeys(uris))[:done])
            self.entries_now = [each for each in self.entries_now if each[0] not in all_of]
        if done == len(positions):
            self._answers[key] = Added(item_ids=())
        self._answer(is_answered)

    def replace(self, playlist_id: str, uris: Sequence[str], *, key: str) -> None:
        assert not self.capabilities.removes_one_of_equal
        assert len(uris) <= self.capabilities.most_per_add
        done, is_answered = self._fate(len(uris))
        self.entries_now = [(self.names.get(uri, uri), self._id()) for uri in uris[:done]]
        self._answer(is_answered)

    def _answer(self, is_answered: bool) -> None:
        if not is_answered:
            raise Transient("no answer came")


class Clock:
    """Only waiting takes time."""

    def __init__(self) -> None:
        self.time = NOW

    def __call__(self) -> datetime:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


class LateList(FakeList):
    """Shows itself as it was `LAG_S` ago, whatever it has confirmed since."""

    LAG_S = 25

    def __init__(
        self, uris: Sequence[str], capabilities: Capabilities, luck: Callable[[int], int], clock: Clock
    ) -> None:
        super().__init__(uris, capabilities, luck)
        self._clock = clock
        self._states = [(NOW - timedelta(days=1), list(self.entries_now))]

    def entries(self, playlist_id: str) -> Iterator[PlaylistEntry]:
        shown_at = self._clock() - timedelta(seconds=self.LAG_S)
        state = [entries for at, entries in self._states if at <= shown_at][-1]
        return iter([PlaylistEntry(track=ListedTrack(uri=uri), item_id=item_id) for uri, item_id in state])

    def _answer(self, is_answered: bool) -> None:
        self._states.append((self._clock(), list(self.entries_now)))
        super()._answer(is_answered)


class FakeJournal:
    """What survives a kill: rows that were committed. May end the process before and after each commit."""

    def __init__(self, luck: Callable[[int], int], clock: Callable[[], datetime] = lambda: NOW) -> None:
        self._luck = luck
        self._clock = clock
        self.rows: list[tuple[Sent, Outcome | None]] = []
        self._settled_at = NOW
        self._refused: set[int] = set()
        self.names: dict[str, str] = {}

    def _arrow(self) -> None:
        if self._luck(12) == 11:
            raise Killed

    def unsettled(self) -> Sent | None:
        return self.rows[-1][0] if self.rows and self.rows[-1][1] is None else None

    def last_write(self) -> LastWrite | None:
        done = [(sent, outcome) for sent, outcome in self.rows if outcome is not Outcome.NOT_DONE]
        if not done or done[-1][1] is not Outcome.CONFIRMED:
            return None
        return LastWrite(done[-1][0].after, self._settled_at)

    def begin(self, step: Step, *, before: Fingerprint, after: Fingerprint) -> Sent:
        self._arrow()
        assert self.unsettled() is None
        sent = Sent(len(self.rows), f"key-{len(self.rows)}", step, before, after, self._clock())
        self.rows.append((sent, None))
        self._arrow()
        return sent

    def settle(self, sent: Sent, outcome: Outcome, *, refused: Collection[int] = ()) -> None:
        self._arrow()
        self.rows[sent.number] = (sent, outcome)
        self._settled_at = self._clock()
        self._refused |= set(refused)
        self._arrow()

    def refused(self) -> frozenset[int]:
        return frozenset(self._refused)

    def sent_places(self) -> frozenset[int]:
        sent: set[int] = set()
        for row, outcome in self.rows:
            if outcome is not Outcome.NOT_DONE:
                sent |= set(row.step.wanted) if isinstance(row.step, Add) else set()
                sent |= set(range(len(row.step.uris))) if isinstance(row.step, Replace) else set()
        return frozenset(sent)

    def rename(self, names: Mapping[str, str]) -> None:
        self._arrow()
        self.names |= names
        self._arrow()

    def renamed(self, goal: Goal) -> Goal:
        """As the rows would have it."""
        wanted = tuple(replace(each, uri=self.names.get(each.uri, each.uri)) for each in goal.wanted)
        return replace(goal, wanted=wanted)


def to_the_end(target: FakeList, goal: Goal, journal: FakeJournal, clock: Clock | None = None) -> Applied:
    """Starts it again after each kill."""
    now, sleep = (lambda: NOW, lambda _: None) if clock is None else (clock, clock.sleep)
    for _ in range(500):
        applier = Applier("list", target, target, journal, journal.renamed(goal), now=now, sleep=sleep)
        try:
            applied = applier.run()
        except (Killed, Transient):
            continue
        if applied.is_done:
            return applied
    raise AssertionError("it never ends")


def goal_of(before: Sequence[str], wanted: Sequence[str], *, is_equal: bool = False) -> Goal:
    return Goal(tuple(before), tuple(Wanted(place, uri) for place, uri in enumerate(wanted)), is_equal)


def calm(_: int) -> int:
    return 0


def lucky(data: st.DataObject) -> Callable[[int], int]:
    return lambda sides: data.draw(st.integers(0, sides - 1))


@given(before=lists, wanted=lists, capabilities=services, data=st.data())
@settings(max_examples=300)
def test_each_planned_entry_is_added_once_and_in_order_whatever_is_lost_or_killed(
    before: list[str], wanted: list[str], capabilities: Capabilities, data: st.DataObject
) -> None:
    target = FakeList(before, capabilities, lucky(data))
    to_the_end(target, goal_of(before, wanted), FakeJournal(lucky(data)))
    assert target.uris == before + wanted
    assert_writes_nothing_more(target, goal_of(before, wanted))


@given(before=lists, wanted=lists, capabilities=services, is_equal=st.booleans(), data=st.data())
@settings(max_examples=300)
def test_what_the_service_lists_under_other_names_is_not_added_again(
    before: list[str], wanted: list[str], capabilities: Capabilities, is_equal: bool, data: st.DataObject
) -> None:
    target = FakeList(before, replace(capabilities, renames=True), lucky(data))
    target.names = {"x:a": "z:1", "x:c": "z:2"}
    to_the_end(target, goal_of(before, wanted, is_equal=is_equal), FakeJournal(lucky(data)))
    named = [target.names.get(uri, uri) for uri in wanted]
    assert [target.names.get(uri, uri) for uri in target.uris] == (
        named if is_equal else [target.names.get(uri, uri) for uri in before] + named
    )


@given(before=lists, wanted=lists, capabilities=services, data=st.data())
@settings(max_examples=300)
def test_a_list_is_made_equal_whatever_is_lost_or_killed(
    before: list[str], wanted: list[str], capabilities: Capabilities, data: st.DataObject
) -> None:
    target = FakeList(before, capabilities, lucky(data))
    goal = goal_of(before, wanted, is_equal=True)
    to_the_end(target, goal, FakeJournal(lucky(data)))
    assert target.uris == wanted
    assert_writes_nothing_more(target, goal)


def assert_writes_nothing_more(target: FakeList, goal: Goal) -> None:
    writes = target.writes
    again = Applier("list", target, target, FakeJournal(calm), goal, now=lambda: NOW, sleep=lambda _: None).run()
    assert (again.requests, target.writes) == (0, writes)


def late(before: list[str], wanted: list[str], capabilities: Capabilities, is_equal: bool, data: st.DataObject) -> None:
    clock = Clock()
    target = LateList(before, capabilities, lucky(data), clock)
    to_the_end(target, goal_of(before, wanted, is_equal=is_equal), FakeJournal(lucky(data), clock), clock)
    assert target.uris == (wanted if is_equal else before + wanted)


@given(
    before=lists, wanted=lists, capabilities=st.sampled_from((BY_ITEM, BY_URI, NO_MOVES)), is_equal=st.booleans(),
    data=st.data(),
)  # fmt: skip
@settings(max_examples=300)
def test_a_service_that_shows_a_write_only_later_is_not_written_to_twice(
    before: list[str], wanted: list[str], capabilities: Capabilities, is_equal: bool, data: st.DataObject
) -> None:
    """One read of a copy that was some seconds behind was believed, and what it lacked was added again."""
    late(before, wanted, replace(capabilities, shows_writes_after_s=30.0), is_equal, data)


@pytest.mark.slow
def test_whoever_believes_the_first_read_of_a_late_service_writes_twice_broken() -> None:
    law = settings(max_examples=300, database=None)(
        given(before=lists, wanted=lists, data=st.data())(
            lambda before, wanted, data: late(before, wanted, BY_URI, False, data)
        )
    )
    with pytest.raises(AssertionError):
        law()


@given(before=lists, wanted=lists, data=st.data())
@settings(max_examples=100)
def test_what_the_service_leaves_out_is_named_and_the_rest_is_there(
    before: list[str], wanted: list[str], data: st.DataObject
) -> None:
    target = FakeList(before, BY_ITEM, lucky(data))
    target.unknown = {"x:a", "x:b"}
    applied = to_the_end(target, goal_of(before, wanted), FakeJournal(lucky(data)))
    assert target.uris == before + [uri for uri in wanted if uri not in target.unknown]
    assert applied.refused == tuple(place for place, uri in enumerate(wanted) if uri in target.unknown)


def test_a_writer_that_repeats_blindly_adds_twice_broken() -> None:
    def add_blindly(target: FakeList, wanted: list[str]) -> None:
        for start in range(0, len(wanted), 4):
            chunk = wanted[start : start + 4]
            while True:
                try:
                    target.add("list", chunk, position=None, added_at=[None] * len(chunk), key="")
                    break
                except Transient:
                    continue

    @given(wanted=lists, data=st.data())
    @settings(max_examples=300, database=None)
    def law(wanted: list[str], data: st.DataObject) -> None:
        target = FakeList([], BY_ITEM, lucky(data))
        add_blindly(target, wanted)
        assert target.uris == wanted

    with pytest.raises(AssertionError):
        law()


@given(before=lists, wanted=lists, capabilities=services)
@settings(max_examples=300)
def test_no_more_is_changed_than_must_be(before: list[str], wanted: list[str], capabilities: Capabilities) -> None:
    plan = plan_equal(before, wanted, capabilities)
    now = tuple(before)
    for step in plan.steps:
        now = apply(step, now)
    assert list(now) == wanted
    if any(isinstance(step, Replace) for step in plan.steps):
        return
    both = sum((Counter(before) & Counter(wanted)).values())
    kept = len(common(before, wanted))
    if capabilities.moves:
        assert plan.count(Add) == len(wanted) - both
        assert plan.count(Remove) == len(before) - both
        assert plan.count(Move) <= both - kept
    else:
        assert (plan.count(Add), plan.count(Remove)) == (len(wanted) - kept, len(before) - kept)


@pytest.mark.parametrize("count", [1, 49, 50, 51, 500, 10_000])
@pytest.mark.parametrize("there", [0, 7])
def test_requests_stay_within_what_batch_sizes_allow(count: int, there: int) -> None:
    capabilities = replace(BY_ITEM, most_per_add=50, most_per_removal=50)
    wanted = [f"x:{number % 900}" for number in range(count)]
    plan = plan_additions(["y"] * there, wanted, capabilities, before=["y"] * there)
    assert len(plan.steps) <= 1.1 * least_requests(plan.steps, capabilities)
    half = plan_additions(["y"] * there + wanted[: count // 2], wanted, capabilities, before=["y"] * there)
    assert len(half.steps) <= max(1, 1.1 * -(-(count - count // 2) // 50))


def test_what_somebody_dragged_elsewhere_is_not_added_again() -> None:
    plan = plan_additions(["mine", "a", "c", "b"], ["a", "b", "c", "d"], BY_ITEM, before=["mine"])
    assert [each.uris for each in plan.steps if isinstance(each, Add)] == [("d",)]


def test_what_has_no_uri_is_removed_by_filling_the_list_anew_where_a_service_removes_by_uri() -> None:
    plan = plan_equal(["a", "removed:", "b"], ["a", "b"], BY_URI)
    assert [type(each) for each in plan.steps] == [Replace]


def test_what_others_add_by_hand_stays_and_nothing_is_added_again() -> None:
    plan = plan_additions(["mine", "a", "theirs", "b"], ["a", "b", "c", "c"], BY_ITEM, before=["mine"])
    assert plan.steps == (Add(4, ("c", "c"), (2, 3)),)
    assert plan_additions(["theirs", "mine", "a"], ["a", "b"], BY_ITEM, before=["mine"]).steps == (
        Add(3, ("b",), (1,)),
    )


def test_one_of_two_equal_entries_is_removed_by_replacing_where_the_service_names_them_by_uri() -> None:
    assert plan_equal(["a", "a", "b"], ["a", "b"], BY_ITEM).steps == (Remove((1,), ("a",)),)
    assert plan_equal(["a", "a", "b"], ["a", "b"], BY_URI).steps == (Replace(("a", "b")),)
    assert plan_equal(["a", "a", "b"], ["b"], BY_URI).steps == (Remove((0, 1), ("a", "a")),)
    assert plan_equal(["a", "b"], ["a"], replace(BY_ITEM, removes=False)).impossible


def test_more_entries_than_a_playlist_may_have_are_refused_before_anything_is_written() -> None:
    assert "2,000" in plan_additions([], ["a"] * 2_001, replace(BY_ITEM, most_entries=2_000)).impossible
    assert plan_equal([], ["a"] * 2_001, replace(BY_ITEM, most_entries=2_000)).impossible


def test_a_lost_write_is_settled_by_what_the_list_says() -> None:
    before = ("a", "b")
    step = Add(2, ("c", "d"), (0, 1))
    was, will = fingerprint(before), fingerprint(apply(step, before))
    assert settle(step, was, will, ("a", "b", "c", "d")) is Outcome.CONFIRMED
    assert settle(step, was, will, before) is Outcome.NOT_DONE
    assert settle(step, was, will, ("a", "b", "c")) is Outcome.PARTLY_DONE
    assert settle(step, was, will, ("z", "b", "c", "d")) is Outcome.CHANGED
    gone = Remove((0, 1), ("a", "b"))
    assert settle(gone, was, fingerprint(()), ("b",)) is Outcome.PARTLY_DONE
    assert settle(Replace(("x", "y")), was, fingerprint(("x", "y")), ("x",)) is Outcome.PARTLY_DONE


def test_entries_without_a_match_are_skipped_by_their_reason() -> None:
    source = [PlaylistEntry(track=ListedTrack(uri=uri)) for uri in ("s:1", "s:2", "s:1")]
    wanted, skipped = wanted_entries(source, {0: "t:1", 2: "t:1"}, {1: "ambiguous"})
    assert [(each.position, each.uri) for each in wanted] == [(0, "t:1"), (2, "t:1")]
    assert [(each.position, each.reason) for each in skipped] == [(1, "ambiguous")]


@given(before=lists, wanted=lists, data=st.data())
@settings(max_examples=300)
def test_what_lacks_is_put_among_what_is_there_and_below_what_was_there_before(
    before: list[str], wanted: list[str], data: st.DataObject
) -> None:
    there = [uri for uri in wanted if data.draw(st.booleans())]
    now: tuple[str, ...] = (*before, *there)
    for step in plan_additions(now, wanted, BY_ITEM, before=before).steps:
        now = apply(step, now)
    assert list(now) == before + wanted


class Deaf(FakeList):
    """Takes moves and removals, and does not make them."""

    def move(
        self, playlist_id: str, *, start: int, length: int, before: int, item_ids: Sequence[str], key: str
    ) -> None:
        self.writes += 1

    def remove(
        self, playlist_id: str, *, positions: Sequence[int], uris: Sequence[str], item_ids: Sequence[str], key: str
    ) -> None:
        self.writes += 1


@pytest.mark.parametrize("before", [["x:a", "x:b", "x:c"], ["x:b", "x:a"]])
def test_a_list_whose_moves_or_removals_are_not_made_is_not_done(before: list[str]) -> None:
    target = Deaf(before, BY_ITEM, calm)
    goal = goal_of(before, ["x:a", "x:b"], is_equal=True)
    applier = Applier("list", target, target, FakeJournal(calm), goal, now=lambda: NOW, sleep=lambda _: None)
    applied = applier.run()
    assert (applied.lacking, applied.left, applied.is_done) == ((), 1, False)
    writes = target.writes
    assert applier.look().left == 1
    assert target.writes == writes
