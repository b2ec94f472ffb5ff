"""What turns dbt's manifest into assets, of dagster_dbt, and nothing else of it.

`import dagster_dbt` imports all of dbt, sqlglot and its client of dbt's cloud: 90 MB and 2.5 CPU seconds in the code
server and in each run, where neither is used (dbt runs in a process of its own, marts/dbt_main). The two modules that
are needed take 1 MB, if the package's own start is left out and dbt seems not to be installed, which dagster_dbt is
prepared for.
"""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def _bare_package(name: str, *, without: str) -> Iterator[None]:
    """Lets modules of a package be imported without its `__init__`, and without another package. Whoever imports either
    afterwards gets all of it."""
    if name in sys.modules or without in sys.modules:
        yield
        return
    spec = importlib.util.find_spec(name)
    assert spec is not None
    bare = ModuleType(name)
    bare.__path__, bare.__spec__ = list(spec.submodule_search_locations or ()), spec
    sys.modules[name] = bare
    # An import of what is None here fails as if it were not installed.
    sys.modules[without] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name], sys.modules[without]


with _bare_package("dagster_dbt", without="dbt"):
    from dagster_dbt.asset_decorator import dbt_assets
    from dagster_dbt.dagster_dbt_translator import DagsterDbtTranslator

__all__ = ["DagsterDbtTranslator", "dbt_assets"]
