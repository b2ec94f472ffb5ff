"""Progress of moving a playlist: looking up, review, moving; what it is waiting for, and what is left.

The page shows the current stage, and a stream sends the same markup again whenever it changes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Literal
from zoneinfo import ZoneInfo

from fastapi import APIRouter
from fastapi.responses import Response
from starlette.requests import Request

from myi_pipeline.playlists.migration import views
from myi_pipeline.playlists.migration.views import MigrationView, Progress, UnknownMigration
from myi_pipeline.providers.accounts import Provider
from myi_pipeline.web.dashboard.inputs import missing, number_in_path
from myi_pipeline.web.dashboard.pages import page
from myi_pipeline.web.dashboard.signed_in import Person
from myi_pipeline.web.problems import Problem
from myi_pipeline.web.reads.servers import DatabaseGone
from myi_pipeline.web.reads.sql_files import load_sql
from myi_pipeline.web.security.identity import is_still_known
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.shown.formats import clock_time, counted, is_for_operators, moment, plain_trouble
from myi_pipeline.web.site import Site, TheSite
from myi_pipeline.web.streams import STREAM_HEADERS, EventStream, event

router = APIRouter()

Name = Literal["planning", "failed", "review", "moving", "halted", "done", "incomplete", "cancelled"]
STEPS = ("Choose", "Look up", "Review", "Move")
_LOOK_EVERY_S = 1.5
# Proxies close a connection that is silent for a minute; browsers reopen a stream that ended.
_SIGN_OF_LIFE_S, _LONGEST_S = 15.0, 600.0
_NOT_SERVED = "MYI's background process is not running; this continues once the operator starts it."


@dataclass(frozen=True)
class Stage:
    """`words` is what is happening or awaited, `trouble` what went wrong.

    `total` counts what `counted_what` names, or is 0.
    """

    name: Name
    badge: str
    tone: str = ""
    words: str = ""
    trouble: str = ""
    so_far: int = 0
    total: int = 0
    counted_what: str = ""
    may_apply: bool = False
    may_cancel: bool = False
    is_equal: bool = False

    @property
    def step(self) -> int:
        """Index in STEPS; past the last one when done."""
        return {"planning": 1, "failed": 1, "review": 2, "done": len(STEPS)}.get(self.name, len(STEPS) - 1)

    @property
    def refresh_s(self) -> int:
        """Seconds until the page reloads if no script follows it."""
        return 60 if self.tone == "warn" else 5

    @property
    def is_live(self) -> bool:
        return self.name in ("planning", "moving")

    @property
    def may_decide(self) -> bool:
        return self.name in ("review", "done", "incomplete")

    @property
    def may_keep(self) -> bool:
        return self.name in ("done", "incomplete")

    @property
    def may_plan_again(self) -> bool:
        """False once something was written that is to stay: a new plan would find it there and add its tracks again."""
        return self.name in ("failed", "review") or (self.is_equal and self.name in ("done", "incomplete", "cancelled"))


async def find_progress(site: Site, person: Visitor, migration_id: int) -> Progress:
    """Raises Problem 404 and DatabaseGone."""
    asked = partial(views.get_progress, user_id=person.user_id, migration_id=migration_id)
    try:
        return await site.pools.in_thread(asked)
    except UnknownMigration:
        raise missing("You have no such migration.") from None


async def find_stage(site: Site, person: Visitor, progress: Progress) -> Stage:
    is_served, is_at_work = True, False
    if progress.migration.is_under_way:
        values: dict[str, object] = {"migration_id": progress.migration.migration_id}
        row = await site.pools.ask_access(load_sql("access/migration_at_work"), values)
        assert row is not None
        is_served, is_at_work = row
    stage = stage_of(
        progress, zone=person.time_zone, now=datetime.now(UTC), is_served=is_served, is_at_work=is_at_work
    )  # fmt: skip
    return replace(stage, is_equal=progress.migration.is_equal)


def stage_of(
    progress: Progress, *, zone: str, now: datetime, is_served: bool = True, is_at_work: bool = False
) -> Stage:
    """`is_served`: whether a process carries out orders; `is_at_work`: one is working on this now."""
    view = progress.migration
    label = Provider(view.provider).label
    reason = plain_reason(view.reason, label)
    if view.ordered is not None:
        waits = "" if is_at_work and not view.is_being_cancelled else waiting_words(view, zone=zone, now=now)
        waits = waits or ("" if is_served or is_at_work else _NOT_SERVED)
        badge, tone = ("Waiting", "warn") if waits else ("", "")
        if view.ordered == "plan":
            words = waits or f"Each track is looked up at {label}."
            return Stage("planning", badge or "Looking up the tracks", tone, words, may_cancel=True)
        return Stage(
            "moving", badge or "Moving", tone, waits,
            so_far=progress.confirmed, total=progress.wanted, counted_what="are there",
            may_cancel=not view.is_being_cancelled,
        )  # fmt: skip
    match view.state:
        case "failed":
            return Stage("failed", "Could not be looked up", "warn", trouble=reason)
        case "planned":
            open_ones = view.ambiguous + view.missing
            words = "Nothing is written yet." if view.matched else "None of its tracks was found there yet."
            badge = "Needs your decision" if open_ones else "Ready to move"
            return Stage(
                "review", badge, "warn" if open_ones else "good", words, reason,
                may_apply=view.matched > 0 or view.is_equal, may_cancel=True,
            )  # fmt: skip
        case "done":
            words = f"{counted(progress.wanted, 'track')} {'is' if progress.wanted == 1 else 'are'} there, in order:"
            return Stage("done", "Moved", "good", f"{words} the playlist was read back and compared.")
        case "incomplete":
            return Stage(
                "incomplete", "Not all of it", "warn",
                so_far=progress.confirmed, total=progress.wanted, counted_what="are there",
                trouble=reason, may_apply=True, may_cancel=True,
            )  # fmt: skip
        case "cancelled":
            words = "What was written stays; nothing more is written." if progress.confirmed else "Nothing was written."
            return Stage("cancelled", "Stopped", "", words)
        case _:
            return Stage(
                "halted", "Halted", "warn", "It can continue where it stopped.", reason,
                so_far=progress.confirmed, total=progress.wanted, counted_what="are there",
                may_apply=True, may_cancel=True,
            )  # fmt: skip


def waiting_words(view: MigrationView, *, zone: str, now: datetime) -> str:
    """What a job is waiting for, as a sentence; empty if nothing is in its way."""
    if view.is_being_cancelled:
        return "It is being stopped: the write in progress is the last one."
    if view.account_obstacle == "paused":
        return f"Your {view.account_title} is paused here. It continues when the account is resumed."
    if view.account_obstacle is not None:
        return (
            f"The sign-in of your {view.account_title} has ended. It continues once you have signed in there again:"
            " ask the operator of this MYI for the link."
        )
    reason = plain_reason(view.reason, Provider(view.provider).label)
    # Without a reason, it has begun, and the time is when another attempt would follow if it fails.
    if reason and view.goes_on_at is not None and view.goes_on_at > now:
        return f"It continues automatically {when(view.goes_on_at, zone=zone, now=now)}: {reason}."
    return ""


def when(value: datetime, *, zone: str, now: datetime) -> str:
    """`today at 21:14`, `tomorrow at 9:14 PM`, or on its day."""
    days = (value.astimezone(ZoneInfo(zone)).date() - now.astimezone(ZoneInfo(zone)).date()).days
    if days in (0, 1):
        return f"{('today', 'tomorrow')[days]} at {clock_time(value, zone)}"
    return f"on {moment(value, zone)}"


def plain_reason(reason: str | None, label: str) -> str:
    """What went wrong, without details for operators."""
    if reason and is_for_operators(reason):
        return f"{label} is not set up here, or no longer; the operator of this MYI can see why"
    return plain_trouble(reason) if reason else ""


@router.get("/migrations/{migration_id}/progress")
async def follow(request: Request, person: Person, site: TheSite, migration_id: str) -> Response:
    """Server-sent events:

    `stage` with its markup whenever it changes; `over` is the last, when there is another page to show.
    """
    first = await find_progress(site, person, number_in_path(migration_id))
    events = _events(request, site, person, first)
    return EventStream(events, streams=site.streams, user_id=person.user_id, headers=STREAM_HEADERS)


async def _events(request: Request, site: Site, person: Visitor, first: Progress) -> AsyncIterator[bytes]:
    began = heard = time.monotonic()
    number, sent, progress, begun_as = 0, None, first, None
    while time.monotonic() - began < _LONGEST_S:
        try:
            stage = await find_stage(site, person, progress)
            begun_as = begun_as or stage.name
            if stage != sent:
                number, sent, heard = number + 1, stage, time.monotonic()
                markup = page("parts/migration_stage.html", stage=stage, steps=STEPS).body
                yield event("stage", {"stage": stage.name, "markup": bytes(markup).decode()}, number=number)
            elif time.monotonic() - heard > _SIGN_OF_LIFE_S:
                heard = time.monotonic()
                yield b": still here\n\n"
            if stage.name != begun_as or not stage.is_live:
                yield event("over", {"stage": stage.name}, number=number + 1)
                return
            await asyncio.sleep(_LOOK_EVERY_S)
            # After a sign-out no more events are sent.
            if not await is_still_known(request, site, person):
                return
            progress = await find_progress(site, person, first.migration.migration_id)
        except (DatabaseGone, Problem):
            # The browser reconnects and then learns why.
            return
