"""What Dagster captures of runs, in a folder and in a bucket: masked, read back, taken out with a user, pruned."""

from __future__ import annotations

import logging
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import dagster as dg
import httpx
import pytest
from dagster._core.storage.compute_log_manager import ComputeIOType

from myi_pipeline.defs.maintenance import prune_event_log
from myi_pipeline.logs import configure_logs
from myi_pipeline.operations.doctor.check import Status
from myi_pipeline.operations.doctor.run import run_checks
from myi_pipeline.operations.erase_users import erase_user
from myi_pipeline.operations.log_traces import clear_logs
from myi_pipeline.operations.redaction import Traces
from myi_pipeline.operations.remove_users import Removal, finish_removals
from myi_pipeline.people.manage_users import add_user
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.settings import Settings, load_settings
from tests.s3_server import S3Server

BUCKET = "logs"
SECRET_LINE = "the answer held refresh_token=hush-hush-hush"


@dg.op
def speak() -> None:
    configure_logs(layout="json", level="info", stream=sys.stderr)
    logging.getLogger("test").info("imported for somebody-unusual")
    logging.getLogger("test").info(SECRET_LINE)
    logging.getLogger("test").info("a line of others")
    # What is written past the logs is not masked: it shows that it is looked for in the right place.
    print("printed-canary", file=sys.stderr)  # noqa: T201


@dg.job
def speaking() -> None:
    speak()


@pytest.fixture(params=["folder", "bucket"])
def settings(
    request: pytest.FixtureRequest, dagster_home: Settings, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    if request.param == "bucket":
        pytest.importorskip("dagster_aws")
        s3.make_bucket(BUCKET)
        monkeypatch.setenv("MYI_COMPUTE_LOGS", f"s3://{BUCKET}/of/myi")
        monkeypatch.setenv("MYI_COMPUTE_LOGS_OPTIONS", s3.options)
        # Of another program, which knows another account.
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody-else")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "something-else")
    return load_settings()


def stored(settings: Settings, s3: S3Server) -> dict[str, str]:
    """The logs that are kept, by their path below the place of all."""
    if settings.compute_logs is None:
        folder = settings.dagster_home / "storage"
        found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        return {name: path.read_text() for name, path in found.items() if Path(name).suffix in (".out", ".err")}
    prefix = "of/myi/storage/"
    return {
        key.removeprefix(prefix): s3.client.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode()
        for key in s3.keys(BUCKET)
    }


def test_what_runs_write_is_kept_masked_and_goes_with_whom_it_names(settings: Settings, s3: S3Server) -> None:
    with dg.DagsterInstance.get() as instance:
        run = speaking.execute_in_process(instance=instance)
        (key,) = [name for name, text in stored(settings, s3).items() if "somebody-unusual" in text]
        text = stored(settings, s3)[key]
        assert key.startswith(f"{run.run_id}/compute_logs/")
        assert "printed-canary" in text
        assert "refresh_token=***" in text
        assert "hush-hush-hush" not in "".join(stored(settings, s3).values())
        assert (settings.compute_logs is None) == any((settings.dagster_home / "storage").rglob("*.err"))

        # As the page of a run shows it.
        place = [run.run_id, "compute_logs", Path(key).stem]
        read, _ = instance.compute_log_manager.get_log_data_for_type(place, ComputeIOType.STDERR, 0, None)
        assert read is not None
        assert b"a line of others" in read

        assert clear_logs(settings, Traces("somebody-unusual")) >= 1
        kept = stored(settings, s3)[key]
        assert "a line of others" in kept
        assert "somebody-unusual" not in "".join(stored(settings, s3).values())

        later = datetime.now(UTC) + timedelta(days=1)
        assert prune_event_log(instance, before=later).removed == 1
        assert stored(settings, s3) == {}


def test_a_link_to_a_log_expires_and_the_key_is_asked_for(
    settings: Settings, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    (check,) = [each for each in run_checks(settings) if each.name == "compute logs"]
    assert check.status is Status.OK
    if settings.compute_logs is None:
        return
    with dg.DagsterInstance.get() as instance:
        run = speaking.execute_in_process(instance=instance)
        (key,) = [name for name, text in stored(settings, s3).items() if "somebody-unusual" in text]
        place = [run.run_id, "compute_logs", Path(key).stem]
        link = instance.compute_log_manager.get_log_metadata(place).stderr_download_url
        assert link is not None
        assert httpx.get(link, trust_env=False).status_code == 200
        assert httpx.get(urlsplit(link)._replace(query="").geturl(), trust_env=False).status_code == 403
        monkeypatch.setattr(s3.check, "now", lambda: datetime.now(UTC) + timedelta(days=1))
        assert httpx.get(link, trust_env=False).status_code == 403


def test_a_removal_waits_for_runs_that_began_before_it_and_reads_each_log_once(
    settings: Settings, s3: S3Server, warehouse: Warehouse
) -> None:
    def finish(*, looks_every: timedelta | None = None) -> tuple[Removal, ...]:
        return finish_removals(warehouse, settings, partition_keys=(), looks_every=looks_every)

    with closing(warehouse.connect(Role.INGEST, autocommit=True)) as connection:
        user_id = add_user(connection, user_key="somebody-unusual", time_zone="UTC").user_id
    with dg.DagsterInstance.get() as instance:
        run = speaking.execute_in_process(instance=instance)
        going = instance.create_run_for_job(speaking, status=dg.DagsterRunStatus.STARTED)
        erase_user(warehouse, settings, user_id=user_id, now=datetime.now(UTC))
        (left,) = finish()
        assert (left.has_traces, left.last_error) == (True, None)
        (left,) = finish()
        assert "runs that began before are still going" in str(left.last_error)

        instance.report_run_canceled(going)
        if settings.compute_logs is not None:
            # A sensor has not the time for a bucket.
            before = len(s3.check.asked)
            assert len(finish(looks_every=timedelta(0))) == 1
            assert s3.check.asked[before:] == []
        before = len(s3.check.asked)
        assert finish() == ()
        assert "somebody-unusual" not in "".join(stored(settings, s3).values())
        if settings.compute_logs is not None:
            named = [address for method, address in s3.check.asked[before:] if method == "GET"]
            clean = [address for address in named if run.run_id in address and address.endswith(".out")]
            assert len(clean) == len(set(clean)) > 0
