"""Reading settings from the environment."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings
from pydantic_settings.sources import EnvSettingsSource

from myi_pipeline.isolation import children_environment, isolate_process
from myi_pipeline.settings.whole import FILE_SUFFIX, PREFIX, Settings

# Prefix of variables for the tests alone, which are not reported as unknown.
_TESTS_PREFIX = PREFIX + "TEST_"
_LONGEST_SECRET_BYTES = 64 * 1024


class SettingsError(ValueError):
    """A setting is invalid; the message is one line that names the variable."""


class _FromEnvironment(EnvSettingsSource):
    """A given environment, so that tests can pass their own."""

    def __init__(self, settings_cls: type[BaseSettings], environ: Mapping[str, str] | None) -> None:
        self._environ = environ
        super().__init__(settings_cls)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        environ = os.environ if self._environ is None else self._environ
        given = {name.upper(): value for name, value in environ.items() if value != ""}
        for name in secret_variables():
            file = given.pop(name + FILE_SUFFIX, None)
            if file is not None:
                if name in given:
                    raise SettingsError(f"{name}{FILE_SUFFIX}: {name} is set, too; set only one of them")
                given[name] = _read_secret(name + FILE_SUFFIX, file)
        return {name.lower(): value for name, value in given.items() if value != ""}


def secret_variables() -> frozenset[str]:
    """Variables whose value is a secret.

    Each may be given as `<variable>_FILE`, the path of a file that contains it.
    """
    return frozenset(
        PREFIX + name.upper()
        for name, field in Settings.model_fields.items()
        if SecretStr in _types_in(field.annotation) and name + FILE_SUFFIX.lower() not in Settings.model_fields
    )


def path_settings() -> frozenset[str]:
    """Names of the settings that are a file or folder of one machine; what may be a bucket as well is none."""
    return frozenset(name for name, field in Settings.model_fields.items() if Path in _types_in(field.annotation))


def known_variables() -> frozenset[str]:
    """Every known variable."""
    settings = {PREFIX + name.upper() for name in Settings.model_fields}
    return frozenset(settings | {name + FILE_SUFFIX for name in secret_variables()})


def _types_in(annotation: object) -> set[object]:
    parts = get_args(annotation)
    return {annotation}.union(*(_types_in(part) for part in parts)) if parts else {annotation}


def _read_secret(variable: str, file: str) -> str:
    """The file's text without the final newline that editors add. Raises SettingsError without repeating it."""
    try:
        with open(file, "rb") as opened:
            found = opened.read(_LONGEST_SECRET_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"{variable}: {file} cannot be read: {error.strerror}") from None
    if len(found) > _LONGEST_SECRET_BYTES:
        raise SettingsError(f"{variable}: {file} is larger than {_LONGEST_SECRET_BYTES // 1024} kB")
    try:
        text = found.decode("utf-8").strip("\r\n")
    except UnicodeDecodeError:
        raise SettingsError(f"{variable}: {file} is not UTF-8 text") from None
    if not text:
        raise SettingsError(f"{variable}: {file} is empty")
    return text


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process. Raises SettingsError with one line that names the variable.

    Every MYI process begins with this, so it also drops inherited variables of other programs.
    """
    if environ is None:
        isolate_process(is_dagster=True)
    try:
        return Settings(**_FromEnvironment(Settings, environ)())
    except ValidationError as error:
        raise SettingsError(_one_line(error)) from None


def unknown_variables(environ: Mapping[str, str] | None = None) -> list[tuple[str, str | None]]:
    """Unknown MYI_ variables, each with the closest known one."""
    values = os.environ if environ is None else environ
    known = known_variables()
    unknown = sorted(
        name for name in values if name.startswith(PREFIX) and not name.startswith(_TESTS_PREFIX) and name not in known
    )
    return [(name, next(iter(difflib.get_close_matches(name, known, n=1)), None)) for name in unknown]


def environment_of_strangers() -> dict[str, str]:
    """The environment without MYI's settings, for a child that needs none and is therefore trusted with no secret."""
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
