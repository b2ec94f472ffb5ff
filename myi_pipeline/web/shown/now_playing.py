"""What somebody listens to now, for the API and for open pages.

This process may not use a login, so it leaves a wish in the database and waits briefly for the result.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from myi_pipeline.polling.now_playing import NOW_PLAYING_OF, WISH, Reading
from myi_pipeline.web.reads.pools import Pools

_LOOK_EVERY_S, _PATIENCE_S = 0.1, 2.5
# If a wish waits longer than this, nobody is listening.
_UNHEARD_AFTER = timedelta(seconds=5)
_TOLD_AGAIN_S = 15
_NOBODY = "Spotify is asked only while `myi up` runs"
_AT = [datetime.fromisoformat("2024-03-09T21:14:07Z")]


class NowPlaying(BaseModel):
    """What Spotify or a player reports as playing. It is not a play and is not stored."""

    model_config = ConfigDict(extra="ignore")

    state: Literal["playing", "paused", "nothing", "unknown"] = Field(
        description="`nothing`: Spotify reports nothing, as in a private session. `unknown`: Spotify could not be"
        " asked."
    )
    kind: Literal["track", "episode", "ad", "other"] | None = Field(default=None, examples=["track"])
    name: str | None = Field(default=None, examples=["Blue in Green"])
    artist_name: str | None = Field(default=None, description="The first of `artists`.", examples=["Miles Davis"])
    album_name: str | None = Field(default=None, examples=["Kind of Blue"])
    title: str | None = Field(default=None, description="The same as `name`.", examples=["Blue in Green"])
    artists: list[str] = Field(default=[], description="For an episode, its show.", examples=[["Miles Davis"]])
    album: str | None = Field(default=None, description="The same as `album_name`.", examples=["Kind of Blue"])
    uri: str | None = Field(default=None, examples=["spotify:track:0aWMVrwxPNYkKmFthzmpRi"])
    duration_ms: int | None = Field(default=None, examples=[337_000])
    progress_ms: int | None = Field(default=None, description="As of `read_at`.", examples=[61_000])
    player: str | None = Field(
        default=None, description="The player that reported it; null if Spotify did.", examples=["Navidrome"]
    )
    read_at: datetime | None = Field(
        default=None, description="When Spotify was asked, or the player reported it.", examples=_AT
    )
    ask_again_s: int = Field(description="Seconds until asking again can bring anything new.", ge=1, examples=[15])
    reason: str | None = Field(
        default=None, description="Why it is unknown.", examples=["the sign-in to Spotify has ended"]
    )


async def ask_now_playing(pools: Pools, user_id: int) -> NowPlaying:
    """What is known, after a short wait if Spotify has to be asked."""
    return _as_document(await _read(pools, user_id), datetime.now(UTC))


async def _read(pools: Pools, user_id: int) -> Reading:
    began = asyncio.get_running_loop().time()
    found = await _ask(pools, user_id)
    now = datetime.now(UTC)
    if found.is_fresh(now):
        return found
    is_heard = found.waits_since is None or abs(now - found.waits_since) < _UNHEARD_AFTER
    await pools.ask_access(WISH, {"user_id": user_id, "now": now})
    while is_heard and asyncio.get_running_loop().time() - began < _PATIENCE_S:
        await asyncio.sleep(_LOOK_EVERY_S)
        found = await _ask(pools, user_id)
        if found.is_fresh(datetime.now(UTC)):
            break
    return found


async def _ask(pools: Pools, user_id: int) -> Reading:
    row = await pools.ask_access(NOW_PLAYING_OF, {"user_id": user_id})
    assert row is not None
    return Reading(*row)


def _as_document(found: Reading, now: datetime) -> NowPlaying:
    """The answer, with the time after which asking again is worthwhile."""
    if not found.is_fresh(now) or found.answer is None or found.fresh_until is None:
        return NowPlaying(state="unknown", reason=_NOBODY, ask_again_s=60)
    left_s = (found.fresh_until - now).total_seconds()
    if found.answer.get("player") is not None:
        # It holds until the track ends, unless the player reports another one first.
        left_s = min(left_s, _TOLD_AGAIN_S)
    told = NowPlaying(**found.answer, read_at=found.read_at, ask_again_s=min(max(1, round(left_s + 0.5)), 3600))
    artist_name = told.artists[0] if told.artists else None
    return told.model_copy(update={"name": told.title, "artist_name": artist_name, "album_name": told.album})
