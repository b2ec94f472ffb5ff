"""dbt in a process that runs many commands."""

from __future__ import annotations

from myi_pipeline.services import dbt_child


def test_flags_of_earlier_adapters_are_not_carried_along() -> None:
    from dbt.adapters.base import impl

    flags = impl.DEFAULT_BASE_BEHAVIOR_FLAGS
    dbt_child._forget_repeated_flags()
    before = list(flags)
    flags.append({"name": "of_an_adapter", "default": False, "docs_url": "https://example.org"})
    once = list(flags)
    flags.extend(once[-1:] * 3)
    try:
        dbt_child._forget_repeated_flags()
        assert once == flags
    finally:
        flags[:] = before
