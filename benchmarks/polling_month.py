"""Calls and losses of polling: once an hour, every 20 minutes, and by each user's own pace, over a simulated month.

    python -m benchmarks.polling_month [--users 200] [--days 30] [--service-days 30] [--seed 1]

The first table applies the rules alone (core's comparison and policy) to what the simulator's window shows, in this
process: minutes. The second polls the same listeners through the real services, over HTTP and into Postgres, on a moved
clock, by their own pace: some tens of ms a poll. `--service-days 0` leaves it out. Another seed gives the listeners
another month.
What is lost is said by the simulator's truth; see polling_truth for the words.
"""

from __future__ import annotations

import random
import time
from bisect import bisect_left, insort
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime, timedelta

from benchmarks.house import House, arguments, open_house, print_machine, print_table
from benchmarks.polling_house import many_listeners
from benchmarks.polling_truth import Verdict, judge
from myi_pipeline.core.poll_windows import Page, PollState, compare, span_start
from myi_pipeline.core.polling_policy import after_poll
from myi_pipeline.services.plan_polls import due_now
from myi_pipeline.services.poll_users import open_polling
from myi_pipeline.simulator.live import LiveListener, MovableClock, SimulatorSpec, World, mixed_listeners, world_of
from myi_pipeline.simulator.live.clock import from_ms

START = datetime(2026, 3, 2, tzinfo=UTC)
# How often somebody looks whose turn it is.
LOOK_EVERY = timedelta(minutes=5)
# When the next poll is, from the state that the policy left and the moment.
Turn = Callable[[PollState, datetime], datetime]


def own_pace(state: PollState, now: datetime) -> datetime:
    return state.due_at or now


def every(minutes: int) -> Turn:
    return lambda _, now: now + timedelta(minutes=minutes)


def poll_by_rules(listener: LiveListener, *, turn: Turn, days: float, dice: random.Random) -> tuple[int, Verdict]:
    """One listener polled by core's rules alone; the calls, and what became of the plays."""
    state, known, gaps, calls = PollState(), [], [], 0
    seen: set[tuple[int, int]] = set()
    since = now = START + LOOK_EVERY * dice.randrange(12)
    last = now
    times: list[datetime] = known

    def before(moment: datetime) -> datetime | None:
        place = bisect_left(times, moment)
        return times[place - 1] if place else None

    while now < START + timedelta(days=days):
        calls += 1
        plays = listener.window_at(now)
        fresh = [play for play in plays if (play.reported_ms, play.thing) not in seen]
        new = [from_ms(play.reported_ms) for play in fresh]
        old = [from_ms(play.reported_ms) for play in plays if (play.reported_ms, play.thing) in seen]
        page = Page(polled_at=now, is_full=len(plays) >= 50, known=old, new=new)
        found = compare(state, page, known_before=before)
        if state.polled_at is None:
            since = span_start(page)
        gaps += [(gap.start, gap.end) for gap in found.gaps]
        seen.update((play.reported_ms, play.thing) for play in fresh)
        for moment in new:
            insort(times, moment)
        state = after_poll(state, page, found, jitter=dice.random())
        last = now
        wait = turn(state, now) - now
        now += max(LOOK_EVERY, -(-wait // LOOK_EVERY) * LOOK_EVERY)
    return calls, judge(listener, kept=times, gaps=gaps, since=since, until=last)


def by_rules(users: int, days: float, turn: Turn, *, seed: int) -> tuple[int, Verdict]:
    spec = SimulatorSpec(seed=seed, artists=200, listeners=mixed_listeners(users))
    world = world_of(spec)
    calls, total = 0, Verdict()
    for number, each in enumerate(spec.listeners):
        asked, verdict = poll_by_rules(LiveListener(each, world), turn=turn, days=days, dice=random.Random(number))
        calls, total = calls + asked, total + verdict
    return calls, total


def by_services(house: House, clock: MovableClock, days: float, *, look_every: timedelta = LOOK_EVERY) -> int:
    """Poll whoever is due, every `look_every` of the moved clock; returns the polls."""
    polls = 0
    with open_polling(house.settings, house.warehouse, clock=clock, sleep=lambda _: None) as polling:
        while clock.now() < START + timedelta(days=days):
            due = [user.user_id for user in due_now(house.settings, house.warehouse, now=clock.now())]
            results = polling.poll(due)
            failed = [result for result in results if not result.polled]
            if failed:
                raise SystemExit(f"a poll failed: {failed[0]}")
            polls += len(results)
            clock.advance(look_every)
    return polls


def verdict_of_database(house: House, world: World, users: int) -> Verdict:
    total = Verdict()
    for each in mixed_listeners(users):
        ((user,),) = house.execute(f"select user_id from app.users where user_key = '{each.key}'")
        kept = house.execute(f"select played_at from raw.listening_events where user_id = {user} and source_id = 3")
        gaps = house.execute(f"select gap_start, gap_end from raw.poll_gaps where user_id = {user}")
        ((since,),) = house.execute(f"select polled_from from raw.polled_spans where user_id = {user}")
        ((last,),) = house.execute(f"select polled_at from ops.poll_states where user_id = {user}")
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


def _row(name: str, calls: int, verdict: Verdict, users: int, days: float) -> list[object]:
    per_day = f"{calls / users / days:.1f}"
    counts = [getattr(verdict, each.name) for each in fields(verdict)]
    return [name, f"{calls:,}", per_day, *(f"{count:,.0f}" for count in counts)]


def main() -> None:
    given = arguments(__doc__, users=200, days=30, service_days=30, seed=1)
    print_machine()
    names = ["", "calls", "a day", *(each.name.replace("_", " ").replace("gap h", "h") for each in fields(Verdict))]
    rows = []
    for name, turn in (("60 min", every(60)), ("20 min", every(20)), ("own pace", own_pace)):
        calls, verdict = by_rules(given.users, given.days, turn, seed=given.seed)
        rows.append(_row(name, calls, verdict, given.users, given.days))
    print_table(f"{given.users} listeners, {given.days} days, rules alone", names, rows)
    if not given.service_days:
        return
    clock = MovableClock(START)
    with (
        open_house(given.database_url) as opened,
        many_listeners(opened, users=given.users, clock=clock, seed=given.seed) as (house, _),
    ):
        started = time.perf_counter()
        polls = by_services(house, clock, given.service_days)
        seconds = time.perf_counter() - started
        world = world_of(SimulatorSpec(seed=given.seed, artists=200, listeners=mixed_listeners(given.users)))
        verdict = verdict_of_database(house, world, given.users)
        row = _row("own pace", polls, verdict, given.users, given.service_days)
    title = f"{given.users} listeners, {given.service_days} days, real services: {seconds / polls * 1000:.1f} ms a poll"
    print_table(title, names, [row])


if __name__ == "__main__":
    main()
