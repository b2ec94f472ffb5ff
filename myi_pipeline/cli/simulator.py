"""`myi simulator`: a Spotify of made-up listeners on this machine, until Ctrl-C. It listens on loopback only and
touches no database.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console

from myi_pipeline.cli.output import facts, moment
from myi_pipeline.cli.session import MOMENT, JsonOption, WrongUsage, a_moment, open_session

DEFAULT_PORT = 8890


def simulator_command(
    port: Annotated[
        int, typer.Option("--port", metavar="N", min=0, max=65_535, help="Port to listen on; 0 picks a free one.")
    ] = DEFAULT_PORT,
    listeners: Annotated[int, typer.Option("--listeners", metavar="N", min=1, max=10_000, help="How many.")] = 10,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, help="Random seed; a different seed makes different listeners.")
    ] = 1,
    speed: Annotated[
        float, typer.Option("--speed", metavar="X", min=0, max=100_000, help="How fast its clock runs; 0 stops it.")
    ] = 1.0,
    start: Annotated[
        datetime | None,
        typer.Option("--start", parser=a_moment, metavar=MOMENT, help="The clock's start, UTC; default: now."),
    ] = None,
    redirect: Annotated[
        list[str] | None,
        typer.Option("--redirect", metavar="URI", help="A redirect URI that is registered for every client id."),
    ] = None,
    old: Annotated[bool, typer.Option("--old", help="Answer as to apps older than 2026.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run a simulated Spotify on this machine, for trying things out, until Ctrl-C."""
    from myi_pipeline.simulator.live import (
        AppSpec,
        MovableClock,
        SimulatorFailed,
        SimulatorSpec,
        apps_for,
        mixed_listeners,
        serve,
    )

    session = open_session(as_json=as_json)
    begin = datetime.now(UTC) if start is None else start
    people = mixed_listeners(listeners, first_day=begin.date().replace(year=begin.year - 1, day=1))
    # Registering the loopback address without a port allows any program on this machine as the target.
    uris = tuple(redirect or (*AppSpec().redirect_uris, "http://[::1]/callback"))
    apps = apps_for(people, dialect="old" if old else "new", redirect_uris=uris)
    spec = SimulatorSpec(seed=seed, listeners=people, apps=apps)

    def ready(url: str) -> None:
        environment = {
            "MYI_SPOTIFY_API_URL": f"{url}/v1",
            "MYI_SPOTIFY_ACCOUNTS_URL": url,
            "MYI_SPOTIFY_IMAGES_URL": url,
            "MYI_SPOTIFY_CLIENT_ID": apps[0].client_id,
        }
        document = {
            "url": url,
            "control_url": f"{url}/_control",
            "now": begin,
            "speed": speed,
            "environment": environment,
            "client_ids": {app.client_id: app.allowed for app in apps},
        }

        def render(console: Console) -> None:
            console.print(
                facts(
                    [
                        ("simulated Spotify", url),
                        ("control", f"{url}/_control"),
                        ("its clock", f"{moment(begin)} UTC, at {speed:g} times the usual speed"),
                        *((name, value) for name, value in environment.items()),
                        *((app.client_id, ", ".join(app.allowed or ())) for app in apps[:10]),
                        ("and", f"{len(apps) - 10} more client ids, five listeners each" if len(apps) > 10 else None),
                    ]
                )
            )

        session.output.result(document, render)

    try:
        serve(spec, MovableClock(begin, speed=speed), port=port, ready=ready)
    except SimulatorFailed as error:
        raise WrongUsage(str(error)) from error
    except KeyboardInterrupt:
        # The usual way to stop it, not a failure.
        raise typer.Exit(0) from None
