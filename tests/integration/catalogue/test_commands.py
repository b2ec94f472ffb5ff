"""`myi top` and `myi catalogue`, as a person types them."""

from __future__ import annotations

from collections.abc import Callable

from tests.integration.catalogue.test_enrichment import Shop, moved, plain
from tests.integration.credentials.conftest import Setup
from tests.integration.credentials.test_commands import Ran, myi, now_setup

__all__ = ["Ran", "myi", "now_setup"]


def test_top_lists_and_the_catalogue_are_read_by_hand(now_setup: Setup, myi: Callable[..., Ran]) -> None:
    assert myi("top", "refresh", "--json").document == {"users": []}
    now_setup.sign_in(now_setup.open())
    now_setup.user("ben")
    refreshed = {each["user_key"]: each for each in myi("top", "refresh", "--json").document["users"]}
    assert (refreshed["ana"]["outcome"], refreshed["ana"]["lists"], refreshed["ben"]["outcome"]) == (
        "refreshed",
        6,
        "skipped",
    )
    shown = myi("top", "show", "ana", "--artists", "--term", "long_term", "--limit", "3", "--json").document
    assert [each["rank"] for each in shown["items"]] == [1, 2, 3]
    assert shown["items"][0]["name"] in myi("top", "show", "ana", "--artists", "--term", "long_term").out
    assert "is not due" in myi("top", "refresh", "--user", "ana").out
    assert "myi top refresh --user ben" in myi("top", "show", "ben").out
    now_setup.simulator.control.fail("status", status=403, path="/v1/me/top/artists", times=None)
    failed = myi("top", "refresh", "--user", "ana", "--force", "--json")
    assert (failed.code, failed.document["users"][0]["outcome"]) == (1, "partly")

    now_setup.sql(
        "truncate raw.content_aliases, raw.contents, raw.albums, raw.artists, raw.top_items, app.recording_decisions"
    )
    shop = Shop(now_setup)
    shop.archive(*shop.tracks(plain, 3), *shop.tracks(moved, 1))
    (waiting,) = myi("catalogue", "status", "--json").document["queue"]
    assert (waiting["entity_kind"], waiting["waiting"], waiting["answered"]) == ("track", 4, 0)
    assert myi("catalogue", "run", "--calls", "1", "--json").document["asked"] == 1
    done = myi("catalogue", "run", "--json").document
    assert (done["asked"], done["result"]["relinked"], done["result"]["reason"]) == (3, 1, "nothing is due")
    assert "track" in myi("catalogue", "status").out
    assert "nothing is due" in myi("catalogue", "run").out
