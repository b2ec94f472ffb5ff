"""One request of the Web API that was let through, and its parameters.

Belongs here: what every answer is made from. Not here: whether it is let through (see `api_app`).
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from myi_pipeline.simulator.live.listener import LiveListener
from myi_pipeline.simulator.live.spec import AppSpec
from myi_pipeline.simulator.live.state import SimulatorState

JSON = "application/json; charset=utf-8"


class BadParameter(Exception):
    """A 400, in words for the client."""


@dataclass(frozen=True)
class Asked:
    """One request that was let through."""

    state: SimulatorState
    app: AppSpec
    listener: LiveListener
    request: Request

    def number(self, name: str, usual: int, least: int, most: int) -> int:
        text = self.request.query_params.get(name)
        if text is None:
            return usual
        try:
            value = int(text)
        except ValueError:
            raise BadParameter(f"Invalid {name}") from None
        if not least <= value <= most:
            raise BadParameter(f"Invalid {name}")
        return value
