"""The client for controlling a simulator, whether it runs in a thread or in a process of its own.

Plays are not fetched: they are a function of the specs, so the truth is computed here from the server's specs.
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
from myi_pipeline.simulator.live.playlists import ScriptedPlaylist
from myi_pipeline.simulator.live.spec import SCOPES, AppSpec, ListenerSpec, ScriptedPlay, SimulatorSpec
from myi_pipeline.simulator.live.state import Call
from myi_pipeline.simulator.live.world import World, world_of


class ControlError(Exception):
    """The simulator refused a command; the message says why."""


class Control:
    """Controls the simulator at `url`. Must be closed; `Simulator` does that."""

    def __init__(self, url: str, *, follower: MovableClock | None = None) -> None:
        """`follower`: the caller's clock, if the simulator runs in another process with a copy of it."""
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
        """Moves the clock by a timedelta or seconds; returns the new time."""
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
        """How many requests have failed by a scripted fault since the faults were cleared."""
        return sum(entry["struck"] for entry in self._ask("GET", "/faults"))

    # Listeners and apps

    def put_listener(self, listener: ListenerSpec) -> None:
        """Adds a listener, or changes the habits of an existing one, including past days."""
        self._ask("POST", "/listeners", listener.model_dump(mode="json"))

    def add_plays(self, listener: str, *plays: ScriptedPlay) -> None:
        self._ask("POST", f"/listeners/{listener}/plays", [play.model_dump(mode="json") for play in plays])

    def put_playlist(self, playlist: ScriptedPlaylist) -> str:
        """Creates or changes a playlist, or (id `liked`) its owner's liked songs; returns the snapshot id."""
        return str(self._ask("POST", "/playlists", playlist.model_dump(mode="json"))["snapshot_id"])

    def playlist(self, owner: str, playlist_id: str) -> ScriptedPlaylist:
        """The current state of a playlist."""
        return ScriptedPlaylist.model_validate(self._ask("GET", f"/playlists/{owner}/{playlist_id}")["spec"])

    def playlist_uris(self, owner: str, playlist_id: str) -> list[str | None]:
        """The entries of a playlist, in order; None for those that are gone."""
        return list(self._ask("GET", f"/playlists/{owner}/{playlist_id}")["uris"])

    def playlists(self, owner: str) -> list[tuple[str, str, list[str | None]]]:
        """Every playlist that a listener owns: id, name, and entries in order."""
        return [(each["id"], each["name"], each["uris"]) for each in self._ask("GET", f"/playlists/{owner}")]

    def writes(self) -> int:
        """How many requests to change a playlist were received, successful or not."""
        return int(self._ask("GET", "/writes"))

    def unfollow(self, listener: str, playlist_id: str) -> None:
        """The listener removes a playlist from their library, which is how an owner deletes one."""
        self._ask("POST", f"/playlists/{listener}/{playlist_id}/unfollow", {})

    def limit_playlists(self, **most: float) -> None:
        """`items`: maximum length of a list; `lists`: maximum number of lists of a person; `late_by_s`: delay in
        seconds until writes are visible to reads.
        """
        self._ask("POST", "/playlists/limits", most)

    def set_app(self, client_id: str, **changes: Any) -> None:
        """Changes a client id (`premium=False`, `allowed=(...)`, `per_day={...}`), or registers a new one."""
        self._ask("POST", "/apps", {"client_id": client_id, **changes})

    def apps(self) -> list[AppSpec]:
        """The current state of every client id."""
        return [AppSpec.model_validate(app) for app in self._ask("GET", "/apps")]

    def app_for(self, listener: str, client_id: str | None = None) -> AppSpec:
        """The app with this client id; without one, the first with the listener on its list, or the first."""
        query = f"?{urlencode({'client_id': client_id})}" if client_id else ""
        return AppSpec.model_validate(self._ask("GET", f"/apps/for/{listener}{query}"))

    def sign_in_all(
        self, listeners: Iterable[str], *, client_id: str | None = None, scopes: Iterable[str] = SCOPES
    ) -> list[SignedIn]:
        """Signs in many listeners with one call, without pages, for tests with thousands."""
        order = {"listeners": list(listeners), "client_id": client_id, "scopes": list(scopes)}
        return [SignedIn(*each) for each in self._ask("POST", "/sign-in", order)]

    def revoke(self, listener: str, client_id: str | None = None) -> int:
        """The person revokes access; returns how many authorisations that ended."""
        return int(self._ask("POST", "/revoke", {"listener": listener, "client_id": client_id}))

    def expire_access_tokens(self, listener: str | None = None) -> int:
        return int(self._ask("POST", "/expire", {"listener": listener}))

    # Requests

    def calls(
        self,
        *,
        client_id: str | None = None,
        listener: str | None = None,
        route: str | None = None,
        status: int | None = None,
    ) -> int:
        """The number of requests; `route` as in '/me/player/recently-played', '/tracks/{id}', '/api/token'."""
        wanted = (client_id, listener, route, status)
        return sum(
            count
            for key, count in self.call_counts().items()
            if all(want in (None, each) for want, each in zip(wanted, key, strict=True))
        )

    def call_counts(self) -> Counter[tuple[str, str, str, int]]:
        """The number of requests by client id, listener, route and status (0: the connection was broken)."""
        return Counter({(a, b, c, d): count for a, b, c, d, count in self._ask("GET", "/calls")["calls"]})

    def calls_while_blocked(self) -> Counter[tuple[str, str]]:
        """The number of requests made while the quota was used up, by client id and bucket."""
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
        """The spec of the simulator, without its listeners."""
        if self._spec is None:
            self._spec = SimulatorSpec.model_validate(self._ask("GET", "/spec"))
        return self._spec

    @property
    def world(self) -> World:
        return world_of(self.spec)

    def listener(self, key: str) -> LiveListener:
        """The current state of a listener, by key or account_id."""
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
