"""What TIDAL's API answers, as JSON schemas: written from its published description (1.10.104), in our words.

Only what the client reads, and what the description calls required.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string", "minLength": 1}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_MOMENT: Schema = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"}
_DURATION: Schema = {"type": "string", "pattern": r"^P(\d+D)?(T(\d+H)?(\d+M)?(\d+S)?)?$"}


def _object(required: Schema, optional: Schema | None = None) -> Schema:
    return {
        "type": "object",
        "required": sorted(required),
        "properties": {**required, **(optional or {})},
        "additionalProperties": False,
    }


_LINKS = _object({"self": _TEXT}, {"next": _TEXT, "meta": _object({"nextCursor": _TEXT})})
_IDENTIFIER = _object({"id": _TEXT, "type": _TEXT})
_RELATED = _object({"links": _LINKS}, {"data": {"type": "array", "items": _IDENTIFIER}})
_RELATED_ALL: Schema = {"type": "object", "additionalProperties": _RELATED}


def _resource(kind: str, attributes: Schema) -> Schema:
    return _object(
        {"id": _TEXT, "type": {"const": kind}}, {"attributes": attributes, "relationships": _RELATED_ALL}
    )  # fmt: skip


_SHARED_LINK = _object({"href": _TEXT, "meta": _object({"type": _TEXT})})
_PLAYLIST = _resource(
    "playlists",
    _object(
        {
            "accessType": {"enum": ["PUBLIC", "UNLISTED", "PRIVATE"]},
            "bounded": {"type": "boolean"},
            "createdAt": _MOMENT,
            "externalLinks": {"type": "array", "items": _SHARED_LINK},
            "lastModifiedAt": _MOMENT,
            "name": _TEXT,
            "numberOfFollowers": _COUNT,
            "playlistType": {"enum": ["EDITORIAL", "USER", "MIX", "ARTIST"]},
        },
        {
            "description": {"type": "string"},
            "duration": _DURATION,
            "numberOfItems": _COUNT,
            "numberOfTrackItems": _COUNT,
            "numberOfVideoItems": _COUNT,
        },
    ),
)
_TRACK = _resource(
    "tracks",
    _object(
        {
            "duration": _DURATION,
            "explicit": {"type": "boolean"},
            "isrc": _TEXT,
            "key": _TEXT,
            "keyScale": _TEXT,
            "mediaTags": {"type": "array", "items": _TEXT},
            "popularity": {"type": "number"},
            "title": _TEXT,
        },
        {"version": _TEXT},
    ),
)
_VIDEO = _resource(
    "videos",
    _object(
        {
            "duration": _DURATION,
            "explicit": {"type": "boolean"},
            "isrc": _TEXT,
            "popularity": {"type": "number"},
            "title": _TEXT,
        },
        {"version": _TEXT, "releaseDate": _TEXT},
    ),
)
_ANYTHING: Schema = {"type": "object"}
_INCLUDED: Schema = {
    "type": "array",
    "items": {
        "anyOf": [
            _TRACK, _VIDEO, *(_resource(kind, _ANYTHING) for kind in ("artists", "albums", "artworks", "users"))
        ]
    },
}  # fmt: skip
_ENTRY = _object(
    {"id": _TEXT, "type": _TEXT}, {"meta": _object({}, {"addedAt": _MOMENT, "itemId": _TEXT, "itemCursor": _TEXT})}
)  # fmt: skip
_ADDED = _object({"id": _TEXT, "type": _TEXT}, {"meta": _object({"addedAt": _MOMENT, "itemId": _TEXT})})
_LIKED = _object({"id": _TEXT, "type": _TEXT}, {"meta": _object({"addedAt": _MOMENT})})
_SKIPPED = _object({"id": _TEXT, "type": {"enum": ["tracks", "videos"]}, "reason": {"enum": ["NOT_FOUND"]}})


def _many(each: Schema, *, meta: Schema | None = None) -> Schema:
    optional = {"included": _INCLUDED, **({"meta": meta} if meta is not None else {})}
    return _object({"data": {"type": "array", "items": each}, "links": _LINKS}, optional)


def _one(each: Schema) -> Schema:
    return _object({"data": each, "links": _LINKS}, {"included": _INCLUDED})


# By the names that the description has for them.
SCHEMAS: dict[str, Schema] = {
    "Playlists_Multi_Resource_Data_Document": _many(_PLAYLIST),
    "Playlists_Single_Resource_Data_Document": _one(_PLAYLIST),
    "Playlists_Create_Single_Resource_Data_Document": _one(_PLAYLIST),
    "Playlists_Items_Multi_Relationship_Data_Document": _many(_ENTRY),
    "Playlists_Items_Add_Multi_Relationship_Data_Document": _many(
        _ADDED, meta=_object({"skipped": {"type": "array", "items": _SKIPPED}})
    ),
    "UserCollectionTracks_Items_Multi_Relationship_Data_Document": _many(_LIKED),
    "UserCollectionTracks_Single_Resource_Data_Document": _one(
        _resource("userCollectionTracks", _object({"numberOfItems": _COUNT}, {"lastModifiedAt": _MOMENT}))
    ),
    "Tracks_Multi_Resource_Data_Document": _many(_TRACK),
    "SearchResults_Multi_Resource_Data_Document": _many(
        _resource("searchResults", _object({"query": _TEXT, "trackingId": _TEXT}, {"didYouMean": _TEXT}))
    ),
    "Users_Single_Resource_Data_Document": _one(
        _resource("users", _object({"country": _TEXT, "developerAccessTier": _TEXT, "username": _TEXT}))
    ),
    "Mutation_Response_Document": _object({"links": _LINKS}, {"meta": _ANYTHING}),
    "Errors_Document": _object(
        {
            "errors": {
                "type": "array",
                "minItems": 1,
                "items": _object({"status": _TEXT}, {"detail": _TEXT, "code": _TEXT}),
            }
        }
    ),
}
# Of requests: what the client sends.
REQUESTS: dict[str, Schema] = {
    "PlaylistsCreateOperation_Payload": _object(
        {
            "data": _object(
                {
                    "type": {"const": "playlists"},
                    "attributes": _object(
                        {"name": _TEXT},
                        {"description": {"type": "string"}, "accessType": {"enum": ["PUBLIC", "UNLISTED"]}},
                    ),
                }
            )
        }
    ),
    "PlaylistsItemsRelationshipAddOperation_Payload": _object(
        {
            "data": {
                "type": "array", "minItems": 1, "maxItems": 50,
                "items": _object(
                    {"id": _TEXT, "type": {"enum": ["tracks", "videos"]}}, {"meta": _object({}, {"addedAt": _MOMENT})}
                ),
            }
        },
        {"meta": _object({"positionBefore": _TEXT})},
    ),
    "PlaylistsItemsRelationshipUpdateOperation_Payload": _object(
        {
            "data": {
                "type": "array", "minItems": 1, "maxItems": 20,
                "items": _object(
                    {"id": _TEXT, "type": {"enum": ["tracks", "videos"]}, "meta": _object({"itemId": _TEXT})}
                ),
            }
        },
        {"meta": _object({"positionBefore": _TEXT})},
    ),
    "PlaylistsItemsRelationshipRemoveOperation_Payload": _object(
        {
            "data": {
                "type": "array", "minItems": 1, "maxItems": 50,
                "items": _object(
                    {"id": _TEXT, "type": {"enum": ["tracks", "videos"]}, "meta": _object({"itemId": _TEXT})}
                ),
            }
        },
    ),
}  # fmt: skip
