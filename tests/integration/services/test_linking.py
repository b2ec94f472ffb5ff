"""Linking accounts: by name, by command and by page, with what stands in the way said in a sentence."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from myi_pipeline.errors import BadInput, Permanent
from myi_pipeline.people import manage_access
from myi_pipeline.people.links import begin_allowing, finish_allowing, services_of
from myi_pipeline.postgres.connections import Role
from myi_pipeline.providers import service_vault
from myi_pipeline.providers.encryption_keys import KeyMissing, require_keys, rotate_keys
from myi_pipeline.providers.envelope import KeyRing, new_key
from myi_pipeline.providers.open_services import open_services
from myi_pipeline.providers.scrobbles import Service
from myi_pipeline.settings import decode_key
from myi_pipeline.simulator.services import ServiceFault
from myi_pipeline.web.app import create_app
from tests.integration.api.conftest import serving
from tests.integration.services.conftest import DAY, HOUR, Links, listen

BOTH = pytest.mark.parametrize("service", list(Service))


@BOTH
def test_an_account_that_does_not_exist_is_refused_with_a_sentence(links: Links, service: Service) -> None:
    with pytest.raises(BadInput, match=f"{service.label} knows no user nobody"):
        links.link(service, account="nobody")
    assert links.sql("select count(*) from app.linked_services") == [(0,)]


def test_private_listening_is_refused_with_what_can_be_done(links: Links) -> None:
    links.account(Service.LASTFM).is_private = True
    with pytest.raises(BadInput, match=r"private at Last\.fm"):
        links.link(Service.LASTFM)


@pytest.mark.parametrize("with_200", [False, True])
def test_an_account_that_becomes_private_is_said_and_asked_about_once_a_day(links: Links, with_200: bool) -> None:
    account = links.account(Service.LASTFM)
    account.listen(listen(links.now))
    links.link(Service.LASTFM)
    links.poll()
    account.is_private = True
    links.services.lastfm.errors_with_200 = with_200
    links.wait(HOUR)
    failed = links.poll()
    assert failed.outcome == "failed"
    assert "private at Last.fm" in failed.reason
    assert failed.retry_at is not None
    assert HOUR < failed.retry_at - links.now <= DAY
    account.is_private = False
    links.wait(DAY)
    assert links.poll().polled


@pytest.mark.parametrize(
    ("code", "words"),
    [(8, "out of order"), (11, "out of order"), (16, "out of order"), (10, "MYI_LASTFM_API_KEY"), (26, "suspended")],
)
@pytest.mark.parametrize("status", [200, 403])
def test_an_error_of_lastfm_is_understood_whatever_its_status(links: Links, code: int, words: str, status: int) -> None:
    links.account(Service.LASTFM).listen(listen(links.now))
    links.link(Service.LASTFM)
    body = json.dumps({"error": code, "message": "Something"})
    links.services.lastfm.fail(ServiceFault(times=3, status=status, body=body))
    failed = links.poll()
    assert failed.outcome == "failed"
    assert words in failed.reason


@BOTH
def test_an_account_belongs_to_one_user(links: Links, service: Service) -> None:
    links.account(service, "Ana").listen(listen(links.now))
    assert links.link(service, account="ANA") == "Ana"
    with pytest.raises(BadInput, match="already linked to another user"):
        links.link(service, key="eva", account="ana")


@BOTH
def test_another_account_takes_the_place_of_the_first_and_the_plays_stay(links: Links, service: Service) -> None:
    links.account(service, "ana").listen(listen(links.now, 1))
    links.account(service, "ana2").listen(listen(links.now + HOUR, 2))
    links.link(service)
    links.poll()
    links.link(service, account="ana2")
    links.poll()
    assert [title for _, title, _ in links.kept(service)] == ["Song 1", "Song 2"]


def test_a_token_of_somebody_else_is_refused_and_ones_own_is_sealed(links: Links) -> None:
    ana, eva = links.account(Service.LISTENBRAINZ, "ana"), links.account(Service.LISTENBRAINZ, "eva")
    with pytest.raises(BadInput, match="belongs to eva"):
        links.link(Service.LISTENBRAINZ, token=eva.secret)
    with pytest.raises(BadInput, match="does not know this token"):
        links.link(Service.LISTENBRAINZ, token="wrong")
    links.link(Service.LISTENBRAINZ, token=f" {ana.secret}\n")
    with links.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        (link,) = service_vault.list_links(connection)
        keys = require_keys(links.settings, links.warehouse)
        assert service_vault.open_secret(keys, link) == ana.secret
    assert ana.secret.encode() not in (link.sealed or b"")
    assert ana.secret not in repr(link)


def test_lastfm_is_not_linked_without_a_key_of_this_installation(links: Links) -> None:
    links.account(Service.LASTFM)
    with pytest.raises(BadInput, match="MYI_LASTFM_API_KEY"):
        links.link(Service.LASTFM, lastfm_api_key=None)


def test_a_person_allows_myi_on_lastfms_page(links: Links) -> None:
    links.account(Service.LASTFM, "Ana")
    user_id = links.user()
    with (
        open_services(links.settings, links.warehouse, clock=links.clock, sleep=links.sleep) as services,
        links.warehouse.connect(Role.INGEST, autocommit=True) as connection,
    ):
        token, page = begin_allowing(services, site_url=links.settings.lastfm_site_url, api_key="key")
        assert f"token={token}" in page
        with pytest.raises(BadInput, match="not been allowed yet"):
            finish_allowing(services, connection, user_id=user_id, token=token, now=links.now)
        links.services.allow(token, "Ana")
        assert finish_allowing(services, connection, user_id=user_id, token=token, now=links.now) == "Ana"
        (link,) = services_of(connection, user_id=user_id)
    assert (link.account, link.has_secret) == ("Ana", True)


def test_new_keys_seal_the_secrets_of_services_too(links: Links) -> None:
    links.link(Service.LISTENBRAINZ, token=links.account(Service.LISTENBRAINZ).secret)
    old = require_keys(links.settings, links.warehouse)
    key = new_key()
    ring = KeyRing([key, *_key_bytes(links)])
    with links.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        done = rotate_keys(connection, ring)
        assert (done.sealed, done.failed, done.remaining[old.sealing_id.hex()]) == (1, (), 0)
        (link,) = service_vault.list_links(connection)
        assert service_vault.open_secret(KeyRing([key]), link) == links.account(Service.LISTENBRAINZ).secret
    # The old keys alone no longer open it, and a start says so.
    with pytest.raises(KeyMissing, match="1 stored logins"):
        require_keys(links.settings, links.warehouse)


def _key_bytes(links: Links) -> list[bytes]:
    return [decode_key(line) for line in (links.settings.secrets_folder / "encryption_keys").read_text().split()]


@BOTH
def test_the_role_that_serves_people_links_and_unlinks_and_sees_no_secret_and_no_other_user(
    links: Links, service: Service
) -> None:
    links.account(service, "ana"), links.account(service, "eva")
    links.link(service, role=Role.APP)
    links.link(service, key="eva", account="eva")
    with links.warehouse.connect(Role.APP, autocommit=True) as connection:
        connection.execute("select set_config('app.user_id', %s, false)", (str(links.user()),))
        rows = connection.execute("select account from app.linked_services").fetchall()
        assert rows == [("ana",)]
        with pytest.raises(Exception, match="permission denied"):
            connection.execute("select secret from app.linked_services")
        with pytest.raises(Exception, match="permission denied"):
            connection.execute("select from app.onward_plays")


@pytest.fixture
def person(links: Links) -> Iterator[httpx.Client]:
    """Ana's browser, on the site of this setup."""
    user_id, port = links.user(), links.settings.api_port
    with links.warehouse.connect(Role.APP, autocommit=True) as connection:
        session = manage_access.begin_session(connection, user_id=user_id, method="link", device="Firefox/150")
    headers = {"accept": "text/html", "sec-fetch-site": "same-origin"}
    url = f"http://127.0.0.1:{port}"
    with (
        serving(create_app(links.settings, links.warehouse), port),
        httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=20) as client,
    ):
        client.cookies.set("myi_session", session, domain="127.0.0.1", path="/")
        yield client


def test_a_person_links_pauses_sends_and_unlinks_on_the_account_page(links: Links, person: httpx.Client) -> None:
    account = links.account(Service.LISTENBRAINZ, "Ana")
    form = {"service": "listenbrainz", "account": "nobody"}
    wrong = person.post("/account/services", data=form)
    assert wrong.status_code == 422
    assert "ListenBrainz knows no user nobody" in wrong.text
    wrong = person.post("/account/services", data=form | {"account": "ana", "token": "secret-token-of-nobody"})
    assert wrong.status_code == 422
    assert "secret-token-of-nobody" not in wrong.text
    done = person.post("/account/services", data=form | {"account": "ana", "token": account.secret})
    assert (done.status_code, done.headers["location"]) == (303, "/account?done=linked")
    page = person.get("/account").text
    assert "Not read yet" in page
    assert account.secret not in page
    assert person.post("/account/services/listenbrainz/pause").status_code == 303
    assert "paused" in person.get("/account").text
    assert person.post("/account/services/listenbrainz/resume").status_code == 303
    assert person.post("/account/services/listenbrainz/send", data={"past": "yes"}).status_code == 303
    assert "Stop sending" in person.get("/account").text
    assert links.sql("select since from app.onward_wishes") == [(None,)]
    assert person.post("/account/services/listenbrainz/stop").status_code == 303
    assert person.post("/account/services/listenbrainz/unlink").status_code == 303
    assert person.post("/account/services/nothing/unlink").status_code == 404
    assert links.sql("select count(*) from app.linked_services") == [(0,)]


@pytest.mark.slow
def test_a_service_that_cannot_be_reached_is_said_without_the_request(links: Links, person: httpx.Client) -> None:
    links.services.listenbrainz.fail(ServiceFault(is_reset=True, times=10))
    wrong = person.post("/account/services", data={"service": "listenbrainz", "account": "nobody"})
    assert wrong.status_code == 422
    assert "The connection to ListenBrainz failed." in wrong.text
    assert "GET /" not in wrong.text
    assert "Error)" not in wrong.text


def test_a_person_allows_sending_to_lastfm_on_the_account_page(links: Links, person: httpx.Client) -> None:
    account = links.account(Service.LASTFM, "Ana")
    assert person.post("/account/services", data={"service": "lastfm", "account": "Ana"}).status_code == 303
    assert person.post("/account/services/lastfm/send").status_code == 422
    assert "Let MYI send plays there" in person.get("/account").text
    shown = person.post("/account/services/lastfm/allow")
    assert shown.status_code == 200
    ((page, token),) = re.findall(r'href="([^"]*/api/auth/[^"]*token=([^"&]+)[^"]*)"', shown.text)
    assert page.startswith(links.settings.lastfm_site_url)
    early = person.post("/account/services/lastfm/allowed", data={"token": token})
    assert (early.status_code, "not been allowed yet" in early.text) == (422, True)
    assert person.post("/account/services/lastfm/allowed", data={"token": "<b>"}).status_code == 422
    # What another page sends is no agreement of this person's.
    foreign = person.post(
        "/account/services/lastfm/allowed", data={"token": token}, headers={"sec-fetch-site": "cross-site"}
    )
    assert foreign.status_code == 403
    links.services.allow(token, "Ana")
    done = person.post("/account/services/lastfm/allowed", data={"token": token})
    assert (done.status_code, done.headers["location"]) == (303, "/account?done=allowed")
    assert account.secret not in person.get("/account").text
    assert person.post("/account/services/lastfm/send").status_code == 303
    assert "Stop sending" in person.get("/account").text


@pytest.mark.slow
def test_commands_link_poll_list_and_never_show_a_token(links: Links) -> None:
    account = links.account(Service.LISTENBRAINZ, "ana")
    account.listen(*(listen(links.now, n) for n in range(3)))
    links.user()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MYI_")}
    environment |= links.settings.environment()

    def myi(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "from myi_pipeline.cli import main; main()", *arguments],
            input=stdin, capture_output=True, text=True, env=environment, timeout=60, check=False,
        )  # fmt: skip

    done = myi("service", "link", "ana", "listenbrainz", "ana", "--token", stdin=f"{account.secret}\n")
    assert done.returncode == 0, done.stderr
    polled = myi("--debug", "service", "poll", "--user", "ana", "--json")
    assert polled.returncode == 0, polled.stderr
    assert json.loads(polled.stdout)["polls"][0]["new_plays"] == 3
    listed = myi("service", "list")
    assert "followed" in listed.stdout
    everything = "".join(each.stdout + each.stderr for each in (done, polled, listed))
    assert account.secret not in everything
    gone = myi("service", "link", "ana", "lastfm", "nobody")
    assert (gone.returncode, "knows no user nobody" in gone.stderr) == (1, True)
    assert links.services.lastfm_key not in gone.stderr


def test_no_key_and_no_secret_is_in_a_log_or_an_error(links: Links, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    account = links.account(Service.LISTENBRAINZ)
    account.listen(listen(links.now))
    links.account(Service.LASTFM).listen(listen(links.now))
    links.link(Service.LISTENBRAINZ, token=account.secret)
    links.link(Service.LASTFM)
    said = []
    for fault in (ServiceFault(times=3, status=500), ServiceFault(times=3, is_reset=True), ServiceFault(status=418)):
        for state in (links.services.lastfm, links.services.listenbrainz):
            state.fail(fault)
        said += [result.reason for result in links.poll_all(force=True)]
        links.wait(DAY)
    text = " ".join(said) + " ".join(record.getMessage() for record in caplog.records if record.name[:5] != "httpx")
    assert [each for each in (account.secret, links.services.lastfm_key) if each in text] == []
    with pytest.raises(Permanent, match="MYI_LASTFM_API_SECRET"):
        _sign_without_a_secret(links)


def _sign_without_a_secret(links: Links) -> None:
    settings = links.settings.model_copy(update={"lastfm_api_secret": None})
    with open_services(settings, links.warehouse, clock=links.clock, sleep=links.sleep) as services:
        services.lastfm().request_token()


@BOTH
def test_each_service_has_its_own_client_and_waits_for_its_own_quota(links: Links, service: Service) -> None:
    with open_services(links.settings, links.warehouse) as services:
        assert services.reader(service).service is service
        assert services.writer(service).service is service
    links.account(service)
    links.link(service)
    blocked = "select service from ops.service_obstacles where obstacle = 'quota_blocked'"
    for each in Service:
        links.sql("delete from ops.quota_blocks")
        links.sql(
            "insert into ops.quota_blocks (client_id, bucket, blocked_at, blocked_until, in_a_row)"
            " values (%s, 'personal', %s, %s, 1)",
            each.client_id,
            links.now,
            links.now + HOUR,
        )
        assert links.sql(blocked) == ([(service.value,)] if each is service else [])
