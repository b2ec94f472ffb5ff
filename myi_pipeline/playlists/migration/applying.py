"""Makes a playlist hold what it should, one journalled write after the other.

A write is recorded in the journal before it is sent. If no answer comes, or this process was killed, the list is read
before anything else is written, and the rest is planned from what it holds. A write is sent again, with its key, only
if the service itself recognises repetitions.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from myi_pipeline.catalogue.row_rules import storable_text
from myi_pipeline.errors import MyiError, RateLimited, Transient, Unfit
from myi_pipeline.playlists.migration.patience import Patience
from myi_pipeline.playlists.migration.planning import Plan, Wanted, common, plan_additions, plan_equal
from myi_pipeline.playlists.migration.steps import (
    Add,
    Fingerprint,
    Move,
    Outcome,
    Remove,
    Replace,
    Step,
    Uris,
    apply,
    fingerprint,
    settle,
)
from myi_pipeline.providers.playlists import (
    Capabilities,
    ListChanged,
    PlaylistEntry,
    PlaylistReader,
    PlaylistWriter,
)

# How often writes that a service accepts but does not carry out are tried before the rest is reported as lacking.
MOST_ROUNDS = 3
MOST_LOST_ANSWERS = 20
# If a service refuses this many single entries in a row, the entries are not to blame.
MOST_REFUSED = 20
# A service may still be working on a write that it has not answered.
WAIT_FOR_LATE_WRITES_S = 10.0
# Not every service shows a write as soon as it has confirmed it.
_SHORT_S = 4.0
# A service's clock differs from ours, and it may count a key's lifetime from another moment.
KEY_MARGIN = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Sent:
    """A write in the journal. `key` stays the same when it is sent again."""

    number: int
    key: str
    step: Step
    before: Fingerprint
    after: Fingerprint
    sent_at: datetime


@dataclass(frozen=True, slots=True)
class LastWrite:
    """The last write to a list: the list that it left, and when that was confirmed. If its outcome is unknown, `left`
    matches no list and `at` is when it was sent.
    """

    left: Fingerprint
    at: datetime


ReadEntry = tuple[str, str | None]
"""An entry as read: its URI, and the service's own id of the entry."""


class Journal(Protocol):
    """Every method commits before it returns."""

    def unsettled(self) -> Sent | None:
        """The write whose outcome is unknown; there is at most one."""
        ...

    def last_write(self) -> LastWrite | None:
        """The last write of any migration to this list. None: nothing was written, or the list was read since."""
        ...

    def begin(self, step: Step, *, before: Fingerprint, after: Fingerprint) -> Sent: ...

    def settle(self, sent: Sent, outcome: Outcome, *, refused: Collection[int] = ()) -> None:
        """`refused`: places in the goal's `wanted` that the service left out."""
        ...

    def refused(self) -> frozenset[int]: ...

    def sent_places(self) -> frozenset[int]:
        """Places in the goal's `wanted` that were sent and are not known to have failed."""
        ...

    def rename(self, names: Mapping[str, str]) -> None:
        """Record that the service lists these URIs under others: URI that was sent -> URI as listed."""
        ...


@dataclass(frozen=True, slots=True)
class Goal:
    """`before`: what the target held when it was planned. With `is_equal` it is to hold `wanted` and nothing else;
    otherwise they are added after what is there.
    """

    before: Uris
    wanted: tuple[Wanted, ...]
    is_equal: bool = False


@dataclass(frozen=True, slots=True)
class Applied:
    """`lacking`: places in the goal's `wanted` that the service accepted but that are not there. `left`: the number of
    writes still needed, including moves and removals.
    """

    lacking: tuple[int, ...]
    refused: tuple[int, ...]
    requests: int
    left: int = 0

    @property
    def is_done(self) -> bool:
        return not self.lacking and not self.left


class Unplannable(MyiError):
    """The service cannot turn the list into what it should be."""


@dataclass
class Applier:
    """Applies a goal to one target. `sleep` takes seconds; `now` is the clock."""

    playlist_id: str
    reader: PlaylistReader
    writer: PlaylistWriter
    journal: Journal
    goal: Goal
    now: Callable[[], datetime]
    sleep: Callable[[float], None]
    requests: int = 0
    _patience: Patience = field(init=False)
    # After an addition was refused as a whole, half of it is tried.
    _most_at_once: int | None = None
    _refused_in_a_row: int = 0
    _first_wanted: int = 0

    def __post_init__(self) -> None:
        self._patience = Patience(self.now, self.sleep)

    @property
    def capabilities(self) -> Capabilities:
        return self.writer.capabilities

    def run(self) -> Applied:
        """Write until the goal is reached. Raises what the service raises if there is no point in continuing now; a
        later call resumes.
        """
        if (sent := self.journal.unsettled()) is not None:
            entries = self._settle(sent, self._read())
        else:
            entries = self._read_after_writes()
        lost = rounds = 0
        while True:
            if self.capabilities.renames:
                self._learn_names(_uris(entries))
            numbers, plan = self._plan(entries)
            if not plan.steps or rounds == MOST_ROUNDS:
                return self._result(numbers, plan)
            is_whole = True
            for step in plan.steps:
                try:
                    entries, is_as_planned = self._write(step, entries, numbers)
                except RateLimited as error:
                    # Nothing was written. Raises the error itself if the wait is too long.
                    self._patience.wait_for(error)
                    is_as_planned = False
                except ListChanged:
                    # Somebody else changed the list first; nothing was written.
                    lost += 1
                    if lost > MOST_LOST_ANSWERS:
                        raise
                    is_as_planned = False
                    entries = self._read_after_writes()
                except Transient:
                    lost += 1
                    if lost > MOST_LOST_ANSWERS:
                        raise
                    is_as_planned = False
                    entries = self._after_lost_answer()
                if not is_as_planned:
                    is_whole = False
                    break
            if is_whole:
                # Read the list back instead of trusting the confirmations.
                rounds += 1
                planned, entries = fingerprint(_uris(entries)), []
                entries = self._read_until(planned, for_s=max(_SHORT_S, self._shown_after_s))

    def is_there(self, expected: Fingerprint) -> bool:
        """Whether the list is this one."""
        for_s = _still_hidden_s(self.journal.last_write(), shown_after_s=self._shown_after_s, now=self.now)
        return fingerprint(_uris(self._read_until(expected, for_s=for_s))) == expected

    def learn_names(self) -> None:
        """Record which other URIs the service lists the sent tracks under; writes nothing to the service."""
        self._learn_names(_uris(self._read_after_writes()))

    def look(self) -> Applied:
        """What `run` would find lacking. Writes nothing."""
        return self._result(*self._plan(self._read_after_writes()))

    def _result(self, numbers: Sequence[int], plan: Plan) -> Applied:
        lacking = {number for step in plan.steps if isinstance(step, Add) for number in step.wanted}
        return Applied(
            tuple(sorted(numbers[each] for each in lacking)), self._refused(), self.requests, len(plan.steps)
        )

    def _plan(self, entries: Sequence[ReadEntry]) -> tuple[list[int], Plan]:
        refused = self.journal.refused()
        numbers = [number for number in range(len(self.goal.wanted)) if number not in refused]
        wanted = [self.goal.wanted[number].uri for number in numbers]
        capabilities = replace(
            self.capabilities, most_per_add=self._most_at_once or self.capabilities.most_per_add
        )  # fmt: skip
        if self.goal.is_equal:
            plan = plan_equal(_uris(entries), wanted, capabilities)
        else:
            plan = plan_additions(_uris(entries), wanted, capabilities, before=self.goal.before)
        if plan.impossible:
            raise Unplannable(plan.impossible)
        return numbers, plan

    def _refused(self) -> tuple[int, ...]:
        return tuple(sorted(self.journal.refused()))

    def _read(self) -> list[ReadEntry]:
        return self._patience.ask(lambda: read_entries(self.reader.entries(self.playlist_id)))

    def _read_after_writes(self) -> list[ReadEntry]:
        """The list after all confirmed writes: a service may take a while to show them, and until then its answer is
        out of date.
        """
        return read_after(
            self.journal.last_write(), self._read, shown_after_s=self._shown_after_s, now=self.now, sleep=self.sleep
        )

    def _read_until(self, wanted: Fingerprint, *, for_s: float) -> list[ReadEntry]:
        return _read_until(wanted, self._read, for_s=for_s, sleep=self.sleep)

    @property
    def _shown_after_s(self) -> float:
        return self.capabilities.shows_writes_after_s

    def _write(self, step: Step, entries: list[ReadEntry], numbers: Sequence[int]) -> tuple[list[ReadEntry], bool]:
        """The list after the step, and whether it is as planned."""
        before = _uris(entries)
        self._first_wanted = numbers[0] if numbers else 0
        if isinstance(step, Add):
            # The journal records places in the goal, which stay the same when an entry is refused.
            step = Add(step.at, step.uris, tuple(numbers[each] for each in step.wanted))
        sent = self.journal.begin(step, before=fingerprint(before), after=fingerprint(apply(step, before)))
        return self._send(sent, entries)

    def _send(self, sent: Sent, entries: list[ReadEntry]) -> tuple[list[ReadEntry], bool]:
        self.requests += 1
        try:
            item_ids, skipped = self._ask(sent, entries)
        except Transient as error:
            if isinstance(error, RateLimited):
                self.journal.settle(sent, Outcome.NOT_DONE)
            raise
        except Unfit:
            if not isinstance(sent.step, Add | Replace):
                self.journal.settle(sent, Outcome.NOT_DONE)
                raise
            return self._after_refusal(sent, sent.step, entries), False
        except MyiError:
            # The service has said no.
            self.journal.settle(sent, Outcome.NOT_DONE)
            raise
        step = sent.step
        refused = [step.wanted[each] for each in skipped] if isinstance(step, Add) else []
        self.journal.settle(sent, Outcome.PARTLY_DONE if refused else Outcome.CONFIRMED, refused=refused)
        if refused:
            return self._read(), False
        is_as_planned, self._most_at_once, self._refused_in_a_row = self._most_at_once is None, None, 0
        return _after(step, entries, item_ids), is_as_planned

    def _after_refusal(self, sent: Sent, step: Add | Replace, entries: list[ReadEntry]) -> list[ReadEntry]:
        """The service refused all entries because of one: halve them until that one is found, and leave it out."""
        if len(step.uris) > 1:
            self.journal.settle(sent, Outcome.NOT_DONE)
            self._most_at_once = len(step.uris) // 2
            return entries
        now = self._read_until(sent.before, for_s=self._shown_after_s)
        # If not, somebody has changed the list, and the position may no longer exist.
        is_its_fault = fingerprint(_uris(now)) == sent.before
        self._refused_in_a_row += 1
        is_too_much = self._refused_in_a_row > MOST_REFUSED
        # A replacement starts with the first wanted entry.
        wanted = step.wanted if isinstance(step, Add) else (self._first_wanted,)
        self.journal.settle(sent, Outcome.NOT_DONE, refused=wanted if is_its_fault and not is_too_much else ())
        if is_too_much:
            raise Unplannable("the service keeps refusing entries: nothing more is added")
        self._most_at_once = None
        return now

    def _learn_names(self, found: Uris) -> None:
        """A service may list a track under a URI other than the one that was sent; taken for missing, it would be added
        twice. Unknown entries between two known ones are the sent tracks that are lacking there, if there are as many
        of both. After the last known entry there may be fewer: the first of the sent tracks, the others not being
        written yet.
        """
        refused, sent = self.journal.refused(), self.journal.sent_places()
        numbers = [number for number in range(len(self.goal.wanted)) if number not in refused]
        wanted = [self.goal.wanted[number].uri for number in numbers]
        known = {*wanted, *self.goal.before}
        if all(uri in known for uri in found):
            return
        # Start after what was there before: none of that is ours.
        before = self.goal.before
        first = len(before) if not self.goal.is_equal and found[: len(before)] == before else 0
        pairs = [(-1, first - 1)]
        pairs += [(mine, first + place) for place, mine in common(found[first:], wanted)]
        pairs.append((len(wanted), len(found)))
        names: dict[str, str] = {}
        unclear: set[str] = set()
        for (mine, place), (next_mine, next_place) in itertools.pairwise(pairs):
            unknown = [uri for uri in found[place + 1 : next_place] if uri not in known]
            lacking = [wanted[each] for each in range(mine + 1, next_mine) if numbers[each] in sent]
            is_end = next_mine == len(wanted)
            if len(unknown) > len(lacking) or (len(unknown) < len(lacking) and not is_end):
                continue
            for mine_uri, theirs in zip(lacking, unknown, strict=False):
                if names.setdefault(mine_uri, theirs) != theirs:
                    unclear.add(mine_uri)
        names = {mine_uri: theirs for mine_uri, theirs in names.items() if mine_uri not in unclear}
        if not names:
            return
        self.journal.rename(names)
        renamed = tuple(replace(each, uri=names.get(each.uri, each.uri)) for each in self.goal.wanted)
        self.goal = replace(self.goal, wanted=renamed)

    def _ask(self, sent: Sent, entries: Sequence[ReadEntry]) -> tuple[tuple[str | None, ...], tuple[int, ...]]:
        step, key = sent.step, sent.key
        match step:
            case Add(at=at, uris=uris, wanted=wanted):
                added_at = [self.goal.wanted[each].added_at for each in wanted]
                position = None if at == len(entries) else at
                added = self.writer.add(self.playlist_id, uris, position=position, added_at=added_at, key=key)
                return added.item_ids, added.skipped
            case Move(start=start, length=length, before=before):
                ids = [entries[place][1] or "" for place in range(start, start + length)]
                self.writer.move(self.playlist_id, start=start, length=length, before=before, item_ids=ids, key=key)
            case Remove(positions=positions, uris=uris):
                ids = [entries[place][1] or "" for place in positions]
                self.writer.remove(self.playlist_id, positions=positions, uris=uris, item_ids=ids, key=key)
            case _:
                self.writer.replace(self.playlist_id, step.uris, key=key)
        return (), ()

    def _after_lost_answer(self) -> list[ReadEntry]:
        self.sleep(WAIT_FOR_LATE_WRITES_S)
        sent = self.journal.unsettled()
        entries = self._read()
        return entries if sent is None else self._settle(sent, entries)

    def _settle(self, sent: Sent, entries: list[ReadEntry]) -> list[ReadEntry]:
        """Settle the sent write by reading the list, which is returned. If a service takes a while to show writes, only
        after that time is a write taken for not done.
        """
        outcome = settle(sent.step, sent.before, sent.after, _uris(entries))
        if outcome is Outcome.NOT_DONE and self._is_recognised(sent):
            # The first may still be under way; the service recognises the second by its key.
            return self._send(sent, entries)[0]
        for pause_s in _pauses(self._shown_after_s - (self.now() - sent.sent_at).total_seconds()):
            if outcome is Outcome.CONFIRMED:
                break
            self.sleep(pause_s)
            entries = self._read()
            outcome = settle(sent.step, sent.before, sent.after, _uris(entries))
        self.journal.settle(sent, outcome)
        return entries

    def _is_recognised(self, sent: Sent) -> bool:
        seconds = self.capabilities.idempotent_for_s
        return seconds is not None and self.now() - sent.sent_at < timedelta(seconds=seconds) - KEY_MARGIN


def read_entries(entries: Iterable[PlaylistEntry]) -> list[ReadEntry]:
    return [(uri_of(each), each.item_id) for each in entries]


def read_after(
    last: LastWrite | None,
    read: Callable[[], list[ReadEntry]],
    *,
    shown_after_s: float,
    now: Callable[[], datetime],
    sleep: Callable[[float], None],
) -> list[ReadEntry]:
    """The list after its last write, for a service that may take `shown_after_s` seconds to show it."""
    if last is None:
        return read()
    for_s = _still_hidden_s(last, shown_after_s=shown_after_s, now=now)
    return _read_until(last.left, read, for_s=for_s, sleep=sleep)


def _still_hidden_s(last: LastWrite | None, *, shown_after_s: float, now: Callable[[], datetime]) -> float:
    """For how many seconds the service may still hide the last write."""
    return 0.0 if last is None else shown_after_s - (now() - last.at).total_seconds()


def _read_until(
    wanted: Fingerprint, read: Callable[[], list[ReadEntry]], *, for_s: float, sleep: Callable[[float], None]
) -> list[ReadEntry]:
    """The list, read repeatedly for up to `for_s` seconds until it is the wanted one."""
    entries = read()
    for pause_s in _pauses(for_s):
        if fingerprint(_uris(entries)) == wanted:
            break
        sleep(pause_s)
        entries = read()
    return entries


def uris_of(entries: Iterable[PlaylistEntry]) -> Uris:
    """URIs of entries. Those without one, such as local files, get a stand-in, so as not to be mistaken for others."""
    return tuple(uri_of(entry) for entry in entries)


def uri_of(entry: PlaylistEntry) -> str:
    return storable_text(entry.track.uri or f"{entry.track.kind}:{entry.item_id or entry.track.title}")


def _uris(entries: Sequence[ReadEntry]) -> Uris:
    return tuple(uri for uri, _ in entries)


def _pauses(for_s: float) -> Iterator[float]:
    """Pauses that add up to this many seconds: two short ones, then longer ones."""
    pause_s, number = WAIT_FOR_LATE_WRITES_S / 5, 0
    while for_s > 0:
        yield min(pause_s, for_s)
        for_s, number = for_s - pause_s, number + 1
        if number > 1:
            pause_s = min(pause_s * 2, WAIT_FOR_LATE_WRITES_S)


def _after(step: Step, entries: Sequence[ReadEntry], item_ids: Sequence[str | None]) -> list[ReadEntry]:
    """The entries after a confirmed write."""
    now = list(entries)
    match step:
        case Add(at=at, uris=uris):
            now[at:at] = zip(uris, [*item_ids, *[None] * len(uris)], strict=False)
            return now
        case Move(start=start, length=length, before=before):
            block, rest = now[start : start + length], now[:start] + now[start + length :]
            place = before if before <= start else before - length
            return rest[:place] + block + rest[place:]
        case Remove(positions=positions):
            gone = set(positions)
            return [entry for place, entry in enumerate(now) if place not in gone]
        case _:
            return [(uri, None) for uri in step.uris]
