"""The state of a running simulator. Only the server's event loop accesses it; everything else goes through HTTP (see
`control`).
"""

from __future__ import annotations

from collections import Counter, deque
from typing import NamedTuple

from myi_pipeline.simulator.live.accounts import Accounts
from myi_pipeline.simulator.live.clock import MovableClock
from myi_pipeline.simulator.live.documents import Documents, account_identifier
from myi_pipeline.simulator.live.faults import FaultBook
from myi_pipeline.simulator.live.listener import DayShelf, LiveListener
from myi_pipeline.simulator.live.playlists import PlaylistBook
from myi_pipeline.simulator.live.quota import QuotaBook
from myi_pipeline.simulator.live.spec import ListenerSpec, ScriptedPlay, SimulatorSpec
from myi_pipeline.simulator.live.world import world_of

_RECENT_CALLS = 20_000


class Call(NamedTuple):
    """One answered request. `route` has `{id}` in place of identifiers; `status` 0: the connection was broken."""

    at_ms: int
    client_id: str
    listener: str
    route: str
    status: int


class SimulatorState:
    def __init__(self, spec: SimulatorSpec, clock: MovableClock, api_url: str) -> None:
        self.spec = spec
        self.clock = clock
        self.world = world_of(spec)
        self.accounts = Accounts(spec, clock)
        self.quota = QuotaBook()
        self.faults = FaultBook()
        self.documents = Documents(self.world, api_url)
        self.playlists = PlaylistBook(self.world, self.documents)
        self._days = DayShelf()
        self.listeners: dict[str, LiveListener] = {}
        for listener in spec.listeners:
            self.put_listener(listener)
        self.calls: Counter[tuple[str, str, str, int]] = Counter()
        self.writes = 0
        self.recent: deque[Call] = deque(maxlen=_RECENT_CALLS)

    def put_listener(self, spec: ListenerSpec) -> LiveListener:
        """Adds a listener, or changes the habits of an existing one."""
        if spec.key in self.listeners:
            self._days.forget(spec.key)
        made = self.listeners[spec.key] = LiveListener(spec, self.world, self._days)
        return made

    def add_plays(self, key: str, plays: tuple[ScriptedPlay, ...]) -> LiveListener:
        """Adds plays to the generated ones of a listener. Raises KeyError for an unknown listener."""
        known = self.listeners[key].spec
        return self.put_listener(known.model_copy(update={"scripted": (*known.scripted, *plays)}))

    def find_listener(self, name: str) -> LiveListener | None:
        """`name`: key or account_id."""
        found = self.listeners.get(name)
        return found or next((each for key, each in self.listeners.items() if account_identifier(key) == name), None)

    def count(self, *, client_id: str, listener: str, route: str, status: int) -> None:
        self.calls[client_id, listener, route, status] += 1
        self.recent.append(Call(self.clock.now_ms(), client_id, listener, route, status))
