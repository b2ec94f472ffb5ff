"""Works out which recording each changed track belongs to, at the beginning of a mart run.

The rules compare tracks by edit distance and words, which SQL cannot do well, and each track only with those that share
a block with it. Measured: all pairs in a library of 60,000 tracks take seconds in one Python process, whereas dbt would
need a model for each kind of block; and the tracks of a poll touch a handful of blocks.

The stored result is a function of all tracks and decisions: a changed track is compared again with its neighbours, and
so is every track that shared a recording with it, and their neighbours, until no more are connected. A refresh of a few
plays therefore has the same result as a rebuild (matching/grouping.py).
"""

from __future__ import annotations

import hashlib
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from myi_pipeline.catalogue.matching.grouping import MOST_IN_BLOCK, Decisions, Member, blocks_of, group
from myi_pipeline.catalogue.matching.verdicts import Parsed, Track, parse
from myi_pipeline.catalogue.recording_choices import Decision, Ruled, decided_recordings, recording_number
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql

# If more tracks than this changed, and more than this part of all, reading all tracks is faster than asking for the
# neighbours of each.
_MANY, _LARGE_PART = 3_000, 0.25


@dataclass(frozen=True)
class Resolved:
    """How many tracks were compared again, and how many moved to another recording."""

    compared: int
    moved: int


def resolve_recordings(connection: Connection, *, run_id: int, whole: bool) -> Resolved:
    """Bring ops.content_recordings and ops.user_recordings up to date with raw, in the transaction that opens a run.

    Compares the contents of the run; with `whole`, or if the rules have changed since the last time, all contents. What
    moved is added to the run.
    """
    query = (
        "select content_id from ops.mart_run_contents where run_id = %(run_id)s"
        " union select content_id from ops.mart_run_facts where run_id = %(run_id)s"
    )
    changed = _ids(connection, query, {"run_id": run_id})
    rules = rules_fingerprint()
    known_rules = connection.execute("select rules from ops.recording_rules").fetchone()
    is_whole = whole or known_rules is None or known_rules[0] != rules or _is_most(connection, len(changed))
    compared = 0
    changes: list[_Changed] = []
    if is_whole:
        compared, changes = _resolve_all(connection)
        connection.execute(
            "insert into ops.recording_rules (rules) values (%s)"
            " on conflict (is_single) do update set rules = excluded.rules",
            (rules,),
        )
    elif changed:
        compared, changes = _resolve_some(connection, changed)
    others = _resolve_decisions(connection)
    _mark(connection, run_id, changes, others)
    return Resolved(compared, sum(each.before != each.after for each in (*changes, *others)))


def _is_most(connection: Connection, changed: int) -> bool:
    if changed <= _MANY:
        return False
    (known,) = _ids(connection, "select count(*) from ops.content_recordings", ())
    return changed > _LARGE_PART * known


@cache
def rules_fingerprint() -> str:
    """A digest of the rules' source files."""
    digest = hashlib.sha256()
    folder = files("myi_pipeline.catalogue.matching")
    for file in sorted(folder.iterdir(), key=lambda each: each.name):
        if file.name.endswith(".py"):
            digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:20]


@dataclass(frozen=True)
class _Row:
    key: str
    is_nameless: bool
    parsed: Parsed


@dataclass(frozen=True)
class _Changed:
    """A track with its recordings before and after, None if there is none. They are equal if only the reason changed.
    `user_id` None: for all users."""

    user_id: int | None
    content_id: int
    before: int | None
    after: int | None


class _Library:
    """The tracks that were read, and which of them share a block."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.rows: dict[int, _Row] = {}
        # By id, in the form that the rules take.
        self.parsed: dict[int, Parsed] = {}
        self._read: set[int] = set()

    def read(self, ids: Sequence[int] | None) -> None:
        """Read some tracks, or all if `ids` is None. Contents that are not tracks, and aliases, are skipped."""
        wanted = None if ids is None else [id for id in ids if id not in self._read]
        if wanted == []:
            return
        found = self._connection.execute(load_sql("catalogue/recordings/tracks"), {"ids": wanted})
        for id, key, is_nameless, title, creator, album, duration_ms, isrc, mbids in found:
            track = Track(title, (creator,) if creator else (), album, duration_ms, isrc, frozenset(mbids))
            self.parsed[id] = parse(track)
            self.rows[id] = _Row(key, is_nameless, self.parsed[id])
        self._read.update(wanted if wanted is not None else self.rows)

    def neighbours(self, ids: Sequence[int]) -> Iterator[Sequence[int]]:
        """The tracks in each block of these tracks, except in blocks that are too full."""
        found = self._connection.execute(
            load_sql("catalogue/recordings/neighbours"), {"ids": list(ids), "most": MOST_IN_BLOCK}
        ).fetchall()
        kept = [members for _, members in found if 1 < len(members) <= MOST_IN_BLOCK]
        self.read(sorted({id for members in kept for id in members}))
        return iter(kept)


class _WholeLibrary(_Library):
    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.read(None)
        self.blocks: dict[int, list[int]] = defaultdict(list)
        self.blocks_of = {id: blocks_of(row.parsed) for id, row in self.rows.items()}
        for id, blocks in self.blocks_of.items():
            for block in blocks:
                self.blocks[block].append(id)

    def neighbours(self, ids: Sequence[int]) -> Iterator[Sequence[int]]:
        for block in {block for id in ids for block in self.blocks_of.get(id, ())}:
            if 1 < len(self.blocks[block]) <= MOST_IN_BLOCK:
                yield self.blocks[block]


def _resolve_all(connection: Connection) -> tuple[int, list[_Changed]]:
    library = _WholeLibrary(connection)
    connection.execute("delete from ops.content_blocks")
    with connection.cursor() as cursor, cursor.copy("copy ops.content_blocks (block, content_id) from stdin") as copy:
        for block in sorted(library.blocks):
            for id in library.blocks[block]:
                copy.write_row((block, id))
    known = connection.execute("select content_id, recording_id, confidence, reason from ops.content_recordings")
    before = {id: (recording, confidence, reason) for id, recording, confidence, reason in known}
    found = _grouped(library, list(library.rows))
    return len(library.rows), _store(connection, before, found)


def _resolve_some(connection: Connection, changed: Sequence[int]) -> tuple[int, list[_Changed]]:
    library = _Library(connection)
    library.read(changed)
    starts = set(changed)
    starts.update(_ids(connection, load_sql("catalogue/recordings/mates"), {"ids": list(changed)}))
    starts.update(_store_blocks(connection, library, changed))
    library.read(sorted(starts))
    found = _grouped(library, sorted(starts & library.rows.keys()))
    known = connection.execute(
        "select content_id, recording_id, confidence, reason from ops.content_recordings where content_id = any(%s)",
        (sorted(starts | found.keys()),),
    )
    before = {id: (recording, confidence, reason) for id, recording, confidence, reason in known}
    return len(found), _store(connection, before, found)


def _store_blocks(connection: Connection, library: _Library, changed: Sequence[int]) -> set[int]:
    """Put the changed tracks into their blocks. Returns the tracks of blocks that became too full, or no longer are."""
    known = connection.execute(
        "select block, content_id from ops.content_blocks where content_id = any(%s)", (list(changed),)
    ).fetchall()
    before = {(block, id) for block, id in known}
    after = {(block, id) for id in changed if id in library.rows for block in blocks_of(library.rows[id].parsed)}
    gone, come = sorted(before - after), sorted(after - before)
    touched = sorted({block for block, _ in (*gone, *come)})
    if not touched:
        return set()
    was_full = _full_blocks(connection, touched)
    with connection.cursor() as cursor:
        cursor.execute(
            "delete from ops.content_blocks as b using unnest(%s::int[], %s::int[]) as gone (block, content_id)"
            " where b.block = gone.block and b.content_id = gone.content_id",
            ([block for block, _ in gone], [id for _, id in gone]),
        )
        cursor.execute(
            "insert into ops.content_blocks (block, content_id) select * from unnest(%s::int[], %s::int[])",
            ([block for block, _ in come], [id for _, id in come]),
        )
    turned = sorted(was_full ^ _full_blocks(connection, touched))
    return set(_ids(connection, "select distinct content_id from ops.content_blocks where block = any(%s)", (turned,)))


def _full_blocks(connection: Connection, blocks: Sequence[int]) -> set[int]:
    query = "select block from ops.content_blocks where block = any(%s) group by block having count(*) > %s"
    return set(_ids(connection, query, (list(blocks), MOST_IN_BLOCK)))


def _grouped(library: _Library, starts: Sequence[int]) -> dict[int, tuple[int, float, str]]:
    """The recording, confidence and reason of these tracks and all that are connected with them."""
    decisions = Decisions(library.parsed)
    edges: dict[int, set[int]] = {}
    frontier = list(starts)
    while frontier:
        for id in frontier:
            edges.setdefault(id, set())
        is_new = set(frontier)
        reached: set[int] = set()
        for members in library.neighbours(frontier):
            present = [id for id in members if id in library.rows]
            for a in present:
                if a not in is_new:
                    continue
                for b in present:
                    if a != b and b not in edges[a] and decisions.of(a, b).is_same:
                        edges[a].add(b)
                        if b not in edges:
                            reached.add(b)
                        else:
                            edges[b].add(a)
        frontier = sorted(reached)
    found: dict[int, tuple[int, float, str]] = {}
    for connected in _components(edges):
        pairs = [(a, b) for a in connected for b in edges[a] if a < b]
        for each in group(connected, pairs, decisions=decisions, order=lambda id: library.rows[id].key):
            number = recording_number((library.rows[id].is_nameless, id) for id in each)
            found.update({id: _stored(number, member) for id, member in each.items()})
    return found


def _stored(number: int, member: Member) -> tuple[int, float, str]:
    return number, member.confidence, member.reason.value


def _components(edges: Mapping[int, Iterable[int]]) -> Iterator[list[int]]:
    seen: set[int] = set()
    for start in edges:
        if start in seen:
            continue
        seen.add(start)
        waiting, connected = [start], []
        while waiting:
            connected.append(each := waiting.pop())
            fresh = [other for other in edges[each] if other not in seen]
            seen.update(fresh)
            waiting += fresh
        yield sorted(connected)


_Stored = Mapping[int, tuple[int, float, str]]


def _store(connection: Connection, before: _Stored, found: _Stored) -> list[_Changed]:
    """Write what differs, and delete what is no longer found."""
    gone = [id for id in before if id not in found]
    # Postgres stores confidences as four-byte floats.
    fresh = [
        (id, *now) for id, now in sorted(found.items())
        if id not in before or before[id][0] != now[0] or before[id][2] != now[2] or abs(before[id][1] - now[1]) > 1e-6
    ]  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(
            "delete from ops.content_recordings where content_id = any(%s)", ([*gone, *(row[0] for row in fresh)],)
        )
        with cursor.copy(
            "copy ops.content_recordings (content_id, recording_id, confidence, reason) from stdin"
        ) as copy:
            for row in fresh:
                copy.write_row(row)
    changed = [_Changed(None, id, before[id][0], None) for id in gone]
    changed += [_Changed(None, id, before[id][0] if id in before else None, number) for id, number, *_ in fresh]
    return changed


def _resolve_decisions(connection: Connection) -> list[_Changed]:
    """Apply people's decisions to the rules' current recordings. All are processed each time, because they are few."""
    rows = connection.execute(load_sql("catalogue/recordings/decisions")).fetchall()
    known = connection.execute("select user_id, content_id, recording_id from ops.user_recordings").fetchall()
    before = {(user, content): recording for user, content, recording in known}
    if not rows and not before:
        return []
    of_user: dict[int, list[Decision]] = defaultdict(list)
    for user, number, decision, content, other in rows:
        of_user[user].append(Decision(number, decision, content, other))
    after: dict[tuple[int, int], int] = {}
    for user, decisions in of_user.items():
        named = sorted(set(itertools.chain.from_iterable(
            (each.content_id, *([each.other_id] if each.other_id else [])) for each in decisions
        )))  # fmt: skip
        found = connection.execute(load_sql("catalogue/recordings/rules_of"), {"ids": named})
        ruled = {row[0]: Ruled(*row) for row in found}
        after.update({(user, content): number for content, number in decided_recordings(decisions, ruled).items()})
    moved = [
        _Changed(pair[0], pair[1], before.get(pair), after.get(pair))
        for pair in sorted(before.keys() | after.keys())
        if before.get(pair) != after.get(pair)
    ]
    if moved:
        with connection.cursor() as cursor:
            cursor.executemany(
                "delete from ops.user_recordings where user_id = %s and content_id = %s",
                [(each.user_id, each.content_id) for each in moved],
            )
            cursor.executemany(
                "insert into ops.user_recordings (user_id, content_id, recording_id) values (%s, %s, %s)",
                [(each.user_id, each.content_id, each.after) for each in moved if each.after is not None],
            )
    return moved


def _mark(connection: Connection, run_id: int, changes: Sequence[_Changed], others: Sequence[_Changed]) -> None:
    """Add to the run: rows of dimensions, and periods of recordings that gained or lost a track."""
    # New tracks have no plays in the marts yet.
    ours = [each for each in changes if each.before is not None and each.before != each.after]
    if changes:
        connection.execute(
            "insert into ops.mart_run_contents (run_id, content_id) select %s::bigint, unnest(%s::int[])"
            " on conflict do nothing",
            (run_id, sorted({each.content_id for each in changes})),
        )
    if others:
        connection.execute(
            "insert into ops.mart_run_users (run_id, user_id) select %s::bigint, u.user_id from app.users as u"
            " where u.user_id = any(%s) on conflict do nothing",
            (run_id, sorted({each.user_id for each in others if each.user_id is not None})),
        )
    has_marts = connection.execute("select to_regclass('marts.agg_period_tracks_stored') is not null").fetchone()
    if not (ours or others) or not (has_marts and has_marts[0]):
        return
    touched: set[tuple[int | None, int, int]] = set()
    for each in (*ours, *others):
        touched.update(
            (each.user_id, each.content_id, number) for number in (each.before, each.after) if number is not None
        )
    # If a decision is made or taken back, the rules' recording loses or gains the track.
    ended = sorted({each.content_id for each in others if each.before is None or each.after is None})
    found = connection.execute(
        "select content_id, recording_id from ops.content_recordings where content_id = any(%s)", (ended,)
    )
    of_rules: dict[int, int] = dict(found.fetchall())
    touched.update(
        (each.user_id, each.content_id, of_rules[each.content_id]) for each in others if each.content_id in of_rules
    )
    rows = sorted(touched, key=lambda row: (row[0] or 0, row[1], row[2]))
    values: dict[str, Any] = {
        "users": [row[0] for row in rows], "contents": [row[1] for row in rows], "recordings": [row[2] for row in rows],
    }  # fmt: skip
    connection.execute(load_sql("catalogue/recordings/touch_periods"), values)


def _ids(connection: Connection, query: str, values: Sequence[Any] | Mapping[str, Any]) -> list[int]:
    return [int(row[0]) for row in connection.execute(query.encode(), values).fetchall()]
