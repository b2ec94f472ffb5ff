"""Reading settings out of the environment."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping

from pydantic import ValidationError
from pydantic_settings import BaseSettings
from pydantic_settings.sources import EnvSettingsSource

from myi_pipeline.isolation import children_environment, isolate_process
from myi_pipeline.settings.whole import PREFIX, Settings

# Prefix of variables for the tests alone, which are not reported as unknown.
_TESTS_PREFIX = PREFIX + "TEST_"


class SettingsError(ValueError):
    """A setting is wrong; the message is one line that names the variable."""


class _FromEnvironment(EnvSettingsSource):
    """The environment as given, so that a test can hand over one of its own."""

    def __init__(self, settings_cls: type[BaseSettings], environ: Mapping[str, str] | None) -> None:
        self._environ = environ
        super().__init__(settings_cls)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        values = os.environ if self._environ is None else self._environ
        return {name.lower(): value for name, value in values.items() if value != ""}


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process. Raises SettingsError with one line that names the variable.

    Every process of ours begins with this, so here the variables of other programs that it inherited are dropped.
    """
    if environ is None:
        isolate_process(is_dagster=True)
    try:
        return Settings(**_FromEnvironment(Settings, environ)())
    except ValidationError as error:
        raise SettingsError(_one_line(error)) from None


def unknown_variables(environ: Mapping[str, str] | None = None) -> list[tuple[str, str | None]]:
    """MYI_ variables that mean nothing, each with the closest that does."""
    values = os.environ if environ is None else environ
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    unknown = sorted(
        name for name in values if name.startswith(PREFIX) and not name.startswith(_TESTS_PREFIX) and name not in known
    )
    return [(name, next(iter(difflib.get_close_matches(name, known, n=1)), None)) for name in unknown]


def environment_of_strangers() -> dict[str, str]:
    """The environment without any setting of ours: for a child that needs none, and so is trusted with no secret."""
    return {name: value for name, value in children_environment().items() if not name.startswith(PREFIX)}


def _one_line(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    context = first.get("ctx", {})
    said = {
        "int_parsing": "must be a whole number",
        "float_parsing": "must be a number",
        "bool_parsing": "must be true or false",
        "greater_than_equal": f"must be at least {context.get('ge')}",
        "less_than_equal": f"must be at most {context.get('le')}",
        "enum": f"must be {context.get('expected')}",
    }
    message = said.get(first["type"]) or first["msg"].removeprefix("Value error, ").replace("\n", " ")
    if not first["loc"]:
        return message
    return f"{PREFIX}{str(first['loc'][0]).upper()}: {message}"
