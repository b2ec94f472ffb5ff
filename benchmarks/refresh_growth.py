"""(c) A refresh after 50 new plays of one user with 100,000 events: alone, and among 100 such users.

    python -m benchmarks.refresh_growth [--users 100] [--events 100000] [--rounds 5]

The figure is the database's time: the execution time of every statement of the dbt role, from pg_stat_statements where
it is there, else the sum of the models' times as dbt reports them. It may grow at most 1.5 times. The last line is a
refresh of nothing.
"""

from __future__ import annotations

import time

from benchmarks.setups import Setup, arguments, make_archive, median, open_setup, print_machine, print_table
from myi_pipeline.marts.dbt_runner import DbtProcess
from myi_pipeline.postgres.connections import Role

NEW_PLAYS = """
insert into raw.listening_events (played_at, user_id, content_id, ms_played, batch_id, source_id)
select
    timestamptz '2024-12-20 08:00+00' + n * interval '4 minutes' + %(round)s * interval '1 second',
    %(user)s,
    (select content_id from raw.listening_events where user_id = %(user)s and content_id is not null
     order by played_at desc offset n * 7 limit 1),
    180000, 1, 1
from generate_series(1, 50) as n
on conflict do nothing
"""
# The other users are copies of the first, shifted in time: what counts is that they are there.
CLONE = """
insert into raw.listening_events (
    played_at, offline_timestamp, user_id, content_id, ms_played, context_id, batch_id, source_id, occurrence,
    shuffle, skipped, offline, incognito
)
select
    played_at + %(shift)s * interval '1 second', offline_timestamp, %(to)s, content_id, ms_played, context_id,
    batch_id, source_id, occurrence, shuffle, skipped, offline, incognito
from raw.listening_events where user_id = %(from)s and played_at < '2024-12-31'
order by played_at
"""


def add_new_plays(setup: Setup, user: int, number: int) -> None:
    """50 plays of the user, other ones for each number."""
    with setup.warehouse.connect(Role.OWNER, autocommit=True) as connection:
        assert connection.execute(NEW_PLAYS.encode(), {"round": number, "user": user}).rowcount == 50


def refreshes(setup: Setup, dbt: DbtProcess, user: int, rounds: int, first: int) -> list[float]:
    """Database seconds of each refresh after 50 new plays."""
    spent = []
    for number in range(rounds + 1):
        add_new_plays(setup, user, first + number)
        result = setup.refresh(dbt=dbt)
        seconds = result.seconds or {}
        models = sum(node.seconds for node in result.models)
        spent.append(models + seconds.get("open", 0.0) + seconds.get("close", 0.0))
    return spent[1:]


def main() -> None:
    given = arguments(__doc__, users=100, events=100_000, rounds=5)
    print_machine()
    with open_setup(given.database_url) as setup, DbtProcess() as dbt:
        archive = make_archive(setup.folder, plays=given.events)
        user = setup.add_user("ana")
        setup.load(archive, "ana")
        setup.refresh(dbt=dbt)
        setup.execute("vacuum analyze")
        alone = refreshes(setup, dbt, user, given.rounds, 0)
        started = time.perf_counter()
        for number in range(1, given.users):
            with setup.warehouse.connect(Role.OWNER, autocommit=True) as connection:
                other = setup.add_user(f"other{number}")
                connection.execute(CLONE.encode(), {"from": user, "to": other, "shift": number})
        setup.refresh(dbt=dbt)
        setup.execute("vacuum analyze")
        print(f"({given.users - 1} more users in {time.perf_counter() - started:.0f} s)")
        among = refreshes(setup, dbt, user, given.rounds, 100)
        nothing = []
        for _ in range(5):
            begun = time.perf_counter()
            assert setup.refresh(dbt=dbt).status == "nothing"
            nothing.append(time.perf_counter() - begun)
        events = int(str(setup.execute("select count(*) from raw.listening_events")[0][0]))
        print_table(
            f"refresh after 50 new plays of one user with {given.events:,} events; database seconds, "
            f"median of {given.rounds}",
            ("", "events in all", "seconds", "ratio", "aim"),
            [
                ("alone", f"{given.events:,}", median(alone), 1.0, ""),
                (f"among {given.users}", f"{events:,}", median(among), median(among) / median(alone), "<= 1.5"),
                ("nothing to do", f"{events:,}", median(nothing), median(nothing) / median(alone), ""),
            ],
        )


if __name__ == "__main__":
    main()
