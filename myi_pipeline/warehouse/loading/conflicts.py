"""Trying again when two transactions stood in each other's way.

Invariant: what is tried again is one whole transaction, of which the failed try left nothing.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from psycopg import errors

from myi_pipeline.core.errors import Transient

_TRIES = 6

Result = TypeVar("Result")


def retry_conflicts(transaction: Callable[[], Result], *, sleep: Callable[[float], None] = time.sleep) -> Result:
    """Run a transaction until no deadlock, serialization failure or lock timeout ends it. Raises Transient."""
    for attempt in range(_TRIES):
        try:
            return transaction()
        except (errors.DeadlockDetected, errors.SerializationFailure, errors.LockNotAvailable) as error:
            if attempt == _TRIES - 1:
                raise Transient("the warehouse is too busy to load into; try again later") from error
            sleep(min(5.0, 0.1 * 2**attempt) * (0.5 + random.random()))
    raise AssertionError("unreachable")
