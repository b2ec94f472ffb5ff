"""The settings: what is accepted, what stops the start, and what is never shown."""

from __future__ import annotations

import base64
import os
import re
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from pydantic import ValidationError

from myi_pipeline.archives.files import Limits
from myi_pipeline.archives.reading_settings import archive_limits
from myi_pipeline.settings import (
    LogFormat,
    Settings,
    SettingsError,
    default_home,
    load_settings,
    machine_time_zone,
    unknown_variables,
)
from myi_pipeline.settings import operations as module
from myi_pipeline.settings.artifacts import options_of

KEY = "mJ7Qk3vR0oZ+4xN1uB/8sYtH6fWcEdAgLiPpVnXyS2I="
OTHER_KEY = "qL2w9Zt5Ry8UoPa3Sd7Fg1Hj4KlXc6VbNm0QeWrTiYA="
URL = "postgresql://somebody:hunter2@db.example:5433/music"


def test_an_empty_environment_gives_settings_that_work() -> None:
    settings = load_settings({})
    assert settings.home == default_home()
    assert settings.uploads_folder == settings.home / "uploads"
    assert settings.dagster_home == settings.home / "dagster"
    assert settings.dagster_port == 3000
    assert settings.log_format is LogFormat.AUTO


def test_limits_on_archives_are_the_same_with_and_without_settings() -> None:
    """They are written in two places, since reading archives knows no settings."""
    assert archive_limits(load_settings({})) == Limits()
    named = {name for name in Settings.model_fields if name.startswith("archive_")}
    assert named == {f"archive_{limit.name}" for limit in fields(Limits)}


def test_an_empty_variable_counts_as_not_given() -> None:
    assert load_settings({"MYI_UPLOADS": "", "MYI_DATABASE_URL": ""}) == load_settings({})


def test_it_reads_the_environment_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MYI_DAGSTER_PORT", "3999")
    assert load_settings().dagster_port == 3999


def test_settings_made_in_code_do_not_depend_on_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MYI_DAGSTER_PORT", "3999")
    assert Settings(home=tmp_path).dagster_port == 3000


def test_paths_become_absolute() -> None:
    settings = load_settings({"MYI_HOME": "~/music", "MYI_UPLOADS": "here"})
    assert settings.home == Path.home() / "music"
    assert settings.uploads_folder == Path.cwd() / "here"


@pytest.mark.parametrize(
    ("variable", "bad"),
    [
        ("MYI_DAGSTER_PORT", "hunter2"),
        ("MYI_DAGSTER_PORT", "65536"),
        ("MYI_DAGSTER_PORT", "0"),
        ("MYI_DATABASE_URL", "mysql://hunter2@db/music"),
        ("MYI_DATABASE_URL", "hunter2"),
        ("MYI_DATABASE_URL", "postgresql://"),
        ("MYI_DATABASE_URL_API", URL),
        ("MYI_DAGSTER_DATABASE_URL", "hunter2"),
        ("MYI_TIME_ZONE", "Mars/hunter2"),
        ("MYI_TIME_ZONE", "../hunter2"),
        ("MYI_LOG_FORMAT", "hunter2"),
        ("MYI_LOG_LEVEL", "hunter2"),
        ("MYI_ARCHIVE_MAX_ENTRIES", "-1"),
        ("MYI_HOME", "~no-such-user/hunter2"),
        ("MYI_ENCRYPTION_KEYS", "hunter2"),
        ("MYI_ENCRYPTION_KEYS", "hunter2 " * 4),
        ("MYI_ENCRYPTION_KEYS", "00" * 32),
        ("MYI_ENCRYPTION_KEYS", ","),
        ("MYI_ENCRYPTION_KEYS", f"{KEY},{KEY}"),
        ("MYI_SPOTIFY_CLIENT_ID", "hunter2?"),
        ("MYI_SPOTIFY_API_URL", "http://hunter2.example/v1"),
        ("MYI_SPOTIFY_API_URL", "https://hunter2@api.spotify.com/v1"),
        ("MYI_SPOTIFY_ACCOUNTS_URL", "ftp://hunter2"),
        ("MYI_SPOTIFY_IMAGES_URL", "http://hunter2.example.org"),
        ("MYI_COVERS", "hunter2"),
        ("MYI_SPOTIFY_REDIRECT_URI", "http://localhost:8898/hunter2"),
        ("MYI_SPOTIFY_REDIRECT_URI", "http://127.0.0.1/hunter2"),
        ("MYI_SPOTIFY_REDIRECT_URI", "http://192.168.1.2:8898/hunter2"),
        ("MYI_SPOTIFY_REQUESTS_PER_MINUTE", "0"),
        ("MYI_SPOTIFY_CATALOGUE_CALLS_PER_DAY", "-1"),
        ("MYI_ARTIFACTS", "ftp://hunter2"),
        ("MYI_ARTIFACTS", "s3://hunter2/../x"),
        ("MYI_ARTIFACTS", "s3://key:hunter2@bucket"),
        ("MYI_ARTIFACTS", "s3:///hunter2"),
        ("MYI_ARTIFACTS", "gs://bucket?key=hunter2"),
        ("MYI_ARTIFACTS_OPTIONS", "hunter2"),
        ("MYI_ARTIFACTS_OPTIONS", "Secret Key=hunter2"),
    ],
)
def test_a_bad_value_gives_one_line_that_names_the_variable_and_not_the_value(variable: str, bad: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({variable: bad})
    message = str(caught.value)
    assert message.startswith(f"{variable}: ")
    assert "\n" not in message
    assert "hunter2" not in message


def test_secrets_are_masked_wherever_settings_are_shown() -> None:
    settings = load_settings({"MYI_DATABASE_URL": URL, "MYI_DAGSTER_DATABASE_URL": URL})
    for shown in (repr(settings), str(settings), f"{settings}", settings.model_dump_json(), str(settings.model_dump())):
        assert "hunter2" not in shown


def test_exports_lie_in_a_folder_or_in_a_bucket_whose_options_are_secret() -> None:
    assert load_settings({"MYI_HOME": "/srv/myi"}).artifacts_folder == Path("/srv/myi/artifacts")
    assert load_settings({"MYI_ARTIFACTS": "/srv/exports/"}).artifacts_folder == Path("/srv/exports")
    given = {
        "MYI_ARTIFACTS": "s3://bucket/of/myi/",
        "MYI_ARTIFACTS_OPTIONS": "region=eu-1&secret_access_key=a%2Bhunter2",
    }
    settings = load_settings(given)
    assert (settings.artifacts, settings.artifacts_folder) == ("s3://bucket/of/myi", None)
    assert "hunter2" not in repr(settings) + settings.model_dump_json()
    assert load_settings(settings.environment()) == settings
    assert settings.artifacts_options is not None
    found = options_of(settings.artifacts_options.get_secret_value())
    assert found == {"region": "eu-1", "secret_access_key": "a+hunter2"}


def test_keys_are_read_in_base64_and_in_hex_and_never_shown() -> None:
    as_hex = base64.b64decode(KEY).hex()
    for text in (KEY, as_hex, KEY.rstrip("="), KEY.replace("+", "-").replace("/", "_")):
        settings = load_settings({"MYI_ENCRYPTION_KEYS": f"{text}, {OTHER_KEY}"})
        assert settings.encryption_key_bytes() == (base64.b64decode(KEY), base64.b64decode(OTHER_KEY))
        assert text not in repr(settings) + settings.model_dump_json()
        assert load_settings(settings.environment()) == settings
    assert load_settings({}).encryption_key_bytes() == ()


@pytest.mark.parametrize(
    "uri", ["http://127.0.0.1:1/", "http://[::1]:8898/callback", "https://music.example/myi/callback"]
)
def test_redirects_that_spotify_takes_are_taken(uri: str) -> None:
    assert load_settings({"MYI_SPOTIFY_REDIRECT_URI": uri}).spotify_redirect_uri == uri


def test_localhost_is_named_as_what_spotify_refuses() -> None:
    with pytest.raises(SettingsError, match=r"refuses localhost: write 127\.0\.0\.1"):
        load_settings({"MYI_SPOTIFY_REDIRECT_URI": "http://localhost:8898/callback"})


def test_addresses_of_spotify_lose_their_last_slash() -> None:
    assert load_settings({"MYI_SPOTIFY_API_URL": "http://127.0.0.1:8890/v1/"}).spotify_api_url.endswith("/v1")


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_settings({}).dagster_port = 1


def test_a_child_process_gets_the_same_settings() -> None:
    environment = {
        "MYI_HOME": "/somewhere",
        "MYI_DATABASE_URL": URL,
        "MYI_DATABASE_URL_API": URL,
        "MYI_TIME_ZONE": "Europe/Berlin",
        "MYI_LOG_FORMAT": "JSON",
    }
    settings = load_settings(environment)
    assert load_settings(settings.environment()) == settings
    assert settings.role_urls() == {"api": URL}


def test_a_secret_can_be_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text(f"{URL}\n", encoding="utf-8")
    given = {"MYI_DATABASE_URL_FILE": str(secret), "MYI_ENCRYPTION_KEYS": KEY}
    settings = load_settings(given)
    assert settings == load_settings({"MYI_DATABASE_URL": URL, "MYI_ENCRYPTION_KEYS": KEY})
    assert unknown_variables({**given, "MYI_HOME_FILE": "x"})[0][0] == "MYI_HOME_FILE", "a folder is no secret"
    # A child that inherits the variable is not confused by it, whatever the file holds by then.
    secret.write_text(f"{URL}/other", encoding="utf-8")
    assert load_settings(given | settings.environment()) == settings


@pytest.mark.parametrize(
    ("content", "others", "said"),
    [
        (None, {}, "cannot be read: No such file or directory"),
        (b"", {}, "is empty"),
        (b"\n", {}, "is empty"),
        (b"\xff\xfe", {}, "is not UTF-8 text"),
        (b"x" * 70_000, {}, "is larger than 64 kB"),
        (KEY.encode(), {"MYI_ENCRYPTION_KEYS": OTHER_KEY}, "MYI_ENCRYPTION_KEYS is set, too"),
    ],
)
def test_a_file_that_holds_no_secret_is_named(
    tmp_path: Path, content: bytes | None, others: dict[str, str], said: str
) -> None:
    secret = tmp_path / "keys"
    if content is not None:
        secret.write_bytes(content)
    with pytest.raises(SettingsError, match=said) as caught:
        load_settings({"MYI_ENCRYPTION_KEYS_FILE": str(secret), **others})
    assert str(caught.value).startswith("MYI_ENCRYPTION_KEYS_FILE: ")
    assert KEY not in str(caught.value)


def test_a_file_with_a_wrong_secret_is_told_as_the_variable_would_be(tmp_path: Path) -> None:
    secret = tmp_path / "keys"
    secret.write_text("short", encoding="utf-8")
    with pytest.raises(SettingsError, match="MYI_ENCRYPTION_KEYS: each key must be 32 random bytes"):
        load_settings({"MYI_ENCRYPTION_KEYS_FILE": str(secret)})


@pytest.mark.parametrize("limits", ["dbt", "dbt=0", "dbt=1001", "dbt=x", "=1", "dbt=1,dbt=2", "dbt=²"])
def test_a_limit_of_a_pool_that_is_none_stops_the_start(limits: str) -> None:
    with pytest.raises(SettingsError, match="MYI_POOL_LIMITS: must be pools with their limits from 1 to 1000"):
        load_settings({"MYI_POOL_LIMITS": limits})


def test_an_unknown_variable_is_told_with_the_closest_known_one() -> None:
    environment = {"MYI_DATABSE_URL": "x", "MYI_QQQ": "x", "MYI_HOME": "x", "OTHER": "x", "MYI_TEST_DATABASE_URL": "x"}
    assert unknown_variables(environment) == [("MYI_DATABSE_URL", "MYI_DATABASE_URL"), ("MYI_QQQ", None)]


def test_an_unknown_variable_does_not_stop_the_start() -> None:
    assert load_settings({"MYI_QQQ": "x"}) == load_settings({})


def test_root_keeps_its_data_in_a_system_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(sys, "platform", "linux")
    assert default_home() == Path("/var/lib/myi")


def test_a_user_keeps_data_in_the_users_own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_home().name == "myi"
    if sys.platform == "linux":
        assert default_home() == tmp_path / "myi"


def test_the_machines_zone_is_taken_from_tz_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", ":Asia/Tokyo")
    assert machine_time_zone() == "Asia/Tokyo"
    assert load_settings({}).new_user_time_zone == "Asia/Tokyo"
    assert load_settings({"MYI_TIME_ZONE": "Europe/Berlin"}).new_user_time_zone == "Europe/Berlin"


def test_a_machine_without_a_known_zone_is_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "available_timezones", lambda: {"Asia/Tokyo"})
    monkeypatch.setenv("TZ", "CET-1CEST")
    monkeypatch.setattr(os.path, "realpath", lambda _: "/etc/localtime")
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "nonsense")
    assert machine_time_zone() == "UTC"


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_a_secret_may_be_in_a_file_whose_content_no_error_repeats(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text(f"{URL}\n", encoding="utf-8")
    given = {"MYI_DATABASE_URL_FILE": str(file)}
    settings = load_settings(given)
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == URL
    # A child gets the value besides the name of the file.
    both = load_settings({**given, **settings.environment(), "MYI_DATABASE_URL": "postgresql://other@db.example/x"})
    assert both.database_url is not None
    assert both.database_url.get_secret_value() == "postgresql://other@db.example/x"
    assert unknown_variables(given) == []
    assert [name for name, _ in unknown_variables({"MYI_DAGSTER_PORT_FILE": "x"})] == ["MYI_DAGSTER_PORT_FILE"]

    (tmp_path / "empty").write_text(" \n", encoding="utf-8")
    (tmp_path / "wrong").write_text("hunter2", encoding="utf-8")
    for name in ("empty", "missing", "wrong"):
        with pytest.raises(SettingsError, match=r"\AMYI_DATABASE_URL") as error:
            load_settings({"MYI_DATABASE_URL_FILE": str(tmp_path / name)})
        assert "hunter2" not in str(error.value)
    with pytest.raises(SettingsError, match="MYI_SENTRY_DSN") as error:
        load_settings({"MYI_SENTRY_DSN": "https://hunter2.example.org/1"})
    assert "hunter2" not in str(error.value)


def test_uploads_and_logs_of_runs_may_lie_in_a_bucket() -> None:
    settings = load_settings({"MYI_HOME": "/m", "MYI_UPLOADS": "s3://music/up/", "MYI_COMPUTE_LOGS": "s3://music/logs"})
    assert (settings.uploads_place, settings.compute_logs) == ("s3://music/up", "s3://music/logs")
    # Where archives lie while they are looked into.
    assert settings.uploads_folder == Path("/m/uploads")
    assert load_settings(settings.environment()) == settings
    assert load_settings({"MYI_HOME": "/m"}).uploads_place == "/m/uploads"


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"MYI_UPLOADS": "ftp://music/up"}, "MYI_UPLOADS: must be a folder, or begin with s3://"),
        ({"MYI_UPLOADS": "s3://music/../up"}, "MYI_UPLOADS: must be a bucket"),
        ({"MYI_UPLOADS": "s3://music/a", "MYI_ARTIFACTS": "s3://music/a"}, "MYI_UPLOADS: exports are stored there"),
        ({"MYI_COMPUTE_LOGS": "gs://music/logs"}, "MYI_COMPUTE_LOGS: must be a bucket and a path in it"),
        ({"MYI_COMPUTE_LOGS": "s3://music"}, "MYI_COMPUTE_LOGS: must be a bucket and a path in it"),
        ({"MYI_UPLOADS_OPTIONS": "hush"}, "MYI_UPLOADS_OPTIONS: must be options such as"),
    ],
)
def test_a_place_that_is_none_is_said_with_its_variable(environ: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(said)) as error:
        load_settings(environ)
    assert "hush" not in str(error.value)
