"""Listens of a ListenBrainz export: `listens/YYYY/M.jsonl` in its ZIP, or the list of older exports.

A line is what listenbrainz/background/export.py of metabrainz/listenbrainz-server selects: `listened_at` (the start of
the play), `track_metadata` with the names as submitted, `additional_info` with whatever else the player reported
(docs/users/json.rst), and `mbid_mapping` with what ListenBrainz found in MusicBrainz. `additional_info.duration` is in
seconds, `duration_ms` in milliseconds: the length of the recording, not the time heard.
"""

from __future__ import annotations

from myi_pipeline.archives.files.scrobbles import Scrobble, ScrobbleRows, parse_unix_time, spotify_uri
from myi_pipeline.catalogue.plays import Source
from myi_pipeline.catalogue.row_rules import PERSONAL_KEYS, BadRow


class ListenBrainzListens(ScrobbleRows):
    """Names are the submitted ones; ListenBrainz' mapping provides only the recording's MBID."""

    source = Source.LISTENBRAINZ_EXPORT
    known_keys = PERSONAL_KEYS.union(
        ("listened_at", "inserted_at", "track_metadata", "recording_msid", "user_name", "user_id", "playing_now")
    )
    time_key = "listened_at"

    def _scrobble(self, row: dict[str, object]) -> Scrobble:
        heard = row.get("track_metadata")
        if not isinstance(heard, dict):
            raise BadRow("missing_names", "The row does not name what was heard: track_metadata is missing.")
        if row.get("playing_now") is True and row.get("listened_at") is None:
            raise BadRow("now_playing", "The track was playing when the file was written: not a play yet.")
        told, mapped = _object(heard.get("additional_info")), _object(heard.get("mbid_mapping"))
        length = self._length(told.get("duration_ms"), key="duration_ms", unit_ms=1)
        addresses = [told.get("spotify_id"), told.get("origin_url")]
        return Scrobble(
            played_at=parse_unix_time(row.get("listened_at"), key=self.time_key),
            title=heard.get("track_name"),
            artist=heard.get("artist_name"),
            album=heard.get("release_name"),
            recording_mbid=told.get("recording_mbid") or mapped.get("recording_mbid"),
            isrc=_one(told.get("isrc")),
            address=next((address for address in addresses if spotify_uri(address)), None),
            duration_ms=length or self._length(told.get("duration"), key="duration", unit_ms=1000),
            client=told.get("media_player") or told.get("submission_client") or told.get("music_service"),
        )


def _object(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _one(value: object) -> object:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def looks_like_listen(row: dict[str, object]) -> bool:
    """Whether a row is a listen."""
    return "track_metadata" in row and ("listened_at" in row or "playing_now" in row)
