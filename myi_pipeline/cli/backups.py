"""`myi backup`, `myi restore` and `myi upgrade`: keeping an installation safe."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

from myi_pipeline.cli.output import Output, counted, facts, moment, number, plain, size, table
from myi_pipeline.cli.session import JsonOption, Session, WrongUsage, open_session, warehouse

if TYPE_CHECKING:
    from myi_pipeline.operations.backup.manifest import Manifest, OnProgress
    from myi_pipeline.storage.backups import BackupStore


class _MakeIsMeant(TyperGroup):
    """`myi backup PLACE` means `myi backup make PLACE`: anything that is not a command is a place."""

    # Typer bundles its own click, without exporting its types.
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] != "--help"):
            args = ["make", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    help="Back up, list and verify backups; `myi backup PLACE` makes one.", cls=_MakeIsMeant, rich_markup_mode=None
)

PlaceArgument = Annotated[
    str | None,
    typer.Argument(metavar="PLACE", help="A folder, or s3://bucket/path, gs:// or az://; default: MYI_BACKUP."),
]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        help="File whose first line is the passphrase for the secrets; default: MYI_BACKUP_PASSPHRASE, or a prompt.",
    ),
]


@app.command("make")
def make(
    place: PlaceArgument = None,
    passphrase_file: PassphraseFile = None,
    without_secrets: Annotated[
        bool, typer.Option("--without-secrets", help="Leave out MYI_HOME/secrets; then no passphrase is needed.")
    ] = False,
    without_files: Annotated[bool, typer.Option("--without-files", help="Leave out uploads and exports.")] = False,
    keep: Annotated[
        str | None,
        typer.Option(
            "--keep",
            metavar="7d,4w,12m",
            help="Then delete older backups there, keeping the newest of each of that many hours (h), days, weeks,"
            " months and years.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Back up the warehouse, Dagster's database, secrets, uploads and exports, while everything runs."""
    from myi_pipeline.operations.backup.make import backup_store, make_backup

    session = open_session(as_json=as_json)
    settings = session.settings
    if keep is not None:
        _check_keep(keep)
    leaves_out = without_secrets or settings.backup_without_secrets
    passphrase = None if leaves_out else _passphrase(session, passphrase_file, is_new=True)
    store = backup_store(settings, _whole(place))
    with warehouse(session) as opened, _progress(session.output) as listener:
        made = make_backup(
            settings,
            opened,
            store,
            passphrase=passphrase,
            with_files=not without_files,
            keep=keep,
            on_progress=listener,
        )

    def render(console: Console) -> None:
        console.print(
            Text(f"{made.address}: {size(made.bytes)} of {size(made.database_bytes)} in {made.seconds:.1f} s."),
            soft_wrap=True,
        )
        if not made.has_secrets:
            console.print("The secrets are left out: keep your own copy of MYI_HOME/secrets/encryption_keys.")
        elif settings.encryption_keys is not None:
            console.print("The keys in MYI_ENCRYPTION_KEYS are not in it: keep your own copy.")
        if made.deleted:
            console.print(f"{counted(len(made.deleted), 'older backup')} deleted.")

    session.output.result({"address": made.address, **_fields(made)}, render)


@app.command("list")
def list_command(place: PlaceArgument = None, as_json: JsonOption = False) -> None:
    """List the backups at a place, newest first."""
    from myi_pipeline.operations.backup.make import backup_store, list_backups

    session = open_session(as_json=as_json)
    store = backup_store(session.settings, _whole(place))
    found = sorted(list_backups(store), key=lambda manifest: manifest.made_at, reverse=True)

    def render(console: Console) -> None:
        if not found:
            console.print(Text(f"No backup at {store.place}."), soft_wrap=True)
            return
        columns = ("name", "made (UTC)", ">users", ">events", ">size", "secrets", "MYI", "Postgres", "installation")
        console.print(table(store.place, columns, (_row(each) for each in found)))

    session.output.result({"place": store.place, "backups": [_summary(each) for each in found]}, render)


@app.command("verify")
def verify_command(
    backup: Annotated[
        str | None,
        typer.Argument(metavar="BACKUP", help="A backup, or a place whose newest backup is used; default: MYI_BACKUP."),
    ] = None,
    passphrase_file: PassphraseFile = None,
    as_json: JsonOption = False,
) -> None:
    """Restore a backup into a temporary server and run `myi verify` there."""
    from myi_pipeline.errors import MyiError
    from myi_pipeline.operations.backup import journal
    from myi_pipeline.operations.backup.make import installation_id
    from myi_pipeline.operations.backup.sealing import WrongPassphrase
    from myi_pipeline.operations.backup.verify import verify_backup

    session = open_session(as_json=as_json)
    passphrase = _passphrase(session, passphrase_file, is_new=None)
    with warehouse(session) as opened:
        store, name = _located(session, backup, own=installation_id(opened))
        try:
            with _progress(session.output) as listener:
                found = verify_backup(session.settings, store, name, passphrase=passphrase, on_progress=listener)
        except WrongPassphrase:
            # Most likely a slip of whoever typed it: nothing is known about the backup.
            raise
        except MyiError as error:
            journal.note_verified(opened, name=name, error=str(error))
            raise
        journal.note_verified(opened, name=name, error="; ".join(found.problems) or None)

    def render(console: Console) -> None:
        for problem in found.problems:
            console.print(Text(plain(problem)), soft_wrap=True)
        users, events = found.manifest.counts.get("users", 0), found.manifest.counts.get("events", 0)
        verdict = "is good" if found.is_good else "is NOT good"
        secrets = "opened" if found.are_secrets_checked else "sealed" if found.manifest.has_secrets else "left out"
        console.print(
            Text(
                f"{store.place}/{name} {verdict}: {counted(users, 'user')}, {counted(events, 'event')},"
                f" {counted(found.marts_compared, 'mart')} compared, secrets {secrets}, in {found.seconds:.0f} s."
            ),
            soft_wrap=True,
        )

    document = {**_summary(found.manifest), "is_good": found.is_good, "problems": found.problems}
    document |= {"marts_compared": found.marts_compared, "are_secrets_checked": found.are_secrets_checked}
    session.output.result({**document, "seconds": round(found.seconds, 3)}, render)
    raise typer.Exit(0 if found.is_good else 1)


def restore_command(
    backup: Annotated[
        str | None,
        typer.Argument(metavar="BACKUP", help="A backup, or a place whose newest backup is used; default: MYI_BACKUP."),
    ] = None,
    passphrase_file: PassphraseFile = None,
    without_secrets: Annotated[
        bool, typer.Option("--without-secrets", help="Skip the secrets if you do not have the passphrase.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the existing warehouse and files with the same names.")
    ] = False,
    make_roles: Annotated[
        bool,
        typer.Option("--make-roles", help="On your own server: create the roles, or give them new passwords."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Restore a backup into this MYI_HOME and, if MYI_DATABASE_URL is set, into that database."""
    from myi_pipeline.cli.audit import record
    from myi_pipeline.operations.backup.manifest import Manifest
    from myi_pipeline.operations.backup.restore import refuse_without_passphrase, restore_backup
    from myi_pipeline.operations.open_warehouse import open_warehouse

    session = open_session(as_json=as_json)
    store, name = _located(session, backup)
    passphrase = None
    if not without_secrets:
        manifest = Manifest.parse(store.manifest(name), place=f"{store.place}/{name}")
        passphrase = _passphrase(session, passphrase_file, is_new=False) if manifest.has_secrets else None
        refuse_without_passphrase(manifest, passphrase)
    with _progress(session.output) as listener:
        done = restore_backup(
            session.settings,
            store,
            name,
            passphrase=passphrase,
            replace=replace,
            make_roles=make_roles,
            on_progress=listener,
        )
    with open_warehouse(session.settings) as opened:
        record(opened)

    def render(console: Console) -> None:
        counts = done.manifest.counts
        pairs = [
            ("restored", f"{done.manifest.name} into the database {done.database}"),
            ("made", f"{moment(done.manifest.made_at)} UTC by MYI {done.manifest.myi_version}"),
            ("users", number(counts.get("users"))),
            ("events", number(counts.get("events"))),
            ("uploads", _files(done.uploads)),
            ("exports", _files(done.artifacts)),
            ("Dagster", "its runs and partitions" if done.has_dagster else "unchanged: it contains runs"),
            ("runs ended", number(done.runs_ended) if done.runs_ended else None),
            ("erased again", f"{number(done.erased_again)} who had been erased" if done.erased_again else None),
            ("seconds", f"{done.seconds:.1f}"),
        ]
        console.print(facts(pairs))
        if not done.has_secrets:
            console.print("Without the secrets: stored logins open only with the keys that sealed them.")
        console.print(
            "Access tokens and shared reports are as of the backup: revoke again whatever was revoked since. Everybody"
            " must sign in again.",
            soft_wrap=True,
        )
        console.print(
            "If the original installation is still running, each Spotify login works in only one of the two: pause it"
            " here with `myi user pause KEY`.",
            soft_wrap=True,
        )

    document = {
        **_summary(done.manifest),
        "database": done.database,
        "uploads": done.uploads,
        "exports": done.artifacts,
        "has_secrets": done.has_secrets,
        "has_dagster": done.has_dagster,
        "runs_ended": done.runs_ended,
        "erased_again": done.erased_again,
        "seconds": round(done.seconds, 3),
    }
    session.output.result(document, render)


def upgrade_command(
    by_dump: Annotated[bool, typer.Option("--by-dump", help="Dump and load without trying pg_upgrade first.")] = False,
    forget_old: Annotated[
        bool, typer.Option("--forget-old", help="Only delete the old version's data, which are kept until then.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Upgrade the embedded Postgres to the newest major version that this MYI includes."""
    from myi_pipeline.cli.audit import record
    from myi_pipeline.operations.open_warehouse import open_warehouse
    from myi_pipeline.operations.upgrade_postgres import forget_old_data, upgrade_postgres

    session = open_session(as_json=as_json)
    if forget_old:
        freed = forget_old_data(session.settings)
        said = f"{size(freed)} freed." if freed else "There are no data of an older version."
        session.output.result({"freed_bytes": freed}, lambda console: console.print(said))
        return
    with _progress(session.output) as listener:
        done = upgrade_postgres(session.settings, by_dump=by_dump, on_step=lambda what: listener(what, 0, 0))
    with open_warehouse(session.settings) as opened:
        record(opened)
    if done is None:
        session.output.result(
            {"upgraded": False},
            lambda console: console.print("The database is already on the newest Postgres available here."),
        )
        return

    def render(console: Console) -> None:
        console.print(
            Text(
                f"Postgres {done.old_major} is now {done.new_major}, by {done.method}, in {done.seconds:.0f} s. The"
                f" old data are kept in {done.kept}; once everything works, delete them: myi upgrade --forget-old"
            ),
            soft_wrap=True,
        )

    document = {"upgraded": True, "old_major": done.old_major, "new_major": done.new_major, "method": done.method}
    session.output.result({**document, "kept": str(done.kept), "seconds": round(done.seconds, 3)}, render)


def _files(unpacked: Any) -> str:
    kept = f", {number(unpacked.kept)} left as they were" if unpacked.kept else ""
    return f"{counted(unpacked.written, 'file')}{kept}"


def _fields(made: Any) -> dict[str, object]:
    return {name: getattr(made, name) for name in made.__dataclass_fields__}


def _summary(manifest: Manifest) -> dict[str, object]:
    return {
        "name": manifest.name,
        "installation": manifest.installation,
        "made_at": manifest.made_at,
        "bytes": manifest.total_bytes,
        "has_secrets": manifest.has_secrets,
        "myi_version": manifest.myi_version,
        "schema_version": manifest.schema_version,
        "server_version": manifest.server_version,
        **manifest.counts,
    }


def _row(manifest: Manifest) -> tuple[object, ...]:
    return (
        manifest.name, moment(manifest.made_at), number(manifest.counts.get("users")),
        number(manifest.counts.get("events")), size(manifest.total_bytes),
        "sealed" if manifest.has_secrets else "left out", manifest.myi_version,
        manifest.server_version.partition(" ")[0], (manifest.installation or "")[:8],
    )  # fmt: skip


def _check_keep(keep: str) -> None:
    from myi_pipeline.settings.backups import keep_counts

    try:
        keep_counts(keep)
    except ValueError as error:
        raise WrongUsage(f"--keep {error}") from None


def _whole(place: str | None) -> str | None:
    """A place as in the settings: folders become absolute."""
    from myi_pipeline.settings.artifacts import storage_place

    if place is None:
        return None
    try:
        return storage_place(place)
    except ValueError as error:
        raise WrongUsage(f"PLACE {error}") from None


def _located(session: Session, backup: str | None, *, own: str | None = None) -> tuple[BackupStore, str]:
    """The store and name of a given backup, or of the newest one at a place (see find_backup)."""
    from myi_pipeline.operations.backup.make import backup_store
    from myi_pipeline.operations.backup.restore import find_backup
    from myi_pipeline.storage.backups import is_backup_name

    if backup is not None and is_backup_name(backup):
        return backup_store(session.settings), backup
    place = _whole(backup)
    parent, _, last = (place or "").rpartition("/")
    if is_backup_name(last):
        return backup_store(session.settings, parent or "/"), last
    store = backup_store(session.settings, place)
    return store, find_backup(store, own=own)


def _passphrase(session: Session, file: Path | None, *, is_new: bool | None) -> str | None:
    """From a file, the settings or a prompt; None if nobody can be asked. `is_new` asks twice, None never asks."""
    from myi_pipeline.operations.backup.make import given_passphrase, passphrase_file_text

    found = passphrase_file_text(file) if file is not None else given_passphrase(session.settings)
    if found is not None or is_new is None:
        return found
    if sys.stdin.isatty():
        return str(typer.prompt("Passphrase of the secrets", hide_input=True, confirmation_prompt=is_new, err=True))
    if is_new:
        raise WrongUsage(
            "a passphrase is needed to seal the secrets: name its file (--passphrase-file, or"
            " MYI_BACKUP_PASSPHRASE_FILE), or leave the secrets out (--without-secrets)"
        )
    return None


@contextmanager
def _progress(output: Output) -> Iterator[OnProgress]:
    """Shows the current step on a terminal; does nothing without one."""
    if not output.progress_console.is_terminal:
        yield lambda what, done, total: None
        return
    with output.progress_console.status("") as status:

        def show(what: str, done: int, total: int) -> None:
            share = f" {100 * done // total} %" if total else ""
            status.update(f"{what}{share} ...")

        yield show
