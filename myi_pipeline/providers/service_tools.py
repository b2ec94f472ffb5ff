"""What requests to any service need: HTTP, the logins, the quota ledger, the keys, a clock.

A service's app (its client id) has one quota for all users, accounts and processes together.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime

from myi_pipeline.postgres.connections import Pool, Role, Warehouse
from myi_pipeline.providers.encryption_keys import require_keys
from myi_pipeline.providers.envelope import KeyRing
from myi_pipeline.providers.governor import Governor, do_not_wait_for_disk
from myi_pipeline.providers.quota_rules import QuotaLimits
from myi_pipeline.providers.transport import HttpClient, make_http
from myi_pipeline.settings import Settings


class ServiceTools:
    """What open_tools yields. Thread-safe."""

    def __init__(
        self,
        *,
        settings: Settings,
        http: HttpClient,
        logins: Pool,
        ledger: Pool,
        keys: KeyRing,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None],
    ) -> None:
        self.settings = settings
        self.http = http
        self.logins = logins
        self.ledger = ledger
        self.keys = keys
        self.clock = clock
        self.sleep = sleep
        self._governors: dict[str, Governor] = {}
        self._guard = threading.Lock()

    def governor(self, client_id: str, *, service: str, limits: QuotaLimits) -> Governor:
        """The gate that every request with this client id passes."""
        with self._guard:
            if client_id not in self._governors:
                self._governors[client_id] = Governor(
                    self.ledger, client_id=client_id, limits=limits, clock=self.clock, sleep=self.sleep, service=service
                )
            return self._governors[client_id]


@contextmanager
def open_tools(
    settings: Settings,
    warehouse: Warehouse,
    *urls: str,
    role: Role,
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
) -> Iterator[ServiceTools]:
    """Tools for services at these addresses. Raises KeyMissing if a stored secret cannot be opened.

    With the role `app`, logins and links can be created but not used: it may not read what it sealed.
    """
    keys = require_keys(settings, warehouse, role=role)
    with ExitStack() as stack:
        http = stack.enter_context(make_http(*urls))
        logins = stack.enter_context(warehouse.pool(role, application_name="myi logins"))
        ledger = stack.enter_context(warehouse.pool(role, application_name="myi quota", configure=do_not_wait_for_disk))
        yield ServiceTools(
            settings=settings, http=http, logins=logins, ledger=ledger, keys=keys, clock=clock, sleep=sleep
        )
