"""The work on what the database holds: imports, removals, backups, refreshes, runs and notices."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta

from myi_pipeline.notices.journal import count_given_up
from myi_pipeline.notices.messengers import check_address
from myi_pipeline.notices.store import list_notices
from myi_pipeline.notices.targets import list_targets, settings_addresses
from myi_pipeline.operations.active_runs import look_at_runs
from myi_pipeline.operations.backup.journal import backup_health
from myi_pipeline.operations.celery_workers import workers_seen
from myi_pipeline.operations.checks import models_take_their_time
from myi_pipeline.operations.doctor.check import Check, Status
from myi_pipeline.people.tombstones import recorded_tombstones
from myi_pipeline.postgres.connections import Role, Warehouse, parse_url
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.providers.transport import utc_now
from myi_pipeline.settings import Settings


def imports(warehouse: Warehouse) -> Check:
    with warehouse.connect(Role.INGEST) as connection:
        row = connection.execute(load_sql("operations/checks/imports_that_wait")).fetchone()
    failed, unconfirmed, first = row if row is not None else (0, 0, None)
    if failed:
        found = f"{failed} failed; the last: {first}"
        mend = "see `myi imports list` for the reason; then: `myi imports retry ID`, or put the archive there again"
        return Check("imports", Status.WARN, found, mend)
    if unconfirmed:
        found = f"{unconfirmed} are waiting for confirmation because another user has the archive"
        return Check("imports", Status.WARN, found, "`myi imports retry ID --yes`, or delete the archive")
    return Check("imports", Status.OK, "none has failed")


def removals(warehouse: Warehouse) -> Check:
    with warehouse.connect(Role.INGEST) as connection:
        row = connection.execute(
            "select count(*), max(last_error) from ops.removals where removed_at < now() - interval '1 hour'"
        ).fetchone()
    late, error = row if row is not None else (0, None)
    if late:
        found = f"{late} removed users have left something behind for an hour" + (f": {error}" if error else "")
        return Check("removed users", Status.WARN, found, "start `myi up`, or run `myi user erase KEY` again")
    return Check("removed users", Status.OK, "all removed users are fully deleted")


def tombstones(settings: Settings, warehouse: Warehouse) -> Check:
    """Whether a restore here would know of every erasure, and bring nobody back."""
    with warehouse.connect(Role.INGEST) as connection:
        erased = {row[0].hex() for row in connection.execute("select tombstone from ops.erasures")}
    elsewhere = len(erased - recorded_tombstones(settings))
    if elsewhere:
        found = (
            f"{elsewhere} of {len(erased)} erasures are recorded in another MYI_HOME: a restore here brings them back"
        )
        mend = (
            "bring secrets/tombstones and secrets/tombstones.key of the home that erased, and give `myi daemon` and"
            " `myi code` the MYI_HOME of this host"
        )
        return Check("tombstones", Status.FAIL, found, mend)
    return Check("tombstones", Status.OK, f"{len(erased)} erasures, all recorded here")


def backups(settings: Settings, warehouse: Warehouse) -> Check:
    health = backup_health(settings, warehouse, now=utc_now())
    if health.trouble is not None:
        return Check("backups", Status.WARN, health.trouble, health.mend)
    return Check("backups", Status.OK, health.text)


def models(warehouse: Warehouse) -> Check:
    finding = models_take_their_time(warehouse)
    if finding.passed:
        return Check("mart models", Status.OK, finding.text)
    mend = "unless the machine was busy then, `myi refresh --json` and Dagster show when it started"
    return Check("mart models", Status.WARN, finding.text, mend)


def runs(warehouse: Warehouse) -> Check:
    if not _has_dagster_database(warehouse):
        return Check("Dagster's runs", Status.OK, "none yet")
    seen = look_at_runs(warehouse)
    found = seen.describe()
    if seen.lost:
        mend = "`myi up` fails them within a minute, and then they are retried"
        return Check("Dagster's runs", Status.FAIL, found, mend)
    if seen.waiting_long:
        mend = "start another `myi worker`, or one with more slots, for the queue of these runs"
        return Check("Dagster's runs", Status.WARN, found, mend)
    if seen.is_queue_idle:
        return Check("Dagster's runs", Status.WARN, found, "start `myi up`: nothing is processing the queue")
    return Check("Dagster's runs", Status.OK, found)


def _has_dagster_database(warehouse: Warehouse) -> bool:
    """True also where it lies on another server, which answers for itself."""
    ours, dagster = parse_url(warehouse.url(Role.OWNER)), parse_url(warehouse.dagster_url())
    if any(ours.get(name) != dagster.get(name) for name in ("host", "port")):
        return True
    with warehouse.connect(Role.OWNER) as connection:
        found = connection.execute("select from pg_database where datname = %s", (dagster.get("dbname", ""),))
        return found.fetchone() is not None


def workers(warehouse: Warehouse) -> Check:
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi doctor")) as connection:
        seen = workers_seen(connection)
    if seen.queues_without:
        mend = f"start one: myi worker {' '.join(f'--queue {queue}' for queue in seen.queues_without)}"
        return Check("Celery workers", Status.FAIL, seen.describe(), mend)
    if seen.silent:
        mend = "look after that host; its runs were failed and are retried by the others"
        return Check("Celery workers", Status.WARN, seen.describe(), mend)
    return Check("Celery workers", Status.OK, seen.describe())


def notices(settings: Settings, warehouse: Warehouse) -> Check:
    """Open notices, where the operator's are sent, and what could not be sent."""
    addresses = settings_addresses(settings)
    for url in addresses.values():
        check_address(url, allow_private=True)
    with closing(warehouse.connect(Role.INGEST, autocommit=True)) as connection:
        found = list_notices(connection, with_past=False)
        is_told = bool(addresses) or any(each.user_id is None for each in list_targets(connection, user_id=None))
        given_up = count_given_up(connection, since=utc_now() - timedelta(days=1))
    if found:
        told = [f"{each.words.title}{f' ({each.user_key})' if each.user_key else ''}" for each in found[:3]]
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        return Check("notices", Status.WARN, f"{'; '.join(told)}{more}", "`myi notices list` shows all open ones")
    if given_up:
        mend = "`myi notices deliveries` shows why; `myi notices test` tests the operator's addresses"
        return Check("notices", Status.WARN, f"{given_up} could not be delivered within the last day", mend)
    where = "" if is_told else "; notices for the operator are not sent anywhere (MYI_NOTICES_URLS)"
    return Check("notices", Status.OK, f"nothing is open{where}")
