"""The made-up TIDAL answers, and the client asks, as TIDAL's published description says.

The schemas are our own words; where MYI_TEST_TIDAL_SCHEMA names the published document itself, that is asked too.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from tests.integration.providers.conftest import AtTidal, tidal_track, uris
from tests.integration.providers.tidal_contract import REQUESTS, SCHEMAS, Schema

SENT_BY = {"POST": "Add", "PATCH": "Update", "DELETE": "Remove"}


def published() -> dict[str, Any] | None:
    path = os.environ.get("MYI_TEST_TIDAL_SCHEMA")
    return json.loads(Path(path).read_text(encoding="utf-8")) if path else None


def check(name: str, document: object) -> None:
    jsonschema.validate(document, (SCHEMAS | REQUESTS)[name])
    whole = published()
    if whole is not None:
        jsonschema.validate(document, _from_published(whole, name))


def _from_published(whole: dict[str, Any], name: str) -> Schema:
    """What may be included is told apart by its type there, in a way that JSON Schema has no word for."""
    included: Schema = {"type": "array", "items": {"type": "object", "required": ["id", "type"]}}
    schemas = whole["components"]["schemas"] | {"Included": included}
    return {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}


@pytest.fixture
def ask(at_tidal: AtTidal) -> httpx.Client:
    headers = {"Authorization": f"Bearer {at_tidal.tokens().value}", "Content-Type": "application/vnd.api+json"}
    return httpx.Client(base_url=at_tidal.tidal.api_url, headers=headers, trust_env=False, timeout=20)


def test_every_answer_is_as_described(at_tidal: AtTidal, ask: httpx.Client) -> None:
    world = at_tidal.tidal.world
    at_tidal.add_tracks(30)
    world.add_tracks(tidal_track(99, is_video=True, version="Live"))
    made = world.make_playlist(at_tidal.ana, "Morning", tracks=["1", "2"], videos=["99"], description="Slow")
    world.like(at_tidal.ana, "4")
    world.page_sizes = (2,)
    items = f"/playlists/{made.playlist_id}/relationships/items"
    new = {"data": {"type": "playlists", "attributes": {"name": "New"}}}
    added = {"data": [{"type": "tracks", "id": "1"}, {"type": "tracks", "id": "404"}]}
    heads = "owners,ownerProfiles,collaborators,coverArt"
    with ask:
        for name, method, path, params, body in (
            ("Users_Single", "GET", "/users/me", {}, None),
            ("Playlists_Multi", "GET", "/playlists", {"filter[owners.id]": "me", "include": heads}, None),
            ("Playlists_Single", "GET", f"/playlists/{made.playlist_id}", {"include": heads}, None),
            ("Playlists_Items_Multi", "GET", items, {"include": "items,items.artists,items.albums"}, None),
            ("UserCollectionTracks_Single", "GET", "/userCollectionTracks/me", {}, None),
            ("UserCollectionTracks_Items_Multi", "GET", "/userCollectionTracks/me/relationships/items", {}, None),
            ("Tracks_Multi", "GET", "/tracks", {"filter[isrc]": "DEA120000001", "include": "artists"}, None),
            ("SearchResults_Multi", "GET", "/searchResults", {"filter[query]": "song", "include": "tracks"}, None),
            ("Playlists_Create_Single", "POST", "/playlists", {}, new),
            ("Playlists_Items_Add_Multi", "POST", items, {}, added),
            ("Mutation_Response_Document", "DELETE", f"/playlists/{made.playlist_id}", {}, None),
            ("Errors_Document", "GET", f"/playlists/{made.playlist_id}", {}, None),
            ("Errors_Document", "GET", "/playlists", {"filter[name]": "x"}, None),
            ("Errors_Document", "GET", "/tracks", {"include": "a.b.c.d"}, None),
            ("Errors_Document", "POST", "/playlists", {}, {"data": {}}),
        ):
            answer = ask.request(method, path, params=params, content=json.dumps(body) if body else None)
            kind = "Relationship" if "Items" in name else "Resource"
            whole = name if name.endswith("_Document") else f"{name}_{kind}_Data_Document"
            assert answer.is_success == (name != "Errors_Document"), (path, answer.text)
            assert answer.headers["content-type"] == "application/vnd.api+json"
            check(whole, answer.json())


def test_a_broken_answer_is_not_as_described() -> None:
    with pytest.raises(jsonschema.ValidationError):
        check("Errors_Document", {"errors": [{"status": 404}]})
    with pytest.raises(jsonschema.ValidationError):
        check("Playlists_Multi_Resource_Data_Document", {"data": [{"id": "1", "type": "tracks"}], "links": {}})


def test_every_write_is_sent_as_described(at_tidal: AtTidal) -> None:
    at_tidal.add_tracks(5)
    made = at_tidal.tidal.world.make_playlist(at_tidal.ana, "Morning", tracks=["1", "2", "3"])
    ids, writer = [each.item_id for each in made.entries], at_tidal.writer
    moment = at_tidal.clock.now()
    writer.create("New", description="Slow", is_public=True, key="a")
    writer.add(made.playlist_id, uris("4"), position=0, added_at=[moment], key="b")
    writer.add(made.playlist_id, uris("5"), position=None, added_at=[None], key="c")
    writer.move(made.playlist_id, start=1, length=2, before=0, item_ids=ids[:2], key="d")
    writer.move(made.playlist_id, start=0, length=1, before=9, item_ids=ids[:1], key="e")
    writer.remove(made.playlist_id, positions=[0], uris=uris("2"), item_ids=ids[1:2], key="f")
    for write in at_tidal.tidal.world.writes:
        assert write.was_done
        operation = f"ItemsRelationship{SENT_BY[write.method]}" if "/items" in write.path else "Create"
        check(f"Playlists{operation}Operation_Payload", json.loads(write.body))
