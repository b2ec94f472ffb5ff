"""What an export contains about polling: what was polled and what was missed, Spotify's top lists, postponed plays."""

from __future__ import annotations

from typing import Final

from myi_pipeline.polling.due_plays import is_play_item
from myi_pipeline.postgres.parts import Part

PARTS: Final = (
    Part(name="polling/polled_spans", tables=("raw.polled_spans",), read="polling/parts/polled_spans"),
    Part(name="polling/gaps", tables=("raw.poll_gaps",), read="polling/parts/gaps"),
    Part(name="polling/top_lists", tables=("raw.top_items",), read="polling/parts/top_lists"),
    Part(
        name="polling/postponed",
        tables=("ops.postponed_plays",),
        read="polling/parts/postponed",
        accepts=is_play_item,
    ),
    Part(
        name="polling/accounts",
        tables=("app.polled_accounts",),
        read="polling/parts/accounts",
        bring="polling/parts/bring_polling",
    ),
)
