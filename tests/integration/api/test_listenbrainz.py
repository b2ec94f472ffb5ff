"""Scrobblers submit listens over real HTTP, each in its own form; what is accepted comes to raw, once."""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from myi_pipeline.catalogue.catalogue_store import intern_tracks
from myi_pipeline.catalogue.plays import ContentKind, make_content
from myi_pipeline.catalogue.records import PolledTrack
from myi_pipeline.people.manage_access import TokenScope
from myi_pipeline.postgres.connections import Role
from myi_pipeline.submissions import inbox
from myi_pipeline.submissions.drain import Drained, drain
from tests.integration.api.conftest import RunningSite
from tests.integration.api.scrobblers import CLIENTS, MBID, jellyfin, moment, multi_scrobbler, navidrome, pano, submit

SUBMIT, VALIDATE = "/1/submit-listens", "/1/validate-token"
EVENTS = """
select e.played_at, c.title, c.creator, c.uri, x.platform, e.ms_played, c.duration_ms, c.isrc, c.recording_mbid::text
from raw.listening_events as e
left join raw.contents as c on c.content_id = e.content_id
left join raw.contexts as x on x.context_id = e.context_id
where e.user_id = %s and e.source_id = 11
order by e.played_at, c.title
"""
COUNTS = """
select rows_read, rows_loaded, rows_present, rows_identical, rows_quarantined
from ops.submissions where user_id = %s order by submission_id
"""
WAITING = "select count(*) from ops.listen_inbox"


def scrobbler(site: RunningSite, key: str = "ana", *, scheme: str = "Token") -> httpx.Client:
    token = site.token(key, scope=TokenScope.SUBMIT_LISTENS)
    return site.visitor(authorization=f"{scheme} {token}", **{"user-agent": "scrobbler/1.0"})


def load(site: RunningSite) -> Drained:
    with site.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        return drain(connection)


def events(site: RunningSite, key: str = "ana") -> list[tuple[Any, ...]]:
    return site.sql(EVENTS, site.user(key))


@pytest.mark.parametrize("name", CLIENTS)
def test_each_client_gets_its_token_accepted_and_its_listens_into_raw(site: RunningSite, name: str) -> None:
    base, path, scheme, make = CLIENTS[name]
    client = scrobbler(site, scheme=scheme)
    valid = client.get(base + path.replace("submit-listens", "validate-token"))
    assert valid.json() == {"code": 200, "message": "Token valid.", "valid": True, "user_name": "ana"}
    body = make()
    answer = submit(client, body, path=base + path)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert answer.headers["content-type"] == "application/json"
    assert load(site).loaded == len(body["payload"])
    assert len(events(site)) == len(body["payload"])
    assert site.sql(COUNTS, site.user()) == [(len(body["payload"]), len(body["payload"]), 0, 0, 0)]
    assert site.sql(WAITING) == [(0,)]


def test_what_a_listen_tells_is_kept_and_nothing_is_made_up(site: RunningSite) -> None:
    client, at = scrobbler(site), moment()
    spotify = multi_scrobbler(at=at + 10)
    spotify["payload"][0]["track_metadata"]["additional_info"]["duration_played"] = 300
    for body in (navidrome(at=at), spotify, jellyfin(at + 20)):
        assert submit(client, body).status_code == 200
    load(site)
    times = [datetime.fromtimestamp(at + seconds, UTC) for seconds in (0, 10, 20)]
    assert events(site) == [
        (times[0], "Blue in Green", "Miles Davis", None, "Navidrome", None, 337_000, None, MBID),
        (
            times[1], "So What", "Miles Davis", "spotify:track:4vLYewWIvqHfKtJDk8c8tq", "WebPlayer / multi-scrobbler",
            300_000, 545_000, None, None,
        ),
        (
            times[2], "Part 0", "Miles Davis", None, "Jellyfin / ListenBrainz plugin for Jellyfin", None, 900_000,
            "USSM17500012", None,
        ),
    ]  # fmt: skip
    assert site.sql("select distinct utc_day from ops.changed_days where user_id = %s", site.user())


def test_a_request_that_is_repeated_after_a_lost_answer_is_present_and_never_there_twice(site: RunningSite) -> None:
    client, body = scrobbler(site), pano(moment(300), moment(200))
    for _ in range(3):
        assert submit(client, body).status_code == 200
    assert load(site).loaded == 2
    twice = {**body, "payload": [*body["payload"], *body["payload"]]}
    assert submit(client, twice).status_code == 200
    assert load(site).loaded == 0
    assert len(events(site)) == 2
    assert site.sql(COUNTS, site.user()) == [(2, 2, 0, 0, 0), (2, 0, 2, 0, 0), (2, 0, 2, 0, 0), (4, 0, 2, 2, 0)]


def test_one_bad_listen_takes_no_good_one_with_it(site: RunningSite) -> None:
    """Pano Scrobbler would send the batch again for ever."""
    client, body = scrobbler(site), pano(moment(300), 1_000_000_000, moment(200), moment(-90_000))
    body["payload"].append({"listened_at": moment(100), "track_metadata": {"artist_name": " ", "track_name": "x"}})
    body["payload"] += [None, {"track_metadata": {"artist_name": "a", "track_name": "b"}}]
    body["payload"].append({**body["payload"][0], "padding": "x" * 11_000})
    body["payload"].append({"listened_at": True, "track_metadata": {"artist_name": "a", "track_name": "b"}})
    for _ in range(2):
        assert submit(client, body).json() == {"status": "ok"}
    load(site)
    assert len(events(site)) == 2
    assert site.sql(COUNTS, site.user()) == [(9, 2, 0, 0, 7), (9, 0, 2, 0, 7)]
    refused = site.sql("select reason, times, client from ops.refused_listens order by reason")
    assert refused == [
        (reason, 2, "Pano Scrobbler")
        for reason in (
            "bad_timestamp", "in_the_future", "missing_names", "missing_timestamp", "not_an_object", "too_early",
            "too_large",
        )
    ]  # fmt: skip


def test_a_listen_of_which_only_something_else_is_wrong_is_a_play(site: RunningSite) -> None:
    """ListenBrainz refuses these; a play needs none of it."""
    body = navidrome("A\x00B \ud83c", at=moment())
    info = body["payload"][0]["track_metadata"]["additional_info"]
    info |= {"duration_ms": -1, "recording_mbid": "none", "isrc": 7, "tags": 3, "artist_names": {"a": 1}}
    info |= {"spotify_id": "https://open.spotify.com/album/4vLYewWIvqHfKtJDk8c8tq", "duration_played": "nan"}
    body["payload"][0]["listened_at"] = str(body["payload"][0]["listened_at"])
    answer = scrobbler(site).post(SUBMIT, content=json.dumps(body))
    assert answer.status_code == 200
    load(site)
    ((_, title, _, uri, _, ms_played, duration_ms, isrc, mbid),) = events(site)
    assert title == "A\ufffdB \ufffd"
    assert (uri, ms_played, duration_ms, isrc, mbid) == (None, None, None, None, None)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "parse"),
        (b"{", "parse"),
        (b"\xff\xfe", "parse"),
        (b"[" * 100_000, "parse"),
        (b"[]", "Top level"),
        (b'{"listen_type": "single"}', "list of listens"),
        (b'{"listen_type": "single", "payload": []}', "any listens"),
        (b'{"listen_type": "double", "payload": [{}]}', "listen_type"),
        (b'{"payload": [{}]}', "listen_type"),
        (b'{"listen_type": "single", "payload": [{}]}', "listened_at"),
        (b'{"listen_type": "playing_now", "payload": [{}]}', "track_metadata"),
        (b'{"listen_type": "import", "payload": [%s]}' % b",".join([b"{}"] * 1_001), "1000"),
    ],
)
def test_a_request_with_nothing_good_in_it_is_refused_in_listenbrainz_form(
    site: RunningSite, body: bytes, said: str
) -> None:
    answer = submit(scrobbler(site), body)
    told = answer.json()
    assert (answer.status_code, told["code"]) == (400, 400)
    assert said in told["error"]
    load(site)
    assert events(site) == []


@pytest.mark.parametrize("path", ["/1/submit-listens/", "//1/submit-listens", "/apis/listenbrainz//1/submit-listens/"])
def test_a_slash_too_many_in_an_address_is_no_other_address(site: RunningSite, path: str) -> None:
    client = scrobbler(site)
    # With the server in front: httpx takes //1 for one.
    path = str(client.base_url).rstrip("/") + path
    assert submit(client, navidrome(), path=path).status_code == 200
    assert client.get(path.replace("submit-listens", "validate-token")).json()["valid"] is True
    assert load(site).loaded == 1
    large = pano(*[moment(900 - number) for number in range(800)])
    assert submit(client, large, path=path).status_code == 200
    # Of no other address a slash is taken away.
    assert client.get("/v1/me/tokens/").status_code == 404


@pytest.mark.parametrize("kind", ["application/json", "text/plain", None])
def test_a_body_may_be_packed_and_of_any_type(site: RunningSite, kind: str | None) -> None:
    """Libraries send none, or text; proxies and apps pack."""
    packed = gzip.compress(json.dumps(multi_scrobbler()).encode())
    headers = {"content-encoding": "gzip"} | ({"content-type": kind} if kind else {})
    client = scrobbler(site)
    assert client.post(SUBMIT, content=packed, headers=headers).status_code == 200
    for broken in (packed[:-20], b"no gzip", gzip.compress(b" " * 10_240_001)):
        refused = client.post(SUBMIT, content=broken, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (400, 400)
    assert load(site).loaded == 1


def test_what_plays_now_may_tell_a_time(site: RunningSite) -> None:
    """multi-scrobbler does."""
    assert submit(scrobbler(site), multi_scrobbler(kind="playing_now")).status_code == 200
    assert load(site).loaded == 0


def test_a_body_beyond_listenbrainz_limit_is_refused_before_it_is_read(site: RunningSite) -> None:
    client = scrobbler(site)
    large = pano(*[moment(900 - number) for number in range(800)])
    for listen in large["payload"]:
        listen["track_metadata"]["additional_info"]["tags"] = ["x" * 9_000]
    assert submit(client, large).status_code == 200
    assert load(site).loaded == 800
    refused = client.post(SUBMIT, content=b" " * 10_240_001)
    assert (refused.status_code, refused.json()["code"]) == (413, 413)


def test_a_token_that_reads_submits_nothing_and_one_that_submits_reads_nothing(site: RunningSite) -> None:
    reader = site.visitor(authorization=f"Token {site.token()}")
    refused = submit(reader, navidrome())
    assert (refused.status_code, refused.json()["code"]) == (401, 401)
    assert "'read'" in refused.json()["error"]
    assert "'listens:write'" in refused.json()["error"]
    valid = reader.get(VALIDATE).json()
    assert (valid["valid"], "listens:write" in valid["message"]) == (False, True)
    assert site.sql(WAITING) == [(0,)]

    token = site.token(scope=TokenScope.SUBMIT_LISTENS)
    writer = site.visitor(authorization=f"Bearer {token}")
    for path in ("/v1/me/now-playing", "/v1/me/plays", "/v1/me/tokens"):
        answer = writer.get(path)
        assert (answer.status_code, "listens:write" in answer.json()["detail"]) == (403, True), path
    assert writer.post("/v1/me/tokens", json={"name": "x"}).status_code == 403


def test_a_token_that_is_wrong_or_has_ended_is_told_apart_from_one_that_is_missing(site: RunningSite) -> None:
    stranger = site.visitor()
    missing = submit(stranger, navidrome())
    assert (missing.status_code, missing.json()["code"]) == (401, 401)
    assert missing.json()["error"] == "You need to provide an Authorization header."
    assert stranger.get(VALIDATE).json()["code"] == 400
    wrong = {"authorization": "Token myi_" + "A" * 43}
    assert stranger.get(VALIDATE, headers=wrong).json() == {"code": 200, "message": "Token invalid.", "valid": False}
    refused = stranger.post(SUBMIT, json=navidrome(), headers=wrong)
    assert (refused.status_code, refused.json()["error"]) == (401, "Invalid authorization token.")
    token = site.token(scope=TokenScope.SUBMIT_LISTENS)
    assert stranger.get(VALIDATE, params={"token": token}).json()["valid"] is True


def test_a_session_is_no_way_in_and_an_extension_of_a_browser_is(site: RunningSite) -> None:
    browser = site.browser()
    assert submit(browser, navidrome()).status_code == 401
    extension = scrobbler(site)
    headers = {"origin": "chrome-extension://abcdef", "sec-fetch-site": "cross-site", "cookie": "myi_session=x"}
    assert extension.post(SUBMIT, json=navidrome(), headers=headers).status_code == 200


def test_a_client_asks_what_it_has_sent_and_sees_nobody_elses(site: RunningSite) -> None:
    ana, ben, at = scrobbler(site), scrobbler(site, "ben"), moment()
    submit(ana, pano(at, at + 10, at + 20))
    submit(ben, multi_scrobbler(at=at))
    load(site)
    for base in ("", "/apis/listenbrainz"):
        assert ana.get(f"{base}/1/user/ana/listen-count").json() == {"payload": {"count": 3}}
    # The marts have nothing yet, and multi-scrobbler would send nothing without an answer.
    told = ben.get("/1/user/ben/listens", params={"count": 100}).json()["payload"]
    assert (told["count"], told["listens"]) == (0, [])
    for path in ("listens", "listen-count", "playing-now"):
        assert ana.get(f"/1/user/ben/{path}").json()["code"] == 404
    assert ana.get("/1/user/ana/listens", params={"count": "all"}).status_code == 400


def test_an_importer_keeps_its_place(site: RunningSite) -> None:
    client = scrobbler(site)
    asked = client.get("/1/latest-import", params={"user_name": "ana"}).json()
    assert asked == {"musicbrainz_id": "ana", "latest_import": 0}
    for ts in (1_500_000_000, 1_400_000_000):
        assert client.post("/1/latest-import", json={"ts": ts}).json() == {"status": "ok"}
    assert client.get("/1/latest-import", params={"user_name": "ana"}).json()["latest_import"] == 1_500_000_000
    for bad in (b"", b"[]", b'{"ts": true}', b'{"ts": 1e400}', b'{"ts": -5}'):
        assert client.post("/1/latest-import", content=bad).json()["code"] == 400


@pytest.mark.slow
def test_what_plays_now_is_shown_and_is_never_a_play(site: RunningSite) -> None:
    client = scrobbler(site)
    assert submit(client, navidrome(kind="playing_now")).json() == {"status": "ok"}
    told = site.browser().get("/v1/me/now-playing").json()
    assert (told["state"], told["title"], told["artists"], told["player"]) == (
        "playing", "Blue in Green", ["Miles Davis"], "Navidrome",
    )  # fmt: skip
    assert (told["duration_ms"], told["progress_ms"]) == (337_000, None)
    listens = client.get("/1/user/ana/playing-now").json()["payload"]["listens"]
    assert listens[0]["track_metadata"]["track_name"] == "Blue in Green"
    assert site.browser("ben").get("/v1/me/now-playing").json()["title"] is None
    load(site)
    assert (events(site), site.sql(COUNTS, site.user())) == ([], [])

    site.sql("update ops.told_playing set plays_until = now()")
    assert site.browser().get("/v1/me/now-playing").json()["title"] is None
    assert client.get("/1/user/ana/playing-now").json()["payload"]["count"] == 0


def test_two_clients_and_two_loaders_at_once_leave_each_listen_once(site: RunningSite) -> None:
    began, times = threading.Barrier(4), [moment(1_000 - number) for number in range(40)]
    clients = [scrobbler(site), scrobbler(site), scrobbler(site, "ben")]

    def send(client: httpx.Client) -> None:
        began.wait()
        for start in range(0, 40, 10):
            assert submit(client, pano(*times[start : start + 10])).status_code == 200

    def keep_loading() -> int:
        began.wait()
        return sum(load(site).loaded for _ in range(12))

    with ThreadPoolExecutor(4) as threads:
        loading = threads.submit(keep_loading)
        for done in [threads.submit(send, client) for client in clients]:
            done.result()
        others = threads.submit(load, site)
        total = load(site).loaded + others.result().loaded + loading.result()
    assert total == 80
    assert (len(events(site)), len(events(site, "ben"))) == (40, 40)
    for key, requests in (("ana", 8), ("ben", 4)):
        rows = site.sql(COUNTS, site.user(key))
        assert (len(rows), sum(row[1] for row in rows)) == (requests, 40)


# A request is loaded by some twenty statements where it brings new names, by ten where it does not.
STEPS = 25


@pytest.mark.slow
def test_killed_anywhere_between_the_answer_and_raw_every_listen_is_there_once(site: RunningSite) -> None:
    client, dice, times = scrobbler(site), random.Random(7), [moment(2_000 - number) for number in range(60)]
    killed = sent = 0
    while killed < 12:
        batch = times[5 * (sent % 12) : 5 * (sent % 12) + 5]
        assert submit(client, pano(*batch, 1)).status_code == 200
        sent += 1
        url = site.warehouse.url(Role.INGEST)
        command = [sys.executable, "-m", "tests.integration.api.drain_process", str(dice.randint(1, STEPS))]
        ended = subprocess.run(command, input=url, text=True, capture_output=True, timeout=60, check=False)
        assert ended.returncode in (0, -9), ended.stderr
        killed += ended.returncode == -9
        rows = site.sql(COUNTS, site.user())
        assert len(events(site)) == sum(row[1] for row in rows)
        assert len(rows) + site.sql(WAITING)[0][0] == sent
    load(site)
    rows = site.sql(COUNTS, site.user())
    assert (len(rows), sum(row[0] for row in rows)) == (sent, 6 * sent)
    assert len(events(site)) == 5 * min(sent, 12)
    assert site.sql("select reason, times from ops.refused_listens") == [("too_early", sent)]


def test_a_request_that_cannot_be_loaded_holds_no_other_one_up(site: RunningSite) -> None:
    client = scrobbler(site)
    submit(client, pano(moment(20)))
    site.sql("update ops.listen_inbox set listens = '[{\"title\": 1}]'")
    submit(client, pano(moment(10)))
    assert load(site) == Drained(requests=1, loaded=1, put_off=1)
    assert site.sql("select tries, last_error, next_try_at > now() from ops.listen_inbox") == [(1, "TypeError", True)]
    assert load(site) == Drained()


def test_an_inbox_that_nothing_empties_takes_no_more_and_says_to_come_again(site: RunningSite) -> None:
    client = scrobbler(site)
    body = pano(*[moment(number) for number in range(100, 200)])
    size = len(str(body))
    site.user("ben")
    site.sql(
        "insert into ops.listen_inbox (user_id, listen_type, listens, refused, size_bytes)"
        " values (%s, 'import', '[]', '[]', %s)",
        site.user(), inbox.MOST_WAITING_BYTES - size // 20,
    )  # fmt: skip
    refused = submit(client, body)
    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (503, 503, "60")
    assert submit(scrobbler(site, "ben"), body).status_code == 200
    load(site)
    assert submit(client, body).status_code == 200


def test_too_many_requests_are_told_to_wait_in_a_way_in_which_no_client_drops_the_listen(make_site: Any) -> None:
    site = make_site(api_requests_per_minute=2)
    client = scrobbler(site)
    answers = [submit(client, navidrome(at=moment(number))) for number in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].json()["code"] == 503
    assert int(answers[2].headers["x-ratelimit-reset-in"]) >= 1


def test_a_removed_user_takes_everything_along(site: RunningSite) -> None:
    client = scrobbler(site)
    submit(client, navidrome(kind="playing_now"))
    submit(client, {**pano(moment(), 5), "listen_type": "import"})
    load(site)
    submit(client, navidrome())
    client.post("/1/latest-import", json={"ts": 1_500_000_000})
    site.sql("delete from app.users where user_key = 'ana'")
    for table in (
        "ops.listen_inbox", "ops.submissions", "ops.refused_listens", "ops.told_playing", "ops.latest_imports",
        "raw.listening_events",
    ):  # fmt: skip
        assert site.sql(f"select count(*) from {table}") == [(0,)], table
    assert load(site).requests == 0


def test_the_account_page_says_what_came_what_waits_and_what_was_refused(site: RunningSite) -> None:
    client, browser = scrobbler(site), site.browser()
    assert "Scrobblers" not in browser.get("/account").text
    submit(client, pano(moment(30), 5))
    page = browser.get("/account").text
    assert "1 listen waits to be loaded" in page
    load(site)
    page = browser.get("/account").text
    assert "to be loaded" not in page
    for told in ("Pano Scrobbler", "listened_at is before", "submits listens"):
        assert told in page
    assert "Pano Scrobbler" not in site.browser("ben").get("/account").text


def test_what_spotify_calls_a_track_stands_against_what_a_scrobbler_calls_it(site: RunningSite) -> None:
    uri = "spotify:track:4vLYewWIvqHfKtJDk8c8tq"
    of_spotify = make_content(
        kind=ContentKind.TRACK,
        uri=uri,
        title="So What - Legacy Edition",
        creator="Miles Davis",
        collection="Kind of Blue",
    )
    with site.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        intern_tracks(connection, [PolledTrack(of_spotify, datetime(2020, 1, 1, tzinfo=UTC))], batch_id=1)
    submit(scrobbler(site), multi_scrobbler())
    load(site)
    ((_, title, *_, duration_ms, _, _),) = events(site)
    assert (title, duration_ms) == ("So What - Legacy Edition", 545_000)
    found = site.sql("select uri from raw.contents where match_title like 'so what%%' and uri is not null")
    assert found == [(uri,)]


def test_a_token_made_on_the_page_is_shown_with_the_address_and_submits(site: RunningSite) -> None:
    browser = site.browser()
    made = browser.post("/account/tokens", data={"name": "phone", "days": "30", "scope": "listens:write"})
    assert made.status_code == 200
    assert f"{site.url}/1/" in made.text
    token = made.text.split('<code class="secret">')[1].split("<")[0]
    assert submit(site.visitor(authorization=f"Token {token}"), navidrome()).status_code == 200
    assert browser.post("/account/tokens", data={"name": "x", "scope": "operate"}).status_code == 422
    assert browser.post("/v1/me/tokens", json={"name": "x", "scope": "operate"}).status_code == 422
    made_by_api = browser.post("/v1/me/tokens", json={"name": "x", "scope": "listens:write"}).json()
    assert made_by_api["scope"] == "listens:write"
    assert [row[0] for row in site.sql("select distinct scope from app.access_tokens")] == ["listens:write"]


def test_no_token_that_is_in_a_body_is_kept(site: RunningSite) -> None:
    token = site.token(scope=TokenScope.SUBMIT_LISTENS)
    client = site.visitor(authorization=f"token {token}")
    body = jellyfin(moment(), 5, token=token)
    assert submit(client, body).status_code == 200
    kept = site.sql("select i::text from ops.listen_inbox as i")
    load(site)
    kept += site.sql("select r::text from ops.refused_listens as r union all select s::text from ops.submissions as s")
    assert len(kept) == 3
    assert token not in str(kept)


def test_the_sites_role_can_neither_read_nor_empty_the_inbox(site: RunningSite) -> None:
    for table in ("ops.listen_inbox", "ops.submissions", "ops.refused_listens", "raw.listening_events"):
        for statement in ("select * from {}", "delete from {}"):
            with pytest.raises(Exception, match="permission denied"):
                site.sql(statement.format(table), role=Role.APP)
