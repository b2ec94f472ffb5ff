"""The demo's steps, and what is shown of each.

Its archives go where everybody's do: the uploads folder, Dagster, raw, marts. It never touches a user that it did not
make.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from myi_pipeline.cli.access import print_way_in, way_in
from myi_pipeline.cli.dagster_processes import dagster_jobs
from myi_pipeline.cli.demo.archives import USER, make_archives, prepare_user, put_into_uploads, track_names
from myi_pipeline.cli.demo.live import (
    ARCHIVED_AFTER,
    LiveDemo,
    LiveShown,
    import_live_archives,
    is_dagster_running,
    live_document,
    live_spotify,
    poll,
    render_live,
    sign_in,
)
from myi_pipeline.cli.demo.past import DISPLAY_NAME as PAST_NAME
from myi_pipeline.cli.demo.past import USER as PAST_USER
from myi_pipeline.cli.demo.past import PastShown, look, make_past, render_past
from myi_pipeline.cli.demo.playlists import PlaylistsShown, move_playlists, playlists_document, render_playlists
from myi_pipeline.cli.demo.truth import Comparison, compare_with_truth
from myi_pipeline.cli.figures import render_listening, summary_document
from myi_pipeline.cli.marts import render_verify, verify_document
from myi_pipeline.cli.output import facts, number, table
from myi_pipeline.cli.refreshing import verify
from myi_pipeline.cli.serve import keep_running
from myi_pipeline.cli.session import JsonOption, Session, open_session, warehouse

if TYPE_CHECKING:
    from myi_pipeline.archives.list_imports import ImportDetail
    from myi_pipeline.marts.figures import ListeningSummary
    from myi_pipeline.marts.verify import VerifyResult
    from myi_pipeline.postgres.connections import Warehouse
    from myi_pipeline.simulator import ArchiveTruth

_STEPS = 8
# The listener who was at Last.fm has one play for so many of the other one.
_PAST_SHARE = 5


@dataclass(frozen=True)
class _Shown:
    """What the demo ends with."""

    imports: tuple[ImportDetail, ...]
    summary: ListeningSummary | None
    comparisons: list[Comparison]
    live: LiveShown | None
    playlists: PlaylistsShown | None
    past: PastShown
    verified: VerifyResult
    runs: list[dict[str, Any]]

    @property
    def is_good(self) -> bool:
        is_live_good = self.live is None or self.live.is_good
        are_playlists_good = self.playlists is None or self.playlists.is_good
        return (
            is_live_good
            and are_playlists_good
            and self.past.is_good
            and self.verified.is_good
            and all(each.is_equal for each in self.comparisons)
        )


def demo_command(
    plays: Annotated[
        int, typer.Option("--plays", metavar="N", min=100, max=1_000_000, help="How many plays to make up.")
    ] = 20_000,
    seed: Annotated[
        int,
        typer.Option("--seed", metavar="N", min=0, help="Random seed; a different seed makes a different listener."),
    ] = 1,
    keep: Annotated[bool, typer.Option("--keep", help="Leave Dagster's pages running at the end (`myi up`).")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make up listening and take it all the way: archives and a polled Spotify, Dagster, Postgres, dbt, answers."""
    session = open_session(as_json=as_json)
    with warehouse(session) as opened:
        shown = _run(session, opened, plays=plays, seed=seed)
        way = way_in(session, opened, user_key=USER)
        document = {**_document(shown), "dashboard": session.settings.site_url}
        session.output.result(document, lambda console: _render(console, session, shown, way=way, keep=keep))
        if keep and shown.is_good:
            raise typer.Exit(keep_running(session))
    raise typer.Exit(0 if shown.is_good else 1)


def _run(session: Session, opened: Warehouse, *, plays: int, seed: int) -> _Shown:
    with tempfile.TemporaryDirectory(prefix="myi-demo-") as folder, ExitStack() as stack:
        with _step(session, 1, f"making up {number(plays)} plays of ten years, as archives that overlap"):
            made, truths = make_archives(Path(folder), plays=plays, seed=seed)
            past = make_past(Path(folder), plays=max(plays // _PAST_SHARE, 500), seed=seed)
        with _step(session, 2, f"putting them into the uploads folders of the users {USER} and {PAST_USER}"):
            prepare_user(session, opened, made)
            prepare_user(session, opened, past.made, key=PAST_USER, display_name=PAST_NAME)
            for user_key, archives in ((USER, made), (PAST_USER, past.made)):
                for archive in archives:
                    put_into_uploads(session.settings, f"{user_key}/{archive.name}", archive.path)
        live = _live(session, opened, stack, plays=plays, seed=seed)
        shown_live = shown_playlists = None
        log_file = session.settings.home / "demo.log"
        jobs = stack.enter_context(dagster_jobs(live.session if live else session, opened, log_file=log_file))
        if live is not None:
            people = len(live.user_keys)
            with _step(session, 3, f"signing {people} people in to a simulated Spotify, polling them through Dagster"):
                sign_in(live, opened)
                poll(live, jobs)
            with _step(session, 4, "gathering playlists, moving one to a simulated TIDAL and into files"):
                shown_playlists = move_playlists(live, opened)
        with _step(session, 5, "importing and refreshing through Dagster"):
            jobs.run("import_uploads", first=USER)
            jobs.run("import_uploads", first=PAST_USER)
            jobs.run("refresh_marts")
        if live is not None:
            with _step(session, 6, f"their archives arrive, {ARCHIVED_AFTER.days} days after the first poll"):
                shown_live = import_live_archives(live, opened, jobs)
        runs = jobs.runs
    with _step(session, 7, "verifying: rebuilding every mart and comparing row by row"):
        verified = verify(session, opened, examples=10)
    with _step(session, 8, "comparing the marts with the generator's truth"):
        imports, comparisons, summary = _held_against_truth(opened, truths)
        shown_past = look(opened, past)
    return _Shown(imports, summary, comparisons, shown_live, shown_playlists, shown_past, verified, runs)


def _live(session: Session, opened: Warehouse, stack: ExitStack, *, plays: int, seed: int) -> LiveDemo | None:
    if is_dagster_running(session):
        session.output.note(
            "Dagster is running: its daemon would poll the demo's users too, so the live part is skipped."
        )
        return None
    unlike = track_names(plays=plays, seed=seed)
    return stack.enter_context(live_spotify(session, opened, seed=seed, unlike=unlike))


def _held_against_truth(
    opened: Warehouse, truths: tuple[ArchiveTruth, ...]
) -> tuple[tuple[ImportDetail, ...], list[Comparison], ListeningSummary | None]:
    from myi_pipeline.archives.list_imports import get_import, list_imports
    from myi_pipeline.marts.figures import listening_figures, summarise_listening
    from myi_pipeline.postgres.connections import Role
    from myi_pipeline.simulator import expected_marts

    truth = expected_marts(truths, time_zone=_time_zone(opened))
    with opened.connect(Role.ANALYST, autocommit=True) as connection:
        comparisons = compare_with_truth(listening_figures(connection, user_key=USER), truth)
        summary = summarise_listening(connection, user_key=USER)
    with opened.connect(Role.INGEST, autocommit=True) as connection:
        found = sorted(each.import_id for each in list_imports(connection, user_key=USER))
        imports = tuple(get_import(connection, import_id=import_id) for import_id in found)
    return imports, comparisons, summary


def _time_zone(opened: Warehouse) -> str:
    from myi_pipeline.people.manage_users import get_user
    from myi_pipeline.postgres.connections import Role

    with opened.connect(Role.INGEST, autocommit=True) as connection:
        return get_user(connection, user_key=USER).time_zone


@contextmanager
def _step(session: Session, number_: int, what: str) -> Iterator[None]:
    """One line for the step, and how long it took."""
    started = time.perf_counter()
    console = session.output.progress_console
    if console.is_terminal:
        with console.status(f"{number_}/{_STEPS} {what}"):
            yield
    else:
        yield
    session.output.note(f"{number_}/{_STEPS} {what} ({time.perf_counter() - started:.1f} s)")


def _document(shown: _Shown) -> dict[str, Any]:
    return {
        "is_good": shown.is_good,
        "imports": shown.imports,
        "runs": shown.runs,
        "listening": summary_document(shown.summary),
        "truth": [
            {"figure": each.figure, "marts": each.marts, "truth": each.truth, "is_equal": each.is_equal}
            for each in shown.comparisons
        ],
        "live": live_document(shown.live),
        "playlists": playlists_document(shown.playlists),
        "past": {**asdict(shown.past), "is_good": shown.past.is_good},
        "verify": verify_document(shown.verified),
    }


def _render(console: Console, session: Session, shown: _Shown, *, way: Sequence[str], keep: bool) -> None:
    console.print()
    rows = [
        (
            each.summary.kind.replace("_", " "), number(each.summary.rows_read), number(each.summary.rows_loaded),
            number(each.summary.rows_present), number(each.summary.rows_identical),
            number(each.summary.rows_quarantined),
        )
        for each in shown.imports
    ]  # fmt: skip
    columns = ("archive", ">rows", ">new", ">present", ">identical", ">quarantined")
    console.print(table("What became of every row", columns, rows))
    reasons = [
        (each.reason.replace("_", " "), number(each.rows), each.example) for d in shown.imports for each in d.quarantine
    ]
    if reasons:
        console.print()
        console.print(table("Quarantined rows", ("reason", ">rows", "for example"), reasons))
    if shown.summary is not None:
        console.print()
        render_listening(console, shown.summary)
    console.print()
    if shown.live is not None:
        render_live(console, shown.live)
        console.print()
    if shown.playlists is not None:
        render_playlists(console, shown.playlists)
        console.print()
    render_past(console, shown.past)
    console.print()
    truths = [
        (each.figure, _cell(each.marts), _cell(each.truth), "yes" if each.is_equal else "NO")
        for each in shown.comparisons
    ]
    console.print(table("The marts and the truth", ("figure", ">marts", ">truth", "equal"), truths))
    console.print()
    render_verify(console, shown.verified)
    console.print()
    print_way_in(console, way)
    address = f"http://127.0.0.1:{session.settings.dagster_port}"
    console.print(
        facts(
            (
                ("Dagster's pages", f"{address} (Ctrl-C ends them)" if keep else f"myi up, then {address}"),
                ("ask in SQL", 'myi psql -c "select * from marts.agg_day_user order by local_date desc limit 10"'),
                ("your own archive", "myi import my_spotify_data.zip --user me --create"),
                ("where it all is", session.settings.home),
            )
        )
    )


def _cell(value: object) -> str:
    return number(value) if isinstance(value, (int, float)) else str(value)
