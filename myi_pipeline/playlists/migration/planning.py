"""What must be written so that a playlist holds what it should: the fewest changes, in the fewest requests.

Plans are made from the list as it is now: after a kill or a lost answer, the same functions return what is left to do,
and nothing if all is done.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from myi_pipeline.playlists.migration.steps import Add, Move, Remove, Replace, Step
from myi_pipeline.providers.playlists import Capabilities, EntryKind, PlaylistEntry

# The prefixes that applying.uris_of gives entries without a URI.
_NAMELESS = frozenset(kind.value for kind in EntryKind)
# Nearly every moved entry takes a request of its own, so a list with more moves than this is rebuilt instead.
MOST_MOVES = 500


@dataclass(frozen=True, slots=True)
class Wanted:
    """An entry that the target is to hold. `position`: position of the source's entry, from 0."""

    position: int
    uri: str
    added_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """An entry of the source that the target will not hold, and why: the outcome of its match, or `refused`."""

    position: int
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """`impossible`: why the service cannot do it, in which case there are no steps."""

    steps: tuple[Step, ...]
    impossible: str = ""

    def counts(self) -> tuple[int, int, int]:
        """How many entries are added, moved and removed."""
        return self.count(Add) + self.count(Replace), self.count(Move), self.count(Remove)

    def count(self, kind: type) -> int:
        """How many entries the steps of one kind affect."""
        sizes = {Add: "uris", Remove: "positions", Replace: "uris"}
        return sum(
            each.length if isinstance(each, Move) else len(getattr(each, sizes[kind]))
            for each in self.steps
            if isinstance(each, kind)
        )


def wanted_entries(
    source: Sequence[PlaylistEntry], matches: Mapping[int, str], reasons: Mapping[int, str]
) -> tuple[tuple[Wanted, ...], tuple[Skipped, ...]]:
    """`matches`: position -> the target's URI. All other entries are skipped, with their reason from `reasons`."""
    wanted = tuple(
        Wanted(position, matches[position], entry.added_at)
        for position, entry in enumerate(source)
        if position in matches
    )
    skipped = tuple(
        Skipped(position, reasons.get(position, "missing"))
        for position in range(len(source))
        if position not in matches
    )
    return wanted, skipped


def plan_additions(
    target: Sequence[str], wanted: Sequence[str], capabilities: Capabilities, *, before: Sequence[str] = ()
) -> Plan:
    """Add all of `wanted`, in order, after what was there `before`. Nothing is removed, what is already there is not
    added again, and what others have added meanwhile stays where it is.
    """
    theirs = {place for place, _ in common(target, before)} if tuple(target[: len(before)]) != tuple(before) else set(
        range(len(before))
    )  # fmt: skip
    rest = [place for place in range(len(target)) if place not in theirs]
    there = {mine: rest[place] for place, mine in common([target[place] for place in rest], wanted)}
    elsewhere = _elsewhere([target[place] for place in rest if place not in set(there.values())], wanted, there)
    if most := capabilities.most_entries:
        lacking = len(wanted) - len(there) - len(elsewhere)
        if len(target) + lacking > most:
            return Plan((), f"the playlist would have {len(target) + lacking:,} entries, and {most:,} are allowed")
    return Plan(tuple(_additions(len(target), wanted, there, capabilities.most_per_add, elsewhere=elsewhere)))


def _elsewhere(unpaired: Sequence[str], wanted: Sequence[str], there: Collection[int]) -> frozenset[int]:
    """Which wanted entries are there but out of order: somebody moved them, and they stay where they are."""
    spare = Counter(unpaired)
    found: set[int] = set()
    for mine, uri in enumerate(wanted):
        if mine not in there and spare[uri] > 0:
            spare[uri] -= 1
            found.add(mine)
    return frozenset(found)


def _additions(
    length: int, wanted: Sequence[str], there: Mapping[int, int], most: int, *, elsewhere: Collection[int] = ()
) -> Iterable[Step]:
    """Steps for a list of this `length`. `there`: wanted entry -> its place in the list, both ascending; `elsewhere`:
    wanted entries that are there out of order.
    """
    added = 0
    runs: list[tuple[int, list[int]]] = []
    last_there = max(there, default=-1)
    # Insert before the first wanted entry that is there, not at the top: what is above it is not ours.
    after = min(there.values(), default=length)
    for number in range(len(wanted)):
        if number in there:
            after = there[number] + 1
            continue
        if number in elsewhere:
            continue
        # What comes after the last wanted entry that is there is appended, even after what others have added.
        at = length if number > last_there else after
        if runs and runs[-1][0] == at and runs[-1][1][-1] == number - 1:
            runs[-1][1].append(number)
        else:
            runs.append((at, [number]))
    for at, numbers in runs:
        for start in range(0, len(numbers), most):
            chunk = numbers[start : start + most]
            yield Add(at + added, tuple(wanted[each] for each in chunk), tuple(chunk))
            added += len(chunk)


def plan_equal(target: Sequence[str], wanted: Sequence[str], capabilities: Capabilities) -> Plan:
    """Make the list exactly `wanted`, keeping every entry that can stay and moving as few as possible."""
    if (most := capabilities.most_entries) and len(wanted) > most:
        return Plan((), f"the playlist would have {len(wanted):,} entries, and {most:,} are allowed")
    pairs = common(target, wanted)
    kept = {mine: place for place, mine in pairs}
    moved = _moved(target, wanted, kept) if capabilities.moves else {}
    if len(moved) > MOST_MOVES:
        moved = {}
    gone = sorted(set(range(len(target))) - set(kept.values()) - set(moved.values()))
    if gone and not capabilities.removes:
        return Plan((), "the service removes nothing from a playlist")
    # An entry without a URI, such as a removed track, cannot be addressed by one.
    is_nameless = any(target[place].partition(":")[0] in _NAMELESS for place in gone)
    if gone and not capabilities.removes_one_of_equal and (is_nameless or _leaves_equal(target, gone)):
        return Plan(tuple(_replacement(wanted, capabilities.most_per_add)))
    steps = list(_removals(target, gone, capabilities))
    order = {place: number for number, place in enumerate(sorted({*kept.values(), *moved.values()}))}
    # The list after the removals, as indexes into `wanted`.
    stands = [0] * len(order)
    for mine, place in (*kept.items(), *moved.items()):
        stands[order[place]] = mine
    moves, stands = _moves(stands, set(kept), capabilities.most_per_move)
    steps += moves
    steps += _additions(
        len(stands), wanted, {mine: place for place, mine in enumerate(stands)}, capabilities.most_per_add
    )
    return Plan(tuple(steps))


def _moved(target: Sequence[str], wanted: Sequence[str], kept: Mapping[int, int]) -> dict[int, int]:
    """Wanted entries that are there but out of order: index in `wanted` -> place in the list."""
    spare: dict[str, list[int]] = defaultdict(list)
    stays = set(kept.values())
    for place in reversed(range(len(target))):
        if place not in stays:
            spare[target[place]].append(place)
    return {
        mine: spare[uri].pop() for mine, uri in enumerate(wanted) if mine not in kept and spare.get(uri)
    }  # fmt: skip


def _leaves_equal(target: Sequence[str], gone: Sequence[int]) -> bool:
    """Whether an equal entry stays for one that is removed: removing by URI would remove both."""
    going = Counter(target[place] for place in gone)
    all_of = Counter(target)
    return any(all_of[uri] != count for uri, count in going.items())


def _replacement(wanted: Sequence[str], most: int) -> Iterable[Step]:
    yield Replace(tuple(wanted[:most]))
    for start in range(most, len(wanted), most):
        chunk = tuple(wanted[start : start + most])
        yield Add(start, chunk, tuple(range(start, start + len(chunk))))


def _removals(target: Sequence[str], gone: Sequence[int], capabilities: Capabilities) -> Iterable[Step]:
    """Removals from the end, so that the places of the others do not change. A service that removes by URI removes all
    equal entries: they go in one request, which names each URI once.
    """
    most = capabilities.most_per_removal
    if capabilities.removes_one_of_equal:
        chunks = [list(gone[max(0, end - most) : end]) for end in range(len(gone), 0, -most)]
    else:
        of: dict[str, list[int]] = defaultdict(list)
        for place in gone:
            of[target[place]].append(place)
        names = list(of)
        chunks = [
            sorted(place for uri in names[start : start + most] for place in of[uri])
            for start in range(0, len(names), most)
        ]
    left = dict(enumerate(target))
    for chunk in chunks:
        where = {place: number for number, place in enumerate(left)}
        yield Remove(tuple(where[place] for place in chunk), tuple(target[place] for place in chunk))
        for place in chunk:
            del left[place]


def _moves(stands: list[int], kept: set[int], most: int) -> tuple[list[Step], list[int]]:
    """Move every entry that is not kept to just after the wanted entry before it; consecutive entries that are adjacent
    move together.
    """
    steps: list[Step] = []
    placed = set(kept)
    waiting = sorted(set(stands) - placed)
    where = {mine: place for place, mine in enumerate(stands)}
    while waiting:
        first = waiting[0]
        start = where[first]
        length = 1
        while (
            length < most
            and length < len(waiting)
            and start + length < len(stands)
            and stands[start + length] == waiting[length]
            and not any(waiting[length - 1] < each < waiting[length] for each in _between(placed, waiting, length))
        ):
            length += 1
        block = stands[start : start + length]
        below = [where[each] for each in placed if each < first]
        goal = max(below) + 1 if below else 0
        if not (start <= goal <= start + length):
            steps.append(Move(start, length, goal))
            rest = stands[:start] + stands[start + length :]
            place = goal if goal <= start else goal - length
            stands = rest[:place] + block + rest[place:]
            where = {mine: place for place, mine in enumerate(stands)}
        placed.update(block)
        waiting = waiting[length:]
    return steps, stands


def _between(placed: set[int], waiting: Sequence[int], length: int) -> Iterable[int]:
    low, high = waiting[length - 1], waiting[length]
    return (each for each in range(low + 1, high) if each in placed)


def common(one: Sequence[str], other: Sequence[str]) -> list[tuple[int, int]]:
    """A longest common subsequence, as pairs of places, by Hunt and Szymanski's algorithm: fast if few entries are
    equal.
    """
    start = 0
    most = min(len(one), len(other))
    while start < most and one[start] == other[start]:
        start += 1
    if start == most:
        return [(place, place) for place in range(start)]
    places: dict[str, list[int]] = defaultdict(list)
    for place in reversed(range(start, len(other))):
        places[other[place]].append(place)
    ends: list[int] = []
    links: list[tuple[int, int, object]] = []
    for mine in range(start, len(one)):
        for theirs in places.get(one[mine], ()):
            length = bisect_left(ends, theirs)
            link = (mine, theirs, links[length - 1] if length else None)
            if length == len(ends):
                ends.append(theirs)
                links.append(link)
            else:
                ends[length] = theirs
                links[length] = link
    found: list[tuple[int, int]] = []
    last: object = links[-1] if links else None
    while isinstance(last, tuple):
        found.append((last[0], last[1]))
        last = last[2]
    return [(place, place) for place in range(start)] + found[::-1]


def least_requests(steps: Sequence[Step], capabilities: Capabilities) -> int:
    """The least number of requests in which the same changes could be made, in any order."""
    added = sum(len(each.uris) for each in steps if isinstance(each, Add | Replace))
    removed = sum(
        len(each.positions) if capabilities.removes_one_of_equal else len(set(each.uris))
        for each in steps
        if isinstance(each, Remove)
    )
    moves = sum(isinstance(each, Move) for each in steps)
    return -(-added // capabilities.most_per_add) + -(-removed // capabilities.most_per_removal) + moves
