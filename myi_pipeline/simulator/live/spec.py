"""What a simulated Spotify is made of: its catalogue's seed, its apps (client ids) and its listeners.

Equal specs give equal plays, names, identifiers and tokens. A spec survives a round trip through JSON, so that another
process can compute the same truth.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Bucket = Literal["polls", "personal", "catalogue"]
SCOPES = ("user-read-recently-played", "user-read-currently-playing", "user-top-read", "user-read-private")


def _default_per_day() -> dict[Bucket, int]:
    """Observed in 2026: 500 calls to the catalogue, 2,300 to 2,600 to everything else."""
    return {"polls": 2_500, "personal": 2_500, "catalogue": 500}


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DeviceSpec(_Spec):
    """A device and its clock: `played_at` is the start or the end of a play, plus latency_ms to latency_ms + jitter_ms.

    `platform` is an index into `simulator.plays.PLATFORMS`.
    """

    clock: Literal["start", "end"] = "end"
    latency_ms: int = Field(default=150, ge=0, le=20_000)
    jitter_ms: int = Field(default=400, ge=0, le=20_000)
    platform: int = Field(default=1, ge=0, le=4)


class ScriptedPlay(_Spec):
    """One play exactly as specified by a test. `track` is a key of `World.tracks`.

    Values that are None are derived as for any other play of its device.
    """

    started_at: AwareDatetime
    track: int
    ms_played: int = Field(ge=0)
    paused_ms: int = Field(default=0, ge=0)
    device: int = 0
    offline: bool = False
    private: bool = False
    surfaces_at: AwareDatetime | None = None
    reported_at: AwareDatetime | None = None
    archived_at: AwareDatetime | None = None


class ListenerSpec(_Spec):
    """One person. Rates are shares of sessions, or as their comments say."""

    key: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,40}$")
    first_day: date = date(2025, 1, 1)
    last_day: date | None = None
    time_zone: str = "Europe/Berlin"
    country: str = "DE"
    plays_per_day: float = Field(default=30, ge=0, le=1000)
    devices: tuple[DeviceSpec, ...] = Field(default=(DeviceSpec(),), min_length=1)

    albums: float = 0.5  # of ordinary sessions; the rest are shuffled favourites
    skipping: float = 0.04
    looping: float = 0.03
    podcasts: float = 0.03
    offline: float = 0.04
    private: float = 0.02
    early_skips: float = 0.08  # of plays: under 30 s
    late_skips: float = 0.07  # of plays: after 30 s, before the end
    pauses: float = 0.03  # of plays: a pause of 5 s to 40 min
    silent_days: float = 0.12  # of days
    stale_days: float = 0.03  # of days: for 1 to 6 hours the API shows nothing new
    loop_days: float = 0.0  # of days: one short track from morning to morning

    offline_until_h: tuple[float, float] = (0.2, 48.0)  # how long after an offline session its plays surface
    # Share of offline sessions whose ts in archives is the time of the sync. Rare, but found in public exports.
    archived_at_sync: float = 0.1
    # From an older version of the official documentation: plays of less than 30 s are not listed.
    api_from_ms: int = 30_000
    # Share of shorter plays, from 2 s on, that are listed nevertheless.
    short_listed: float = 0.0
    # Share of plays that are listed in every second hour with another track id and a millisecond later.
    relisted: float = 0.0
    # How the API orders its list: by played_at, or by when a play became known.
    window_order: Literal["played_at", "surfaced"] = "played_at"
    scripted: tuple[ScriptedPlay, ...] = ()


class AppSpec(_Spec):
    """One client id as its developer registered it.

    `allowed` are keys of listeners on the app's list; None adds those who sign in first, up to `max_users`. Quotas are
    shared by the client ids of a `developer`, if one is named, or are per client id.
    """

    client_id: str = "myi-simulated-client"
    client_secret: str | None = None
    redirect_uris: tuple[str, ...] = ("http://127.0.0.1:8888/callback", "http://127.0.0.1/callback")
    dialect: Literal["new", "old"] = "new"
    allowed: tuple[str, ...] | None = None
    max_users: int = Field(default=5, ge=1)
    premium: bool = True
    account_id: bool = True  # False: as before May 2026, when /me had only `id`
    profile_id: bool = True  # False: /me leaves `id` out
    developer: str | None = None

    per_30_s: int | None = 150
    per_day: dict[Bucket, int] = Field(default_factory=_default_per_day)
    # How a used-up daily quota is reported: by Retry-After in seconds (many hours), or only in the body.
    quota_answer: Literal["retry_after", "quota_exceeded"] = "retry_after"

    # What a refresh returns: a new refresh token, none, or the same one.
    refresh_tokens: Literal["rotate", "omit", "repeat"] = "rotate"
    # When a rotated token becomes invalid: once its successor or that one's access token is used, or at once.
    rotated_token_dies: Literal["when_successor_is_used", "at_once"] = "when_successor_is_used"
    access_token_s: int = 3600
    refresh_token_months: int = 6


class SimulatorSpec(_Spec):
    """A simulated Spotify. `canary` is text in every code and token, for tests that look for leaks."""

    seed: int = 1
    artists: int = Field(default=120, ge=5)
    removed_tracks: float = 0.004  # gone from the catalogue: 404, and null in newer archives
    relinked_tracks: float = 0.01  # their id in the API differs from that in archives
    apps: tuple[AppSpec, ...] = (AppSpec(),)
    listeners: tuple[ListenerSpec, ...] = ()
    canary: str = Field(default="", pattern=r"^[A-Za-z0-9_-]*$")


_PERSONAS: dict[str, dict[str, Any]] = {
    "albums": {"albums": 0.95, "looping": 0.0, "skipping": 0.0},
    "skipper": {"skipping": 0.8, "plays_per_day": 120, "albums": 0.1},
    "looper": {"looping": 0.7, "plays_per_day": 60, "loop_days": 0.02},
    "commuter": {"offline": 0.5, "silent_days": 0.25, "devices": (DeviceSpec(platform=0), DeviceSpec())},
    "private": {"private": 0.3, "podcasts": 0.2},
    "pauser": {"pauses": 0.3, "stale_days": 0.2},
    "start_clock": {"devices": (DeviceSpec(clock="start", latency_ms=80, platform=3),)},
    "two_clocks": {
        "devices": (DeviceSpec(platform=1), DeviceSpec(clock="start", latency_ms=900, jitter_ms=1500, platform=4)),
    },
    "rare": {"plays_per_day": 6, "silent_days": 0.6},
    "heavy": {"plays_per_day": 180, "silent_days": 0.02},
}
PERSONAS = tuple(_PERSONAS)


def persona(kind: str, key: str, **changes: Any) -> ListenerSpec:
    """A ready-made person: one of PERSONAS, with changes."""
    return ListenerSpec(key=key, **(_PERSONAS[kind] | changes))


def mixed_listeners(count: int, *, first_day: date = date(2025, 1, 1), **changes: Any) -> tuple[ListenerSpec, ...]:
    """`count` people, every persona in turn, with keys listener-1 and so on."""
    return tuple(
        persona(PERSONAS[number % len(PERSONAS)], f"listener-{number + 1}", first_day=first_day, **changes)
        for number in range(count)
    )


def apps_for(listeners: tuple[ListenerSpec, ...], *, users_per_app: int = 5, **changes: Any) -> tuple[AppSpec, ...]:
    """Client ids client-1 and so on, each with `users_per_app` listeners on its list, in order."""
    groups = [listeners[start : start + users_per_app] for start in range(0, len(listeners), users_per_app)]
    return tuple(
        AppSpec(
            client_id=f"client-{number + 1}",
            allowed=tuple(listener.key for listener in group),
            max_users=users_per_app,
            **changes,
        )
        for number, group in enumerate(groups)
    )
