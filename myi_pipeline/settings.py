"""The one reader of the environment.

Belongs here: every `MYI_` variable, its default, its check, and the paths that follow from them. Not here: opening
anything, creating a folder, talking to a database. Invariant: a `Settings` object is valid as a whole and never shows a
secret; a bad value stops the start with one line that names its variable and does not repeat the value.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import os
import re
import sys
from collections.abc import Mapping
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

import platformdirs
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.sources import EnvSettingsSource

PREFIX = "MYI_"
ROLES_WITH_A_URL = ("ingest", "dbt", "api", "app", "monitor", "analyst")
ENCRYPTION_KEY_BYTES = 32
CLIENT_ID = re.compile(r"[0-9A-Za-z_-]{1,128}\Z")
_LOOPBACK = ("127.0.0.1", "::1")
# Variables for the tests alone begin so; nobody is warned about them.
_TESTS_PREFIX = PREFIX + "TEST_"

Port = Annotated[int, Field(ge=1, le=65535)]
# The account that the embedded server runs as may use no lower one.
UserPort = Annotated[int, Field(ge=1024, le=65535)]
Positive = Annotated[int, Field(ge=1)]


class SettingsError(ValueError):
    """A setting is wrong; the message is one line that names the variable."""


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


def default_home() -> Path:
    """As a normal user the platform's user data folder; as root a system folder, which outlives root's own home."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/myi") if sys.platform == "linux" else platformdirs.site_data_path("myi")
    return platformdirs.user_data_path("myi", appauthor=False)


def machine_time_zone() -> str:
    """The machine's IANA zone name, else UTC."""
    known = available_timezones()
    candidates = [os.environ.get("TZ", "").lstrip(":")]
    try:
        _, _, after = os.path.realpath("/etc/localtime").partition("/zoneinfo/")
        candidates.append(after)
        candidates.append(Path("/etc/timezone").read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError):
        pass
    return next((zone for zone in candidates if zone in known and zone != "localtime"), "UTC")


class _FromEnvironment(EnvSettingsSource):
    """The environment as given, so that a test can hand over one of its own."""

    def __init__(self, settings_cls: type[BaseSettings], environ: Mapping[str, str] | None) -> None:
        self._environ = environ
        super().__init__(settings_cls)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        values = os.environ if self._environ is None else self._environ
        return {name.lower(): value for name, value in values.items() if value != ""}


class Settings(BaseSettings):
    """Everything a person can decide about MYI from outside. Variables are the field names in capitals after MYI_."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True
    )

    home: Path = Field(default_factory=default_home, description="Where MYI keeps its database, secrets and state.")
    uploads: Path | None = Field(
        default=None, description="Folder with one sub-folder of archives per user; MYI_HOME/uploads."
    )

    database_url: SecretStr | None = Field(
        default=None,
        description="An external Postgres 15-18 instead of the embedded one: the URL of a role that may create roles"
        " and databases, or of the owner (then every MYI_DATABASE_URL_<ROLE> is needed too).",
    )
    database_url_ingest: SecretStr | None = Field(default=None, description="URL of the role that loads plays.")
    database_url_dbt: SecretStr | None = Field(default=None, description="URL of the role that builds the marts.")
    database_url_api: SecretStr | None = Field(
        default=None, description="URL of the role that reads marts, one user at a time."
    )
    database_url_app: SecretStr | None = Field(
        default=None, description="URL of the role for sessions, tokens and imports."
    )
    database_url_monitor: SecretStr | None = Field(
        default=None, description="URL of the role that reads aggregates for metrics."
    )
    database_url_analyst: SecretStr | None = Field(default=None, description="URL of the role that reads all marts.")
    dagster_database_url: SecretStr | None = Field(
        default=None, description="URL of the database for Dagster's own storage."
    )

    sql_port: UserPort | None = Field(
        default=None, description="Port on 127.0.0.1 at which `myi up` lets the analyst into the embedded Postgres."
    )

    encryption_keys: SecretStr | None = Field(
        default=None,
        description="Keys that seal stored logins: 32 random bytes each, in base64 or hex, separated by commas. The"
        " first seals, all open. Without it MYI makes one in MYI_HOME/secrets.",
    )
    spotify_client_id: str | None = Field(
        default=None, description="Client id of your app at developer.spotify.com; a user may bring another."
    )
    spotify_client_secret: SecretStr | None = Field(
        default=None, description="That app's client secret; not needed, since sign-in uses PKCE."
    )
    spotify_redirect_uri: str = Field(
        default="http://127.0.0.1:8898/callback",
        description="Where Spotify sends the browser after a sign-in; register exactly this in your app.",
    )
    spotify_api_url: str = Field(default="https://api.spotify.com/v1", description="Spotify's Web API.")
    spotify_accounts_url: str = Field(
        default="https://accounts.spotify.com", description="Spotify's sign-in and token service."
    )
    spotify_images_url: str = Field(default="https://i.scdn.co", description="Spotify's host of pictures.")
    covers: bool = Field(default=True, description="Whether covers are fetched and kept; false: none is asked for.")
    spotify_requests_per_minute: Positive = Field(
        default=150, description="Most requests a minute for one client id, all processes together."
    )
    spotify_calls_per_day: Positive = Field(
        default=2_000, description="With so many calls of one client id in 24 hours, the catalogue waits."
    )
    spotify_catalogue_calls_per_day: Annotated[int, Field(ge=0)] = Field(
        default=400, description="Most calls for the catalogue in 24 hours, for one client id."
    )

    # The same names and defaults as history.Limits, where the reasons stand.
    archive_max_entries: Positive = Field(default=10_000, description="Most files that an archive may hold.")
    archive_max_file_bytes: Positive = Field(
        default=4 * 1024**3, description="Most unpacked bytes of one file of an archive."
    )
    archive_max_total_bytes: Positive = Field(
        default=16 * 1024**3, description="Most unpacked bytes of a whole archive."
    )
    archive_max_ratio: Positive = Field(default=250, description="Most unpacked bytes for one packed byte of a file.")
    archive_max_row_bytes: Positive = Field(default=1024**2, description="Most bytes of one row of a history file.")
    archive_max_text_chars: Positive = Field(
        default=2_000, description="Longest name of a play; longer ones are quarantined."
    )
    archive_max_unknown_keys: Positive = Field(
        default=100, description="Most different unknown keys that are counted by name."
    )
    archive_max_folder_depth: Positive = Field(
        default=32, description="Deepest folder in which a history file may lie."
    )

    api_host: str = Field(default="127.0.0.1", description="Address on which the API and its pages listen.")
    api_port: Port = Field(default=8898, description="Port of the API and its pages.")
    public_url: str | None = Field(
        default=None, description="Where browsers reach MYI, if not at http://127.0.0.1:MYI_API_PORT."
    )
    trusted_proxies: str = Field(
        default="", description="Addresses or networks of proxies whose X-Forwarded-For is believed, by commas."
    )
    cors_origins: str = Field(
        default="", description="Origins whose scripts may read the API with an access token, by commas; none."
    )
    metrics_port: Port | None = Field(
        default=None, description="A port of their own for /healthz, /readyz and /metrics, which then are only there."
    )
    open_signup: bool = Field(
        default=False, description="Whether everybody with a Spotify account may sign in and becomes a user."
    )
    session_idle_days: Positive = Field(
        default=14, description="A browser that was not used for so many days has to sign in again."
    )
    session_days: Positive = Field(default=90, description="A sign-in of a browser ends after so many days.")
    api_requests_per_minute: Positive = Field(
        default=600, description="Most requests a minute of one user, or of one address that is nobody's."
    )
    api_sensitive_requests_per_minute: Positive = Field(
        default=20, description="Most sign-ins, uploads, exports and wrong credentials a minute, each."
    )
    api_max_upload_bytes: Positive = Field(default=1024**3, description="Most bytes of one uploaded archive.")
    api_connections: Annotated[int, Field(ge=2)] = Field(
        default=8, description="Most connections for reading marts at the same time."
    )

    docs_port: Port = Field(
        default=8899, description="Port of the description of the marts, on 127.0.0.1; Dagster's pages link to it."
    )
    dagster_port: Port = Field(default=3000, description="Port of Dagster's web pages, on 127.0.0.1.")
    event_log_days: Positive = Field(
        default=30, description="Dagster's finished runs and their events are forgotten after so many days."
    )
    quarantine_days: Positive = Field(
        default=365,
        description="Rows stay in quarantine for so many days after their import; its figures stay for good.",
    )
    log_level: LogLevel = Field(default=LogLevel.INFO, description="debug, info, warning or error.")
    log_format: LogFormat = Field(
        default=LogFormat.AUTO, description="json, console, or auto: json unless on a terminal."
    )
    correlation_id: str | None = Field(
        default=None, description="Ties the log lines of a child process to its parent's; made anew when not given."
    )
    time_zone: str | None = Field(
        default=None, description="Zone of new users, such as Europe/Berlin; the machine's, else UTC."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # The environment enters through load_settings alone: an object made in code depends on nothing else.
        return (init_settings,)

    @field_validator("home", "uploads", mode="after")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        if path is None:
            return None
        try:
            path = path.expanduser()
        except RuntimeError:
            raise ValueError("names a home folder that does not exist") from None
        return Path(os.path.abspath(path))

    @field_validator("log_level", "log_format", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, zone: str | None) -> str | None:
        if zone is not None:
            try:
                ZoneInfo(zone)
            except (KeyError, ValueError, OSError):
                raise ValueError("is no IANA time zone, such as Europe/Berlin") from None
        return zone

    @field_validator(
        "database_url", "dagster_database_url", *(f"database_url_{role}" for role in ROLES_WITH_A_URL), mode="after"
    )
    @classmethod
    def _postgres_url(cls, url: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if url is not None:
            scheme, separator, rest = url.get_secret_value().partition("://")
            if scheme.partition("+")[0] not in ("postgresql", "postgres") or not separator or not rest:
                raise ValueError("must be a URL such as postgresql://user:password@host:5432/myi")
        return url

    @field_validator("encryption_keys")
    @classmethod
    def _keys_of_32_bytes(cls, keys: SecretStr | None) -> SecretStr | None:
        if keys is not None:
            _decode_keys(keys.get_secret_value())
        return keys

    @field_validator("spotify_client_id")
    @classmethod
    def _plain_word(cls, client_id: str | None) -> str | None:
        if client_id is not None and not CLIENT_ID.match(client_id):
            raise ValueError("is no client id: letters and digits, as your app's page shows it")
        return client_id

    @field_validator("spotify_api_url", "spotify_accounts_url", "spotify_images_url")
    @classmethod
    def _https_or_loopback(cls, url: str) -> str:
        parts = _parts(url)
        if parts is None or not (parts[0] == "https" or (parts[0] == "http" and parts[1] in (*_LOOPBACK, "localhost"))):
            raise ValueError("must be an https URL (http only on this machine)")
        return url.rstrip("/")

    @field_validator("spotify_redirect_uri")
    @classmethod
    def _redirect_that_spotify_takes(cls, uri: str) -> str:
        parts = _parts(uri)
        if parts is not None and parts[1] == "localhost":
            raise ValueError("Spotify refuses localhost: write 127.0.0.1 instead, here and in your app's settings")
        if parts is None or not (parts[0] == "https" or (parts[0] == "http" and parts[1] in _LOOPBACK and parts[2])):
            raise ValueError("Spotify takes https URLs, http://127.0.0.1:PORT/... and http://[::1]:PORT/...")
        return uri

    @field_validator("public_url")
    @classmethod
    def _origin(cls, url: str | None) -> str | None:
        return None if url is None else _origin_of(url, "must be an origin such as https://music.example.org")

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, text: str) -> str:
        for part in _listed(text):
            try:
                ip_network(part, strict=False)
            except ValueError:
                raise ValueError("must be addresses or networks such as 10.0.0.0/8, separated by commas") from None
        return text

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, text: str) -> str:
        rule = "must be origins such as https://music.example.org, separated by commas"
        return ",".join(_origin_of(part, rule) for part in _listed(text))

    @field_validator("api_host")
    @classmethod
    def _address(cls, host: str) -> str:
        try:
            ip_address(host)
        except ValueError:
            raise ValueError("must be an address of this machine such as 127.0.0.1, or 0.0.0.0 for all") from None
        return host

    @model_validator(mode="after")
    def _others_need_an_address(self) -> Settings:
        # Without the name by which it is reached, no request could be told from one that a foreign page makes.
        if self.public_url is None and not ip_address(self.api_host).is_loopback:
            raise ValueError("MYI_PUBLIC_URL: needed when MYI_API_HOST is reached from elsewhere")
        return self

    @model_validator(mode="after")
    def _role_urls_need_the_first(self) -> Settings:
        if self.database_url is None:
            for role in ROLES_WITH_A_URL:
                if getattr(self, f"database_url_{role}") is not None:
                    raise ValueError(
                        f"MYI_DATABASE_URL_{role.upper()}: needs MYI_DATABASE_URL (the owner's URL) as well"
                    )
        return self

    @property
    def uploads_folder(self) -> Path:
        return self.uploads or self.home / "uploads"

    @property
    def dagster_home(self) -> Path:
        return self.home / "dagster"

    @property
    def dbt_target(self) -> Path:
        return self.home / "dbt" / "target"

    @property
    def dbt_logs(self) -> Path:
        return self.home / "dbt" / "logs"

    @property
    def docs_page(self) -> Path:
        """What `myi docs build` makes; one file."""
        return self.home / "dbt" / "docs" / "index.html"

    @property
    def docs_url(self) -> str:
        return f"http://127.0.0.1:{self.docs_port}/"

    @property
    def secrets_folder(self) -> Path:
        return self.home / "secrets"

    @property
    def new_user_time_zone(self) -> str:
        return self.time_zone or machine_time_zone()

    @property
    def site_origin(self) -> str:
        """Where browsers reach the pages: scheme, host and port."""
        if self.public_url is not None:
            return self.public_url
        host = f"[{self.api_host}]" if ":" in self.api_host else self.api_host
        return f"http://{host}:{self.api_port}"

    @property
    def trusted_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        return tuple(ip_network(part, strict=False) for part in _listed(self.trusted_proxies))

    @property
    def cors_origin_list(self) -> tuple[str, ...]:
        return tuple(_listed(self.cors_origins))

    def encryption_key_bytes(self) -> tuple[bytes, ...]:
        """The keys that were given, the one that seals first. Secret."""
        return _decode_keys(self.encryption_keys.get_secret_value()) if self.encryption_keys is not None else ()

    def role_urls(self) -> dict[str, str]:
        """The role URLs that were given, by role name. Secret."""
        given = {role: getattr(self, f"database_url_{role}") for role in ROLES_WITH_A_URL}
        return {role: url.get_secret_value() for role, url in given.items() if url is not None}

    def environment(self) -> dict[str, str]:
        """The variables that make a child process load the same settings. Secret."""
        values: dict[str, str] = {}
        for name in type(self).model_fields:
            value: Any = getattr(self, name)
            if value is not None:
                text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
                values[PREFIX + name.upper()] = text
        return values


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _origin_of(url: str, rule: str) -> str:
    """Scheme, host and port as a browser writes them. Raises ValueError with `rule`."""
    parts = _parts(url.rstrip("/"))
    if parts is None or parts[0] not in ("http", "https") or urlsplit(url.rstrip("/")).path or "?" in url:
        raise ValueError(rule)
    scheme, host, port = parts
    usual = {"http": 80, "https": 443}[scheme]
    return f"{scheme}://" + (f"[{host}]" if ":" in host else host) + (f":{port}" if port not in (None, usual) else "")


def _parts(url: str) -> tuple[str, str, int | None] | None:
    """Scheme, host and port of a URL without a fragment, user or blank; None when it is no such URL."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    whole = parts.hostname and not parts.fragment and "@" not in parts.netloc and url.isascii() and url.isprintable()
    return (parts.scheme, parts.hostname or "", port) if whole and " " not in url else None


def decode_key(text: str) -> bytes:
    """One key of 32 bytes from 64 hex digits or base64. Raises ValueError, which does not repeat it."""
    try:
        if len(text) == 2 * ENCRYPTION_KEY_BYTES:
            key = bytes.fromhex(text)
        else:
            padded = text.replace("-", "+").replace("_", "/").rstrip("=")
            key = base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True)
    except (ValueError, binascii.Error):
        key = b""
    # Of 32 random bytes, fewer than 16 differ once in 10^15 keys; a typed pattern mostly has fewer.
    if len(key) != ENCRYPTION_KEY_BYTES or len(set(key)) < ENCRYPTION_KEY_BYTES // 2:
        raise ValueError("each key must be 32 random bytes in base64 or hex; `myi keys new` makes one")
    return key


def _decode_keys(text: str) -> tuple[bytes, ...]:
    keys = tuple(decode_key(part) for part in text.replace(",", " ").split())
    if not keys or len(set(keys)) != len(keys):
        raise ValueError("holds no key, or one key twice")
    return keys


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process. Raises SettingsError with one line that names the variable."""
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


def environment_of_strangers() -> dict[str, str]:
    """The environment without any setting of ours: for a child that needs none, and so is trusted with no secret."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
