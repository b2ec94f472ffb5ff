"""The demo's archives: made up, and put into the uploads folder of a user of the demo's own.

Equal arguments give equal bytes, and a user whom the demo did not make is left alone.
"""

from __future__ import annotations

import filecmp
import hashlib
import os
import shutil
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from myi_pipeline.cli.session import Session
from myi_pipeline.errors import Permanent

if TYPE_CHECKING:
    from myi_pipeline.postgres.connections import Warehouse
    from myi_pipeline.settings import Settings
    from myi_pipeline.simulator import ArchiveSpec, ArchiveTruth

USER = "demo"
DISPLAY_NAME = "Made-up listener of myi demo"
TIME_ZONE = "Europe/Berlin"
# The extended archive ends earlier than the account data, which reaches a year back: nine months are in both.
EXTENDED_UNTIL, LAST_DAY = date(2024, 9, 30), date(2024, 12, 31)
# Older than what the uploads folder waits for: the archives are whole.
_SETTLED_S = 3600


@dataclass(frozen=True)
class Made:
    """One archive of the demo, and its name in the uploads folder."""

    path: Path
    name: str
    sha256: str


def make_archives(folder: Path, *, plays: int, seed: int) -> tuple[tuple[Made, ...], tuple[ArchiveTruth, ...]]:
    """An extended archive and an account-data archive of one listener, and what the generator knows of each; equal
    arguments give equal bytes."""
    from myi_pipeline.simulator import build_listener, write_account_archive, write_extended_archive

    listener = build_listener(_spec(plays=plays, seed=seed))
    extended = write_extended_archive(
        folder / "extended.zip",
        listener,
        until=EXTENDED_UNTIL,
        vintage="2024",
        bad={"bad_timestamp": 2, "too_early": 1, "bad_ms_played": 1},
    )
    account = write_account_archive(folder / "account.zip", listener, until=LAST_DAY)
    # Spotify names every archive the same; the uploads folder keeps each in a folder of its own.
    made = tuple(
        Made(truth.path, name, hashlib.sha256(truth.path.read_bytes()).hexdigest())
        for truth, name in (
            (extended, "extended_streaming_history/my_spotify_data.zip"),
            (account, "account_data/my_spotify_data.zip"),
        )
    )
    return made, (extended, account)


def track_names(*, plays: int, seed: int) -> frozenset[tuple[str, str]]:
    """The names of everything that these archives can name (see Shelf.names)."""
    from myi_pipeline.simulator import build_listener

    return build_listener(_spec(plays=plays, seed=seed)).shelf.names()


def _spec(*, plays: int, seed: int) -> ArchiveSpec:
    from myi_pipeline.simulator import ArchiveSpec

    return ArchiveSpec(
        seed=seed,
        listener=USER,
        plays=plays,
        last_day=LAST_DAY,
        time_zone=TIME_ZONE,
        # Names that break careless software are there, but below the ten artists that a newcomer is shown.
        awkward_artists_from=16,
    )


def prepare_user(
    session: Session, opened: Warehouse, made: tuple[Made, ...], *, key: str = USER, display_name: str = DISPLAY_NAME
) -> None:
    """A user of the demo's, with no plays but those of these archives."""
    from myi_pipeline.archives import list_imports
    from myi_pipeline.operations.erase_users import erase_user
    from myi_pipeline.people import manage_users
    from myi_pipeline.people.uploads_folder import delete_uploads_folder
    from myi_pipeline.postgres.connections import Role

    with opened.connect(Role.INGEST, autocommit=True) as connection:
        users = manage_users.list_users(connection, user_key=key)
        if users and users[0].display_name != display_name:
            raise Permanent(f"there is a user {key!r} that the demo did not make: it is left alone, and the demo stops")
        imports = list_imports.list_imports(connection, user_key=key, limit=1000)
        if users and {each.sha256 for each in imports} - {each.sha256 for each in made}:
            session.output.note("An earlier demo had other archives: its listener is removed first.")
            erase_user(opened, session.settings, user_id=users[0].user_id, now=datetime.now(UTC), keeps_key=True)
            delete_uploads_folder(session.settings, user_key=key, removal_id=0)
            users = ()
        if not users:
            manage_users.add_user(connection, user_key=key, time_zone=TIME_ZONE, display_name=display_name)


def put_into_uploads(settings: Settings, name: str, source: Path) -> None:
    """Where uploads lie, as a file or object that has been there for long; what is there already stays."""
    from myi_pipeline.storage.open_store import open_uploads

    bucket = open_uploads(settings)
    if bucket is not None:
        bucket.put(name, source)
        return
    target = settings.uploads_folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_file() and filecmp.cmp(target, source, shallow=False):
        return
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copyfile(source, beside)
    long_ago = time.time() - _SETTLED_S
    os.utime(beside, (long_ago, long_ago))
    beside.replace(target)
