"""Uploads through a site of its own process into an object store: killed in the middle, its memory, the store away.

The server on loopback checks every signature.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import psutil
import pytest
from pydantic import SecretStr

from myi_pipeline.settings import Settings
from myi_pipeline.storage.open_store import open_uploads
from tests.conftest import free_port
from tests.hostile import decoys
from tests.integration.api.conftest import RunningSite, SiteMaker
from tests.s3_server import S3Server
from tests.searching import files_below

BUCKET, PREFIX = "uploads", "of/myi"
IMPORTS = "/v1/me/imports"
MIB = 1024 * 1024
LIMIT_S = 90


@pytest.fixture
def site(make_site: SiteMaker, s3: S3Server) -> Iterator[RunningSite]:
    """Its address is that of a process of its own, which `serving` starts."""
    s3.make_bucket(BUCKET)
    made = make_site(uploads=f"s3://{BUCKET}/{PREFIX}", uploads_options=SecretStr(s3.options))
    yield replace(made, settings=made.settings.model_copy(update={"api_port": free_port()}))
    s3.check.fails = lambda _: False


@contextmanager
def serving(settings: Settings) -> Iterator[psutil.Process]:
    """`myi api`, until it is killed."""
    program = "import sys; from myi_pipeline.cli.app import run; sys.exit(run(['api']))"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MYI_")}
    child = subprocess.Popen(
        [sys.executable, "-c", program], env=inherited | settings.environment(), stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: answers(settings.api_port) or child.poll() is not None)
        yield psutil.Process(child.pid)
    finally:
        child.kill()
        child.wait()


def answers(port: int) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(f"http://127.0.0.1:{port}/", trust_env=False, timeout=5).status_code < 500
    return False


def until(holds: Callable[[], object]) -> None:
    limit = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.05)


def large_archive(path: Path, *, mib: int) -> Path:
    """A history beside a file that does not pack."""
    decoys.zip_of(path, ("Streaming_History_Audio_2024_0.json", decoys.good_json(20)))
    with zipfile.ZipFile(path, "a") as archive:
        for number in range(mib // 64):
            archive.writestr(f"pictures/{number}.bin", os.urandom(64 * MIB))
    return path


def in_pieces(path: Path, *, go_on: threading.Event | None = None, pause_after: int = 0) -> Iterator[bytes]:
    sent = 0
    with path.open("rb") as file:
        while piece := file.read(256 * 1024):
            yield piece
            sent += len(piece)
            if go_on is not None and sent >= pause_after:
                go_on.wait(LIMIT_S)


def hand_in(site: RunningSite, content: Iterator[bytes]) -> httpx.Response:
    return site.browser().post(IMPORTS, params={"name": "my_spotify_data.zip"}, content=content, timeout=LIMIT_S)


@pytest.mark.slow
def test_a_site_that_is_killed_in_the_middle_of_an_upload_leaves_parts_that_are_ended(
    site: RunningSite, s3: S3Server, tmp_path: Path
) -> None:
    path, go_on = large_archive(tmp_path / "a.zip", mib=64), threading.Event()
    broken: list[Exception] = []

    def send() -> None:
        try:
            hand_in(site, in_pieces(path, go_on=go_on, pause_after=20 * MIB))
        except httpx.TransportError as error:
            broken.append(error)

    with serving(site.settings) as process:
        sender = threading.Thread(target=send)
        sender.start()
        until(lambda: s3.unfinished(BUCKET))
        process.kill()
        go_on.set()
        sender.join()
    assert broken
    assert (s3.keys(BUCKET), site.sql("select count(*) from app.imports")) == ([], [(0,)])
    bucket = open_uploads(site.settings)
    assert bucket is not None
    assert len(s3.unfinished(BUCKET)) == 1
    assert bucket.forget_unfinished(older_than=timedelta(0)) == 1
    assert s3.unfinished(BUCKET) == []

    # Sent again it is there once, and has its row.
    with serving(site.settings):
        answer = hand_in(site, in_pieces(path))
        assert answer.status_code == 202, answer.text
    (key,) = s3.keys(BUCKET)
    (row,) = site.sql("select status, upload_name, seen_as is not null from app.imports")
    assert row == ("pending", key.removeprefix(f"{PREFIX}/"), True)
    assert s3.unfinished(BUCKET) == []


@pytest.mark.slow
def test_nothing_of_an_upload_is_written_to_the_disk_of_the_site(
    site: RunningSite, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is looked at whenever the store is asked for something, of an archive that is taken in and of one that
    is refused after its last byte."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    found: set[Path] = set()
    looks = 0

    def look(_: object) -> bool:
        nonlocal looks
        looks += 1
        found.update(files_below(site.settings.uploads_folder), files_below(temporary))
        return False

    good, bad = large_archive(tmp_path / "a.zip", mib=64), tmp_path / "b.zip"
    bad.write_bytes(good.read_bytes()[:-100])
    with serving(site.settings):
        s3.check.fails = look
        assert hand_in(site, in_pieces(bad)).status_code == 422
        assert s3.keys(BUCKET) == []
        assert hand_in(site, in_pieces(good)).status_code == 202
        # At the least for each part of both, and for some ranges of each.
        assert looks > 2 * 64 // 8 + 4
    assert found == set()
    assert len(s3.keys(BUCKET)) == 1


@pytest.mark.slow
def test_a_store_that_is_away_is_said_and_keeps_nothing(site: RunningSite, s3: S3Server, tmp_path: Path) -> None:
    path = large_archive(tmp_path / "a.zip", mib=0)
    with serving(site.settings):
        s3.check.fails = lambda environ: environ["REQUEST_METHOD"] in ("PUT", "POST")
        answer = hand_in(site, in_pieces(path))
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:myi:problem:unavailable")
        assert "object store" in answer.json()["detail"]
        assert s3.endpoint not in answer.text
        s3.check.fails = lambda _: False
        assert hand_in(site, in_pieces(path)).status_code == 202
    assert len(s3.keys(BUCKET)) == 1
    assert site.sql("select count(*) from app.imports") == [(1,)]


@pytest.mark.long
def test_a_large_upload_takes_no_more_memory_than_a_small_one(site: RunningSite, s3: S3Server, tmp_path: Path) -> None:
    small, large = large_archive(tmp_path / "a.zip", mib=64), large_archive(tmp_path / "b.zip", mib=512)
    peaks = []
    for path in (small, large):
        with serving(site.settings) as process:
            assert hand_in(site, in_pieces(path)).status_code == 202
            peaks.append(peak_bytes(process))
    print(f"peaks of memory: {[peak // MIB for peak in peaks]} MiB")  # noqa: T201
    assert peaks[1] - peaks[0] < 40 * MIB


def peak_bytes(process: psutil.Process) -> int:
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(line)
