"""User A, as a program and as a browser, on every operation of the contract with everything that user B has.

The cases follow from the contract: each of its parameters either names something that belongs to somebody, and then
there is one of B's to try, or is said to name nothing. An operation that takes anything else fails here until somebody
has thought about it. A is bob, B is ada; ada herself asks first, so that what is refused to bob is known to be there.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

import httpx
import orjson
import pytest

from myi_pipeline.people import manage_access
from myi_pipeline.postgres.connections import Role
from myi_pipeline.simulator.catalogue import AWKWARD_NAMES
from myi_pipeline.web.api.openapi import operations
from myi_pipeline.web.api.write_openapi import FILE
from myi_pipeline.web.app import create_app
from tests.hostile import decoys
from tests.integration.api.conftest import api_routes
from tests.integration.reads.conftest import SAVED, Api, Filled, add_webhook

CONTRACT = orjson.loads(FILE.read_bytes())
OPERATIONS = {operation["operationId"]: (method, path, operation) for path, method, operation in operations(CONTRACT)}
# They say how, when or how much, and name nothing that belongs to anybody.
NOBODYS = {"by", "limit", "from", "to", "period", "date", "grain", "kind", "term", "time_zone", "name", "only"}
# A key that somebody made up: what it stands for is kept apart for each user.
NOBODYS |= {"Idempotency-Key"}
MARK = "only-ada-knows"
# Entities that ada alone has, and the query that finds them for her.
ENTITIES: dict[str, tuple[str, str, dict[str, str]]] = {
    "content_id": ("marts.fct_plays", "content_id", {}),
    "track_id": ("marts.agg_period_tracks", "track_id", {}),
    "artist_id": ("marts.fct_plays", "artist_id", {}),
    "album_id": ("marts.agg_period_albums", "album_id", {}),
    "id": ("marts.fct_top_ranks", "entity_id", {"kind": "artist", "term": "short_term"}),
    "q": (
        "(select heard.user_id, artist.name from marts.agg_period_artists as heard"
        " inner join marts.dim_artists as artist on artist.artist_id = heard.artist_id"
        " where heard.period = 'all' and artist.name ~ '^[A-Z][a-z]{5,} [A-Z][a-z]{5,}$') as named",
        "name",
        {},
    ),
}
ONLY_HERS = """
select {column} from {mart}
where user_id = %s and {column} is not null and {column} not in (
    select {column} from {mart} where user_id = %s and {column} is not null
)
group by 1
order by count(*) desc, 1
limit 1
"""


COVER = """
with given as (
    select %s::bytea as content, %s as kind, %s as id
),

picture as (
    insert into raw.pictures (entity_kind, entity_id, place, url)
    select kind, id, 0, 'https://i.scdn.co/image/' || kind from given
),

file as (
    insert into raw.picture_files select sha256(content), 'image/png', content, now() from given
)

insert into raw.kept_pictures select 'https://i.scdn.co/image/' || kind, sha256(content) from given
"""
# The picture that a service gives a list.
LIST_COVER = "update raw.playlist_versions set image_url = %s where playlist_id = %s"


@dataclass
class Victim:
    """What ada has: a value for each parameter that names something, and the texts by which an answer tells of her."""

    client: httpx.Client
    values: dict[str, Any]
    archive: bytes
    marks: set[str]

    def cursor(self, path: str) -> str | None:
        """Where the second page of hers begins, as her own answer says."""
        found = self.client.get(path, params={"limit": 1}).json()["next"]
        return str(found) if found is not None else None


def texts(document: Any) -> Iterator[str]:
    """Every text in an answer, names of fields left out."""
    if isinstance(document, dict):
        for value in document.values():
            yield from texts(value)
    elif isinstance(document, list):
        for value in document:
            yield from texts(value)
    elif isinstance(document, str):
        yield document


def browser_of(filled: Filled, api: Api, key: str, device: str) -> httpx.Client:
    with filled.warehouse.connect(Role.APP, autocommit=True) as connection:
        reference = manage_access.begin_session(connection, user_id=filled.users[key], method="link", device=device)
    headers = {"sec-fetch-site": "same-origin", "cookie": f"myi_session={reference}"}
    return httpx.Client(base_url=api.client.base_url, headers=headers, trust_env=False, verify=False, timeout=20)


def program_of(api: Api, key: str) -> httpx.Client:
    headers = {"authorization": f"Bearer {api.tokens[key]}", "sec-fetch-site": "same-origin"}
    return httpx.Client(base_url=api.client.base_url, headers=headers, trust_env=False, verify=False, timeout=20)


@pytest.fixture(scope="module")
def ada(filled: Filled, api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    rows = [{**row, "master_metadata_track_name": MARK} for row in decoys.good_rows()]
    path = tmp_path_factory.mktemp("ada") / "archive.zip"
    archive = decoys.zip_of(path, (decoys.AUDIO, json.dumps(rows).encode())).read_bytes()
    with browser_of(filled, api, "ada", f"{MARK}: device") as client:
        token = client.post("/v1/me/tokens", json={"name": f"{MARK}: token"}).json()
        taken = client.post("/v1/me/imports", params={"name": f"{MARK}.zip"}, content=archive)
        assert taken.status_code == 202, taken.text
        correction = client.post(
            "/v1/me/corrections", json={"kind": "track", "action": "hide", "note": f"{MARK}: note"}
        )
        sign_ins = client.get("/v1/me/sign-ins").json()["sign_ins"]
        # An app that she let in, which has not fetched its token yet; bob's has another secret.
        attempt, his = (
            client.post("/auth/attempts", json={"app_name": name}).json() for name in (f"{MARK}: app", "of bob")
        )
        client.post(f"/sign-in/app/{attempt['id']}", data={"answer": "yes"})
        filled.sql(
            "insert into app.provider_accounts (user_id, provider, provider_account, name, linked_at)"
            " values (%s, 'spotify', 'id:ada', %s, now())"
            " on conflict (user_id, provider, provider_account) do update set name = excluded.name",
            filled.users["ada"], f"{MARK}: account",
        )  # fmt: skip
        account = "select account_id from app.provider_accounts where provider_account = 'id:ada'"
        values = {
            "import_id": taken.json()["import_id"],
            "session_id": next(each["session_id"] for each in sign_ins if each["is_this"]),
            "token_id": token["token_id"],
            "correction_id": correction.json()["id"],
            "file_name": client.post("/v1/me/playlists/exports", json={"format": "xspf"}).json()["file_name"],
            "export_id": client.post("/v1/me/exports", json={}).json()["id"],
            "attempt_id": attempt["id"],
            "share_id": client.post(
                "/v1/me/shares", json={"kind": "year", "date": "2023-05-05", "title": f"{MARK}: report"}
            ).json()["id"],
            "secret_of_ada": attempt["secret"],
            "secret_of_bob": his["secret"],
            "account_id": filled.sql(account)[0][0],
        }
        # An agreement with somebody else, of whom she sees figures.
        filled.sql("insert into app.users (user_key, time_zone) values ('eve', 'UTC') on conflict do nothing")
        filled.sql(
            "insert into app.agreements (inviter_id, invitee_id, inviter_parts, invitee_parts, invited_at, expires_at,"
            " accepted_at) select %s, user_id, '{tops}', '{tops}', now(), now() + interval '1 day', now()"
            " from app.users where user_key = 'eve'",
            filled.users["ada"],
        )  # fmt: skip
        values["agreement_id"] = filled.sql("select max(agreement_id) from app.agreements")[0][0]
        for name, (mart, column, _) in ENTITIES.items():
            query = ONLY_HERS.format(mart=mart, column=column)
            values[name] = filled.read(query, filled.users["ada"], filled.users["bob"])[0][0]
        spoken = "(select * from marts.fct_plays where kind = 'episode') as play"
        query = ONLY_HERS.format(mart=spoken, column="content_id")
        values["episode_id"] = filled.read(query, filled.users["ada"], filled.users["bob"])[0][0]
        query = "select max(playlist_id) from marts.dim_playlists where user_id = %s and name = 'List one'"
        values["playlist_id"] = filled.read(query, filled.users["ada"])[0][0]
        query = "select migration_id from app.migrations where user_id = %s"
        values["migration_id"] = filled.sql(query, filled.users["ada"])[0][0]
        values["saved_id"] = filled.sql(SAVED, filled.users["ada"])[0][0]
        decided = client.post("/v1/me/recording-decisions", json={"decision": "apart", "track_id": values["track_id"]})
        values["decision_id"] = decided.json()["id"]
        values["webhook_id"], values["delivery_id"] = add_webhook(filled, "ada", name=f"{MARK}: webhook")
        values["target_id"] = values["webhook_id"]
        # There are covers of what only she heard, and of a list of hers.
        for kind in ("album", "artist"):
            filled.sql(COVER, b"".join((b"cover of ", kind.encode())), kind, values[f"{kind}_id"])
        filled.sql(LIST_COVER, "https://i.scdn.co/image/album", values["playlist_id"])
        yield Victim(client, values, archive, marks_of(filled))
    filled.sql(LIST_COVER, None, values["playlist_id"])
    filled.sql("truncate raw.pictures, raw.kept_pictures, raw.picture_files")
    filled.sql("delete from app.sign_in_attempts")
    filled.sql("delete from app.shares")
    filled.sql("delete from app.users where user_key = 'eve'")
    for table in ("removals", "orphans", "changed_users"):
        filled.sql(f"delete from ops.{table}")
    filled.sql("delete from app.provider_accounts where provider_account = 'id:ada'")
    filled.restore_access()
    filled.sql("delete from app.imports where status = 'pending'")
    filled.sql("delete from app.sessions where device like %s or device = 'bob'", f"{MARK}%")
    for key in filled.users:
        shutil.rmtree(filled.settings.uploads_folder / key, ignore_errors=True)


def marks_of(filled: Filled) -> set[str]:
    """Texts of ada's that bob has no business to see: her key, her plays and sessions, names that only she played."""
    mine, others = (
        {str(row[0]) for key in keys for row in filled.read(NAMES_AND_NUMBERS, *[filled.users[key]] * 5)}
        for keys in (("ada",), ("bob",))
    )
    return {"ada", "Ada"} | (mine - others)


NAMES_AND_NUMBERS = """
select play_id::text from marts.fct_plays where user_id = %s
union all
select session_id::text from marts.fct_sessions where user_id = %s
union all
select title from marts.dim_contents where content_id in (select content_id from marts.fct_plays where user_id = %s)
union all
select name from marts.dim_artists where artist_id in (select artist_id from marts.fct_plays where user_id = %s)
union all
select name from marts.dim_albums where album_id in (select album_id from marts.fct_plays where user_id = %s)
"""


def parameters(operation: dict[str, Any]) -> set[str]:
    """In the path and the query; a secret in a header is whose it is."""
    return {each["name"] for each in operation.get("parameters", []) if each["in"] != "header"}


def secret_for(operation_id: str, secret: str) -> dict[str, str]:
    """The header that only the app has which made an attempt."""
    return {"attempt-secret": secret} if operation_id == "showAttempt" else {}


# Bob has no Spotify account to poll, decides about nothing that only ada heard, and withdraws no wish but his own.
_GOOD = {
    "importArchive": 202, "makeToken": 201, "correctPlays": 201, "pollNow": 409, "decideRecording": 404,
    "orderMigration": 404, "exportPlaylists": 201, "makePlaylist": 201, "beginAttempt": 201, "takeAway": 202,
    "makeShare": 201, "addWebhook": 422, "saveMigration": 404,
    "askForErasure": 422, "withdrawErasure": 404,
}  # fmt: skip


def attempts(victim: Victim, operation_id: str) -> Iterator[tuple[str, dict[str, Any], int]]:
    """Path, query, and the status that a browser of somebody else must get, for everything that ada has."""
    _, path, operation = OPERATIONS[operation_id]
    named = parameters(operation) - NOBODYS
    assert named <= {*victim.values, "cursor"}, f"{operation_id} takes {named}: whose are they?"
    in_path = {name for name in named if "{" + name + "}" in path}
    if in_path:
        yield path.format(**victim.values), {}, 404
    elif not any(each["in"] == "query" and each["required"] for each in operation.get("parameters", [])):
        yield path, {}, _GOOD.get(operation_id, 200)
    for name in named - in_path - {"cursor"}:
        yield path, {name: victim.values[name], **ENTITIES[name][2]}, 200
    whole = path.format(**victim.values)
    cursor = victim.cursor(whole) if "cursor" in named else None
    if cursor is not None:
        yield whole, {"cursor": cursor, "limit": 1}, 422


@pytest.mark.parametrize("operation_id", OPERATIONS)
@pytest.mark.parametrize("kind", ["browser", "program"])
def test_nothing_of_another_user_is_in_any_answer(
    api: Api, filled: Filled, ada: Victim, operation_id: str, kind: str
) -> None:
    method = OPERATIONS[operation_id][0]
    # Ada's own archive, byte for byte: whoever hands it in must not meet her import.
    bodies: dict[str, dict[str, Any]] = {
        "makeToken": {"json": {"name": "bob's own"}},
        "correctPlays": {"json": {"kind": "track", "action": "hide"}},
        "previewCorrection": {"json": {"kind": "track"}},
        "decideRecording": {"json": {"decision": "apart", "track_id": ada.values["track_id"]}},
        "exportPlaylists": {"json": {"format": "xspf"}},
        "exportPlaylist": {"json": {"format": "xspf"}},
        "takeAway": {"json": {"with_marts": False}},
        "makePlaylist": {"json": {"name": f"of bob's {kind}"}},
        "restorePlaylist": {"json": {"only_removed": True}},
        "importArchive": {"content": ada.archive},
        "importPlaylistFile": {"content": b"#EXTM3U\n#PLAYLIST:of bob\nhttps://open.spotify.com/track/1\n"},
        "orderMigration": {"json": {"playlist_id": ada.values["playlist_id"]}},
        "saveMigration": {"json": {"migration_id": ada.values["migration_id"]}},
        "decideMigrationItem": {"json": {"position": 0, "decision": "unavailable"}},
        "beginAttempt": {"json": {"app_name": "bob's own"}},
        "makeShare": {"json": {"kind": "year", "date": "2023-05-05"}},
        "previewShare": {"json": {"kind": "year", "date": "2023-05-05"}},
        "changeShare": {"json": {"title": "bob's own"}},
        "addWebhook": {"json": {"url": "https://127.0.0.1/of-bob"}},
        "changeWebhook": {"json": {"name": "bob's own"}},
        # Her key: whoever confirms with another's is refused.
        "askForErasure": {"json": {"confirmation": "ada"}},
    }
    body = bodies.get(operation_id, {})
    assert bool(body) == ("requestBody" in OPERATIONS[operation_id][2]), f"{operation_id} needs a body to try"
    with browser_of(filled, api, "bob", "bob") if kind == "browser" else program_of(api, "bob") as bob:
        for path, query, status in attempts(ada, operation_id):
            shown = secret_for(operation_id, ada.values["secret_of_bob"])
            answer = bob.request(method, path, params=query, headers=shown, **body)
            assert answer.status_code in ({status, 403} if kind == "program" else {status}), (path, query, answer.text)
            document = answer.json()
            assert {text for text in texts(document) if text in ada.marks or MARK in text} == set(), (path, query)
            if query.keys() & ENTITIES.keys() and answer.status_code == 200:
                assert document["data"] == []
            if operation_id == "importArchive" and answer.status_code == 202:
                assert document["import_id"] != ada.values["import_id"]


def test_what_is_refused_to_others_is_there_for_its_owner(ada: Victim) -> None:
    """Else the test above would pass with numbers that nobody has."""
    assert len(ada.marks) > 4_000
    for path in ("/v1/me/imports", "/v1/me/tokens", "/v1/me/sign-ins", "/v1/me/corrections", "/v1/me/webhooks"):
        assert any(MARK in text for text in texts(ada.client.get(path).json())), path
    tried: set[str] = set()
    for operation_id, (method, _, _) in OPERATIONS.items():
        if method == "get" and operation_id not in ("watchImport", "watchMigration"):
            for path, query, _ in attempts(ada, operation_id):
                tried |= query.keys()
                answer = ada.client.get(
                    path, params=query, headers=secret_for(operation_id, ada.values["secret_of_ada"])
                )  # fmt: skip
                assert answer.status_code == 200, (path, query)
                if query.keys() & {*ENTITIES, "cursor"}:
                    assert answer.json()["data"] != [], (path, query)
                if operation_id == "listPlays":
                    assert not ada.marks.isdisjoint(texts(answer.json()))
    assert tried >= {*ENTITIES, "cursor"}


def test_what_others_tried_to_end_goes_on(api: Api, filled: Filled, ada: Victim) -> None:
    for bob in (browser_of(filled, api, "bob", "bob"), program_of(api, "bob")):
        with bob:
            bob.delete(f"/v1/me/tokens/{ada.values['token_id']}")
            bob.delete(f"/v1/me/sign-ins/{ada.values['session_id']}")
    tokens = ada.client.get("/v1/me/tokens").json()["tokens"]
    assert ada.values["token_id"] in {each["token_id"] for each in tokens}


def test_an_operation_that_names_something_new_is_noticed(ada: Victim) -> None:
    method, path, operation = OPERATIONS["listPlays"]
    changed = {**operation, "parameters": [*operation["parameters"], {"name": "picture_id", "in": "query"}]}
    OPERATIONS["listPlays"] = (method, path, changed)
    try:
        with pytest.raises(AssertionError, match="picture_id"):
            list(attempts(ada, "listPlays"))
    finally:
        OPERATIONS["listPlays"] = (method, path, operation)


# What an address of a page names; whoever is meant by a link, and a span of days, is nobody's secret.
PAGE_VALUES = {"track_id": "content_id", "artist_id": "artist_id", "album_id": "album_id"}
SPANS = {"year": 2024, "month": "2024-03", "day": "03-01"}
NO_NUMBERS_OF_OURS = {"secret", "card", "form", "name", *SPANS}
_HOLES = re.compile(r"\{(\w+)\}")


class _Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_data(self, data: str) -> None:
        self.found.add(data.strip())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {value for _, value in attrs if value}


def page_texts(page: str) -> set[str]:
    """Every text and every attribute of a page."""
    reader = _Texts()
    reader.feed(page)
    return reader.found


def first_of(browser: httpx.Client, method: str, path: str) -> httpx.Response:
    """An answer, of one that never ends its first events."""
    with browser.stream(method, path, headers={"accept": "text/html"}) as answer:
        if not answer.headers.get("content-type", "").startswith("text/event-stream"):
            answer.read()
            return answer
        return httpx.Response(answer.status_code, text=next(answer.iter_text()))


def page_routes(filled: Filled) -> list[tuple[str, str]]:
    """Method and path of every route that the contract leaves out, save the ways in and out, those of scrobblers,
    which show a token and no session (tests/integration/api/test_listenbrainz.py), and downloads, reports and receipts,
    of which whoever has the link may have them (test_playlist_files.py)."""
    scrobblers = ("/1/", "/apis/listenbrainz/1/")
    ways = (
        *scrobblers, "/auth/", "/sign", "/link", "/callback", "/connect", "/healthz", "/readyz", "/metrics",
        "/downloads/",
        # What links show to anybody (tests/integration/dashboard/test_sharing.py).
        "/s/",
        # Receipts, whose user has no account any more (tests/integration/api/test_erasure.py).
        "/erasures/",
    )  # fmt: skip
    routes = api_routes(create_app(filled.settings, filled.warehouse).routes)
    found = [(method, route.path) for route in routes for method in sorted(route.methods)]
    return [(method, path) for method, path in found if not path.startswith(("/v1/", *ways)) and method != "HEAD"]


def test_nothing_of_another_user_is_on_any_page_and_no_form_changes_it(api: Api, filled: Filled, ada: Victim) -> None:
    routes = page_routes(filled)
    assert {("GET", "/"), ("GET", "/artists/{artist_id}/cover"), ("POST", "/imports/{import_id}/delete-file")} <= set(
        routes
    )
    # Names such as 0 are also figures.
    marks = ada.marks - set(AWKWARD_NAMES)
    with browser_of(filled, api, "bob", "bob") as bob:
        for method, path in routes:
            holes = set(_HOLES.findall(path)) - NO_NUMBERS_OF_OURS
            values = (
                {name: ada.values[PAGE_VALUES.get(name, name)] for name in holes}
                | SPANS
                | {"name": "lastfm", "form": "png"}
            )
            values["secret"] = "A" * 43
            if "card" in _HOLES.findall(path):
                # A picture of what the person of the browser heard.
                values["card"] = "hours"
            answer = first_of(bob, method, path.format(**values))
            if holes:
                assert answer.status_code == 404, (method, path)
            elif method == "GET":
                assert answer.status_code in (200, 303) or "card" in values, (method, path)
            told = {text for text in page_texts(answer.text) if text in marks or MARK in text}
            assert told == set(), (method, path)
            if holes and method == "GET":
                assert first_of(ada.client, method, path.format(**values)).status_code == 200, path
    assert ada.client.get(f"/imports/{ada.values['import_id']}").status_code == 200
    assert {ada.values["token_id"]} <= {each["token_id"] for each in ada.client.get("/v1/me/tokens").json()["tokens"]}
    assert (filled.settings.uploads_folder / "ada").exists()


def test_a_token_opens_no_page(api: Api, filled: Filled) -> None:
    with program_of(api, "ada") as program:
        for method, path in page_routes(filled):
            if method == "GET":
                answer = program.get(_HOLES.sub("1", path))
                assert (answer.status_code, answer.headers["location"][:8]) == (303, "/sign-in"), path
