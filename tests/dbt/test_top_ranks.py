"""The ranks over time follow every snapshot, alias and departure, and a rebuild gives the same rows."""

from __future__ import annotations

from typing import Any

import pytest

BY_HAND = """
select
    t.user_id, t.taken_on, t.taken_at, t.entity_kind, t.term, t.rank,
    coalesce(a.canonical_id, t.content_id, t.artist_id)
from raw.top_items as t
left join raw.content_aliases as a on a.content_id = t.content_id
order by 1, 2, 4, 5, 6
"""
MART = "select user_id, snapshot_date, snapshot_at, entity_kind, term, rank, entity_id from marts.fct_top_ranks" \
    " order by 1, 2, 4, 5, 6"  # fmt: skip


VERSIONS = "select user_id, version from marts.user_versions order by 1"


def put(marts: Any, user: int, day: str, contents: list[int], *, term: str = "short_term") -> None:
    for rank, content in enumerate(contents, 1):
        marts.sql(
            "insert into raw.top_items (user_id, taken_on, entity_kind, term, rank, content_id, taken_at)"
            " values (%s, %s, 'track', %s, %s, %s, %s::date + interval '10 hours')",
            user, day, term, rank, content, day,
        )  # fmt: skip


def furnish(marts: Any) -> tuple[list[int], list[int]]:
    users = [marts.add_user("ada"), marts.add_user("bob")]
    songs = [marts.add_content(f"Song {number}", uri=f"spotify:track:{number}") for number in range(4)]
    for user in users:
        put(marts, user, "2024-03-01", songs[:3])
        put(marts, user, "2024-03-02", songs[1:], term="long_term")
    marts.sql(
        "insert into raw.top_items (user_id, taken_on, entity_kind, term, rank, artist_id, taken_at)"
        " select %s, '2024-03-02', 'artist', 'medium_term', 50, artist_id, '2024-03-02 23:59Z' from raw.artists",
        users[0],
    )
    marts.refreshed()
    return users, songs


# Each moves rows of the mart; the numbers are those of users and songs.
CHANGES = (
    "delete from raw.top_items where taken_on = '2024-03-01' and rank > 1;"
    " update raw.top_items set rank = rank + 10 where term = 'long_term'",
    "insert into raw.content_aliases values (%(song)s, %(other)s, 'relinked')",
    "delete from raw.content_aliases; delete from app.users where user_key = 'bob';"
    " update raw.top_items set taken_on = '2024-03-03', taken_at = '2024-03-03 01:00Z' where term = 'short_term'",
)


def test_every_change_of_a_snapshot_reaches_the_ranks(marts: Any) -> None:
    (_, bob), songs = furnish(marts)
    assert marts.sql(BY_HAND) == marts.read(MART) != []
    versions = marts.read(VERSIONS)
    for change in CHANGES:
        marts.sql(change.replace("%(song)s", str(songs[1])).replace("%(other)s", str(songs[0])))
        result = marts.refreshed()
        assert not result.is_rebuild
        assert marts.sql(BY_HAND) == marts.read(MART) != [], change
    assert marts.verify().is_good
    # Whoever keeps answers learns of it, without any play.
    assert all(after > before for (_, before), (_, after) in zip(versions, marts.read(VERSIONS), strict=False))
    assert bob not in dict(marts.read(VERSIONS))


@pytest.mark.long
@pytest.mark.parametrize("change", CHANGES[:2])
def test_broken_a_ledger_that_forgets_a_snapshot_is_found_out(marts: Any, change: str) -> None:
    _, songs = furnish(marts)
    marts.sql(change.replace("%(song)s", str(songs[1])).replace("%(other)s", str(songs[0])))
    for ledger in ("changed_days", "changed_contents"):
        marts.sql(f"delete from ops.{ledger}")
    marts.refreshed()
    assert marts.sql(BY_HAND) != marts.read(MART)
