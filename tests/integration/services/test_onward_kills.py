"""A process that is killed at any step of sending on, with lost answers between: every play arrives once."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from signal import SIGKILL

import pytest

from myi_pipeline.providers.scrobbles import Service
from myi_pipeline.simulator.services import ServiceFault
from tests.integration.services.conftest import HOUR, MINUTE, OnwardLinks
from tests.integration.services.onward_worker import Order, carry_out

# A run of one batch has six, and more where something is looked for.
_STEPS = 7
_WRITES = {Service.LASTFM: "track.scrobble", Service.LISTENBRAINZ: "submit-listens"}


def _trouble(onward: OnwardLinks, service: Service, *, kills: int, is_broken: bool = False) -> list[str]:
    dice = Random(5)
    onward.wish(service)
    onward.wait(MINUTE)
    started = []
    for number in range(24):
        started.append(onward.now)
        onward.play(onward.now, number)
        onward.wait(5 * MINUTE)
    onward.settle()
    killed = 0
    for _ in range(4 * kills):
        if dice.random() < 0.4:
            is_lost = dice.random() < 0.5
            onward.state(service).fail(ServiceFault(is_lost=is_lost, is_reset=not is_lost, on=_WRITES[service]))
        code = carry_out(
            onward.settings,
            Order(now=onward.now.isoformat(), kill_at=dice.randint(1, _STEPS), is_broken=is_broken),
        )
        # Ended by its kill, or done before it came to that step; a process that cannot even begin shows nothing.
        assert code in (0, -SIGKILL), code
        killed += code < 0
        onward.wait(timedelta(minutes=dice.choice((1, 6, 7))))
        if killed >= kills:
            break
    assert killed >= kills // 2
    for _ in range(8):
        onward.wait(7 * MINUTE)
        onward.send()
    onward.wait(HOUR)
    sent = [each.started_at for each in onward.account(service).sent()]
    doubled = [f"doubled: {moment}" for moment in set(sent) if sent.count(moment) > 1]
    lost = [f"lost: {moment}" for moment in started if moment not in sent]
    return [*doubled, *lost]


@pytest.mark.property
@pytest.mark.parametrize("service", list(Service))
def test_killed_anywhere_while_sending_every_play_arrives_once(onward: OnwardLinks, service: Service) -> None:
    assert _trouble(onward, service, kills=12) == []


@pytest.mark.property
def test_a_broken_journal_that_sends_before_it_notes_is_found_out(onward: OnwardLinks) -> None:
    """The property can fail: this is what the journal is for."""
    assert _trouble(onward, Service.LISTENBRAINZ, kills=12, is_broken=True) != []
