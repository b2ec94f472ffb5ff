"""`myi share`: an operator sees that something is shared, and ends it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from myi_pipeline.people import manage_users
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.sharing import household, shares
from myi_pipeline.sharing.snapshots import Row, Snapshot, TopList

NOW = datetime(2024, 3, 9, 21, 14, tzinfo=UTC)
SNAPSHOT = Snapshot(
    kind="top", label="2024", first_day=date(2024, 1, 1), last_day=date(2024, 12, 31), taken_on=date(2024, 3, 9),
    lists=(TopList(what="artists", ranked_by="plays", rows=(Row(rank=1, name="A name that was chosen"),)),),
)  # fmt: skip


def test_reports_are_listed_without_what_they_show_and_one_is_ended(myi: Callable, warehouse: Warehouse) -> None:
    assert myi("user", "add", "ana").code == 0
    assert "Nothing is shared." in myi("share", "list").out
    with warehouse.connect(Role.INGEST, autocommit=True) as connection:
        user_id = manage_users.get_user(connection, user_key="ana").user_id
    with warehouse.connect(Role.APP, autocommit=True) as connection:
        wish = shares.ShareWish(title="My artists", expires_at=None)
        made = shares.make_share(connection, user_id=user_id, snapshot=SNAPSHOT, wish=wish, now=NOW)
    listed = myi("share", "list", "--user", "ana", "--json")
    (one,) = listed.document["shares"]
    assert (one["share_id"], one["user_key"], one["title"], one["state"]) == (
        made.share_id,
        "ana",
        "My artists",
        "open",
    )
    assert "A name that was chosen" not in listed.out
    assert "never" in myi("share", "list").out

    ended = myi("share", "revoke", made.share_id)
    assert (ended.code, "is no longer shared" in ended.out) == (0, True)
    again = myi("share", "revoke", made.share_id)
    assert (again.code, "no report with the id" in again.err) == (1, True)
    assert myi("share", "list", "--user", "nobody").code == 2
    with warehouse.connect(Role.OWNER) as connection:
        query = "select event, user_id, address from app.audit where event like 'share%' order by audit_id"
        events = connection.execute(query).fetchall()
        assert connection.execute("select snapshot from app.shares").fetchall() == [(None,)]
    assert events == [("share_made", user_id, None), ("share_revoked", user_id, None)]


def test_what_ended_long_ago_is_deleted_and_what_may_be_prolonged_is_not(myi: Callable, warehouse: Warehouse) -> None:
    assert myi("user", "add", "ana").code == 0
    with warehouse.connect(Role.INGEST, autocommit=True) as connection:
        user_id = manage_users.get_user(connection, user_key="ana").user_id
    with warehouse.connect(Role.APP, autocommit=True) as connection:
        for days in (1, 40, None):
            end = NOW + timedelta(days=days) if days is not None else None
            wish = shares.ShareWish(title=f"{days} days", expires_at=end)
            shares.make_share(connection, user_id=user_id, snapshot=SNAPSHOT, wish=wish, now=NOW)
        household.invite(connection, user_id=user_id, parts=["tops"], user_key=None, now=NOW)

    def states(later: timedelta) -> dict[str, str]:
        with warehouse.connect(Role.INGEST, autocommit=True) as connection:
            shares.prune(connection, now=NOW + later)
            household.prune(connection, now=NOW + later)
            found = shares.list_shares(connection, user_id=None, now=NOW + later)
        return {each.title: each.state for each in found}

    def invitations() -> int:
        with warehouse.connect(Role.OWNER) as connection:
            return len(connection.execute("select from app.agreements").fetchall())

    assert states(timedelta(days=2)) == {"1 days": "expired", "40 days": "open", "None days": "open"}
    assert invitations() == 1
    assert states(timedelta(days=32)) == {"1 days": "revoked", "40 days": "open", "None days": "open"}
    assert invitations() == 0
    assert states(timedelta(days=402)) == {"40 days": "revoked", "None days": "open"}
