"""Controlling a simulator from the client's side, whether it runs in a thread or in a process of its own.

Plays are not fetched: they are a function of the specs, so the truth is made here from the specs that the server holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx

from myi_pipeline.simulator.archive_truth import ArchiveTruth
from myi_pipeline.simulator.live.archive import ArchiveKind, write_archive
from myi_pipeline.simulator.live.browser import SignedIn
from myi_pipeline.simulator.live.clock import MovableClock
from myi_pipeline.simulator.live.faults import Fault, FaultKind
from myi_pipeline.simulator.live.listener import LiveListener, TrueLivePlay
from myi_pipeline.simulator.live.spec import SCOPES, AppSpec, ListenerSpec, ScriptedPlay, SimulatorSpec
from myi_pipeline.simulator.live.state import Call
from myi_pipeline.simulator.live.world import World, world_of


class ControlError(Exception):
    """The simulator refused a command; says why."""


class Control:
    """Levers of the simulator at `url`. Close it when done; `Simulator` does."""

    def __init__(self, url: str, *, follower: MovableClock | None = None) -> None:
        """`follower`: the caller's own clock, where the simulator, in another process, has a copy of it."""
        self._http = httpx.Client(base_url=f"{url}/_control", timeout=60.0, trust_env=False, verify=False)
        self._spec: SimulatorSpec | None = None
        self._follower = follower
        if follower is not None:
            follower.on_move(self._send_clock)

    def close(self) -> None:
        if self._follower is not None:
            self._follower.forget(self._send_clock)
        self._http.close()

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._http.request(method, path, json=body)
        if answer.status_code != 200:
            raise ControlError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json()

    # The clock

    def now(self) -> datetime:
        return datetime.fromisoformat(self._ask("GET", "/clock")["now"])

    def advance(self, step: timedelta | float) -> datetime:
        """Moves the clock by a timedelta or by seconds; returns the new time."""
        if self._follower is not None:
            return self._follower.advance(step)
        seconds = step.total_seconds() if isinstance(step, timedelta) else step
        return datetime.fromisoformat(self._ask("POST", "/clock", {"advance_s": seconds})["now"])

    def set_clock(self, moment: datetime) -> datetime:
        return self._follower.set(moment) if self._follower is not None else self._send_clock(moment)

    def _send_clock(self, moment: datetime) -> datetime:
        return datetime.fromisoformat(self._ask("POST", "/clock", {"set": moment.isoformat()})["now"])

    # Faults

    def fail(self, fault: Fault | FaultKind = "status", **fields: Any) -> None:
        """Scripts a fault: a Fault, or its kind and fields (`fail('status', status=503, times=3)`)."""
        made = fault if isinstance(fault, Fault) else Fault(kind=fault, **fields)
        self._ask("POST", "/faults", made.model_dump())

    def clear_faults(self) -> None:
        self._ask("DELETE", "/faults")

    def faults_struck(self) -> int:
        """How many requests met a scripted fault since the faults were cleared."""
        return sum(entry["struck"] for entry in self._ask("GET", "/faults"))

    # Listeners and apps

    def put_listener(self, listener: ListenerSpec) -> None:
        """Adds a listener, or changes the habits of one from the beginning of their time."""
        self._ask("POST", "/listeners", listener.model_dump(mode="json"))

    def add_plays(self, listener: str, *plays: ScriptedPlay) -> None:
        self._ask("POST", f"/listeners/{listener}/plays", [play.model_dump(mode="json") for play in plays])

    def set_app(self, client_id: str, **changes: Any) -> None:
        """Changes a client id (`premium=False`, `allowed=(...)`, `per_day={...}`), or registers a new one."""
        self._ask("POST", "/apps", {"client_id": client_id, **changes})

    def apps(self) -> list[AppSpec]:
        """Every client id as it is now."""
        return [AppSpec.model_validate(app) for app in self._ask("GET", "/apps")]

    def app_for(self, listener: str, client_id: str | None = None) -> AppSpec:
        """The named client id, else the first with the listener on its list, else the first."""
        query = f"?{urlencode({'client_id': client_id})}" if client_id else ""
        return AppSpec.model_validate(self._ask("GET", f"/apps/for/{listener}{query}"))

    def sign_in_all(
        self, listeners: Iterable[str], *, client_id: str | None = None, scopes: Iterable[str] = SCOPES
    ) -> list[SignedIn]:
        """Signs many in with one call and without pages, for tests of thousands."""
        order = {"listeners": list(listeners), "client_id": client_id, "scopes": list(scopes)}
        return [SignedIn(*each) for each in self._ask("POST", "/sign-in", order)]

    def revoke(self, listener: str, client_id: str | None = None) -> int:
        """The person takes the permission back; returns how many authorisations that ended."""
        return int(self._ask("POST", "/revoke", {"listener": listener, "client_id": client_id}))

    def expire_access_tokens(self, listener: str | None = None) -> int:
        return int(self._ask("POST", "/expire", {"listener": listener}))

    # What was asked

    def calls(
        self,
        *,
        client_id: str | None = None,
        listener: str | None = None,
        route: str | None = None,
        status: int | None = None,
    ) -> int:
        """How many requests there were; `route` as in '/me/player/recently-played', '/tracks/{id}', '/api/token'."""
        wanted = (client_id, listener, route, status)
        return sum(
            count
            for key, count in self.call_counts().items()
            if all(want in (None, each) for want, each in zip(wanted, key, strict=True))
        )

    def call_counts(self) -> Counter[tuple[str, str, str, int]]:
        """Requests by client id, listener, route and status (0: the connection was broken)."""
        return Counter({(a, b, c, d): count for a, b, c, d, count in self._ask("GET", "/calls")["calls"]})

    def calls_while_blocked(self) -> Counter[tuple[str, str]]:
        """Requests by client id and bucket that came although the quota was used up: no client should repeat one."""
        return Counter({(a, b): count for a, b, count in self._ask("GET", "/calls")["while_blocked"]})

    def recent_calls(self) -> list[Call]:
        """The latest 20,000 requests, in order."""
        return [Call(*each) for each in self._ask("GET", "/recent")]

    def forget_calls(self) -> None:
        self._ask("DELETE", "/calls")

    def reset_quota(self) -> None:
        self._ask("DELETE", "/quota")

    # The truth

    @property
    def spec(self) -> SimulatorSpec:
        """The simulator's spec, without listeners."""
        if self._spec is None:
            self._spec = SimulatorSpec.model_validate(self._ask("GET", "/spec"))
        return self._spec

    @property
    def world(self) -> World:
        return world_of(self.spec)

    def listener(self, key: str) -> LiveListener:
        """A listener, by key or by account_id, as they are now."""
        found = self._ask("GET", f"/listeners/{key}")
        return LiveListener(ListenerSpec.model_validate(found["spec"]), self.world)

    def account_id(self, key: str) -> str:
        return str(self._ask("GET", f"/listeners/{key}")["account_id"])

    def truth(self, key: str, *, until: datetime | None = None, since: datetime | None = None) -> list[TrueLivePlay]:
        """Every play of a listener that ended by `until` (default: now), in time order."""
        return list(self.listener(key).truth(until=until or self.now(), since=since))

    def window(self, key: str) -> list[TrueLivePlay]:
        """What the API can show of a listener now, newest first."""
        listener = self.listener(key)
        now = self.now()
        return [listener.in_words(play) for play in listener.window_at(now)]

    def archive(
        self, key: str, path: Path, *, kind: ArchiveKind = "extended", until: datetime | None = None, **options: Any
    ) -> ArchiveTruth:
        """Writes the ZIP that Spotify would send for a listener at `until` (default: now)."""
        return write_archive(path, self.listener(key), until=until or self.now(), kind=kind, **options)
