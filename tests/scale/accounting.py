"""Plays that went in, and plays that are stored: what the generators of archives and the simulated Spotify know,
compared with the database, play by play."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

from benchmarks.polling_truth import Verdict, judge
from benchmarks.setups import Setup
from myi_pipeline.operations.checks import accounting_closes
from myi_pipeline.postgres.connections import Role
from myi_pipeline.simulator import ArchiveSpec, ArchiveTruth, build_listener, write_extended_archive
from myi_pipeline.simulator.live import ListenerSpec, LiveListener, World


@dataclass(frozen=True)
class Accounts:
    """`read` rows of archives are `stored` plays, `identical` ones, or refused by `reasons`. `lost` and `doubled` are
    plays that the database lacks, or has more often than they were played; 0 in a sound installation."""

    read: int
    stored: int
    identical: int
    reasons: Mapping[str, int] = field(default_factory=dict)
    lost: int = 0
    doubled: int = 0

    @property
    def add_up(self) -> bool:
        return self.read == self.stored + self.identical + sum(self.reasons.values())


def write_archives(folder: Path, users: Sequence[str], *, plays: int) -> dict[str, ArchiveTruth]:
    """An extended history of its own for each user."""
    folder.mkdir(exist_ok=True)
    return {
        user: write_extended_archive(
            folder / f"{user}.zip",
            build_listener(
                ArchiveSpec(
                    seed=number + 1, listener=user, plays=plays, first_day=date(2016, 1, 1), last_day=date(2024, 12, 31)
                )
            ),
        )
        for number, user in enumerate(users)
    }


def account_for_archives(setup: Setup, truths: Mapping[str, ArchiveTruth]) -> Accounts:
    """Every user's plays against their archive, by time; and every import's own accounting."""
    lost: Counter[str] = Counter()
    doubled: Counter[str] = Counter()
    stored = 0
    with closing(setup.warehouse.connect(Role.OWNER, autocommit=True)) as connection:
        for user, truth in truths.items():
            wanted = Counter(play.played_at for play in truth.plays())
            found: Counter[datetime] = Counter()
            with connection.cursor() as cursor:
                cursor.execute(
                    "select e.played_at, count(*) from raw.listening_events as e"
                    " inner join app.users as u on u.user_id = e.user_id"
                    " where u.user_key = %s and e.source_id <> 3 group by e.played_at",
                    (user,),
                )
                found.update(dict(cursor.fetchall()))
            stored += found.total()
            lost[user] = (wanted - found).total()
            doubled[user] = (found - wanted).total()
        rows = connection.execute(
            "select q.reason, count(*) from ops.quarantine as q"
            " inner join app.imports as i on i.import_id = q.import_id"
            " inner join app.users as u on u.user_id = i.user_id where u.user_key = any(%s) group by q.reason",
            (list(truths),),
        ).fetchall()
        ((read, identical),) = connection.execute(
            "select sum(i.rows_read), sum(i.rows_identical) from app.imports as i"
            " inner join app.users as u on u.user_id = i.user_id where u.user_key = any(%s)",
            (list(truths),),
        ).fetchall()
    finding = accounting_closes(setup.warehouse)
    assert finding.passed, finding.text
    return Accounts(
        read=int(read or 0),
        stored=stored,
        identical=int(identical or 0),
        reasons=dict(rows),
        lost=lost.total(),
        doubled=doubled.total(),
    )


def truth_of_archives(truths: Mapping[str, ArchiveTruth]) -> Accounts:
    """What the database must come to."""
    reasons: Counter[str] = Counter()
    for truth in truths.values():
        reasons.update(truth.quarantined)
    return Accounts(
        read=sum(truth.rows for truth in truths.values()),
        stored=sum(truth.distinct for truth in truths.values()),
        identical=sum(truth.identical for truth in truths.values()),
        reasons=dict(reasons),
    )


def account_for_polls(
    setup: Setup, world: World, listeners: Sequence[ListenerSpec], *, since: datetime, until: datetime
) -> Verdict:
    """All listeners' plays between two moments of the simulator's clock, at which everybody was polled."""
    total = Verdict()
    with closing(setup.warehouse.connect(Role.OWNER, autocommit=True)) as connection:
        for each in listeners:
            kept = connection.execute(
                "select e.played_at from raw.listening_events as e inner join app.users as u on u.user_id = e.user_id"
                " where u.user_key = %s and e.source_id = 3",
                (each.key,),
            ).fetchall()
            gaps = connection.execute(
                "select g.gap_start, g.gap_end from raw.poll_gaps as g"
                " inner join app.users as u on u.user_id = g.user_id where u.user_key = %s",
                (each.key,),
            ).fetchall()
            total += judge(
                LiveListener(each, world),
                kept=[moment for (moment,) in kept],
                gaps=[(start, end) for start, end in gaps],
                since=since,
                until=until,
            )
    return total
