"""The root of `myi`: its commands, exit codes, and how every failure ends.

What MYI raises on purpose ends in one clear message; a traceback appears only with --debug or for a bug.
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
from myi_pipeline.cli import access, archives, audit, catalogue, corrections, genres, keys, services, users
from myi_pipeline.cli.demo.command import demo_command
from myi_pipeline.cli.import_archives import import_command
from myi_pipeline.cli.installation import doctor_command, migrate_command, psql_command
from myi_pipeline.cli.login import disconnect_command, login_command, logins_command, pause_command, resume_command
from myi_pipeline.cli.marts import docs_app, refresh_command, verify_command
from myi_pipeline.cli.output import plain, to_json
from myi_pipeline.cli.polling import circuit_app, poll_command, quota_command, top_app
from myi_pipeline.cli.serve import api_command, up_command
from myi_pipeline.cli.session import WrongUsage, debug_wanted
from myi_pipeline.cli.shell_environment import env_command
from myi_pipeline.cli.simulator import simulator_command
from myi_pipeline.errors import BadInput, MyiError, UnknownUser
from myi_pipeline.logs import correlation_id, mask
from myi_pipeline.settings import SettingsError

DONE, REFUSED, WRONG_USAGE = 0, 1, 2
# What a shell reports for a program that a signal ended.
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
app.command("import")(import_command)
app.command("refresh")(refresh_command)
app.command("verify")(verify_command)
app.command("up")(up_command)
app.command("api")(api_command)
app.command("env")(env_command)
app.command("doctor")(doctor_command)
app.command("migrate")(migrate_command)
app.command("psql")(psql_command)
app.command("simulator")(simulator_command)
app.add_typer(archives.imports_app, name="imports")
app.add_typer(archives.quarantine_app, name="quarantine")
app.add_typer(users.app, name="user")
users.app.command("login")(login_command)
users.app.command("logins")(logins_command)
users.app.command("pause")(pause_command)
users.app.command("resume")(resume_command)
users.app.command("disconnect")(disconnect_command)
app.add_typer(services.app, name="service")
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
app.command("audit")(audit.audit_command)
audit.record_commands(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"myi {__version__}\n")
        raise typer.Exit


@app.callback()
def root(
    debug: Annotated[bool, typer.Option("--debug", help="Log every step, and show where an error came from.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """MYI: a self-hosted warehouse for listening history."""
    debug_wanted.set(debug)


class _Terminated(BaseException):
    """SIGTERM: unwinds like Ctrl-C, so that leases and locks are let go."""


def _on_sigterm(_: int, __: FrameType | None) -> None:
    raise _Terminated


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script. Always ends by SystemExit."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        # In an encoding that cannot show a name, a question mark is shown, not a traceback.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace" if stream is sys.stdout else "backslashreplace")
    signal.signal(signal.SIGTERM, _on_sigterm)
    sys.exit(run(given))


def run(arguments: Sequence[str]) -> int:
    """Runs one command and gives its exit code."""
    as_json = "--json" in arguments
    # Whatever a command and its children write, as dbt does, is about what people listen to: this user's alone.
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
        # The reader left, as `head` does. Python would complain again when it flushes at exit.
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
        return _fail(REFUSED, _unexpected(error), error, as_json=as_json, bug=not _is_database_trouble(error))
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
