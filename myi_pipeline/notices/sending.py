"""One round of sending: update the notices, add deliveries to the journal, and send what is due.

Messages are sent in parallel, so that a hanging receiver delays nobody else.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog

from myi_pipeline.errors import BadInput, MyiError
from myi_pipeline.notices import journal, messenger_process, store, webhooks
from myi_pipeline.notices.addresses import Lookup, system_lookup
from myi_pipeline.notices.journal import Delivery
from myi_pipeline.notices.kinds import Condition, Key
from myi_pipeline.notices.targets import Opened, open_target, settings_addresses
from myi_pipeline.notices.webhooks import Outcome
from myi_pipeline.notices.words import Words
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.providers.encryption_keys import find_keys
from myi_pipeline.providers.envelope import KeyRing
from myi_pipeline.settings import Settings

log = structlog.get_logger(__name__)

# Parallel attempts; each may take half a minute. A user's share of a batch is limited.
_TOGETHER, _OF_ONE_USER = 20, 3
# Messengers are processes of about 60 MB: even if a whole batch hangs, it takes less time than a lease.
_PROCESSES = 5
_FINAL = Outcome(is_taken=False, error="this address is no longer in the settings", is_gone=True)


@dataclass(frozen=True)
class Sent:
    """What one round sent: accepted messages and failed attempts."""

    taken: int
    failed: int


class NoticeSender:
    """Sends notices on one connection of the role `ingest`, in autocommit."""

    def __init__(
        self,
        settings: Settings,
        connection: Connection,
        *,
        clock: Callable[[], datetime],
        chance: Callable[[], float] = random.random,
        lookup: Lookup = system_lookup,
        limit_s: float = webhooks.LIMIT_S,
        messenger_limit_s: float = messenger_process.LIMIT_S,
    ) -> None:
        self._settings, self._connection = settings, connection
        self._clock, self._chance, self._lookup = clock, chance, lookup
        self._limit_s, self._messenger_limit_s = limit_s, messenger_limit_s

    def follow(
        self, found: Sequence[Condition], *, asked: Collection[str], mended: Collection[Key] = ()
    ) -> None:  # fmt: skip
        """Opens and ends notices, and adds deliveries to the journal."""
        now = self._clock()
        changes = store.follow(self._connection, found, asked=asked, mended=mended, now=now)
        addresses = self._of_settings() or {}
        made = journal.plan(self._connection, settings_keys=addresses, site_url=self._settings.site_url, now=now)
        if changes.begun or changes.ended or made:
            log.info("notices_kept", begun=len(changes.begun), ended=len(changes.ended), deliveries=made)

    def send_due(self, *, only: Collection[UUID] | None = None, batches: int | None = None) -> Sent:
        """Sends due messages until none is left, or up to a number of batches."""
        taken = failed = done = 0
        while batches is None or done < batches:
            claimed = journal.claim(
                self._connection, now=self._clock(), limit=_TOGETHER, of_one_user=_OF_ONE_USER, only=only
            )
            if not claimed:
                break
            done += 1
            outcomes = asyncio.run(self._send_all(claimed))
            taken += sum(each.is_taken for each in outcomes)
            failed += sum(not each.is_taken for each in outcomes)
        return Sent(taken, failed)

    async def _send_all(self, claimed: Sequence[Delivery]) -> list[Outcome]:
        keys, addresses = find_keys(self._settings), self._of_settings()
        places = asyncio.Semaphore(_PROCESSES)
        return list(await asyncio.gather(*(self._send(each, keys, addresses, places) for each in claimed)))

    async def _send(
        self,
        delivery: Delivery,
        keys: KeyRing | None,
        addresses: Mapping[str, str] | None,
        places: asyncio.Semaphore,
    ) -> Outcome:
        try:
            opened = self._open(delivery, keys, addresses)
        except MyiError as error:
            outcome = Outcome(is_taken=False, error=str(error))
        else:
            outcome = _FINAL if opened is None else await self._try(delivery, opened, places)
        journal.note_outcome(self._connection, delivery, outcome, now=self._clock(), chance=self._chance)
        log.info(
            "notice_sent" if outcome.is_taken else "notice_not_sent",
            kind=delivery.kind,
            delivery=str(delivery.delivery_id),
            attempt=delivery.attempts,
            status=outcome.status,
        )
        return outcome

    async def _try(self, delivery: Delivery, opened: Opened, places: asyncio.Semaphore) -> Outcome:
        private = self._settings.webhooks_allow_private
        if opened.signing:
            return await webhooks.post(
                opened.address,
                delivery.payload,
                delivery_id=delivery.delivery_id,
                signing=opened.signing,
                now=self._clock(),
                allow_private=private,
                limit_s=self._limit_s,
                lookup=self._lookup,
            )
        data = json.loads(delivery.payload)["data"]
        async with places:
            return await messenger_process.send(
                opened.address,
                Words(data["title"], data["text"]),
                link=data["url"],
                # The operator may tell the own network.
                allow_private=private or delivery.user_id is None,
                limit_s=self._messenger_limit_s,
            )

    def _open(self, delivery: Delivery, keys: KeyRing | None, addresses: Mapping[str, str] | None) -> Opened | None:
        if delivery.settings_key is not None:
            if addresses is None:
                raise BadInput("the file with the addresses cannot be read", place="MYI_NOTICES_URLS_FILE")
            url = addresses.get(delivery.settings_key)
            return Opened(url) if url is not None else None
        assert delivery.target_id is not None
        if keys is None:
            raise BadInput("the key that opens this address is missing", place="encryption keys")
        return open_target(self._connection, keys, target_id=delivery.target_id, now=self._clock())

    def _of_settings(self) -> dict[str, str] | None:
        """The addresses in the settings; None while their file cannot be read."""
        try:
            return settings_addresses(self._settings)
        except BadInput as error:
            log.error("notice_addresses_unreadable", reason=str(error))
            return None
