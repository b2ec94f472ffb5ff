"""One user with names that nobody else has goes through everything that keeps anything, and is erased: no row of either
database and no file of MYI_HOME says any of these names."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import TickData, TickStatus

from myi_pipeline.definitions import build_definitions
from myi_pipeline.defs.partitions import RANGE_END, RANGE_START, sync_partitions
from myi_pipeline.defs.take_away import MAKE_EXPORT
from myi_pipeline.notices import journal, kinds, targets
from myi_pipeline.notices.kinds import Condition
from myi_pipeline.notices.store import Wishes, follow, store_wishes
from myi_pipeline.people import audit, erasures, manage_access, take_away_orders
from myi_pipeline.people.audit import Event
from myi_pipeline.people.corrections import Described, Wish, add_correction
from myi_pipeline.people.erasures import read_receipt
from myi_pipeline.people.manage_users import add_user
from myi_pipeline.people.recording_decisions import decide
from myi_pipeline.people.tombstones import read_tombstones
from myi_pipeline.playlists.store import store_playlist
from myi_pipeline.postgres.connections import Role, Warehouse, with_parameters
from myi_pipeline.postgres.roles import DAGSTER, role_name
from myi_pipeline.providers.encryption_keys import require_keys
from myi_pipeline.providers.playlists import ListedTrack, PlaylistEntry, PlaylistHead
from myi_pipeline.settings import Settings
from myi_pipeline.sharing import household, shares
from myi_pipeline.sharing.snapshots import Row, Snapshot, TopList
from myi_pipeline.simulator.live import MovableClock, SimulatorSpec, apps_for, persona, running_simulator
from myi_pipeline.storage.open_store import open_store
from myi_pipeline.submissions import drain
from myi_pipeline.submissions.listens import read_submission
from tests.conftest import TestServer
from tests.dagster.conftest import LiveSetup
from tests.hostile import decoys
from tests.searching import places_with

KEY, OTHER = "quetzalcoatl", "ben"
NAME = "Tlaloc Popocatepetl"
ARTIST, TRACK, ALBUM = "Xochipilli und die Köche", "Canción de la Ruina", "Album Ahuizotl"
ARCHIVE, MEMBER = "my_data_of_mictlan.zip", "Streaming_History_Audio_Mictlan_2024.json"
LIST, NEW_LIST, SUBMITTED = "Playlist Cihuacoatl", "Moved Huitzilopochtli", "Song of Tezcatlipoca"
REPORT, SYNCED, PHONE, HOOK = "Report Coatlicue", "Synced Tonantzin", "Phone Ehecatl", "tepeyollotl.example"
ADDRESS, DEVICE, TOKEN, NOTE = "203.0.113.77", "Browser Mayahuel", "token Itzpapalotl", "note Xipe Totec"
SHOWN_AND_TOLD = (
    "app.shares", "app.notice_wishes", "app.notice_targets", "app.saved_migrations", "app.provider_sign_ins",
    "app.exports", "ops.notices", "ops.notice_deliveries",
)  # fmt: skip
NEEDLES = (
    KEY, NAME, ARTIST, TRACK, ALBUM, ARCHIVE, MEMBER, LIST, NEW_LIST, SUBMITTED, REPORT, SYNCED, PHONE, HOOK,
    ADDRESS, DEVICE, TOKEN, NOTE,
)  # fmt: skip


@dataclass
class Canary(LiveSetup):
    """The user, and where to look for them."""

    databases: tuple[str, ...] = ()

    def user_id(self, key: str = KEY) -> int:
        ((found,),) = self.sql("select user_id from app.users where user_key = %s", key)
        return int(found)

    def traces(self) -> dict[str, list[str]]:
        """Where each needle is, in either database or any file."""
        return places_with(NEEDLES, folder=self.settings.home, urls=self.databases)

    def refresh(self) -> None:
        assert self.run("refresh_marts").success


@pytest.fixture
def canary(dagster_home: Settings, warehouse: Warehouse, server_for: Callable[[str], TestServer]) -> Iterator[Canary]:
    clock = MovableClock()
    listeners = (
        persona("skipper", KEY, stale_days=0.0, silent_days=0.0, plays_per_day=600),
        persona("albums", OTHER, stale_days=0.0),
    )
    spec = SimulatorSpec(listeners=listeners, apps=apps_for(listeners, users_per_app=1), artists=20)
    admin = server_for("embedded").admin_url
    with ExitStack() as stack:
        simulator = stack.enter_context(running_simulator(spec, clock=clock))
        settings = dagster_home.model_copy(
            update={"spotify_api_url": simulator.api_url, "spotify_accounts_url": simulator.accounts_url}
        )
        instance = stack.enter_context(dg.DagsterInstance.get())
        definitions = build_definitions(settings, clock=clock)
        databases = (
            with_parameters(admin, dbname=warehouse.database),
            with_parameters(admin, dbname=role_name(warehouse.database, DAGSTER)),
        )
        canary = Canary(settings, warehouse, instance, definitions, simulator, clock, databases=databases)
        with warehouse.connect(Role.INGEST, autocommit=True) as connection:
            add_user(connection, user_key=KEY, time_zone="UTC", display_name=NAME)
            add_user(connection, user_key=OTHER, time_zone="UTC")
        sync_partitions(instance, warehouse)
        yield canary


def rows() -> bytes:
    found: list[dict[str, Any]] = []
    for row in decoys.good_rows(8):
        names = {
            "master_metadata_track_name": TRACK,
            "master_metadata_album_artist_name": ARTIST,
            "master_metadata_album_album_name": ALBUM,
            "spotify_track_uri": f"spotify:track:Mictlan{len(found):015}",
        }
        found.append(row | names)
    # Not a play: it lies in quarantine.
    found.append(found[0] | {"ts": "yesterday"})
    return json.dumps(found).encode()


def live(canary: Canary) -> None:
    """What a user of some years has left behind."""
    canary.sign_in(KEY, OTHER)
    decoys.zip_of(canary.put(f"{KEY}/{ARCHIVE}", content=b""), (MEMBER, rows()))
    canary.put(f"{KEY}/{ARCHIVE}", content=(canary.settings.uploads_folder / KEY / ARCHIVE).read_bytes())
    canary.put(f"{OTHER}/his.zip", rows=5)
    # One run of both, as neighbours are put together.
    for request in canary.sensor("uploads").run_requests:
        assert {RANGE_START, RANGE_END} <= set(request.tags) or request.partition_key
        canary.run(
            "import_uploads",
            partition_key=request.partition_key,
            run_config=request.run_config,
            tags={**request.tags, "dagster/run_key": request.run_key},
        )
    assert canary.poll(KEY, OTHER).success
    assert canary.run("poll_users", partition_key=KEY).success
    user_id = canary.user_id()
    with canary.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        stored = store_playlist(
            connection, user_id=user_id, account_id=None, provider="file",
            head=PlaylistHead(playlist_id="a list", name=LIST),
            entries=[PlaylistEntry(track=ListedTrack(uri=None, title=SUBMITTED, artists=(ARTIST,)))],
            now=datetime.now(UTC),
        )  # fmt: skip
        assert stored is not None
        contents = connection.execute(
            "select content_id from raw.contents where title = %s order by content_id limit 2", (TRACK,)
        ).fetchall()
        add_correction(
            connection, user_id=user_id,
            wish=Wish(action="hide", described=Described(source="account_history"), note=NOTE),
        )  # fmt: skip
    canary.sql(
        "insert into app.migrations (user_id, source_playlist_id, source_version_no, source_name, target_account_id,"
        " target_name, state, created_at) select p.user_id, p.playlist_id, 1, %s, a.account_id, %s, 'planned', now()"
        " from raw.playlists as p inner join app.provider_accounts as a on a.user_id = p.user_id"
        " where p.user_id = %s limit 1",
        LIST, NEW_LIST, user_id,
    )  # fmt: skip
    listen = {"track_metadata": {"artist_name": ARTIST, "track_name": SUBMITTED}, "listened_at": 1_700_000_000}
    submission = read_submission(
        json.dumps({"listen_type": "import", "payload": [listen]}).encode(), now=datetime.now(UTC)
    )
    with canary.warehouse.connect(Role.APP, autocommit=True) as connection:
        decide(connection, user_id=user_id, decision="same", track_id=contents[0][0], other_track_id=contents[1][0])
        session = manage_access.begin_session(
            connection, user_id=user_id, method="link", device=DEVICE, address=ADDRESS
        )
        assert session
        manage_access.make_token(connection, user_id=user_id, name=TOKEN, days=3, address=ADDRESS)
        manage_access.make_link(connection, user_id=user_id, address=ADDRESS)
        audit.record(connection, Event.WRONG_CREDENTIAL, address=ADDRESS)
        good = json.dumps([each.document() for each in submission.listens])
        connection.execute("select ops.accept_listens(%s, null, 'Player', 'import', %s, '[]', 100000)", (user_id, good))
    with canary.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        drain.drain(connection)
    with open_store(canary.settings).writing(user_id, "playlists-xspf-20240309-5f0c1e2d3a4b.zip", "x/y") as out:
        out.write(LIST.encode())
    # A line of a log that another user's lines surround, and a tick of the daemon.
    (canary.settings.dbt_logs / "dbt.log").write_text(f"ben goes on\nfailed for {KEY}: {ARCHIVE}\nben ends\n")
    tick = TickData(
        instigator_origin_id="sensor", instigator_name="uploads", instigator_type=InstigatorType.SENSOR,
        status=TickStatus.SKIPPED, timestamp=datetime.now(UTC).timestamp(), selector_id="uploads",
        skip_reason=f"{KEY}/{ARCHIVE} is still growing",
    )  # fmt: skip
    canary.instance.create_tick(tick)
    show_and_tell(canary, user_id)
    canary.refresh()


def show_and_tell(canary: Canary, user_id: int) -> None:
    """A shared report, an agreement, notices to an address of their own and to the operator's, a playlist that is kept
    in sync, a sign-in that is under way, and an export of everything."""
    now = datetime.now(UTC)
    ring = require_keys(canary.settings, canary.warehouse)
    top = TopList(what="artists", ranked_by="plays", rows=(Row(rank=1, name=ARTIST),))
    snapshot = Snapshot(
        kind="top",
        label="2024",
        first_day=now.date(),
        last_day=now.date(),
        taken_on=now.date(),
        owner=NAME,
        lists=(top,),
    )
    with canary.warehouse.connect(Role.APP, autocommit=True) as connection:
        shares.make_share(
            connection,
            user_id=user_id,
            snapshot=snapshot,
            wish=shares.ShareWish(title=REPORT, expires_at=None),
            now=now,
        )
        household.invite(connection, user_id=user_id, parts=["tops"], user_key=OTHER, now=now)
        (agreement,) = household.list_agreements(connection, user_id=canary.user_id(OTHER), now=now)
        household.accept(
            connection, user_id=canary.user_id(OTHER), agreement_id=agreement.agreement_id, parts=["tops"], now=now
        )
        store_wishes(connection, user_id=user_id, wishes=Wishes(muted=("polls.gap",)))
        take_away_orders.order_export(connection, user_id=user_id, with_marts=False, address=ADDRESS)
    with canary.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        for owner_id, name, host in ((user_id, PHONE, HOOK), (None, "The operator's", "operator.example")):
            targets.add_target(
                connection, ring, user_id=owner_id, channel=targets.Channel.WEBHOOK, url=f"https://{host}/in",
                name=name, allow_private=True, now=now, lookup=lambda host, port: ["192.0.2.1"],
            )  # fmt: skip
        ends = Condition(
            kind=kinds.LOGIN, subject="spotify", user_id=user_id, stage=kinds.ENDED,
            detail={"user": KEY, "ends_at": now.isoformat()},
        )  # fmt: skip
        follow(connection, [ends], asked=[kinds.LOGIN.name], mended=(), now=now)
        assert journal.plan(connection, settings_keys=(), site_url="https://myi.example", now=now) == 2
    canary.sql(
        "insert into app.saved_migrations (user_id, source_playlist_id, source_name, target_account_id,"
        " target_playlist, target_name, origin_id, created_at, looked_at) select user_id, source_playlist_id,"
        " source_name, target_account_id, 'target', %s, migration_id, now(), now() from app.migrations"
        " where user_id = %s",
        SYNCED, user_id,
    )  # fmt: skip
    canary.sql(
        "insert into app.provider_sign_ins (session_id, provider, user_id, state_hash, verifier, redirect_uri,"
        " expires_at) select session_id, 'tidal', user_id, sha256('state'), 'verifier', 'https://myi.example', now()"
        " from app.sessions where user_id = %s",
        user_id,
    )  # fmt: skip
    found = canary.sensor("exports")
    assert isinstance(found, dg.SensorResult)
    (request,) = found.run_requests or ()
    assert canary.run(MAKE_EXPORT, run_config=request.run_config, tags=dict(request.tags)).success


def erase(canary: Canary) -> str:
    """As the page does: a wish, which the sensor that follows the users carries out."""
    user_id = canary.user_id()
    with canary.warehouse.connect(Role.APP, autocommit=True) as connection:
        wish = erasures.request_erasure(
            connection, user_id=user_id, now=datetime.now(UTC), grace=timedelta(0), address=ADDRESS
        )
    assert isinstance(canary.sensor("users"), dg.SkipReason)
    assert canary.sql("select count(*) from app.users where user_key = %s", KEY) == [(0,)]
    assert list(canary.instance.get_dynamic_partitions("users")) == [OTHER]
    canary.sensor("uploads")
    canary.refresh()
    canary.sensor("uploads")
    return wish.receipt_id


@pytest.mark.slow
def test_nothing_of_an_erased_user_is_in_either_database_or_any_file(canary: Canary) -> None:
    live(canary)
    before = canary.traces()
    assert set(before) == set(NEEDLES), "a name is not where it is looked for"
    for place in (
        "raw.contents", "marts.", "event_logs", "run_tags", "job_ticks", "app.shares", "app.saved_migrations",
        "app.notice_targets", "ops.notice_deliveries",
    ):  # fmt: skip
        assert any(place in found for places in before.values() for found in places), place
    assert any("dbt.log" in found for found in before[KEY])
    others = canary.sql("select count(*) from raw.listening_events where user_id = %s", canary.user_id(OTHER))
    of_ben = [record.partition_key for record in materializations(canary)].count(OTHER)
    user_id = canary.user_id()
    assert canary.settings.artifacts_folder is not None
    exported = canary.settings.artifacts_folder / str(user_id)
    assert len(list(exported.iterdir())) == 2
    assert [table for table in SHOWN_AND_TOLD if not rows_of(canary, user_id).get(table)] == []
    assert canary.sql("select count(*) from app.agreements where accepted_at is not null") == [(1,)]

    receipt_id = erase(canary)

    assert canary.traces() == {}
    assert rows_of(canary, user_id) == {}
    assert not exported.exists()
    assert canary.sql("select count(*) from app.agreements") == [(0,)]
    # The operator's address stays; what was sent to it of this user does not.
    assert canary.sql("select name, (select count(*) from ops.notice_deliveries) from app.notice_targets") == [
        ("The operator's", 0)
    ]
    with canary.warehouse.connect(Role.APP, autocommit=True) as connection:
        receipt = read_receipt(connection, receipt_id)
    assert receipt is not None
    assert receipt.state == "finished"
    assert receipt.counts["plays"] >= 8
    assert receipt.counts["archives"] == 1
    assert receipt.counts["rows set aside"] == 1
    assert receipt.counts["shared reports"] == receipt.counts["playlists kept in sync"] == 1
    assert receipt.counts["files"] == 3
    assert [(login.service, login.outcome) for login in receipt.logins] == [("Spotify", "not_offered")]
    assert list(read_tombstones(canary.settings).values()) == [receipt_id]
    # What others have is there, also in the run that was of both.
    assert canary.sql("select count(*) from raw.listening_events where user_id = %s", canary.user_id(OTHER)) == others
    assert [record.partition_key for record in materializations(canary)].count(OTHER) == of_ben > 0
    assert (canary.settings.dbt_logs / "dbt.log").read_text() == "ben goes on\nben ends\n"
    for run in canary.instance.get_runs():
        assert run.job_name
        assert canary.instance.all_logs(run.run_id) is not None
    # The key is free.
    canary.add_users(KEY)


def rows_of(canary: Canary, user_id: int) -> dict[str, int]:
    """How many rows each table has of a user, where it has any."""
    tables = canary.sql(
        "select format('%I.%I', table_schema, table_name) from information_schema.columns"
        " where column_name = 'user_id' and table_schema in ('app', 'ops', 'raw', 'marts', 'intermediate')"
        " order by 1"
    )
    counts = {
        table: canary.sql(f"select count(*) from {table} where user_id = %s", user_id)[0][0] for (table,) in tables
    }
    return {table: count for table, count in counts.items() if count}


def materializations(canary: Canary) -> list[Any]:
    found: list[Any] = []
    for asset in ("listening_history", "recently_played"):
        found += canary.instance.fetch_materializations(dg.AssetKey(asset), limit=100).records
    return found
