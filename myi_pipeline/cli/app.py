"""The root of `myi`: its commands, exit codes and error handling.

Errors that MYI raises deliberately end in one clear message; a traceback appears only with --debug or for a bug.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import Annotated, Any

import typer

from myi_pipeline import __version__
from myi_pipeline.cli import (
    access,
    archives,
    audit,
    backups,
    catalogue,
    corrections,
    genres,
    keys,
    migrate_playlist,
    monitoring,
    notices,
    parts,
    playlists,
    providers,
    services,
    shares,
    users,
)
from myi_pipeline.cli.demo.command import demo_command
from myi_pipeline.cli.erasing import erase_command, receipt_command, scrub_command
from myi_pipeline.cli.import_archives import IMPORT_HELP, import_command
from myi_pipeline.cli.installation import doctor_command, migrate_command, psql_command
from myi_pipeline.cli.login import disconnect_command, login_command, logins_command, pause_command, resume_command
from myi_pipeline.cli.marts import docs_app, refresh_command, verify_command
from myi_pipeline.cli.output import plain, to_json
from myi_pipeline.cli.polling import circuit_app, poll_command, quota_command, top_app
from myi_pipeline.cli.serve import api_command, up_command
from myi_pipeline.cli.session import WrongUsage, debug_wanted
from myi_pipeline.cli.shell_environment import env_command
from myi_pipeline.cli.simulator import simulator_command
from myi_pipeline.cli.take_away import export_command
from myi_pipeline.error_reports import report_error
from myi_pipeline.errors import BadInput, MyiError, UnknownUser
from myi_pipeline.logs import correlation_id, mask
from myi_pipeline.settings import SettingsError

DONE, REFUSED, WRONG_USAGE = 0, 1, 2
# The exit code that a shell reports for a program ended by a signal.
INTERRUPTED, TERMINATED = 130, 143

app = typer.Typer(
    name="myi",
    help="MYI: a self-hosted warehouse for listening history.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("demo")(demo_command)
app.command("import", help=IMPORT_HELP)(import_command)
app.command("export")(export_command)
app.command("refresh")(refresh_command)
app.command("verify")(verify_command)
app.command("up")(up_command)
app.command("api")(api_command)
app.command("webserver")(parts.webserver_command)
app.command("daemon")(parts.daemon_command)
app.command("code")(parts.code_command)
app.command("worker")(parts.worker_command)
app.command("worker-env")(parts.worker_env_command)
app.command("env")(env_command)
app.command("doctor")(doctor_command)
app.command("migrate")(migrate_command)
app.command("psql")(psql_command)
app.command("simulator")(simulator_command)
app.command("restore")(backups.restore_command)
app.command("upgrade")(backups.upgrade_command)
app.add_typer(backups.app, name="backup")
app.add_typer(archives.imports_app, name="imports")
app.add_typer(archives.quarantine_app, name="quarantine")
app.add_typer(users.app, name="user")
users.app.command("erase")(erase_command)
users.app.command("remove")(erase_command)
users.app.command("receipt")(receipt_command)
users.app.command("scrub")(scrub_command)
users.app.command("login")(login_command)
users.app.command("logins")(logins_command)
users.app.command("pause")(pause_command)
users.app.command("resume")(resume_command)
users.app.command("disconnect")(disconnect_command)
app.add_typer(services.app, name="service")
app.add_typer(shares.app, name="share")
app.add_typer(providers.app, name="providers")
app.add_typer(playlists.app, name="playlists")
app.add_typer(migrate_playlist.app, name="migrate-playlist")
app.add_typer(notices.app, name="notices")
app.add_typer(docs_app, name="docs")
app.add_typer(top_app, name="top")
app.add_typer(catalogue.app, name="catalogue")
app.add_typer(genres.app, name="genres")
app.add_typer(keys.app, name="keys")
app.add_typer(circuit_app, name="circuit")
app.add_typer(corrections.app, name="corrections")
app.add_typer(access.tokens_app, name="token")
users.app.command("link")(access.link_command)
users.app.command("sign-out")(access.sign_out_command)
app.command("dagster-link")(access.dagster_link_command)
app.command("quota")(quota_command)
app.command("poll")(poll_command)
app.add_typer(monitoring.app, name="monitoring")
app.command("audit")(audit.audit_command)
audit.record_commands(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"myi {__version__}\n")
        raise typer.Exit


@app.callback()
def root(
    debug: Annotated[bool, typer.Option("--debug", help="Log every step and show tracebacks.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """MYI: a self-hosted warehouse for listening history."""
    debug_wanted.set(debug)


class _Terminated(BaseException):
    """SIGTERM: unwinds like Ctrl-C, so that leases and locks are released."""


def _on_sigterm(_: int, __: FrameType | None) -> None:
    raise _Terminated


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script. Always ends with SystemExit."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        # If the encoding cannot represent a name, a question mark appears instead of a traceback.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace" if stream is sys.stdout else "backslashreplace")
    signal.signal(signal.SIGTERM, _on_sigterm)
    sys.exit(run(given))


def run(arguments: Sequence[str]) -> int:
    """Runs one command and returns its exit code."""
    as_json = "--json" in arguments
    # Files that a command or its children write, as dbt does, are about people's listening: readable only by this user.
    users_umask = os.umask(0o077)
    try:
        code = typer.main.get_command(app).main(args=list(arguments), prog_name="myi", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else DONE
    except typer.Exit as error:
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return _fail(INTERRUPTED, "stopped", as_json=as_json)
    except _Terminated:
        return _fail(TERMINATED, "stopped", as_json=as_json)
    except BrokenPipeError:
        # The reader has closed the pipe, as `head` does. Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return REFUSED
    except (SettingsError, WrongUsage, UnknownUser) as error:
        return _fail(WRONG_USAGE, str(error), error, as_json=as_json)
    except MyiError as error:
        return _fail(REFUSED, str(error), error, as_json=as_json)
    except Exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            sys.stderr.write(str(error) + "\n")
            return WRONG_USAGE
        if hasattr(error, "format_message"):  # Typer's own: an unknown option, a missing argument
            return _fail(WRONG_USAGE, _usage(error), as_json=as_json)
        is_bug = not _is_database_trouble(error)
        if is_bug:
            report_error(error)
        return _fail(REFUSED, _unexpected(error), error, as_json=as_json, bug=is_bug)
    finally:
        os.umask(users_umask)


def _usage(error: Any) -> str:
    context = getattr(error, "ctx", None)
    hint = f"\nTry: {context.command_path} --help" if context is not None else ""
    return f"{error.format_message()}{hint}"


def _is_database_trouble(error: BaseException) -> bool:
    psycopg = sys.modules.get("psycopg")
    return psycopg is not None and isinstance(error, psycopg.OperationalError)


def _unexpected(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    first = lines[0] if lines else "no message"
    return f"the database: {first}" if _is_database_trouble(error) else f"{type(error).__name__}: {first}"


def _fail(code: int, message: str, error: BaseException | None = None, *, as_json: bool, bug: bool = False) -> int:
    message = mask(message)
    if error is not None and (bug or debug_wanted.get()):
        sys.stderr.write(mask("".join(traceback.format_exception(error))))
    sys.stderr.write("myi: " + "\n".join(plain(line) for line in message.splitlines()) + "\n")
    if as_json:
        document: dict[str, object] = {
            "error": {
                "kind": type(error).__name__
                if error is not None
                else "WrongUsage"
                if code == WRONG_USAGE
                else "Stopped",
                "message": message,
            },
            "exit_code": code,
            "correlation_id": correlation_id(),
        }
        if isinstance(error, BadInput):
            document["error"] = {**document["error"], "place": error.place, "rule": error.rule}  # type: ignore[dict-item]
        sys.stdout.write(to_json(document) + "\n")
    return code
