"""Calls and losses of polling by our pace, beside fixed polls, for few and for many users of a client id.

    python -m benchmarks.polling_month [--households 17] [--days 40] [--users 50 500 10000] [--service-days 3]

Who listens how is in polling_listeners: people whose silence of weeks ends in a day of listening, fast hours in slow
weeks, loops, albums, and the simulator's personas. The first table polls households of five, each on a client id of
its own; the second as many users as `--users` says on one. Both apply the polling rules alone to what Spotify's page
would show, in this process: minutes. The third judges what is missing by the simulator's truth (see polling_truth for
the words), and the last polls one listener of each kind through the real code, over HTTP and into Postgres, on a moved
clock: some tens of ms a poll; `--service-days 0` leaves it out. Another seed gives the listeners another month.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta

from benchmarks.polling_listeners import KINDS, SCHEDULED, scripted_listener, small_world, timeline, timeline_of
from benchmarks.polling_rules import START, Polled, Rule, Timeline, every, poll_client
from benchmarks.polling_setup import many_listeners
from benchmarks.polling_truth import Verdict, judge
from benchmarks.setups import Setup, open_setup, print_machine, print_table
from myi_pipeline.polling.pace import SLOT
from myi_pipeline.polling.poll_users import due_now, open_polling
from myi_pipeline.providers.quota_rules import QuotaLimits, planned_polls
from myi_pipeline.simulator.live import (
    PERSONAS,
    ListenerSpec,
    LiveListener,
    MovableClock,
    SimulatorSpec,
    World,
    mixed_listeners,
    persona,
    world_of,
)

HOUSEHOLD = 5
RULES: tuple[tuple[str, Rule | None], ...] = (("60 min", every(60)), ("20 min", every(20)), ("own pace", None))
# Ten thousand for a month take hours, and show nothing that some days do not. Fixed polls share nothing, so a sample
# of the users stands for all.
_MOST_USER_DAYS, _SAMPLE = 30_000, 170


@dataclass
class Losses:
    """Plays that the page showed, by kind: how many, how many no poll found, and which (of which user)."""

    listed: dict[str, int] = field(default_factory=dict)
    lost: dict[str, set[tuple[int, int]]] = field(default_factory=dict)
    polls: int = 0
    most: int = 0

    def add(self, polled: Polled, *, first_user: int) -> None:
        self.polls += polled.polls
        self.most = max(self.most, polled.spent.most_in_24_hours())
        for number, reader in enumerate(polled.readers, first_user):
            kind = reader.timeline.kind
            self.listed[kind] = self.listed.get(kind, 0) + reader.listed
            self.lost.setdefault(kind, set()).update((number, place) for place in reader.lost_plays())

    @property
    def share(self) -> float:
        return sum(map(len, self.lost.values())) / max(1, sum(self.listed.values()))


def poll_all(people: Sequence[Timeline], *, users: int, days: float, rule: Rule | None, seed: int) -> Losses:
    """These people, `users` to a client id."""
    found = Losses()
    for first in range(0, len(people), users):
        found.add(poll_client(people[first : first + users], days=days, rule=rule, seed=seed), first_user=first)
    return found


def households(count: int, days: int, *, seed: int) -> None:
    """The table of kinds: every kind in `count` households of five, mixed."""
    world = small_world(seed)
    people = [
        timeline(KINDS[number % len(KINDS)], number, days=days, seed=seed, world=world)
        for number in range(count * HOUSEHOLD)
    ]
    found = {name: poll_all(people, users=HOUSEHOLD, days=days, rule=rule, seed=seed) for name, rule in RULES}
    own, fixed = found["own pace"], found["20 min"]
    rows = []
    for kind in KINDS:
        lost = [len(found[name].lost[kind]) for name, _ in RULES]
        only_ours = len(own.lost[kind] - fixed.lost[kind])
        rows.append([kind, f"{own.listed[kind]:,}", *(f"{each:,}" for each in lost), f"{only_ours:,}"])
    totals = [sum(len(each) for each in found[name].lost.values()) for name, _ in RULES]
    only_ours = sum(len(own.lost[kind] - fixed.lost[kind]) for kind in KINDS)
    rows.append(["all", f"{sum(own.listed.values()):,}", *(f"{each:,}" for each in totals), f"{only_ours:,}"])
    a_day = [f"{found[name].polls / len(people) / days:.1f}" for name, _ in RULES]
    rows.append(["calls a user and day", "", *a_day, ""])
    rows.append(["most calls a household in 24 h", "", *(f"{found[name].most:,}" for name, _ in RULES), ""])
    print_table(
        f"plays lost: {count} households of five, {days} days, rules alone",
        ["", "plays shown", *(name for name, _ in RULES), "by own pace, not by 20 min"],
        rows,
    )


def many_users(counts: Sequence[int], *, days: int, seed: int) -> None:
    """The table of client ids with many users."""
    world = small_world(seed)
    rows = []
    for users in (HOUSEHOLD, *counts):
        lasts = max(3, min(days, _MOST_USER_DAYS // users))
        crowd = max(users, 17 * HOUSEHOLD)
        people = [
            timeline(KINDS[number % len(KINDS)], number, days=lasts, seed=seed, world=world)
            for number in range(crowd - crowd % users)
        ]
        own = poll_all(people, users=users, days=lasts, rule=None, seed=seed)
        some = people[:_SAMPLE]
        fixed = [poll_all(some, users=users, days=lasts, rule=every(wait), seed=seed).share for wait in (20, 60, 120)]
        planned = planned_polls(QuotaLimits(), users=users)
        rows.append(
            [f"{users:,}", lasts, f"{planned:,.0f}", f"{own.most:,}", f"{own.polls / len(people) / lasts:.1f}",
             f"{100 * own.share:.2f}", *(f"{100 * share:.2f}" for share in fixed)]
        )  # fmt: skip
    print_table(
        "users of one client id, rules alone: calls, and plays lost in %",
        ["users", "days", "planned a day", "most in 24 h", "a user and day", "own pace", "20 min", "60 min", "120 min"],
        rows,
    )


def by_rules(users: int, days: int, rule: Rule | None, *, seed: int) -> tuple[int, Verdict]:
    """The simulator's personas in households of five, judged by its truth; the calls, and what became of the plays."""
    world = small_world(seed)
    total, calls = Verdict(), 0
    for first in range(0, users, HOUSEHOLD):
        numbers = range(first, min(users, first + HOUSEHOLD))
        specs = [persona(PERSONAS[number % len(PERSONAS)], f"listener-{number + 1}") for number in numbers]
        listeners = [LiveListener(spec, world) for spec in specs]
        people = [timeline_of(listener, listener.spec.key, days=days) for listener in listeners]
        polled = poll_client(people, days=days, rule=rule, seed=seed + first, with_gaps=True)
        calls += polled.polls
        for listener, reader in zip(listeners, polled.readers, strict=True):
            assert reader.since is not None
            assert reader.last is not None
            gaps = [(gap.start, gap.end) for gap in reader.gaps]
            total += judge(listener, kept=reader.known, gaps=gaps, since=reader.since, until=reader.last)
    return calls, total


def one_of_each(days: int, *, seed: int) -> tuple[ListenerSpec, ...]:
    """The scheduled listeners as scripts, and the personas."""
    tracks = sorted(small_world(seed).listable)
    scripted = (
        scripted_listener(kind, place, days=days, seed=seed, tracks=tracks) for place, kind in enumerate(SCHEDULED)
    )
    return (*scripted, *mixed_listeners(len(PERSONAS)))


def by_services(setup: Setup, clock: MovableClock, *, until: datetime, look_every: timedelta = SLOT) -> int:
    """Poll whoever is due, every `look_every` of the moved clock; returns the polls."""
    polls = 0
    with open_polling(setup.settings, setup.warehouse, clock=clock, sleep=lambda _: None) as polling:
        while clock.now() < until:
            due = [user.user_id for user in due_now(setup.warehouse, now=clock.now())]
            results = polling.poll(due, within=timedelta(0))
            failed = [result for result in results if not result.polled]
            if failed:
                raise SystemExit(f"a poll failed: {failed[0]}")
            polls += len(results)
            clock.advance(look_every)
    return polls


def verdict_of_database(setup: Setup, world: World, listeners: Sequence[ListenerSpec]) -> Verdict:
    total = Verdict()
    for each in listeners:
        ((user,),) = setup.execute(f"select user_id from app.users where user_key = '{each.key}'")
        kept = setup.execute(f"select played_at from raw.listening_events where user_id = {user} and source_id = 3")
        gaps = setup.execute(f"select gap_start, gap_end from raw.poll_gaps where user_id = {user}")
        ((since,),) = setup.execute(f"select polled_from from raw.polled_spans where user_id = {user}")
        ((last,),) = setup.execute(f"select polled_at from ops.poll_states where user_id = {user}")
        assert isinstance(since, datetime)
        assert isinstance(last, datetime)
        total += judge(
            LiveListener(each, world),
            kept=[moment for (moment,) in kept if isinstance(moment, datetime)],
            gaps=[(start, end) for start, end in gaps if isinstance(start, datetime) and isinstance(end, datetime)],
            since=since,
            until=last,
        )
    return total


_VERDICT = ["", "calls", "a day", *(each.name.replace("_", " ").replace("gap h", "h") for each in fields(Verdict))]


def _row(name: str, calls: int, verdict: Verdict, users: int, days: float) -> list[object]:
    per_day = f"{calls / users / days:.1f}"
    counts = [getattr(verdict, each.name) for each in fields(verdict)]
    return [name, f"{calls:,}", per_day, *(f"{count:,.0f}" for count in counts)]


def through_services(days: int, database_url: str | None, *, seed: int) -> None:
    clock, listeners = MovableClock(START), one_of_each(days, seed=seed)
    with (
        open_setup(database_url) as opened,
        many_listeners(opened, listeners=listeners, clock=clock, seed=seed) as (setup, simulator),
    ):
        simulator.control.forget_calls()
        started = time.perf_counter()
        polls = by_services(setup, clock, until=START + timedelta(days=days))
        seconds = time.perf_counter() - started
        calls = sum(simulator.control.call_counts().values())
        world = world_of(SimulatorSpec(seed=seed, artists=200, listeners=listeners))
        verdict = verdict_of_database(setup, world, listeners)
        row = _row("own pace", polls, verdict, len(listeners), days)
    title = (
        f"one listener of each kind, {days} days, real code: {seconds / polls * 1000:.1f} ms and"
        f" {calls / polls:.3f} requests of any kind a poll"
    )
    print_table(title, _VERDICT, [row])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--database-url", default=None, help="an external server instead of the embedded one")
    parser.add_argument("--households", type=int, default=17, help="of five users")
    parser.add_argument("--days", type=int, default=40)
    parser.add_argument("--users", type=int, nargs="*", default=[50, 500, 10_000], help="of one client id")
    parser.add_argument("--service-days", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    print_machine()
    households(given.households, given.days, seed=given.seed)
    many_users(given.users, days=min(given.days, 30), seed=given.seed)
    rows = []
    for name, rule in RULES:
        calls, verdict = by_rules(50, 20, rule, seed=given.seed)
        rows.append(_row(name, calls, verdict, 50, 20))
    print_table("50 personas in households of five, 20 days, rules alone", _VERDICT, rows)
    if given.service_days:
        through_services(given.service_days, given.database_url, seed=given.seed)


if __name__ == "__main__":
    main()
