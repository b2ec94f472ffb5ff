"""Progress of an import: received, waiting (and for what), reading, counting, done.

An import is done when its plays are in the figures. The page shows the current stage, and a stream sends the same
markup again whenever it changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import Response
from starlette.requests import Request

from myi_pipeline.archives.list_imports import ImportSummary, find_import
from myi_pipeline.web.dashboard.inputs import missing, number_in_path
from myi_pipeline.web.dashboard.pages import page
from myi_pipeline.web.dashboard.signed_in import Person
from myi_pipeline.web.following import follow
from myi_pipeline.web.reads.cursors import MOST_INT
from myi_pipeline.web.reads.marts import Marts, MartsMissing, MartsOutdated
from myi_pipeline.web.reads.replica import read_the_primary
from myi_pipeline.web.reads.sql_files import load_sql
from myi_pipeline.web.reads.summary import EVERYTHING, SpanRow, sums_of
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.shown.formats import moment
from myi_pipeline.web.site import Site, TheSite
from myi_pipeline.web.streams import STREAM_HEADERS, EventStream

router = APIRouter()

Name = Literal["asking", "waiting", "reading", "counting", "done", "failed"]
STEPS: tuple[tuple[Name | None, str], ...] = (
    (None, "Received"), ("waiting", "Waiting"), ("reading", "Reading"), ("counting", "Counting"), ("done", "Done"),
)  # fmt: skip
_NOT_SERVED = "MYI's background process is not running; this continues once the operator starts it."


@dataclass(frozen=True)
class Stage:
    """`why` is what it is waiting for. `ms_heard` and `since` cover everything counted for the person so far."""

    name: Name
    summary: ImportSummary
    why: str = ""
    ms_heard: int = 0
    since: date | None = None

    @property
    def step(self) -> int:
        """Index in STEPS; an import that failed or needs confirmation stays where it waited."""
        names = [name for name, _ in STEPS]
        return names.index(self.name) if self.name in names else 1

    @property
    def is_over(self) -> bool:
        return self.name in ("asking", "done", "failed")

    @property
    def is_open(self) -> bool:
        return self.name in ("waiting", "reading")


@dataclass(frozen=True)
class _Queue:
    own_before: str | None
    is_busy: bool
    is_served: bool
    is_counting: bool


async def find_stage(site: Site, person: Visitor, import_id: int) -> Stage:
    """Raises Problem 404 and DatabaseGone."""
    asked = partial(find_import, import_id=min(import_id, MOST_INT), user_key=person.user_key)
    summary = await site.pools.in_thread(asked)
    if summary is None:
        raise missing("You have no such import.")
    if summary.needs_confirmation or summary.status == "failed":
        return Stage("asking" if summary.needs_confirmation else "failed", summary)
    if summary.status == "running":
        return Stage("reading", summary)
    values: dict[str, object] = {"user_id": person.user_id, "import_id": summary.import_id}
    row = await site.pools.ask_access(load_sql("access/import_queue"), values)
    assert row is not None
    queue = _Queue(*row)
    if summary.status == "pending":
        return Stage("waiting", summary, _why_it_waits(summary, queue, person.time_zone))
    # That it is counted is known of the primary; these are the last figures that the page is sent.
    read_the_primary()
    heard = await _heard(site, person)
    is_counting = queue.is_counting and summary.rows_loaded > 0
    why = _NOT_SERVED if is_counting and not queue.is_served else ""
    return Stage(
        "counting" if is_counting else "done",
        summary,
        why,
        heard.ms_played if heard else 0,
        heard.first_heard if heard else None,
    )


def _why_it_waits(summary: ImportSummary, queue: _Queue, zone: str) -> str:
    if summary.next_try_at is not None:
        return f"The last attempt failed. The next one is {moment(summary.next_try_at, zone)}."
    if not queue.is_served:
        return f"{_NOT_SERVED} Your archive is safe until then."
    if queue.own_before is not None:
        return f"It comes after {queue.own_before}."
    if queue.is_busy:
        return "MYI is busy with other work. It starts automatically after that."
    return "It starts automatically within a minute or two."


async def _heard(site: Site, person: Visitor) -> SpanRow | None:
    async def read(marts: Marts) -> SpanRow | None:
        if (await marts.version()).number is None:
            return None
        (whole,) = await sums_of(marts, EVERYTHING)
        return whole

    try:
        return await site.pools.read(person.user_id, read)
    except (MartsMissing, MartsOutdated):
        return None


@router.get("/imports/{import_id}/stages")
async def stages(request: Request, person: Person, site: TheSite, import_id: str) -> Response:
    """Server-sent events: `stage` with its name and markup whenever it changes; `over` is the last."""
    first = await find_stage(site, person, number_in_path(import_id))
    events = follow(
        request, site, person, first, look=partial(find_stage, site, person, first.summary.import_id),
        tell=lambda each: (_told(each), each.is_over), names=("stage", "over"),
    )  # fmt: skip
    return EventStream(events, streams=site.streams, user_id=person.user_id, headers=STREAM_HEADERS)


def _told(stage: Stage) -> dict[str, str]:
    markup = page("parts/import_stage.html", stage=stage, steps=STEPS).body
    return {"stage": stage.name, "markup": bytes(markup).decode()}
