"""What the public Web API answers, as a JSON schema: written from its reference, in our words.

Source: developer.spotify.com, Web API reference and the changes of February and March 2026, as of November 2026.
Old apps get every field; what new apps no longer get must be absent for them, not null.
"""

from __future__ import annotations

from typing import Any, Literal

import jsonschema

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string", "minLength": 1}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_PERCENT: Schema = {"type": "integer", "minimum": 0, "maximum": 100}
_ID: Schema = {"type": "string", "pattern": "^[0-9A-Za-z]{22}$"}
_LINK: Schema = {"type": "string", "pattern": "^https?://"}
_LINK_OR_NULL: Schema = {"anyOf": [_LINK, {"type": "null"}]}
_MARKETS: Schema = {"type": "array", "items": {"type": "string", "pattern": "^[A-Z]{2}$"}}
_CURSOR: Schema = {"type": "string", "pattern": "^[0-9]{13}$"}
_FOLLOWERS: Schema = {"type": "object", "required": ["href", "total"], "properties": {"href": {"type": "null"}}}
_IMAGES: Schema = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["url", "height", "width"],
        "properties": {"url": _LINK, "height": _COUNT, "width": _COUNT},
    },
}


def _object(*, always: Schema, old: Schema | None = None, dialect: str, sometimes: Schema | None = None) -> Schema:
    """An object with the fields `always`, in the old dialect also `old`; no field that is not named here."""
    required = {**always, **((old or {}) if dialect == "old" else {})}
    return {
        "type": "object",
        "required": sorted(required),
        "properties": {**required, **(sometimes or {})},
        "additionalProperties": False,
    }


def _links(kind: str) -> Schema:
    return {
        "id": _ID,
        "type": {"const": kind},
        "uri": {"type": "string", "pattern": f"^spotify:{kind}:[0-9A-Za-z]{{22}}$"},
        "href": {"type": "string", "pattern": f"/v1/{kind}s/[0-9A-Za-z]{{22}}$"},
        "external_urls": {"type": "object", "required": ["spotify"], "properties": {"spotify": _LINK}},
    }


def schemas(dialect: Literal["new", "old"]) -> dict[str, Schema]:
    """Schemas by name: track, album, artist, recently_played, currently_playing, top_tracks, top_artists, me."""
    artist_reference = _object(always={**_links("artist"), "name": _TEXT}, dialect=dialect)
    artist = _object(
        always={**_links("artist"), "name": _TEXT, "images": _IMAGES},
        old={"followers": _FOLLOWERS, "genres": {"type": "array", "items": _TEXT}, "popularity": _PERCENT},
        dialect=dialect,
    )
    album_fields: Schema = {
        **_links("album"),
        "name": _TEXT,
        "album_type": {"enum": ["album", "single", "compilation"]},
        "total_tracks": {"type": "integer", "minimum": 1},
        "release_date": {"type": "string", "pattern": r"^\d{4}(-\d{2}(-\d{2})?)?$"},
        "release_date_precision": {"enum": ["year", "month", "day"]},
        "images": _IMAGES,
        "artists": {"type": "array", "minItems": 1, "items": artist_reference},
    }
    album_reference = _object(always=album_fields, old={"available_markets": _MARKETS}, dialect=dialect)
    track_fields: Schema = {
        **_links("track"),
        "name": _TEXT,
        "artists": {"type": "array", "minItems": 1, "items": artist_reference},
        "disc_number": {"type": "integer", "minimum": 1},
        "track_number": {"type": "integer", "minimum": 1},
        "duration_ms": {"type": "integer", "minimum": 1},
        "explicit": {"type": "boolean"},
        "is_local": {"type": "boolean"},
    }
    old_track: Schema = {"available_markets": _MARKETS, "preview_url": _LINK_OR_NULL}
    simple_track = _object(always=track_fields, old=old_track, dialect=dialect)
    linked = {"linked_from": _object(always=_links("track"), dialect=dialect)} if dialect == "old" else {}
    isrc: Schema = {"type": "string", "pattern": "^[A-Z]{2}[0-9A-Z]{3}[0-9]{7}$"}
    track = _object(
        always={
            **track_fields,
            "album": album_reference,
            "external_ids": {"type": "object", "required": ["isrc"], "properties": {"isrc": isrc}},
        },
        old={**old_track, "popularity": _PERCENT},
        sometimes=linked,
        dialect=dialect,
    )
    offset_page: Schema = {
        "href": _LINK,
        "limit": {"type": "integer", "minimum": 1, "maximum": 50},
        "next": _LINK_OR_NULL,
        "offset": _COUNT,
        "previous": _LINK_OR_NULL,
        "total": _COUNT,
    }

    def page_of(item: Schema) -> Schema:
        items = {"type": "array", "maxItems": 50, "items": item}
        return _object(always={**offset_page, "items": items}, dialect=dialect)

    album = _object(
        always={
            **album_fields,
            "tracks": page_of(simple_track),
            "copyrights": {"type": "array", "items": {"type": "object", "required": ["text", "type"]}},
            "external_ids": {"type": "object"},
        },
        old={
            "available_markets": _MARKETS,
            "genres": {"type": "array", "items": _TEXT},
            "label": _TEXT,
            "popularity": _PERCENT,
        },
        dialect=dialect,
    )
    context_fields: Schema = {
        "type": {"enum": ["album", "artist", "playlist", "show", "collection"]},
        "href": _LINK,
        "external_urls": {"type": "object", "required": ["spotify"]},
        "uri": {"type": "string", "pattern": "^spotify:"},
    }
    context: Schema = {"anyOf": [{"type": "null"}, _object(always=context_fields, dialect=dialect)]}
    played: Schema = {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$"}
    play = _object(always={"track": track, "played_at": played, "context": context}, dialect=dialect)
    cursors = _object(always={"after": _CURSOR, "before": _CURSOR}, dialect=dialect)
    recently_played = _object(
        always={
            "items": {"type": "array", "maxItems": 50, "items": play},
            "next": _LINK_OR_NULL,
            "cursors": {"anyOf": [{"type": "null"}, cursors]},
            "limit": {"type": "integer", "minimum": 1, "maximum": 50},
            "href": _LINK,
        },
        dialect=dialect,
    )
    episode_fields: Schema = {**_links("episode"), "name": _TEXT, "duration_ms": _COUNT}
    currently_playing = _object(
        always={
            "timestamp": _COUNT,
            "progress_ms": _COUNT,
            "is_playing": {"type": "boolean"},
            "context": context,
            "currently_playing_type": {"enum": ["track", "episode", "ad", "unknown"]},
            "item": {"anyOf": [{"type": "null"}, track, _object(always=episode_fields, dialect=dialect)]},
            "actions": {"type": "object", "required": ["disallows"]},
        },
        dialect=dialect,
    )
    me = _object(
        always={**_links("user"), "id": _TEXT, "uri": _TEXT, "href": _LINK, "display_name": {}, "images": _IMAGES},
        old={
            "country": {"type": "string", "pattern": "^[A-Z]{2}$"},
            "product": {"enum": ["premium", "free", "open"]},
            "followers": _FOLLOWERS,
            "explicit_content": {"type": "object", "required": ["filter_enabled", "filter_locked"]},
        },
        sometimes={"account_id": _TEXT},
        dialect=dialect,
    )
    return {
        "track": track,
        "album": album,
        "artist": artist,
        "recently_played": recently_played,
        "currently_playing": currently_playing,
        "top_tracks": page_of(track),
        "top_artists": page_of(artist),
        "me": me,
        "error": _ERROR,
    }


_ERROR: Schema = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["status", "message"],
            "properties": {"status": {"type": "integer", "minimum": 400}, "message": _TEXT, "reason": _TEXT},
            "additionalProperties": False,
        }
    },
    "additionalProperties": False,
}


def complain(document: object, name: str, dialect: Literal["new", "old"] = "new") -> None:
    """Raises jsonschema.ValidationError when a document is not what the Web API answers."""
    jsonschema.Draft202012Validator(schemas(dialect)[name]).validate(document)
