"""The controls of a running simulator, under /_control, for tests, the demo and curl; Spotify has nothing like them.

Only requests from this machine to a numeric address are answered, so that no web page can reach them through a DNS
name.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from myi_pipeline.simulator.live.archive import ArchiveKind, write_archive
from myi_pipeline.simulator.live.documents import account_identifier, dump
from myi_pipeline.simulator.live.faults import Fault
from myi_pipeline.simulator.live.playlists import LIKED, ScriptedPlaylist, uri_of
from myi_pipeline.simulator.live.spec import AppSpec, ListenerSpec, ScriptedPlay
from myi_pipeline.simulator.live.state import SimulatorState

_HERE = ("127.0.0.1", "::1")
_PLAYS = TypeAdapter(tuple[ScriptedPlay, ...])
Lever = Callable[[SimulatorState, Any, dict[str, str]], Any]


def routes(state: SimulatorState) -> list[Route]:
    """The routes of the controls."""
    table: list[tuple[str, str, Lever]] = [
        ("GET", "/_control/spec", _spec),
        ("GET", "/_control/clock", _clock),
        ("POST", "/_control/clock", _move_clock),
        ("GET", "/_control/faults", _faults),
        ("POST", "/_control/faults", _add_fault),
        ("DELETE", "/_control/faults", _clear_faults),
        ("GET", "/_control/listeners/{key}", _listener),
        ("GET", "/_control/listeners/{key}/archive", _archive),
        ("GET", "/_control/listeners", _listeners),
        ("POST", "/_control/listeners", _put_listener),
        ("POST", "/_control/listeners/{key}/plays", _add_plays),
        ("POST", "/_control/playlists", _put_playlist),
        ("GET", "/_control/playlists/{owner}", _playlists),
        ("GET", "/_control/playlists/{owner}/{id}", _playlist),
        ("GET", "/_control/writes", _writes),
        ("POST", "/_control/playlists/{owner}/{id}/unfollow", _unfollow),
        ("POST", "/_control/playlists/limits", _limit_playlists),
        ("GET", "/_control/apps", _apps),
        ("POST", "/_control/apps", _put_app),
        ("GET", "/_control/apps/for/{key}", _app_for),
        ("POST", "/_control/sign-in", _sign_in),
        ("POST", "/_control/revoke", _revoke),
        ("POST", "/_control/expire", _expire),
        ("GET", "/_control/calls", _calls),
        ("DELETE", "/_control/calls", _forget_calls),
        ("GET", "/_control/recent", _recent),
        ("DELETE", "/_control/quota", _reset_quota),
    ]
    return [Route(path, _endpoint(state, lever), methods=[method]) for method, path, lever in table]


def _endpoint(state: SimulatorState, lever: Lever) -> Callable[[Request], object]:
    async def endpoint(request: Request) -> Response:
        if request.client is None or request.client.host not in _HERE or request.url.hostname not in _HERE:
            return Response(status_code=404)
        try:
            body = json.loads(await request.body() or b"null")
            answer = lever(state, body, {**request.query_params, **request.path_params})
        except KeyError as missing:
            return Response(f"there is no {missing}", 404, media_type="text/plain")
        except (ValueError, TypeError, ValidationError) as complaint:
            return Response(str(complaint), 400, media_type="text/plain")
        if isinstance(answer, bytes):
            return Response(answer, media_type="application/zip")
        return Response(dump(answer), media_type="application/json")

    return endpoint


def _spec(state: SimulatorState, _: Any, __: dict[str, str]) -> Any:
    return state.spec.model_copy(update={"listeners": ()}).model_dump(mode="json")


def _clock(state: SimulatorState, _: Any, __: dict[str, str]) -> Any:
    return {"now": state.clock.now().isoformat(), "speed": state.clock.speed}


def _move_clock(state: SimulatorState, body: Any, __: dict[str, str]) -> Any:
    if "set" in body:
        state.clock.set(datetime.fromisoformat(body["set"]))
    else:
        state.clock.advance(float(body["advance_s"]))
    return _clock(state, None, {})


def _faults(state: SimulatorState, _: Any, __: dict[str, str]) -> Any:
    return [{"fault": fault.model_dump(), "struck": struck} for fault, struck in state.faults.struck()]


def _add_fault(state: SimulatorState, body: Any, __: dict[str, str]) -> Any:
    state.faults.add(Fault.model_validate(body))
    return {}


def _clear_faults(state: SimulatorState, _: Any, __: dict[str, str]) -> Any:
    state.faults.clear()
    return {}


def _listener(state: SimulatorState, _: Any, path: dict[str, str]) -> Any:
    found = state.find_listener(path["key"])
    if found is None:
        raise KeyError(path["key"])
    return {"spec": found.spec.model_dump(mode="json"), "account_id": account_identifier(found.spec.key)}


def _listeners(state: SimulatorState, _: Any, __: dict[str, str]) -> Any:
    return sorted(state.listeners)


def _archive(state: SimulatorState, _: Any, asked: dict[str, str]) -> Any:
    """The ZIP that Spotify would send now; `?kind=account` for the account data."""
    kind: ArchiveKind = "account" if asked.get("kind") == "account" else "extended"
    with TemporaryDirectory() as folder:
        path = Path(folder) / "my_spotify_data.zip"
        write_archive(path, state.listeners[asked["key"]], until=state.clock.now(), kind=kind)
        return path.read_bytes()


def _put_listener(state: SimulatorState, body: Any, __: dict[str, str]) -> Any:
    state.put_listener(ListenerSpec.model_validate(body))
    return {}


def _add_plays(state: SimulatorState, body: Any, path: dict[str, str]) -> Any:
    state.add_plays(path["key"], _PLAYS.validate_python(body))
    return {}


def _put_playlist(state: SimulatorState, body: Any, __: dict[str, str]) -> Any:
    return {"snapshot_id": state.playlists.put(ScriptedPlaylist.model_validate(body)).snapshot_id}


def _playlist(state: SimulatorState, _: Any, path: dict[str, str]) -> Any:
    """The current state of a list, or of its owner's liked songs; `uris` are null for entries that are gone."""
    book = state.playlists
    found = book.liked_by(path["owner"]) if path["id"] == LIKED else book.lists[path["id"]]
    return {
        "spec": found.spec.model_copy(update={"entries": tuple(found.entries)}).model_dump(mode="json"),
        "snapshot_id": found.snapshot_id,
        "uris": [uri_of(entry, state.world) for entry in found.entries],
    }


def _playlists(state: SimulatorState, _: Any, path: dict[str, str]) -> Any:
    return [
        {"id": each.spec.id, "name": each.spec.name, "uris": [uri_of(entry, state.world) for entry in each.entries]}
        for each in state.playlists.lists.values()
        if each.spec.owner == path["owner"]
    ]


def _writes(state: SimulatorState, _: Any, __: dict[str, str]) -> Any:
    return state.writes


def _unfollow(state: SimulatorState, _: Any, path: dict[str, str]) -> Any:
    state.playlists.unfollow(path["owner"], path["id"])
    return {}


def _limit_playlists(state: SimulatorState, body: Any, __: dict[str, str]) -> Any:
    state.playlists.most_items = int(body.get("items", state.playlists.most_items))
    state.playlists.most_lists = int(body.get("lists", state.playlists.most_lists))
    state.playlists.late_by_s = float(body.get("late_by_s", state.playlists.late_by_s))
    return {}


def _apps(state: SimulatorState, _: Any, __: dict[str, str]) -> Any:
    return [app.model_dump(mode="json") for app in state.accounts.apps.values()]


def _app_for(state: SimulatorState, _: Any, asked: dict[str, str]) -> Any:
    return state.accounts.app_for(asked["key"], asked.get("client_id")).model_dump(mode="json")


def _sign_in(state: SimulatorState, body: Any, __: dict[str, str]) -> Any:
    """Signs in many, without pages: a list of [listener, client id, scope, seconds, access token, refresh token]."""
    found = []
    for listener in body["listeners"]:
        app = state.accounts.app_for(state.listeners[listener].spec.key, body.get("client_id"))
        made = state.accounts.sign_in_at_once(app=app, listener=listener, scopes=body["scopes"])
        found.append([listener, app.client_id, made.scope, made.expires_in, made.access_token, made.refresh_token])
    return found


def _put_app(state: SimulatorState, body: Any, __: dict[str, str]) -> Any:
    known = state.accounts.apps.get(body["client_id"])
    whole = (known.model_dump() if known else {}) | body
    state.accounts.apps[body["client_id"]] = AppSpec.model_validate(whole)
    return {}


def _revoke(state: SimulatorState, body: Any, __: dict[str, str]) -> Any:
    return state.accounts.revoke(body["listener"], body.get("client_id"))


def _expire(state: SimulatorState, body: Any, __: dict[str, str]) -> Any:
    return state.accounts.expire_access_tokens((body or {}).get("listener"))


def _calls(state: SimulatorState, _: Any, __: dict[str, str]) -> Any:
    return {
        "calls": [[*key, count] for key, count in state.calls.items()],
        "while_blocked": [[*key, count] for key, count in state.quota.while_blocked.items()],
    }


def _forget_calls(state: SimulatorState, _: Any, __: dict[str, str]) -> Any:
    state.calls.clear()
    state.recent.clear()
    state.quota.while_blocked.clear()
    return {}


def _recent(state: SimulatorState, _: Any, __: dict[str, str]) -> Any:
    return list(state.recent)


def _reset_quota(state: SimulatorState, _: Any, __: dict[str, str]) -> Any:
    state.quota.reset()
    return {}
