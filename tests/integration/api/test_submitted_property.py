"""A law on random submissions: what is read is loaded, present, identical or quarantined, and raw has each play once.

Requests repeat listens of their own and of earlier ones, hold bad ones, and are loaded now and then, in part.
"""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime
from functools import partial
from random import Random
from typing import Any

import pytest

from myi_pipeline.people import manage_users
from myi_pipeline.postgres.connections import Connection, Role, Warehouse
from myi_pipeline.submissions.drain import drain
from myi_pipeline.submissions.inbox import ACCEPT, accept_values
from myi_pipeline.submissions.listens import read_submission

NOW = datetime.now(UTC)
AT = int(NOW.timestamp()) - 10_000
RAW = """
select e.user_id, extract(epoch from e.played_at)::int, c.title, e.ms_played
from raw.listening_events as e inner join raw.contents as c on c.content_id = e.content_id
where e.source_id = 11
"""


def random_listen(dice: Random) -> Any:
    """One in five is bad; good ones come from so few that many repeat."""
    track: Any
    if dice.random() < 0.2:
        track = {"track_name": "", "artist_name": "a"}
        return dice.choice([None, 5, {}, {"listened_at": AT}, {"listened_at": 5, "track_metadata": track}])
    info = dice.choice(
        [None, {"duration_played": 60}, {"duration_ms": 90_000, "submission_client": "one"}, {"isrc": "x"}]
    )
    track = {"track_name": f"Song {dice.randrange(4)}", "artist_name": "Somebody", "additional_info": info}
    return {"listened_at": AT + dice.randrange(12), "track_metadata": track}


def trouble_of(warehouse: Warehouse, *, seed: int, requests: int, is_broken: bool = False) -> list[str]:
    dice, read = Random(seed), 0
    expected: set[tuple[Any, ...]] = set()
    with (
        warehouse.connect(Role.APP, autocommit=True) as site,
        warehouse.connect(Role.INGEST, autocommit=True) as loader,
        warehouse.connect(Role.OWNER, autocommit=True) as owner,
    ):
        users = []
        for key in (f"ana-{seed}", f"ben-{seed}"):
            manage_users.add_user(loader, user_key=key, time_zone="UTC")
            users.append(manage_users.get_user(loader, user_key=key).user_id)
        for _ in range(requests):
            user_id = dice.choice(users)
            payload = [random_listen(dice) for _ in range(dice.randint(1, 9))]
            body = json.dumps({"listen_type": "import", "payload": payload}).encode()
            submission = read_submission(body, now=NOW)
            for _ in range(dice.choice((1, 1, 2))):
                site.execute(ACCEPT, accept_values(submission, user_id=user_id, token_id=1))
                read += len(payload)
            expected |= {(user_id, each.listened_at, each.title, each.ms_played) for each in submission.listens}
            if is_broken:
                # As if a listen were lost between the answer and the loader.
                owner.execute("update ops.listen_inbox set listens = listens - 0 where jsonb_array_length(listens) > 1")
            if dice.random() < 0.4:
                # A clock that shows one second more whenever it is asked: so many requests are loaded.
                drain(loader, at_most_s=dice.randint(1, 3) + 1, clock=partial(next, itertools.count(0.0)))
        drain(loader)
        return _at_odds(owner, users, expected, read)


def _at_odds(owner: Connection, users: list[int], expected: set[tuple[Any, ...]], read: int) -> list[str]:
    trouble = []
    found = [row for row in owner.execute(RAW.encode()).fetchall() if row[0] in users]
    if len(found) != len(set(found)):
        trouble.append("a play is there twice")
    if set(found) != expected:
        trouble.append(f"raw lacks {expected - set(found)}, and has {set(found) - expected} that nobody submitted")
    sums = owner.execute(
        "select sum(rows_read), sum(rows_loaded), sum(rows_loaded + rows_present + rows_identical + rows_quarantined)"
        " from ops.submissions where user_id = any(%s)",
        (users,),
    ).fetchone()
    if sums != (read, len(expected), read):
        trouble.append(f"{read} were submitted and {len(expected)} are plays; the log has {sums}")
    waiting = owner.execute("select count(*) from ops.listen_inbox where user_id = any(%s)", (users,)).fetchone()
    if waiting != (0,):
        trouble.append(f"{waiting} requests wait")
    return trouble


def test_every_submitted_listen_is_accounted_for(warehouse: Warehouse) -> None:
    assert trouble_of(warehouse, seed=1, requests=40) == []


@pytest.mark.property
@pytest.mark.timeout(600)
def test_every_listen_of_many_submissions_is_accounted_for(warehouse: Warehouse) -> None:
    assert [text for seed in range(10, 30) for text in trouble_of(warehouse, seed=seed, requests=100)] == []


def test_a_broken_inbox_that_loses_listens_is_noticed(warehouse: Warehouse) -> None:
    assert trouble_of(warehouse, seed=2, requests=20, is_broken=True) != []
