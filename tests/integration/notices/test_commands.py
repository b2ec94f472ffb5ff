"""`myi notices`, and what doctor says."""

from __future__ import annotations

import io
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from myi_pipeline.cli.app import run
from myi_pipeline.notices.kinds import CIRCUIT, Condition
from myi_pipeline.notices.targets import settings_addresses
from myi_pipeline.operations.doctor.check import Status
from myi_pipeline.operations.doctor.run import run_checks
from tests.integration.notices.conftest import Told
from tests.integration.notices.receivers import Mailbox, Receiver


@dataclass
class Myi:
    """`myi` in this process, on the settings of `told`."""

    told: Told
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str, given: str = "", code: int = 0) -> Any:
        for name in [name for name in os.environ if name.startswith("MYI_")]:
            self.monkeypatch.delenv(name)
        for name, value in self.told.settings.environment().items():
            self.monkeypatch.setenv(name, value)
        self.monkeypatch.setattr(sys, "stdin", io.StringIO(given))
        self.capsys.readouterr()
        assert run([*arguments, "--json"]) == code
        return json.loads(self.capsys.readouterr().out)


@pytest.fixture
def myi(told: Told, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Myi:
    return Myi(told, monkeypatch, capsys)


def test_the_operator_adds_a_webhook_tests_it_and_sees_what_was_sent(
    told: Told, myi: Myi, receiver: Receiver, mailbox: Mailbox
) -> None:
    told.settings = told.settings.model_copy(update={"notices_urls": SecretStr(mailbox.url)})
    added = myi("notices", "add", "--webhook", "--name", "pager", given=f"{receiver.url}\n")
    secret, target = added["secret"], added["target_id"]
    myi("notices", "test")
    assert receiver.verified(secret)["type"] == "test.sent"
    assert mailbox.subjects == ["A test from MYI"]
    shown = json.dumps(myi("notices", "targets"))
    assert "pager" in shown
    assert "secret-of-the-path" not in shown
    deliveries = myi("notices", "deliveries")["deliveries"]
    assert {each["state"] for each in deliveries} == {"delivered"}
    receiver.way = "fail"
    assert "answered 500" in json.dumps(myi("notices", "test", code=1))
    refused = myi("notices", "add", given="file:///tmp/x\n", code=1)
    assert "is not a service" in json.dumps(refused)
    myi("notices", "remove", target)
    told.settings = told.settings.model_copy(update={"notices_urls": None})
    assert "the operator has no address" in json.dumps(myi("notices", "test", code=2))


def test_doctor_shows_what_is_open_and_addresses_that_cannot_be_used(told: Told, tmp_path: Path) -> None:
    def check() -> tuple[Status, str]:
        (found,) = [each for each in run_checks(told.settings, {}) if each.name == "notices"]
        return found.status, found.found

    assert check() == (Status.OK, "nothing is open; notices for the operator are not sent anywhere (MYI_NOTICES_URLS)")
    told.say(Condition(kind=CIRCUIT, subject="polls", user_id=told.ana, detail={"account": "Spotify"}))
    assert check() == (Status.WARN, "Requests for Spotify are paused (ana)")
    file = tmp_path / "addresses"
    told.settings = told.settings.model_copy(update={"notices_urls_file": file})
    status, said = check()
    assert (status, "cannot be read: No such file" in said) == (Status.FAIL, True)
    file.write_text("# mine\nntfys://127.0.0.1/topic\n\nexec://rm\n", encoding="utf-8")
    assert len(settings_addresses(told.settings)) == 2
    status, said = check()
    assert (status, "'exec://' is not a service" in said) == (Status.FAIL, True)
