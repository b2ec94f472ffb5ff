"""What all models of the contract have in common, and how rows become what they describe.

Rows go from the database to the wire without passing through these models; tests validate every route's answers against
them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """The fields of the contract and no others."""

    model_config = ConfigDict(extra="forbid")
    # Fields that a row has under another name, and fields that are equal in every row.
    renamed: ClassVar[Mapping[str, str]] = {}
    fixed: ClassVar[Mapping[str, object]] = {}


@cache
def _plan(model: type[Answer]) -> tuple[tuple[str, ...], Callable[[Mapping[str, object]], tuple[object, ...]]]:
    """The fields that a row has, and how they are taken out of it."""
    names = tuple(name for name in model.model_fields if name not in model.fixed)
    return names, itemgetter(*(model.renamed.get(name, name) for name in names))


def fields_of(model: type[Answer], rows: Sequence[object]) -> list[dict[str, Any]]:
    """The fields that the contract names, of each row; a row may have others, which pages show."""
    names, values = _plan(model)
    fixed = model.fixed
    return [{**fixed, **dict(zip(names, values(vars(row)), strict=True))} for row in rows]
