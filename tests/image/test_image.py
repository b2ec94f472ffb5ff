"""The image, built for real by scripts/build-image and run as an engine would: with a read-only root file system, as
its own account, without any capability, without a network. No engine is needed: buildah builds it, and namespaces and
chroot run it. Only as root on Linux."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.repository import ROOT

pytestmark = pytest.mark.long
TAG = f"localhost/myi-test:{os.getpid()}"
# Without a cache: a base system by debootstrap, and 150 wheels.
BUILT_WITHIN_S = 2400
# 668 MB were measured with object-store and celery, 122 of them Debian's and Python's.
LARGEST_BYTES = 720_000_000
ACCOUNT = 10001
# Also as x86_64-linux-gnu-gcc-14 and the like.
COMPILER = re.compile(r"(.*-)?(cc|c\+\+|gcc|g\+\+|clang|clang\+\+|cpp|cc1|as|ld|ld\.bfd|ld\.gold)(-[0-9.]+)?")
PIP = re.compile(r"pip|pip[0-9].*|pip-.*|ensurepip|python-wheels")
# What an engine does for `--read-only --cap-drop ALL --security-opt no-new-privileges --network none`.
RUN = """
set -eu
root=$1 place=$2
shift 2
mount --make-rprivate /
mount --bind "$root" "$place/root"
mount -o remount,bind,ro "$place/root"
mount --bind "$place/home" "$place/root/var/lib/myi"
mount --bind "$place/tmp" "$place/root/tmp"
mount -t proc proc "$place/root/proc"
mount --bind /dev "$place/root/dev"
mount -t tmpfs -o size=64m,mode=1777 none "$place/root/dev/shm"
ip link set lo up
exec chroot "$place/root" setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs --bounding-set=-all \
    --inh-caps=-all env -i "$@"
"""


@dataclass(frozen=True)
class Image:
    root: Path
    config: dict[str, Any]
    bytes: int

    @property
    def packages(self) -> Path:
        (found,) = self.root.glob("opt/myi/lib/python3*/site-packages")
        return found

    def command(self, place: Path, *command: str, **variables: str) -> list[str]:
        """A command in a container of it, whose volumes are `home` and `tmp` of a folder."""
        for name, mode in (("root", 0o755), ("home", 0o700), ("tmp", 0o1777)):
            (place / name).mkdir(exist_ok=True)
            (place / name).chmod(mode)
        # As an engine fills a new volume.
        for name in (".", *(each.name for each in (self.root / "var/lib/myi").iterdir())):
            (place / "home" / name).mkdir(exist_ok=True)
            os.chown(place / "home" / name, ACCOUNT, ACCOUNT)
        environment = [*self.config["Env"], *(f"{name}={value}" for name, value in variables.items())]
        namespaces = ["unshare", "--mount", "--pid", "--fork", "--net", "--kill-child"]
        return [*namespaces, "bash", "-c", RUN, "run", str(self.root), str(place), *environment, *command]

    def run(self, place: Path, *command: str, timeout_s: int = 60, **variables: str) -> str:
        done = subprocess.run(
            self.command(place, *command, **variables),
            capture_output=True, text=True, timeout=timeout_s, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, f"{done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-5000:]}"
        return done.stdout


def everything(root: Path) -> Iterator[Path]:
    """All files, folders and links, of which none is followed."""
    for folder, folders, files in os.walk(root):
        yield from (Path(folder, name) for name in (*folders, *files))


def is_program(path: Path) -> bool:
    """Also if it is a link, which may lead out of the image's root."""
    return path.is_symlink() or (path.is_file() and bool(path.stat().st_mode & 0o111))


def buildah(*arguments: str) -> str:
    done = subprocess.run(["buildah", *arguments], capture_output=True, text=True, timeout=600, check=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    missing = [name for name in ("buildah", "debootstrap", "unshare", "ip") if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(
            f"needs root and Debian's packages buildah and debootstrap (missing: {', '.join(missing) or 'root'})"
        )
    build = [str(ROOT / "scripts" / "build-image"), "--extras", "aws,celery,object-store", "--tag", TAG]
    made = subprocess.run(build, capture_output=True, text=True, timeout=BUILT_WITHIN_S, check=False)
    assert made.returncode == 0, made.stdout[-2000:] + made.stderr[-4000:]
    container = buildah("from", TAG)
    try:
        described = json.loads(buildah("inspect", "--type", "image", TAG))
        root = Path(buildah("mount", container))
        size = sum(path.lstat().st_size for path in root.rglob("*") if path.is_file() or path.is_symlink())
        yield Image(root, described["Docker"]["config"], size)
    finally:
        # The layers of the first stage stay, so that the next build is quicker.
        buildah("rm", container)
        buildah("rmi", TAG)


@pytest.mark.timeout(BUILT_WITHIN_S + 60)
def test_it_says_what_it_is_and_runs_as_nobody_special(image: Image) -> None:
    assert image.config["User"] == f"{ACCOUNT}:{ACCOUNT}"
    assert image.config["Cmd"] == ["myi", "up"]
    assert not image.config.get("Entrypoint")
    assert set(image.config["Volumes"]) == {"/var/lib/myi", "/tmp"}
    assert image.config["Healthcheck"]["Test"][:2] == ["CMD", "python3"]
    labels = image.config["Labels"]
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["org.opencontainers.image.version"] == "0.1.0"
    assert len(labels["org.opencontainers.image.revision"]) == 40
    assert labels["org.opencontainers.image.base.name"]


@pytest.mark.timeout(BUILT_WITHIN_S + 60)
def test_it_is_small_and_holds_no_compiler_no_cache_no_test_and_no_secret(image: Image) -> None:
    assert image.bytes < LARGEST_BYTES
    programs = {path.name: path for path in everything(image.root) if is_program(path)}
    assert not programs.keys() & {"make", "git", "curl", "wget", "buildah"}
    assert "myi" in programs
    assert [path for name, path in programs.items() if COMPILER.fullmatch(name)] == []
    assert [path for path in everything(image.root) if PIP.fullmatch(path.name)] == []
    for gone in ("source", "tools", "root/.cache", "etc/pip.conf", "run/secrets/pip", "run/secrets/pip-ca"):
        assert not (image.root / gone).exists() or not any((image.root / gone).iterdir()), gone
    assert not (image.packages / "tests").exists()
    assert not any(image.root.glob("opt/**/*.map"))
    special = [
        path
        for path in image.root.rglob("*")
        if path.is_file() and not path.is_symlink() and path.stat().st_mode & 0o6000
    ]
    assert special == []
    # What the build was told of registries is not in it.
    for variable in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        for told in os.environ.get(variable, "").split():
            search = ["grep", "-rlF", told, str(image.root / "opt"), str(image.root / "etc")]
            assert subprocess.run(search, capture_output=True, timeout=300, check=False).stdout == b""
    installed = {_name(each) for each in image.packages.glob("*.dist-info")}
    bill = json.loads((image.root / "opt/myi/share/myi/sbom.cdx.json").read_text(encoding="utf-8"))
    assert bill["bomFormat"] == "CycloneDX"
    assert installed == {f"{each['name']} {each['version']}".lower().replace("_", "-") for each in bill["components"]}
    assert {"myi-pipeline 0.1.0"} < installed
    # The versions that the tests ran on.
    exact = (ROOT / "constraints.txt").read_text(encoding="utf-8").lower().replace("==", " ").splitlines()
    assert {name for name in installed if name.startswith(("dagster ", "dbt-core ", "psycopg ", "celery "))} <= set(
        exact
    )


def _name(distribution: Path) -> str:
    described = HeaderParser().parsestr((distribution / "METADATA").read_text(encoding="utf-8"))
    return f"{described['Name']} {described['Version']}".lower().replace("_", "-")


@pytest.mark.timeout(BUILT_WITHIN_S + 60)
def test_nothing_but_its_volumes_can_be_written(image: Image, tmp_path: Path) -> None:
    asked = (
        "id -u; for each in / /etc /opt/myi /var/lib /usr; do touch $each/x 2>&1; done",
        "touch /tmp/x $MYI_HOME/x; grep -E 'CapEff|NoNewPrivs' /proc/self/status",
    )
    told = image.run(tmp_path, "sh", "-c", "; ".join(asked)).splitlines()
    assert told[0] == str(ACCOUNT)
    assert [line for line in told if "Read-only file system" in line] == told[1:6]
    assert told[6:] == ["CapEff:\t0000000000000000", "NoNewPrivs:\t1"]


@pytest.mark.timeout(BUILT_WITHIN_S + 1200)
def test_the_demo_passes_in_it(image: Image, tmp_path: Path) -> None:
    document = json.loads(image.run(tmp_path, "myi", "demo", "--plays", "1200", "--json", timeout_s=1200))
    assert document["is_good"] is True
    assert all(figure["is_equal"] for figure in document["truth"])
    # The dbt project was parsed as the image was built.
    assert not any((tmp_path / "home/dbt/manifests").glob("*/*"))
    # What it made belongs to its account alone.
    assert {path.stat().st_uid for path in (tmp_path / "home").rglob("*") if not path.is_symlink()} == {ACCOUNT}


@pytest.mark.timeout(BUILT_WITHIN_S + 600)
def test_myi_up_becomes_healthy_and_stops_when_it_is_asked_to(image: Image, tmp_path: Path) -> None:
    check = shlex.join(image.config["Healthcheck"]["Test"][1:])
    # As process 1, which an engine signals.
    script = f"(until {check} 2>/dev/null; do sleep 1; done; echo healthy; kill -TERM 1) & exec myi up"
    told = image.run(tmp_path, "sh", "-c", script, timeout_s=600)
    assert "healthy" in told
    assert told.rstrip().endswith("stopped")


@pytest.mark.timeout(BUILT_WITHIN_S + 60)
def test_its_parts_are_there_and_want_a_database_of_their_own(image: Image, tmp_path: Path) -> None:
    for part in ("webserver", "daemon", "code"):
        done = subprocess.run(
            image.command(tmp_path, "myi", part), capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 1, part
        assert "MYI_DATABASE_URL is not set" in done.stderr, part
    # Of the extras with which this image was built.
    image.run(tmp_path, "python3", "-c", "import celery, dagster_aws, dagster_celery, obstore, redis")
