"""Sending plays on: planning from the marts, sending, and checking plays whose answer was lost.

A play is never resent blindly: after a lost answer or a killed process, the service is asked whether it lists the play,
which is only sent again if it is not there minutes later.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, assert_never

import psycopg
import structlog

from myi_pipeline.catalogue.plays import normalise_name
from myi_pipeline.catalogue.sources import EARLIEST
from myi_pipeline.errors import AuthRevoked, BadInput, MyiError, Permanent, RateLimited
from myi_pipeline.onward import journal
from myi_pipeline.onward.journal import Decision, Entry, Wish
from myi_pipeline.onward.rules import MOST_ATTEMPTS, SETTLES_AFTER, SHOWN_AFTER, plan
from myi_pipeline.postgres.connections import Connection, Role, Warehouse
from myi_pipeline.providers import service_vault
from myi_pipeline.providers.open_services import Services, open_services
from myi_pipeline.providers.scrobbles import Scrobble, Service
from myi_pipeline.providers.service_vault import LinkedAccount
from myi_pipeline.providers.transport import utc_now
from myi_pipeline.settings import Settings

log = structlog.get_logger(__name__)

# A run ends after this many requests; the next run continues.
_BATCHES_A_RUN, _PAGES_A_LOOK = 20, 10
_ONE_SECOND = timedelta(seconds=1)
_LATER = timedelta(hours=6)

Outcome = Literal["sent", "none", "skipped", "failed"]


@dataclass(frozen=True, kw_only=True)
class OnwardResult:
    """The result for one account. `looked_for`: plays with the state `unknown` that the service was asked about."""

    user_key: str
    service: Service
    outcome: Outcome
    planned: int = 0
    sent: int = 0
    confirmed: int = 0
    refused: int = 0
    looked_for: int = 0
    reason: str = ""


def send_onward(
    settings: Settings,
    warehouse: Warehouse,
    *,
    user_keys: Collection[str] | None = None,
    service: Service | None = None,
    clock: Callable[[], datetime] = utc_now,
    sleep: Callable[[float], None] = time.sleep,
    at_step: Callable[[str], None] = lambda _: None,
) -> tuple[OnwardResult, ...]:
    """Send plays on for these users (None: all); one result for each wish. `at_step` is called after each step.

    Raises KeyMissing if stored secrets cannot be opened.
    """
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi onward")) as connection:
        wishes = [
            wish
            for wish in journal.list_wishes(connection, service=service)
            if user_keys is None or wish.user_key in user_keys
        ]
        if not wishes:
            return ()
        with (
            open_services(settings, warehouse, clock=clock, sleep=sleep) as services,
            closing(warehouse.connect(Role.API, autocommit=True, application_name="myi onward")) as marts,
        ):
            sender = Sender(services, connection, marts, clock=clock, at_step=at_step)
            return tuple(sender.send(wish) for wish in wishes)


class Sender:
    """Handles one wish after another, in one thread."""

    def __init__(
        self,
        services: Services,
        connection: Connection,
        marts: Connection,
        *,
        clock: Callable[[], datetime],
        at_step: Callable[[str], None],
    ) -> None:
        self._services = services
        self._connection = connection
        self._marts = marts
        self._clock = clock
        self._at_step = at_step

    def send(self, wish: Wish) -> OnwardResult:
        """Check unanswered plays, plan, and send. Failed requests do not raise."""
        tally: dict[str, Any] = {"planned": 0, "sent": 0, "confirmed": 0, "refused": 0, "looked_for": 0}
        with journal.onward_lock(self._connection, user_id=wish.user_id, service=wish.service) as is_held:
            if not is_held:
                return _result(wish, tally, "skipped", "another process is sending for this account")
            try:
                self._send(wish, tally)
            except (RateLimited, BadInput) as error:
                # Not a failure: a limit was reached, or a person has to do something first.
                return _result(wish, tally, "sent" if tally["sent"] else "skipped", str(error))
            except MyiError as error:
                log.warning("onward_failed", user=wish.user_key, service=wish.service.value, reason=str(error))
                return _result(wish, tally, "failed", str(error))
            except psycopg.errors.UndefinedTable:
                return _result(wish, tally, "skipped", "there are no figures yet; the first refresh creates them")
        return _result(wish, tally, "sent" if tally["sent"] else "none", "")

    def _send(self, wish: Wish, tally: dict[str, Any]) -> None:
        link = service_vault.find_link(self._connection, user_id=wish.user_id, service=wish.service)
        if link is None or link.account != wish.account:
            return
        if not link.has_good_secret:
            raise BadInput(no_secret(wish.service, wish.user_key), place="service")
        secret = service_vault.open_secret(self._services.keys, link)
        assert secret is not None
        now = self._clock()
        tally["confirmed"] += journal.confirm(self._connection, wish, now=now)
        self._look(wish, tally, secret)
        if wish.polled_at is None:
            raise BadInput(f"{wish.service.label} has not been read yet, so its content is unknown", place="service")
        tally["planned"] = self._plan(wish, now)
        self._at_step("planned")
        # Planned plays may have appeared there in the meantime.
        tally["confirmed"] += journal.confirm(self._connection, wish, now=now)
        writer = self._services.writer(wish.service)
        for _ in range(_BATCHES_A_RUN):
            entries = journal.take_planned(self._connection, wish, limit=writer.most_at_once, now=self._clock())
            if not entries:
                return
            self._at_step("journalled")
            self._send_batch(link, entries, secret, tally)
            self._at_step("decided")

    def _plan(self, wish: Wish, now: datetime) -> int:
        """Plan plays up to the time for which the service's own plays are known."""
        asked_at = wish.polled_at or now
        until = min(asked_at, now) - SETTLES_AFTER
        since = wish.since or EARLIEST
        if (takes_back := wish.service.traits.takes_back) is not None:
            since = max(since, now - takes_back + timedelta(hours=1))
        if until <= since:
            return 0
        plays, existing = journal.read_plays(self._marts, user_id=wish.user_id, since=since, until=now)
        planned = plan(
            plays,
            journal.read_journal(self._connection, wish, since=since - timedelta(hours=12)),
            existing=existing,
            service=wish.service,
            since=since,
            until=until,
            name_of={play.play_id: normalise_name(play.title) for play in plays},
        )
        return journal.store_plan(self._connection, wish, planned, now=now)

    def _send_batch(self, link: LinkedAccount, entries: list[Entry], secret: str, tally: dict[str, Any]) -> None:
        writer = self._services.writer(link.service)
        # A batch with older plays is sent as an import, so that it does not appear as news.
        is_past = any(entry.is_past for entry in entries)
        try:
            verdicts = writer.send(
                [entry.outgoing() for entry in entries], account=link.account, secret=secret, is_past=is_past
            )
        except (RateLimited, AuthRevoked, Permanent) as error:
            # The service has stored nothing.
            back = [Decision(entry.onward_id, "planned", str(error)) for entry in entries]
            journal.decide(self._connection, back, now=self._clock())
            if isinstance(error, AuthRevoked):
                service_vault.note_secret_ended(self._connection, link, now=self._clock())
            raise
        self._at_step("answered")
        now = self._clock()
        decisions = []
        for entry, verdict in zip(entries, verdicts, strict=True):
            if verdict.refused is None:
                decisions.append(Decision(entry.onward_id, "sent"))
                tally["sent"] += 1
            elif verdict.is_for_now:
                decisions.append(Decision(entry.onward_id, "planned", verdict.refused, now + _LATER))
            else:
                decisions.append(Decision(entry.onward_id, "refused", verdict.refused))
                tally["refused"] += 1
        journal.decide(self._connection, decisions, now=now)

    def _look(self, wish: Wish, tally: dict[str, Any], secret: str) -> None:
        """Check whether the service lists plays with the state `unknown`."""
        unknown = journal.list_unknown(self._connection, wish, tried_before=self._clock() - SHOWN_AFTER)
        if not unknown:
            return
        shown, down_to = self._shown(wish, unknown, secret)
        decisions = []
        for entry in unknown:
            if entry.listened_at < down_to:
                continue  # not looked at yet
            tally["looked_for"] += 1
            if any(_is_same(entry, scrobble) for scrobble in shown):
                decisions.append(Decision(entry.onward_id, "confirmed"))
                tally["confirmed"] += 1
            elif entry.attempts >= MOST_ATTEMPTS:
                why = f"sent {entry.attempts} times, but {wish.service.label} does not show it"
                decisions.append(Decision(entry.onward_id, "refused", why))
                tally["refused"] += 1
            else:
                decisions.append(Decision(entry.onward_id, "planned", "it did not arrive"))
        journal.decide(self._connection, decisions, now=self._clock())
        self._at_step("looked")

    def _shown(self, wish: Wish, unknown: list[Entry], secret: str) -> tuple[list[Scrobble], datetime]:
        """The scrobbles listed for the span of these plays, and how far back they were read."""
        reader = self._services.reader(wish.service)
        token = secret if wish.service.traits.has_tokens else None
        first, last = unknown[-1].listened_at, unknown[0].listened_at
        before: datetime | None = last + 2 * _ONE_SECOND
        shown: list[Scrobble] = []
        for _ in range(_PAGES_A_LOOK):
            asked = before
            page = self._services.read(lambda: reader.page(wish.account, before=asked, since=first, token=token))  # noqa: B023
            shown.extend(page.scrobbles)
            before = page.more_before
            if before is None or before <= first:
                return shown, first
        assert before is not None
        return shown, before


def no_secret(service: Service, user_key: str) -> str:
    """What is missing before plays can be sent, and what to do."""
    match service:
        case Service.LASTFM:
            return f"Last.fm has not allowed MYI to send plays; run: myi service allow {user_key}"
        case Service.LISTENBRAINZ:
            return (
                "ListenBrainz needs your token to accept plays; "
                f"run: myi service link {user_key} listenbrainz NAME --token"
            )
    assert_never(service)


def _is_same(entry: Entry, scrobble: Scrobble) -> bool:
    """Whether second and either title or artist are equal: services correct names."""
    if scrobble.listened_at != entry.listened_at:
        return False
    return normalise_name(scrobble.title) == normalise_name(entry.title) or normalise_name(
        scrobble.artist
    ) == normalise_name(entry.artist)


def _result(wish: Wish, tally: dict[str, Any], outcome: Outcome, reason: str) -> OnwardResult:
    return OnwardResult(user_key=wish.user_key, service=wish.service, outcome=outcome, reason=reason, **tally)
