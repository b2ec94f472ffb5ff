"""What each service that collects listening must say of itself; a new one is in every table, or a test here fails."""

from __future__ import annotations

import pytest

from myi_pipeline.catalogue.sources import POLLED_SOURCES, TRAITS
from myi_pipeline.onward.send import no_secret
from myi_pipeline.providers.governor import service_limits
from myi_pipeline.providers.scrobbles import Service
from myi_pipeline.settings import Settings

EVERY = pytest.mark.parametrize("service", list(Service))


@EVERY
def test_a_service_has_a_quota_of_its_own(service: Service) -> None:
    assert "." in service.client_id
    assert service.client_id in service_limits(Settings())
    assert [each for each in Service if each.client_id == service.client_id] == [service]


@EVERY
def test_what_is_polled_from_a_service_is_a_source_of_its_own_that_is_never_sent_back(service: Service) -> None:
    assert TRAITS[POLLED_SOURCES[service]].service is service


@EVERY
def test_a_service_says_what_it_lacks_to_take_plays(service: Service) -> None:
    assert no_secret(service, "me").startswith(f"{service.label} ")


def test_no_two_accounts_share_a_lock_and_the_numbers_of_an_older_version_hold() -> None:
    assert (Service.LASTFM.lock_number(7), Service.LISTENBRAINZ.lock_number(7)) == (28, 29)
    numbers = [service.lock_number(user_id) for user_id in (1, 2, 3) for service in Service]
    assert len(set(numbers)) == len(numbers)
