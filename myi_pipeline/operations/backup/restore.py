"""Restoring: a backup becomes the warehouse of this MYI_HOME, whatever server or machine it came from.

Everything that can be wrong with the backup is found before anything is touched. Then both databases are filled next to
the live ones, the files are unpacked, and the databases are swapped in one step: if killed before that, only missing
files have been added; run again, it starts over.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from myi_pipeline.errors import BadInput, Transient
from myi_pipeline.operations.backup.load import load_dump
from myi_pipeline.operations.backup.make import installation_of
from myi_pipeline.operations.backup.manifest import (
    ARTIFACTS,
    DAGSTER,
    SECRETS,
    UPLOADS,
    WAREHOUSE,
    Manifest,
    OnProgress,
    check_files,
    refuse_newer,
)
from myi_pipeline.operations.backup.packing import Unpacked, open_secrets, put_secrets, unpack_folder
from myi_pipeline.operations.backup.programs import find_programs
from myi_pipeline.operations.backup.target import Target, restore_target
from myi_pipeline.operations.dagster_home import prepare_dagster
from myi_pipeline.operations.erase_users import reapply_tombstones
from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.operations.remove_users import finish_removals
from myi_pipeline.people.manage_users import list_user_keys
from myi_pipeline.people.tombstones import fetch_record
from myi_pipeline.postgres.connections import CONNECT_TIMEOUT_S, Role, Warehouse, with_parameters
from myi_pipeline.postgres.disk_space import disk_guard
from myi_pipeline.postgres.sql_files import load_sql, load_statements
from myi_pipeline.settings import Settings, environment_of_strangers
from myi_pipeline.settings.artifacts import is_object_store
from myi_pipeline.storage.backups import BackupStore

log = logging.getLogger(__name__)

# Beyond ids assigned after the backup; no installation assigns this many between two backups, and an int4 column has
# room for 200,000 restores.
NUMBERS_LEFT_OUT: Final = 10_000
# Importing Dagster takes 7 CPU seconds.
_SETTLE_TIMEOUT_S: Final = 600


@dataclass(frozen=True)
class Restored:
    """What was brought back."""

    manifest: Manifest
    database: str
    uploads: Unpacked
    artifacts: Unpacked
    has_secrets: bool
    has_dagster: bool
    runs_ended: int
    erased_again: int
    seconds: float


def restore_backup(
    settings: Settings,
    store: BackupStore,
    name: str,
    *,
    passphrase: str | None,
    replace: bool = False,
    make_roles: bool = False,
    on_progress: OnProgress = lambda *_: None,
    clock: Callable[[], float] = time.monotonic,
) -> Restored:
    """Without a passphrase, the secrets are left out.

    `replace` allows replacing a warehouse that has users; `make_roles` to give roles of an external server new
    passwords.

    Raises BadInput, SchemaMismatch, DiskFull, Busy, Transient, Permanent: then nothing has changed.
    """
    began, place = clock(), f"{store.place}/{name}"
    manifest = Manifest.parse(store.manifest(name), place=place)
    refuse_newer(manifest, place=place)
    with store.reading(name) as folder:
        check_files(folder, manifest, place=place, on_progress=on_progress)
        secrets = None
        if passphrase is not None and manifest.has_secrets:
            secrets = open_secrets(folder / SECRETS, passphrase=passphrase)
        erased = fetch_record(settings, backups=store.place)
        with restore_target(settings, replace=replace, make_roles=make_roles) as target:
            if target.server.embedded:
                # It needs its former size, in addition to what is there.
                disk_guard(settings).check(needed_bytes=manifest.database_bytes)
            _fill(settings, target, folder, manifest, on_progress=on_progress)
            target.refuse_used()
            on_progress("files", 0, 0)
            uploads, artifacts = _unpack(settings, folder, manifest, replace=replace)
            if secrets is not None:
                put_secrets(settings.secrets_folder, secrets)
            put_secrets(settings.secrets_folder, erased)
            target.put_in_place()
            has_dagster = target.fills_dagster
    with open_warehouse(settings, repair=True, make_roles=True) as warehouse:
        # Before anybody can sign in: users who were erased after the backup was made.
        erased_again = reapply_tombstones(warehouse, settings)
        if erased_again:
            finish_removals(warehouse, settings)
        on_progress("Dagster's runs", 0, 0)
        runs_ended = settle_dagster(settings, warehouse) if manifest.has(DAGSTER) else 0
    return Restored(
        manifest=manifest,
        database=warehouse.database,
        uploads=uploads,
        artifacts=artifacts,
        has_secrets=secrets is not None,
        has_dagster=has_dagster,
        runs_ended=runs_ended,
        erased_again=erased_again,
        seconds=clock() - began,
    )


def find_backup(store: BackupStore, *, own: str | None = None) -> str:
    """The newest backup: of the installation `own`, or, if it has none there, of the only one that has. Raises
    BadInput.
    """
    of = {name: installation_of(store, name) for name in store.names()}
    if own not in of.values():
        own = None
    names = [name for name, whose in of.items() if own is None or whose == own]
    if own is None and len(set(of.values())) > 1:
        raise BadInput(
            f"the backups at {store.place} are of several installations: name the one that is meant"
            " (`myi backup list` shows them)",
            place=store.place,
            rule="a place with the backups of one installation",
        )
    if not names:
        raise BadInput(
            f"there is no backup at {store.place}", place=store.place, rule="a backup that `myi backup` made"
        )
    return names[-1]


def refuse_without_passphrase(manifest: Manifest, passphrase: str | None) -> None:
    """Raises BadInput if a backup's secrets are wanted but cannot be opened."""
    if manifest.has_secrets and passphrase is None:
        raise BadInput(
            "the secrets of this backup are sealed: name the file with the passphrase (--passphrase-file), or leave"
            " them out (--without-secrets)",
            place="passphrase",
            rule="the passphrase with which the backup was made",
        )


def _fill(settings: Settings, target: Target, folder: Path, manifest: Manifest, *, on_progress: OnProgress) -> None:
    new_names: Mapping[str, str] = target.names()
    renames = {old: new_names[login] for login, old in manifest.roles.items() if login in new_names}
    with closing(target.warehouse.connect(Role.OWNER, autocommit=True)) as connection:
        major = connection.info.server_version // 10000
    # A newer pg_restore reads older dumps, but not the other way round.
    programs = find_programs(settings, server_major=max(major, manifest.dump_major))
    for part, is_dagster in ((WAREHOUSE, False), (DAGSTER, True)):
        if is_dagster and not target.fills_dagster:
            log.info("Dagster's database has a URL of its own and remembers runs: it stays as it is")
            continue
        on_progress("Dagster's database" if is_dagster else "the warehouse", 0, 0)
        url, act_as = target.owner_url(dagster=is_dagster)
        load_dump(programs, folder / part, url=url, act_as=act_as, renames=renames, place=target.server.place)
    with closing(target.warehouse.connect(Role.OWNER, autocommit=True)) as connection, connection.transaction():
        values = {"gap": NUMBERS_LEFT_OUT, "name": manifest.name, "bytes": manifest.total_bytes}
        for statement in load_statements("operations/backup/settle"):
            connection.execute(statement, values)
    with closing(target.warehouse.connect(Role.OWNER, autocommit=True)) as connection:
        connection.execute("analyze")


def _unpack(settings: Settings, folder: Path, manifest: Manifest, *, replace: bool) -> tuple[Unpacked, Unpacked]:
    uploads = artifacts = Unpacked()
    if manifest.has(UPLOADS) and is_object_store(settings.uploads_place):
        log.warning("MYI_UPLOADS is an object store: the uploads of this backup, which are imported, stay in it")
    elif manifest.has(UPLOADS):
        uploads = unpack_folder(folder / UPLOADS, settings.uploads_folder, replace=replace)
    if manifest.has(ARTIFACTS) and settings.artifacts_folder is not None:
        artifacts = unpack_folder(folder / ARTIFACTS, settings.artifacts_folder, replace=replace)
    return uploads, artifacts


def settle_dagster(settings: Settings, warehouse: Warehouse) -> int:
    """Ends the runs that were in progress when Dagster's database was dumped; returns how many.

    Their processes no longer exist, and another host would wait for them for hours. Partitions are set to the existing
    users. If there is anything to do, starts a Dagster process, which takes 7 CPU seconds.
    """
    if _is_settled(warehouse):
        return 0
    command = [sys.executable, "-m", "myi_pipeline.defs.commands", "settle-restored"]
    try:
        done = subprocess.run(
            command, env=environment_of_dagster(settings, warehouse), capture_output=True, text=True, check=False,
            timeout=_SETTLE_TIMEOUT_S, cwd=os.fspath(settings.home),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Transient("the warehouse is restored; Dagster took too long to settle its runs: start `myi up`") from None
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1][:300]
        raise Transient(f"the warehouse is restored; Dagster could not settle its runs: {last}")
    return int(done.stdout.strip() or 0)


def _is_settled(warehouse: Warehouse) -> bool:
    url = with_parameters(warehouse.dagster_url())
    with psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S) as connection:
        if connection.execute("select to_regclass('public.runs') is null").fetchone() == (True,):
            return True
        keys = list_user_keys(warehouse)
        arguments = {"user_keys": keys, "users": len(keys)}
        try:
            found = connection.execute(load_sql("operations/backup/dagster_is_settled"), arguments).fetchone()
        except psycopg.errors.UndefinedTable:
            # It belongs to another version of Dagster, which handles it itself.
            return False
    return found == (True,)


def environment_of_dagster(settings: Settings, warehouse: Warehouse) -> dict[str, str]:
    """These settings alone: a scratch installation must not inherit which database the real one has."""
    return environment_of_strangers() | settings.environment() | prepare_dagster(settings, warehouse)
