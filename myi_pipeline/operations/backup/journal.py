"""This installation's record of its backups: ops.backups, and their health.

One backup is made at a time; if an older one is still marked as running when the next begins, it was killed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from myi_pipeline.errors import Busy, MyiError
from myi_pipeline.postgres.connections import Connection, Role, Warehouse
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.settings import Settings
from myi_pipeline.settings.backups import BackupPace

# Any constant will do; it spells "myi b".
_LOCK: Final = 0x6D79692062
_LONGEST_ERROR: Final = 300
SEAL: Final = "set MYI_BACKUP_PASSPHRASE_FILE, or leave the secrets out with MYI_BACKUP_WITHOUT_SECRETS"
_KILLED: Final = "it was killed before it finished"
# Maximum age of the last good backup: two intervals and some hours, so that a machine that sleeps at night is fine.
OLDEST: Final = {
    BackupPace.HOUR: timedelta(hours=3),
    BackupPace.DAY: timedelta(hours=50),
    BackupPace.WEEK: timedelta(days=15),
}


@dataclass
class Entry:
    """The row of a backup that is being made."""

    backup_id: int
    connection: Connection = field(repr=False)
    is_open: bool = True

    def completed(self, *, total_bytes: int, has_secrets: bool) -> None:
        self._end("completed", total_bytes, has_secrets, None)

    def failed(self, error: str) -> None:
        self._end("failed", None, None, error[:_LONGEST_ERROR])

    def _end(self, state: str, total_bytes: int | None, has_secrets: bool | None, error: str | None) -> None:
        values = {
            "backup_id": self.backup_id,
            "state": state,
            "bytes": total_bytes,
            "has_secrets": has_secrets,
            "error": error,
        }
        self.connection.execute(load_sql("operations/backup/end"), values)
        self.is_open = False


@contextmanager
def journalled(warehouse: Warehouse, *, place: str, name: str, is_scheduled: bool) -> Iterator[Entry]:
    """A row for the backup that is made in this context; failed if it raises.

    Raises Busy while another one is being made.
    """
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi backup")) as connection:
        taken = connection.execute("select pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
        if not (taken and taken[0]):
            raise Busy("another backup of this installation is being made")
        connection.execute(
            "update ops.backups set state = 'failed', finished_at = now(), error = %s where state = 'running'",
            (_KILLED,),
        )
        values = {"place": place, "name": name, "is_scheduled": is_scheduled}
        row = connection.execute(load_sql("operations/backup/begin"), values).fetchone()
        assert row is not None
        entry = Entry(int(row[0]), connection)
        try:
            yield entry
        except BaseException as error:
            if not connection.broken and not connection.closed:
                # Foreign exceptions may quote their input.
                entry.failed(str(error) if isinstance(error, MyiError) else f"stopped by {type(error).__name__}")
            raise


def last_good_began(warehouse: Warehouse, *, place: str) -> datetime | None:
    """When the last good backup at this place was begun."""
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi backup")) as connection:
        row = connection.execute(
            "select max(started_at) from ops.backups where place = %s and state = 'completed'", (place,)
        ).fetchone()
    return None if row is None else row[0]


def note_deleted(warehouse: Warehouse, *, place: str, names: list[str]) -> None:
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi backup")) as connection:
        connection.execute(
            "update ops.backups set state = 'deleted' where place = %s and name = any (%s) and state = 'completed'",
            (place, names),
        )


def note_verified(warehouse: Warehouse, *, name: str, error: str | None) -> None:
    """Records the result of a verification; a backup of another installation has no row here."""
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi backup")) as connection:
        connection.execute(
            "update ops.backups set verified_at = now(), verify_error = %s where name = %s and state = 'completed'",
            (None if error is None else error[:_LONGEST_ERROR], name),
        )


@dataclass(frozen=True)
class BackupHealth:
    """`trouble` is None if nothing is wrong; `mend` is what to do about it."""

    text: str
    trouble: str | None = None
    mend: str = ""


def backup_health(settings: Settings, warehouse: Warehouse, *, now: datetime) -> BackupHealth:
    """Whether backups are made and succeed. Without MYI_BACKUP none are expected, which is fine."""
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi check")) as connection:
        row = connection.execute(load_sql("operations/backup/last")).fetchone()
    last_good, last_error, last_verification = row if row is not None else (None, None, None)
    last = f"the last one was made {last_good:%Y-%m-%d %H:%M} UTC" if last_good is not None else "there is none yet"
    has_passphrase = settings.backup_passphrase is not None or settings.backup_passphrase_file is not None
    if settings.backup is not None and not (has_passphrase or settings.backup_without_secrets):
        return BackupHealth(last, f"nothing seals the secrets in backups, so none is made; {last}", SEAL)
    if last_error is not None:
        return BackupHealth(last, f"the last backup failed: {last_error}; {last}", "myi backup, which shows more")
    if last_verification is not None:
        return BackupHealth(last, f"a backup failed verification: {last_verification}", "myi backup verify")
    if settings.backup is None:
        return BackupHealth(f"{last}; set MYI_BACKUP to have `myi up` make one a day")
    if last_good is None or now - last_good > OLDEST[settings.backup_every]:
        trouble = f"one is to be made every {settings.backup_every.value}, and {last}"
        return BackupHealth(last, trouble, "keep `myi up` running, or run `myi backup`")
    return BackupHealth(last)
