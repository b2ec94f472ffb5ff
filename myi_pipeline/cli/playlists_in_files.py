"""`myi playlists import`, `export` and `convert`: playlists in files."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Annotated, BinaryIO, cast

import typer
from rich.console import Console
from rich.text import Text

from myi_pipeline.cli.output import counted, number, plain, table
from myi_pipeline.cli.playlists_of_user import VersionOption
from myi_pipeline.cli.session import JsonOption, Session, WrongUsage, open_session, warehouse
from myi_pipeline.cli.users import Key
from myi_pipeline.errors import BadInput

if TYPE_CHECKING:
    from myi_pipeline.playlists.file_lists import StoredList
    from myi_pipeline.playlists.files import Playlist, Reading
    from myi_pipeline.providers.playlists import PlaylistEntry

FormatOption = Annotated[
    str,
    typer.Option(
        "--to", "--format", metavar="FORMAT", help="m3u8, m3u, pls, xspf, jspf, tunemymusic, exportify or soundiiz."
    ),
]
OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="PATH", help="A file or an existing folder; default: standard output."),
]
GuardOption = Annotated[
    bool,
    typer.Option("--no-formula-guard", help="In CSV, do not escape cells that a spreadsheet would run as formulas."),
]


def add_commands(app: typer.Typer) -> None:
    """Adds the commands of this module to the group."""
    app.command("import")(import_command)
    app.command("export")(export_command)
    app.command("convert")(convert_command)


@dataclass
class _Outcome:
    """What was read and what was refused."""

    readings: list[tuple[Path, Reading]] = field(default_factory=list)
    refused: list[tuple[Path, BadInput]] = field(default_factory=list)
    stored: list[StoredList] = field(default_factory=list)

    @property
    def warnings(self) -> list[str]:
        return [warning for _, reading in self.readings for warning in reading.warnings]


def import_command(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Playlist files, or a ZIP of them; see docs/playlist-files.md."),
    ],
    user: Annotated[str | None, typer.Option("--user", metavar="KEY", help="Whose playlists they are.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and check everything, but store nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Read playlists from files in any supported format, store them for a user, and show their content."""
    from myi_pipeline.playlists.file_lists import check_names
    from myi_pipeline.playlists.files import read_file

    if user is None and not dry_run:
        raise WrongUsage("Name the owner with --user KEY, or add --dry-run to only read and check them.")
    session = open_session(as_json=as_json)
    outcome = _Outcome()
    for path in files:
        try:
            outcome.readings += [(path, reading) for reading in read_file(path)]
        except BadInput as error:
            if len(files) == 1:
                raise
            outcome.refused.append((path, error))
    check_names(outcome.readings)
    if user is not None:
        _store(session, outcome, user=user, dry_run=dry_run)
    session.output.result(_document(outcome), lambda console: _render(console, outcome))
    raise typer.Exit(1 if outcome.refused else 0)


def _store(session: Session, outcome: _Outcome, *, user: str, dry_run: bool) -> None:
    """Stores what was read; a dry run only checks that the user exists."""
    from myi_pipeline.people.manage_users import get_user
    from myi_pipeline.playlists.file_lists import store_readings
    from myi_pipeline.postgres.connections import Role
    from myi_pipeline.providers.transport import utc_now

    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        user_id = get_user(connection, user_key=user).user_id
        # Equal names in one ZIP, or in files that were unpacked from it, are several lists.
        seen: defaultdict[Path, Counter[str]] = defaultdict(Counter)
        for path, reading in () if dry_run else tuple(outcome.readings):
            archive = path.parent if reading.place == path.name else path
            try:
                outcome.stored += store_readings(
                    connection, user_id=user_id, readings=[reading], now=utc_now(), seen=seen[archive]
                )
            except BadInput as error:
                outcome.refused.append((path, error))


def _document(outcome: _Outcome) -> dict[str, object]:
    keys = {reading.format.key for _, reading in outcome.readings}
    return {
        "format": next(iter(keys)) if len(keys) == 1 else None,
        "playlists": [
            {
                "file": reading.place,
                "format": reading.format.key,
                "name": playlist.name,
                "description": playlist.description,
                "creator": playlist.creator,
                "url": playlist.url,
                "image_url": playlist.image_url,
                "created_at": playlist.created_at,
                "entries": [_entry(each) for each in playlist.entries],
            }
            for _, reading in outcome.readings
            for playlist in reading.playlists
        ],
        "warnings": outcome.warnings,
        "stored": outcome.stored,
        "refused": [
            {"file": path.name, "message": str(error), "place": error.place, "rule": error.rule}
            for path, error in outcome.refused
        ],
    }


def _entry(each: PlaylistEntry) -> dict[str, object]:
    track = each.track
    return {
        "kind": track.kind.value,
        "uri": track.uri,
        "title": track.title,
        "artists": list(track.artists),
        "album": track.album,
        "album_artists": list(track.album_artists),
        "isrc": track.isrc,
        "recording_mbid": track.recording_mbid,
        "duration_ms": track.duration_ms,
        "disc_number": track.disc_number,
        "track_number": track.track_number,
        "is_explicit": track.is_explicit,
        "released_on": track.released_on,
        "added_at": each.added_at,
        "added_by": each.added_by,
    }


def _render(console: Console, outcome: _Outcome) -> None:
    rows = [
        (reading.place, reading.format.label, playlist.name, number(len(playlist.entries)))
        for _, reading in outcome.readings
        for playlist in reading.playlists
    ]
    if rows:
        console.print(table(None, ("file", "format", "playlist", ">entries"), rows))
    if outcome.stored:
        new = sum(each.is_new for each in outcome.stored)
        console.print(
            f"{counted(len(outcome.stored), 'playlist')} kept, {number(new)} of them new or changed."
            + (" Bring the marts up to date with: myi refresh" if new else "")
        )
    for title, sentences in (
        ("Not understood, or not stored:", outcome.warnings),
        ("Refused:", [str(error) for _, error in outcome.refused]),
    ):
        for sentence in [title, *sentences] if sentences else ():
            console.print(Text(plain(sentence)), soft_wrap=True)


def export_command(
    key: Key,
    to: FormatOption,
    playlist: Annotated[
        int | None, typer.Argument(metavar="PLAYLIST", help="The playlist's id in `myi playlists list`.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every playlist, as a ZIP with a manifest.")] = False,
    version: VersionOption = None,
    output: OutputOption = None,
    no_formula_guard: GuardOption = False,
) -> None:
    """Write a stored playlist to a file, or all of them to a ZIP. Whatever the format cannot express is left out."""
    from myi_pipeline.people.manage_users import get_user
    from myi_pipeline.playlists.file_lists import kept_as_file
    from myi_pipeline.playlists.playlist_files import export_all
    from myi_pipeline.postgres.connections import Role
    from myi_pipeline.providers.transport import utc_now

    _check_format(to)
    if (playlist is None) != everything:
        raise WrongUsage("Give the id of a playlist, or --all.")
    if everything and version is not None:
        raise WrongUsage("--version needs a single playlist; --all writes the latest version of each.")
    session = open_session()
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        user_id = get_user(connection, user_key=key).user_id
        if playlist is None:
            with _sink(output, f"playlists-{to}", ".zip") as (out, path):
                made = export_all(
                    connection, out, user_id=user_id, format_key=to, now=utc_now(), formula_guard=not no_formula_guard
                )
            session.output.note(
                f"{path or 'written'}: {counted(len(made.playlists), 'playlist')}, {_entries(made.entries)}.",
                *(f"Left out: {each.name or each.playlist_id}, because {each.reason}." for each in made.left_out),
            )
            return
        found = kept_as_file(connection, user_id=user_id, playlist_id=playlist, version_no=version)
    _put(session, [found], name=found.name, to=to, output=output, formula_guard=not no_formula_guard)


def convert_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A playlist file, or a ZIP of them.")],
    to: FormatOption,
    output: OutputOption = None,
    no_formula_guard: GuardOption = False,
) -> None:
    """Convert the playlists of a file to another format. Whatever that format cannot express is left out."""
    from myi_pipeline.playlists.files import FORMATS, read_file

    _check_format(to)
    session = open_session()
    readings = read_file(file)
    playlists = [playlist for reading in readings for playlist in reading.playlists]
    is_one_file = FORMATS[to].holds_many or len(playlists) == 1
    if not playlists:
        raise BadInput(f"{file.name}: it contains no playlist.", place=file.name, rule="at least one playlist")
    if not is_one_file and not (output is not None and output.is_dir()):
        raise WrongUsage(
            f"{file.name} contains {counted(len(playlists), 'playlist')}, but {FORMATS[to].label} stores one per file:"
            f" give an existing folder with --output."
        )
    session.output.note(*(warning for reading in readings for warning in reading.warnings))
    groups = [playlists] if is_one_file else [[playlist] for playlist in playlists]
    for group in groups:
        name = group[0].name if len(group) == 1 else file.stem
        _put(session, group, name=name, to=to, output=output, formula_guard=not no_formula_guard)


def _check_format(to: str) -> None:
    from myi_pipeline.playlists.files import WRITABLE

    if to not in WRITABLE:
        raise WrongUsage(f"--to must be one of {', '.join(WRITABLE)}, not {to!r}.")


def _put(
    session: Session, playlists: list[Playlist], *, name: str, to: str, output: Path | None, formula_guard: bool
) -> None:
    """Writes them to standard output, a file, or a file with their name in a folder. Raises BadInput."""
    from myi_pipeline.playlists.files import FORMATS, write_playlists

    made = io.BytesIO()
    write_playlists(playlists, made, format_key=to, formula_guard=formula_guard)
    with _sink(output, name, FORMATS[to].suffixes[0]) as (out, path):
        out.write(made.getbuffer())
    if path is not None:
        session.output.note(f"{path}: {_entries(sum(len(playlist.entries) for playlist in playlists))}.")


@contextmanager
def _sink(output: Path | None, name: str, suffix: str) -> Iterator[tuple[BinaryIO, Path | None]]:
    """The output stream and its path: standard output, a file, or one with that name in a folder.

    A file is written completely or not at all. Raises BadInput.
    """
    if output is None:
        yield sys.stdout.buffer, None
        sys.stdout.buffer.flush()
        return
    path = _free_path(output, name, suffix) if output.is_dir() else output
    try:
        if path.exists() and not path.is_file():
            # A pipe or a device cannot be replaced.
            with path.open("wb") as out:
                yield out, path
            return
        # For a link, its target.
        place = path.resolve()
        with NamedTemporaryFile(dir=place.parent, prefix=f".{place.name[:50]}.", delete=False) as made:
            unfinished = Path(made.name)
            try:
                yield cast(BinaryIO, made), path
                made.flush()
                unfinished.chmod(_mode_of(place))
                unfinished.replace(place)
            finally:
                unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise BadInput(
            f"{path}: cannot be written: {error.strerror}.", place=str(path), rule="a writable file"
        ) from None


def _mode_of(path: Path) -> int:
    """The mode of the replaced file, or that of a new one."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def _entries(count: int) -> str:
    return f"{number(count)} {'entry' if count == 1 else 'entries'}"


def _free_path(folder: Path, name: str, suffix: str) -> Path:
    """A path with that name that does not exist yet."""
    from myi_pipeline.playlists.files.names import FileNames

    names = FileNames()
    while (path := folder / names.take(name, suffix)).exists():
        pass
    return path
