"""Notices on their way: once each with an end, signed, tried again, and to nobody else."""

from __future__ import annotations

import json
from datetime import time, timedelta
from pathlib import Path

import pytest
from standardwebhooks.webhooks import WebhookVerificationError

from myi_pipeline.notices import journal, store, targets
from myi_pipeline.notices.kinds import CIRCUIT, DISK, IMPORT_FINISHED, LOGIN, REFRESHED, Condition
from myi_pipeline.notices.pace import DELAYS
from myi_pipeline.notices.store import Wishes
from myi_pipeline.notices.targets import Channel
from myi_pipeline.postgres.connections import Role
from myi_pipeline.providers.encryption_keys import find_keys, put_new_key_into_file, rotate_keys
from tests.integration.notices.conftest import TABLES, Told, delivery_ids
from tests.integration.notices.receivers import Mailbox, Receiver, refusing_tls, talking_for_ever


def circuit(user_id: int) -> Condition:
    return Condition(kind=CIRCUIT, subject="polls", user_id=user_id, detail={"account": "Spotify"})


def login(user_id: int, days: int) -> Condition:
    return Condition(
        kind=LOGIN, subject="account 1", user_id=user_id, stage=str(days),
        detail={"account": "Spotify", "days_left": days},
    )  # fmt: skip


def finished(user_id: int, number: int = 1) -> Condition:
    return Condition(
        kind=IMPORT_FINISHED, subject=f"import {number}", user_id=user_id,
        detail={"import": number, "new_plays": 1203, "quarantined": 0},
    )  # fmt: skip


FULL = Condition(kind=DISK, subject="disk", detail={"found": "0.2 GiB are free at /srv"})


@pytest.mark.slow
def test_a_notice_is_told_once_at_each_stage_and_with_its_end(told: Told, mailbox: Mailbox) -> None:
    told.add(mailbox.url, user_id=told.ana, channel=Channel.APPRISE)
    for days in (30, 30, 7, 7):
        told.say(login(told.ana, days))
        told.later(hours=1)
    assert mailbox.subjects == ["The Spotify login ends in 30 days", "The Spotify login ends in 7 days"]
    told.say()
    told.say()
    assert mailbox.subjects[2:] == ["The Spotify login works again"]
    text = mailbox.letters[0].get_body(("plain",))
    assert text is not None
    assert "/notices" in text.get_content()
    # Should it end again, that is another notice.
    told.say(login(told.ana, 1))
    assert mailbox.subjects[3:] == ["The Spotify login ends tomorrow"]


def test_a_webhook_is_signed_and_has_the_same_id_with_every_try(told: Told, receiver: Receiver) -> None:
    added = told.add(receiver.url, user_id=told.ana)
    assert added.secret is not None
    receiver.way = "fail"
    told.say(finished(told.ana))
    told.later(seconds=DELAYS[0].total_seconds() + 1)
    receiver.way = "take"
    told.say(finished(told.ana))
    assert [each["webhook-id"] for each in receiver.headers] == [receiver.headers[0]["webhook-id"]] * 2
    assert receiver.paths == ["/hook?key=secret-of-the-path"] * 2
    # The receiver's own library takes it; its clock is today's, so only the age is not what it expects.
    for number, headers in enumerate(receiver.headers):
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{receiver.bodies[number]}"
        assert signed
        with pytest.raises(WebhookVerificationError, match="too old"):
            receiver.verified(added.secret, number)
    document = json.loads(receiver.bodies[1])
    assert document["type"] == "import.finished"
    assert document["data"]["new_plays"] == 1203
    assert "user" not in document["data"]
    assert told.deliveries() == [("import.finished", "happened", 2, True, False, None)]


def test_a_receiver_verifies_what_is_sent_and_nothing_else(told: Told, receiver: Receiver) -> None:
    from datetime import UTC, datetime

    told.now = datetime.now(UTC)
    added = told.add(receiver.url, user_id=told.ana)
    told.say(finished(told.ana))
    assert added.secret is not None
    assert receiver.verified(added.secret)["type"] == "import.finished"
    receiver.bodies[0] = receiver.bodies[0].replace("1203", "1204")
    with pytest.raises(WebhookVerificationError):
        receiver.verified(added.secret)
    # A new secret signs at once, and the former one beside it for a day.
    keys = find_keys(told.settings)
    assert keys is not None
    with told.warehouse.connect(Role.APP, autocommit=True) as connection:
        second = targets.rotate_secret(connection, keys, user_id=told.ana, target_id=added.target_id)
        assert targets.rotate_secret(connection, keys, user_id=told.ben, target_id=added.target_id) is None
    assert second is not None
    told.say(finished(told.ana, 2))
    for secret in (added.secret, second):
        assert receiver.verified(secret)["data"]["import"] == 2
    # Sealing with another key is no rotation.
    put_new_key_into_file(told.settings)
    keys = find_keys(told.settings)
    assert keys is not None
    assert rotate_keys(told.connection, keys).sealed == 3
    assert told.sql("select count(*) from app.count_notice_keys()") == [(1,)]
    told.say(finished(told.ana, 3))
    for secret in (added.secret, second):
        assert receiver.verified(secret)["data"]["import"] == 3
    told.now += timedelta(days=1, minutes=1)
    told.sql("update app.notice_targets set former_until = %s", told.now - timedelta(minutes=1))
    told.say(finished(told.ana, 4))
    assert len(receiver.headers[-1]["webhook-signature"].split()) == 1


def test_a_receiver_that_fails_is_tried_for_days_and_then_given_up(told: Told, receiver: Receiver) -> None:
    told.add(receiver.url, user_id=told.ana)
    receiver.way = "fail"
    began = told.now
    told.say(finished(told.ana))
    for delay in DELAYS:
        told.later(seconds=delay.total_seconds() - 1)
        assert told.teller().send_due().failed == 0
        told.later(seconds=1)
        assert told.teller().send_due().failed == 1
    assert len(receiver.bodies) == len(DELAYS) + 1
    assert timedelta(days=3) < told.now - began < timedelta(days=4)
    told.later(days=30)
    assert told.teller().send_due().failed == 0
    ((_, _, _, is_delivered, is_given_up, error),) = told.deliveries()
    assert (is_delivered, is_given_up, error) == (False, True, "answered 500 Internal Server Error")
    # By hand it goes out again, with its id.
    (delivery,) = delivery_ids(told)
    (target,) = [row[0] for row in told.sql("select target_id from app.notice_targets")]
    receiver.way = "take"
    with told.warehouse.connect(Role.APP, autocommit=True) as connection:
        for user_id, is_there in ((told.ben, False), (told.ana, True)):
            found = journal.redeliver(
                connection, user_id=user_id, target_id=target, delivery_id=delivery, now=told.now
            )  # fmt: skip
            assert found is is_there
    assert told.teller().send_due().taken == 1
    assert len({each["webhook-id"] for each in receiver.headers}) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "way, error",
    [
        ("hang", "no answer within 2 seconds"),
        ("redirect", "answered 307 Temporary Redirect, and no redirect is followed"),
        ("flood", "answered 500 Internal Server Error"),
    ],
)
def test_a_receiver_that_misbehaves_holds_up_nobody_and_leads_nowhere(
    told: Told, receiver: Receiver, mailbox: Mailbox, way: str, error: str
) -> None:
    told.add(receiver.url, user_id=told.ana)
    told.add(mailbox.url, user_id=told.ana, channel=Channel.APPRISE)
    receiver.way = way
    told.say(finished(told.ana))
    assert mailbox.subjects == ["An import has finished"]
    assert receiver.paths == ["/hook?key=secret-of-the-path"]
    assert error in [row[5] for row in told.deliveries()]
    receiver.way = "take"
    told.later(seconds=10)
    assert told.teller().send_due().taken == 1


@pytest.mark.slow
def test_a_mail_server_that_talks_for_ever_holds_up_nobody(told: Told, mailbox: Mailbox) -> None:
    told.add(mailbox.url, user_id=told.ben, channel=Channel.APPRISE)
    with talking_for_ever() as url:
        told.add(url, user_id=told.ana, channel=Channel.APPRISE)
        told.teller().follow([finished(told.ana), finished(told.ben)], asked=[])
        sent = told.teller(messenger_limit_s=10.0).send_due()
    assert (sent.taken, sent.failed) == (1, 1)
    assert mailbox.subjects == ["An import has finished"]
    assert "mailto did not finish within 10 seconds" in [row[5] for row in told.deliveries()]


def test_one_user_with_much_to_send_leaves_room_for_the_others(told: Told, receiver: Receiver) -> None:
    told.add(receiver.url, user_id=told.ana)
    told.teller().follow([finished(told.ana, number) for number in range(30)], asked=[])
    told.later(minutes=1)
    told.add(receiver.url, user_id=told.ben)
    told.teller().follow([finished(told.ben)], asked=[])
    first = journal.claim(told.connection, now=told.now, limit=4, of_one_user=3)
    assert sorted(each.user_id or 0 for each in first) == [*[told.ana] * 3, told.ben]


def test_what_nobody_came_back_from_is_given_up(told: Told, receiver: Receiver) -> None:
    told.add(receiver.url, user_id=told.ana)
    told.teller().follow([finished(told.ana)], asked=[])
    claims = 0
    while journal.claim(told.connection, now=told.now, limit=10):
        claims += 1
        told.later(seconds=journal.LEASE.total_seconds() + 1)
        assert claims < 100
    assert claims > len(DELAYS) + 1
    assert told.deliveries()[0][4:] == (True, "whoever sent it did not come back")


def test_a_receiver_says_when_to_come_again_and_that_it_is_gone(told: Told, receiver: Receiver) -> None:
    told.add(receiver.url, user_id=told.ana)
    receiver.way = "busy"
    told.say(finished(told.ana))
    ((due_at,),) = told.sql("select due_at from ops.notice_deliveries")
    assert due_at == told.now + timedelta(hours=2)
    receiver.way = "gone"
    told.later(hours=2)
    told.teller().send_due()
    assert [row[3:5] for row in told.deliveries()] == [(False, True)]
    told.say(finished(told.ana, 2))
    assert len(receiver.bodies) == 2


def test_what_waits_for_a_receiver_that_is_gone_is_not_sent(told: Told, receiver: Receiver) -> None:
    added = told.add(receiver.url, user_id=told.ana)
    receiver.way = "fail"
    told.say(*(finished(told.ana, number) for number in range(6)))
    told.later(minutes=1)
    # One of them is asked again first, and answered so.
    told.sql("update ops.notice_deliveries set due_at = due_at + interval '1 hour' where attempts > 0")
    first = delivery_ids(told)[0]
    told.sql("update ops.notice_deliveries set due_at = %s where delivery_id = %s", told.now, first)
    receiver.way = "gone"
    told.teller().send_due()
    assert len(receiver.bodies) == 7
    told.later(days=1)
    told.teller().send_due()
    assert len(receiver.bodies) == 7
    assert [row[4] for row in told.deliveries()] == [True] * 6
    # By hand one is sent all the same: its receiver may be there again.
    receiver.way = "take"
    assert journal.redeliver(
        told.connection, user_id=None, target_id=added.target_id, delivery_id=first, now=told.now
    )  # fmt: skip
    assert told.teller().send_due().taken == 1


def test_nobody_hears_of_a_beginning_after_its_end_nor_of_an_end_without_one(told: Told, receiver: Receiver) -> None:
    told.add(receiver.url, user_id=told.ana)
    receiver.way = "fail"
    told.say(login(told.ana, 30))
    told.later(seconds=1)
    # A later stage takes the place of one that did not arrive.
    receiver.way = "take"
    told.say(login(told.ana, 7))
    told.later(hours=1)
    told.say(login(told.ana, 7))
    assert [json.loads(each)["data"]["days_left"] for each in receiver.bodies] == [30, 7]
    told.say()
    assert json.loads(receiver.bodies[-1])["data"]["state"] == "over"
    receiver.way = "fail"
    told.say(circuit(told.ana))
    told.later(seconds=1)
    receiver.way = "take"
    told.say()
    told.later(days=3)
    told.say()
    assert [json.loads(each)["type"] for each in receiver.bodies[3:]] == ["circuit.open"]


def test_a_process_that_dies_while_it_sends_leaves_the_message_to_the_next_one(told: Told, receiver: Receiver) -> None:
    told.add(receiver.url, user_id=told.ana)
    told.teller().follow([finished(told.ana)], asked=[])
    # It claimed the row, sent it, and said no more.
    (claimed,) = journal.claim(told.connection, now=told.now, limit=10)
    assert told.teller().send_due().taken == 0
    told.later(seconds=journal.LEASE.total_seconds() + 1)
    assert told.teller().send_due().taken == 1
    assert receiver.headers[0]["webhook-id"] == f"msg_{claimed.delivery_id.hex}"


def test_in_quiet_hours_only_what_is_urgent_is_sent_and_what_was_over_by_morning_never(
    told: Told, mailbox: Mailbox, receiver: Receiver
) -> None:
    told.add(mailbox.url, user_id=told.ana, channel=Channel.APPRISE)
    told.add(receiver.url, user_id=told.ana)
    with told.warehouse.connect(Role.APP, autocommit=True) as connection:
        store.store_wishes(connection, user_id=told.ana, wishes=Wishes(quiet_from=time(22), quiet_until=time(7)))
    told.now = told.now.replace(hour=22)  # 23:00 in Berlin
    told.say(circuit(told.ana), login(told.ana, 0), finished(told.ana))
    assert mailbox.subjects == ["The Spotify login has ended"]
    # Programs do not sleep.
    assert len(receiver.bodies) == 3
    told.later(hours=2)
    told.say(login(told.ana, 0))
    told.later(hours=5, minutes=59)
    told.say(login(told.ana, 0))
    assert len(mailbox.subjects) == 1
    told.later(minutes=1)
    told.say(login(told.ana, 0))
    assert mailbox.subjects[1:] == ["An import has finished"]


def test_everybody_hears_what_is_theirs_and_what_they_chose(told: Told, receiver: Receiver, mailbox: Mailbox) -> None:
    told.add(receiver.url, user_id=told.ana, kinds=("marts.refreshed",))
    told.add(mailbox.url, user_id=told.ana, channel=Channel.APPRISE)
    with told.warehouse.connect(Role.APP, autocommit=True) as connection:
        store.store_wishes(connection, user_id=told.ana, wishes=Wishes(muted=("circuit.open",)))
    refreshed = Condition(kind=REFRESHED, subject="refresh 7", user_id=told.ana, detail={"refresh": 7})
    told.say(circuit(told.ana), circuit(told.ben), finished(told.ben), refreshed, FULL)
    assert mailbox.subjects == []
    assert [json.loads(each)["type"] for each in receiver.bodies] == ["marts.refreshed"]


def test_the_operator_hears_of_the_installation_and_of_every_users_trouble(
    told: Told, receiver: Receiver, mailbox: Mailbox
) -> None:
    told.settings = told.settings.model_copy(update={"notices_urls": _secret(mailbox.url)})
    told.add(receiver.url, user_id=None)
    told.say(circuit(told.ben), finished(told.ben), FULL)
    assert sorted(mailbox.subjects) == ["Requests for Spotify are paused (ben)", "The disk is full"]
    assert {json.loads(each)["data"].get("user") for each in receiver.bodies} == {None, "ben"}
    told.say(FULL)
    assert mailbox.subjects[2:] == ["Spotify works again (ben)"]
    # An address that left the settings is not sent to any more, and its message is not tried for ever.
    told.teller().follow([], asked=["disk.full"], mended=told.mended())
    told.settings = told.settings.model_copy(update={"notices_urls": None})
    told.teller().send_due()
    assert (len(mailbox.subjects), len(receiver.bodies)) == (3, 4)
    assert [row[5] for row in told.deliveries() if row[4]] == ["this address is no longer in the settings"]


def test_a_source_that_does_not_answer_ends_nothing(told: Told, mailbox: Mailbox) -> None:
    told.add(mailbox.url, user_id=told.ana, channel=Channel.APPRISE)
    told.say(circuit(told.ana))
    told.say(asked=["login.ending"])
    assert mailbox.subjects == ["Requests for Spotify are paused"]
    told.say(asked=["circuit.open"])
    assert mailbox.subjects[1:] == ["Spotify works again"]


def test_what_is_gone_ends_without_a_message(told: Told, receiver: Receiver) -> None:
    told.add(receiver.url, user_id=told.ana)
    told.say(circuit(told.ana))
    # It was unlinked, say: nobody knows that it works.
    told.say(mended=())
    assert told.sql("select ended_at is not null, is_gone from ops.notices") == [(True, True)]
    assert [json.loads(each)["data"]["state"] for each in receiver.bodies] == ["open"]


def test_what_comes_and_goes_is_told_no_oftener_than_every_half_hour(told: Told, receiver: Receiver) -> None:
    told.add(receiver.url, user_id=None)
    for _ in range(5):
        told.say(FULL)
        told.later(minutes=2)
        told.say()
        told.later(minutes=2)
    assert [json.loads(each)["data"]["state"] for each in receiver.bodies] == ["open", "over"]
    told.later(minutes=30)
    told.say(FULL)
    assert [json.loads(each)["data"]["state"] for each in receiver.bodies[2:]] == ["open"]


def test_a_mail_server_that_is_away_gets_the_letter_later(told: Told, mailbox: Mailbox) -> None:
    told.add(mailbox.url, user_id=told.ana, channel=Channel.APPRISE)
    mailbox.is_open = False
    told.say(finished(told.ana))
    assert told.deliveries()[0][5] == "mailto did not take it"
    mailbox.is_open = True
    told.later(seconds=10)
    assert told.teller().send_due().taken == 1
    assert len(mailbox.letters) == 1


def test_the_connection_goes_to_the_address_that_was_looked_at(told: Told, receiver: Receiver) -> None:
    told.add(f"http://hooks.example.org:{receiver.port}/hook", user_id=told.ana, lookup=lambda *_: ["127.0.0.1"])
    told.teller().follow([finished(told.ana)], asked=[])
    asked: list[str] = []

    def lookup(host: str, _: int) -> list[str]:
        # A name that points inside from the second look on.
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    assert told.teller(lookup=lookup).send_due().taken == 1
    assert asked == ["hooks.example.org"]
    assert receiver.headers[0]["host"] == f"hooks.example.org:{receiver.port}"


def test_a_certificate_must_be_the_names_and_not_only_somebodys(told: Told, tmp_path: Path) -> None:
    names: list[str | None] = []
    with refusing_tls(tmp_path, names) as port:
        told.add(f"https://hooks.example.org:{port}/", user_id=told.ana, lookup=lambda *_: ["127.0.0.1"])
        told.teller().follow([finished(told.ana)], asked=[])
        assert told.teller(lookup=lambda *_: ["127.0.0.1"]).send_due().failed == 1
    assert names == ["hooks.example.org"]
    assert told.deliveries()[0][5] == "the certificate is not valid for hooks.example.org"


def test_a_name_that_points_inside_by_the_time_of_sending_is_not_followed(told: Told, receiver: Receiver) -> None:
    told.settings = told.settings.model_copy(update={"webhooks_allow_private": False})
    told.add(f"https://hooks.example.org:{receiver.port}/", user_id=told.ana, lookup=lambda *_: ["93.184.216.34"])
    told.teller().follow([finished(told.ana)], asked=[])
    assert told.teller(lookup=lambda *_: ["127.0.0.1"]).send_due().failed == 1
    assert receiver.bodies == []
    assert "is in a private network" in told.deliveries()[0][5]


def test_what_is_secret_of_an_address_is_nowhere_in_the_clear(
    told: Told, receiver: Receiver, mailbox: Mailbox, capfd: pytest.CaptureFixture[str]
) -> None:
    added = told.add(receiver.url, user_id=told.ana)
    told.add(f"{mailbox.url}&name=canary-of-the-mail", user_id=told.ana, channel=Channel.APPRISE)
    assert added.secret is not None
    receiver.way, mailbox.is_open = "fail", False
    told.say(finished(told.ana))
    canaries = ("secret-of-the-path", "canary-of-the-mail", "ana@example.org", added.secret, added.secret[6:20])
    shown = "".join(capfd.readouterr())
    assert "notice_not_sent" in shown
    for table in (*TABLES.split(", "), "app.audit"):
        shown += str(told.sql(f"select t::text from {table} as t"))
    assert [each for each in canaries if each in shown] == []
    assert repr(added).count("whsec") == 0


def test_with_a_user_everything_of_theirs_goes(told: Told, receiver: Receiver) -> None:
    told.add(receiver.url, user_id=told.ana)
    told.say(circuit(told.ana), FULL)
    told.sql("delete from app.users where user_id = %s", told.ana)
    assert told.sql("select kind from ops.notices") == [("disk.full",)]
    assert told.sql("select count(*) from ops.notice_deliveries") == [(0,)]
    assert told.sql("select count(*) from app.notice_targets") == [(0,)]


def _secret(text: str) -> object:
    from pydantic import SecretStr

    return SecretStr(text)
