"""What the warehouse knows that is worth telling: one thing after another becomes true, and is over."""

from __future__ import annotations

from datetime import datetime, timedelta

from myi_pipeline.notices.kinds import KINDS, Condition, Key
from myi_pipeline.operations.notice_conditions import notice_conditions
from myi_pipeline.providers import login_owners
from myi_pipeline.providers.encryption_keys import require_keys
from myi_pipeline.providers.login_terms import ends_at
from tests.integration.notices.conftest import Told


def found(told: Told, *, free: int = 10**12, at: datetime | None = None) -> dict[str, list[Condition]]:
    worth = notice_conditions(told.settings, told.warehouse, now=at or told.now, free=lambda _: free)
    # What runs need is Dagster's database, which these tests do not have.
    assert worth.asked >= set(KINDS) - {"run.failed", "pipeline.stopped"}
    by_kind: dict[str, list[Condition]] = {}
    for each in worth.found:
        by_kind.setdefault(each.kind.name, []).append(each)
    return by_kind


def mended(told: Told) -> frozenset[Key]:
    return notice_conditions(told.settings, told.warehouse, now=told.now, free=lambda _: 10**12).mended


def test_each_thing_is_found_while_it_is_true(told: Told) -> None:
    assert found(told) == {}

    assert set(found(told, free=1)) == {"disk.full"}

    told.sql(
        "insert into app.imports (user_id, sha256, archive_name, kind, status, rows_read, rows_loaded, finished_at)"
        " values (%s, sha256('a'), 'a.zip', 'mixed', 'completed', 3, 3, %s),"
        " (%s, sha256('b'), 'b.zip', 'mixed', 'failed', 0, 0, %s),"
        " (%s, sha256('c'), 'c.zip', 'mixed', 'failed', 0, 0, %s)",
        told.ana, told.now, told.ana, told.now, told.ben, told.now - timedelta(days=30),
    )  # fmt: skip
    imports = found(told)
    assert imports["import.finished"][0].detail["new_plays"] == 3
    (failed,) = imports["import.failed"]
    assert failed.user_id == told.ana
    # A failure stays one as long as it is there; what happened is news for two days.
    told.say(*imports["import.failed"], *imports["import.finished"])
    later = told.now + timedelta(days=20)
    assert set(found(told, at=later)) == {"import.failed"}
    told.sql("delete from app.imports")
    assert found(told, at=later) == {}

    told.sql(
        "insert into ops.circuits (user_id, state, opened_at, open_until) values (%s, 'open', %s, %s)",
        told.ben, told.now, told.now + timedelta(hours=1),
    )  # fmt: skip
    ((circuit,),) = found(told).values()
    assert (circuit.kind.name, circuit.user_id, circuit.detail) == ("circuit.open", told.ben, {"account": "Spotify"})
    told.sql("update ops.circuits set state = 'closed'")
    # Without a login nothing is asked, and so nothing is known to work.
    assert circuit.key not in mended(told)

    told.sql(
        "insert into raw.poll_gaps (user_id, gap_start, gap_end, reason, noted_at)"
        " select %s, %s, %s, reason, %s from unnest(array['outage', 'window_overflow', 'paused']) as reason",
        told.ana, told.now, told.now, told.now,
    )  # fmt: skip
    ((gap,),) = found(told).values()
    # One a day, and none for what the person did.
    assert (gap.kind.name, gap.detail["gaps"]) == ("polls.gap", 2)
    told.sql("delete from raw.poll_gaps")

    told.sql(
        "insert into app.linked_services (user_id, service, account, linked_at, secret_ended_at)"
        " values (%s, 'lastfm', 'ana', %s, %s)",
        told.ana, told.now, told.now,
    )  # fmt: skip
    ((login,),) = found(told).values()
    assert (login.kind.name, login.stage, login.detail["account"]) == ("login.ending", "0", "Last.fm")
    told.sql("update app.linked_services set secret_ended_at = null")
    assert login.key in mended(told)
    told.sql("delete from app.linked_services")
    assert found(told) == {}
    assert login.key not in mended(told)


def test_a_disk_at_its_threshold_is_full_until_there_is_room_again(told: Told) -> None:
    floor = told.settings.disk_floor_mb * 1024**2
    assert found(told, free=floor) == {}
    (full,) = found(told, free=floor - 1)["disk.full"]
    told.say(full)
    assert set(found(told, free=int(floor * 1.19))) == {"disk.full"}
    assert found(told, free=int(floor * 1.21)) == {}


def test_a_playlist_that_took_days_to_plan_is_told_when_it_is_planned(told: Told) -> None:
    told.sql(
        "insert into app.provider_accounts (user_id, provider, provider_account, linked_at)"
        " values (%s, 'tidal', 'tidal-ana', %s)",
        told.ana, told.now,
    )  # fmt: skip
    told.sql(
        "insert into raw.playlists (user_id, account_id, provider, provider_playlist, first_seen_at)"
        " select user_id, account_id, provider, 'list-one', linked_at from app.provider_accounts"
    )
    told.sql(
        "insert into app.migrations (user_id, source_playlist_id, source_version_no, source_name, target_account_id,"
        " target_name, state, created_at, planned_at)"
        " select %s, p.playlist_id, 1, 'A', a.account_id, 'A', 'planned', %s, %s"
        " from raw.playlists as p cross join app.provider_accounts as a where a.provider = 'tidal'",
        told.ana, told.now - timedelta(days=3), told.now,
    )  # fmt: skip
    ((waiting,),) = found(told).values()
    assert (waiting.kind.name, waiting.since) == ("migration.waiting", told.now)
    assert found(told, at=told.now + timedelta(days=3)) == {}


def test_refreshes_are_events_for_whoever_asked_for_them(told: Told) -> None:
    told.sql(
        "insert into ops.mart_runs (status, fingerprint, finished_at) values ('completed', '', %s)", told.now
    )  # fmt: skip
    assert found(told) == {}
    told.add("http://127.0.0.1:9/", user_id=told.ana, kinds=("marts.refreshed",))
    told.add("http://127.0.0.1:9/", user_id=told.ben)
    told.add("http://127.0.0.1:9/", user_id=None, kinds=("marts.refreshed", "disk.full"))
    assert {each.user_id for each in found(told)["marts.refreshed"]} == {told.ana, None}
    told.sql("delete from ops.mart_runs")


def login_key(told: Told) -> Key:
    ((account,),) = told.sql("select provider_account_id from app.credentials")
    return "login.ending", f"account {account}", told.ana


def test_a_login_is_told_at_each_of_its_stages(told: Told) -> None:
    keys = require_keys(told.settings, told.warehouse)
    login_owners.store_login(
        told.connection, keys, user_id=told.ana, client_id="client", account_key="id:ana", other_key=None,
        refresh_token="a token", scopes=["user-read-recently-played"], now=told.now,
    )  # fmt: skip
    ends = ends_at(told.now)
    stages = []
    for days_left in (31.0, 29.5, 6.5, 0.5, -0.5):
        conditions = found(told, at=ends - timedelta(days=days_left)).get("login.ending", [])
        stages.append([(each.stage, each.detail["account"]) for each in conditions])
    assert stages == [[], [("30", "Spotify")], [("7", "Spotify")], [("1", "Spotify")], [("0", "Spotify")]]
    assert login_key(told) in mended(told)
    told.sql("update app.credentials set paused_at = %s", told.now)
    assert login_key(told) not in mended(told)
    told.sql("update app.credentials set status = 'reauth_required', paused_at = null")
    ((login,),) = found(told).values()
    assert (login.stage, login.user_id) == ("0", told.ana)
