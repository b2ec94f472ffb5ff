"""The page of notices and its API, over HTTP: adding, testing, changing, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from myi_pipeline.notices.kinds import DISK, IMPORT_FAILED, Condition
from myi_pipeline.web.app import create_app
from tests.conftest import free_port
from tests.integration.api.conftest import MANY, RunningSite, serving
from tests.integration.notices.conftest import Told
from tests.integration.notices.receivers import Mailbox, Receiver


@pytest.fixture
def site(told: Told) -> Iterator[RunningSite]:
    settings = told.settings.model_copy(update={"api_port": free_port(), **MANY})
    with ExitStack() as stack:
        stack.enter_context(serving(create_app(settings, told.warehouse), settings.api_port))
        yield RunningSite(settings, told.warehouse, stack)


def now_of(told: Told) -> None:
    from datetime import UTC, datetime

    told.now = datetime.now(UTC)


def test_a_webhook_from_its_adding_to_its_end(told: Told, site: RunningSite, receiver: Receiver) -> None:
    ana, ben = site.browser("ana"), site.browser("ben")
    added = ana.post("/v1/me/webhooks", json={"url": receiver.url, "name": "lamp", "kinds": ["import.failed"]})
    assert added.status_code == 201, added.text
    webhook, secret = f"/v1/me/webhooks/{added.json()['id']}", added.json()["secret"]
    shown = ana.get(webhook).json()
    assert (shown["name"], shown["kinds"], shown["origin"]) == (
        "lamp", ["import.failed"], f"http://127.0.0.1:{receiver.port}",
    )  # fmt: skip
    assert "secret" not in ana.get("/v1/me/webhooks").text.replace("former_secret_until", "")
    # The test button: whoever sends is told at once, and the log of deliveries says what came of it.
    made = ana.post(f"{webhook}/test")
    assert made.status_code == 202
    now_of(told)
    receiver.way = "fail"
    told.teller().send_due()
    (delivery,) = ana.get(f"{webhook}/deliveries").json()["data"]
    assert (delivery["state"], delivery["attempts"], delivery["status"]) == ("waiting", 1, 500)
    assert receiver.verified(secret)["type"] == "test.sent"
    again = ana.post(f"{webhook}/deliveries/{delivery['id']}/redeliver")
    assert again.status_code == 202
    receiver.way = "take"
    now_of(told)
    told.teller().send_due()
    (delivery,) = ana.get(f"{webhook}/deliveries").json()["data"]
    assert (delivery["state"], delivery["message_id"]) == ("delivered", receiver.headers[1]["webhook-id"])
    changed = ana.patch(webhook, json={"kinds": None})
    assert (changed.json()["name"], changed.json()["kinds"]) == ("lamp", None)
    rotated = ana.post(f"{webhook}/rotate").json()["secret"]
    assert rotated != secret
    for method, path in (("GET", webhook), ("DELETE", webhook), ("POST", f"{webhook}/rotate")):
        assert ben.request(method, path).status_code == 404
    assert site.program("ana").post(f"{webhook}/test").status_code == 403
    assert ana.delete(webhook).status_code == 204
    assert ana.get(webhook).status_code == 404
    events = [row[0] for row in told.sql("select event from app.audit where user_id = %s order by audit_id", told.ana)]
    wanted = ["notice_target_added", "webhook_secret_rotated", "notice_target_removed"]
    assert [each for each in events if each in wanted] == wanted


@pytest.mark.parametrize(
    "url, said",
    [
        ("https://10.0.0.7/hook", "private network"),
        ("https://localhost/hook", "private network"),
        ("https://[::ffff:127.0.0.1]/hook", "private network"),
        ("https://no-such-host.invalid/hook", "There is no host 'no-such-host.invalid'"),
        ("http://example.org/hook", "must begin with https://"),
        ("ftp://example.org/hook", "must begin with https://"),
        ("https://ana:secret@example.org/hook", "must not contain a name or password"),
        ("https://exa mple.org/", "cannot be read"),
    ],
)
def test_an_address_that_leads_nowhere_or_inside_is_refused(
    told: Told, notices_site: RunningSite, url: str, said: str
) -> None:
    answer = notices_site.browser("ana").post("/v1/me/webhooks", json={"url": url})
    assert answer.status_code == 422
    assert said in answer.json()["detail"]
    assert "secret" not in answer.text
    assert told.sql("select count(*) from app.notice_targets") == [(0,)]


@pytest.fixture
def notices_site(told: Told) -> Iterator[RunningSite]:
    """As it is by itself: private addresses are not allowed."""
    settings = told.settings.model_copy(
        update={"api_port": free_port(), "webhooks_allow_private": False, **MANY}
    )  # fmt: skip
    with ExitStack() as stack:
        stack.enter_context(serving(create_app(settings, told.warehouse), settings.api_port))
        yield RunningSite(settings, told.warehouse, stack)


def send(browser: httpx.Client, path: str, **fields: str) -> httpx.Response:
    return browser.post(path, data=fields, headers={"accept": "text/html"})


def test_a_person_adds_a_messenger_tests_it_and_says_what_they_want(
    told: Told, site: RunningSite, mailbox: Mailbox
) -> None:
    ana = site.browser("ana")
    assert "All is well" in ana.get("/notices").text
    for url, said in (
        ("file:///etc/passwd", "is not a service that notices can be sent to"),
        ("json://127.0.0.1/", "is not a service that notices can be sent to"),
        ("no address", "cannot be read"),
        (f"{mailbox.url}&template=/etc/passwd", "cannot be used here"),
        ("tgram://", "lacks something"),
    ):
        answer = send(ana, "/notices/targets", channel="apprise", url=url)
        assert answer.status_code == 422, url
        assert said in answer.text, url
        assert "passwd" not in answer.text
    assert send(ana, "/notices/targets", channel="apprise", url=mailbox.url, name="mail").status_code == 303
    page = ana.get("/notices").text
    assert "mailto://127.0.0.1" in page
    assert "ana@example.org" not in page
    ((target,),) = told.sql("select target_id from app.notice_targets")
    assert send(ana, f"/notices/targets/{target}/test").status_code == 303
    now_of(told)
    told.teller().send_due()
    assert mailbox.subjects == ["A test from MYI"]
    assert "sent" in ana.get("/notices").text
    wishes = {"want-import.finished": "1", "from": "22:30", "until": "07:00"}
    assert send(ana, "/notices/wishes", **wishes).status_code == 303
    assert "login.ending" in told.sql("select muted from app.notice_wishes")[0][0]
    assert 'value="22:30"' in ana.get("/notices").text
    assert send(ana, "/notices/wishes", **{"from": "22:30"}).status_code == 422
    assert send(site.browser("ben"), f"/notices/targets/{target}/remove").status_code == 404
    assert send(ana, f"/notices/targets/{target}/remove").status_code == 303
    assert told.sql("select count(*) from app.notice_targets") == [(0,)]


def test_what_a_person_can_mend_is_on_their_page_and_in_the_api_and_nobody_elses(told: Told, site: RunningSite) -> None:
    now_of(told)
    told.say(Condition(kind=IMPORT_FAILED, subject="import 3", user_id=told.ana, detail={"import": 3}))
    ana, ben = site.browser("ana"), site.browser("ben")
    assert 'href="/imports">Look into it' in ana.get("/notices").text
    (shown,) = ana.get("/v1/me/notices").json()["data"]
    assert (shown["kind"], shown["state"], shown["detail"]) == ("import.failed", "open", {"import": 3})
    told.say()
    assert ana.get("/v1/me/notices").json()["data"][0]["state"] == "over"
    assert "An import has failed" in ana.get("/notices").text
    assert ben.get("/v1/me/notices").json()["data"] == []
    # What concerns the installation is shown to whoever operates it.
    told.say(Condition(kind=DISK, subject="disk", detail={"found": "No room"}))
    told.sql("update app.users set is_operator = true where user_id = %s", told.ana)
    assert "this installation" in ana.get("/notices").text
    assert [each["kind"] for each in ana.get("/v1/me/notices").json()["data"]] == ["disk.full", "import.failed"]
    assert ben.get("/v1/me/notices").json()["data"] == []
    assert "An import has failed" not in ben.get("/notices").text.partition('id="what"')[0]
