"""What the demo's live part shows: the marts before and after the archives, and whether they are the truth.

Belongs here: importing these archives between two looks at the marts, and the table of it. Not here: polling.
Invariant: a play that was polled and is in an archive counts once, and nothing that the listener heard is missing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console

from myi_pipeline.cli.dagster_jobs import DagsterJobs
from myi_pipeline.cli.demo_live import TIME_ZONE, LiveDemo, put_archives
from myi_pipeline.cli.demo_truth import compare_plays
from myi_pipeline.cli.output import number, table

if TYPE_CHECKING:
    from myi_pipeline.services.live_figures import LiveFigures
    from myi_pipeline.warehouse.connections import Warehouse


@dataclass(frozen=True)
class LivePerson:
    """One person's marts with polls alone, and with the archive; and what differs from the listener's truth."""

    before: LiveFigures
    after: LiveFigures
    true_plays: int
    differences: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        """Every polled play is confirmed, every gap closed, every figure right."""
        return not self.differences and not self.after.gaps and not self.after.polled_only


@dataclass(frozen=True)
class LiveShown:
    people: tuple[LivePerson, ...]

    @property
    def is_good(self) -> bool:
        return bool(self.people) and all(person.is_good for person in self.people)


def import_live_archives(live: LiveDemo, opened: Warehouse, jobs: DagsterJobs) -> LiveShown:
    """Look, import each person's archive, refresh, look again."""
    from myi_pipeline.services.listening_figures import listening_figures
    from myi_pipeline.services.live_figures import live_figures
    from myi_pipeline.simulator import expected_marts
    from myi_pipeline.warehouse.connections import Role

    with opened.connect(Role.ANALYST, autocommit=True) as connection:
        before = live_figures(connection, user_keys=live.user_keys)
    truths = put_archives(live)
    jobs.run("import_uploads", first=live.first, last=live.last)
    jobs.run("refresh_marts")
    people = []
    with opened.connect(Role.ANALYST, autocommit=True) as connection:
        after = live_figures(connection, user_keys=live.user_keys)
        for one, other in zip(before, after, strict=True):
            truth = expected_marts([truths[one.user_key]], time_zone=TIME_ZONE)
            compared = compare_plays(listening_figures(connection, user_key=one.user_key), truth)
            wrong = tuple(f"{each.figure}: {each.marts}, not {each.truth}" for each in compared if not each.is_equal)
            people.append(LivePerson(one, other, truth.total_plays, wrong))
    return LiveShown(tuple(people))


def live_document(shown: LiveShown | None) -> dict[str, Any] | None:
    if shown is None:
        return None
    return {
        "is_good": shown.is_good,
        "people": [{**asdict(person), "is_good": person.is_good} for person in shown.people],
    }


def render_live(console: Console, shown: LiveShown) -> None:
    columns = (
        "user",
        ">polled plays",
        ">gaps",
        ">hours in gaps",
        ">plays with archive",
        ">truth",
        ">confirmed",
        ">gaps left",
    )
    rows = [
        (
            person.before.user_key, number(person.before.plays), number(person.before.gaps),
            f"{person.before.gap_hours:.1f}", number(person.after.plays), number(person.true_plays),
            number(person.after.confirmed), number(person.after.gaps),
        )
        for person in shown.people
    ]  # fmt: skip
    console.print(table("Polled from a simulated Spotify, then confirmed by archives", columns, rows))
    for person in shown.people:
        for difference in person.differences:
            console.print(f"{person.before.user_key}: {difference}")
