"""What a person waits for: whole commands, cold, each beside a reference that runs in between.

    python -m benchmarks.first_minute [--runs 3] [--maloja]

`myi import` of a 16,000-row and a 200,000-row archive into a new home and of the latter into a home that is there;
`myi refresh` after 50 new plays, and of nothing; the reference is the same archive to the same aggregates by DuckDB
(duckdb_marts). `--maloja` imports the small archive into Maloja as well. Both are installed from the package registry
into environments below a temporary folder, unless MYI_BENCH_DUCKDB_PYTHON names a Python that has duckdb. Medians of
the runs; other figures of the machine at the same time are the reference's.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
import venv
import zipfile
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.homes import ZONE, new_home
from benchmarks.setups import console, make_archive, median, print_machine, print_table
from myi_pipeline.marts.parse_ahead import main as parse_ahead

SMALL, LARGE = 16_000, 200_000
AIMS_S = {
    "import of 16,000 rows, new home": 12.0,
    "import of 200,000 rows, new home": 20.0,
    "import of 200,000 rows, home that is there": 15.0,
    "refresh of 50 plays": 6.5,
    "refresh of nothing": 1.2,
}


def environment_with(package: str, folder: Path) -> Path:
    """The Python of a new environment that has this package."""
    made = folder / package
    venv.create(made, with_pip=True)
    python = made / "bin" / "python"
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", package], check=True, timeout=600)
    return python


def seconds_of(command: Sequence[str | Path], **environment: str) -> float:
    began = time.perf_counter()
    subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=600,
    )
    return time.perf_counter() - began


def fifty_plays(folder: Path, number: int) -> Path:
    """A JSON file of 50 plays that no other archive has."""
    first = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=number)
    rows = [
        {
            "ts": f"{first + timedelta(minutes=4 * place):%Y-%m-%dT%H:%M:%SZ}",
            "ms_played": 200_000 + place,
            "platform": "android",
            "master_metadata_track_name": f"Song {place % 20}",
            "master_metadata_album_artist_name": "Someone New",
            "master_metadata_album_album_name": "An Album",
            "spotify_track_uri": f"spotify:track:{place % 20:022d}",
        }
        for place in range(50)
    ]
    path = folder / f"Streaming_History_Audio_2025_{number}.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def maloja_seconds(python: Path, archive: Path, folder: Path) -> float:
    data = Path(tempfile.mkdtemp(prefix="maloja-data-", dir=folder))
    with zipfile.ZipFile(archive) as opened:
        (name,) = [name for name in opened.namelist() if "Audio" in name]
        file = opened.extract(name, data)
    return seconds_of(
        [python.with_name("maloja"), "import", file],
        MALOJA_DATA_DIRECTORY=str(data),
        MALOJA_SKIP_SETUP="true",
        MALOJA_FORCE_PASSWORD="benchmark",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--maloja", action="store_true", help="import the small archive into Maloja as well")
    given = parser.parse_args()
    print_machine()
    # As a wheel brings it.
    parse_ahead()
    folder = Path(tempfile.mkdtemp(prefix="myi-bench-"))
    folder.chmod(0o711)
    found: dict[str, list[float]] = defaultdict(list)
    try:
        small, large = make_archive(folder, plays=SMALL), make_archive(folder, plays=LARGE)
        named = os.environ.get("MYI_BENCH_DUCKDB_PYTHON")
        duckdb = Path(named) if named else environment_with("duckdb", folder)
        maloja = environment_with("malojaserver", folder) if given.maloja else None
        script = Path(__file__).with_name("duckdb_marts.py")
        for number in range(given.runs):
            console.print(f"run {number + 1} of {given.runs}")
            for name, archive in (("16,000", small), ("200,000", large)):
                reference = [duckdb, script, archive, folder / "reference.duckdb", ZONE]
                found[f"DuckDB, {name} rows"].append(seconds_of(reference))
            if maloja is not None:
                found["Maloja, 16,000 rows"].append(maloja_seconds(maloja, small, folder))
            with new_home(folder) as home:
                found["import of 16,000 rows, new home"].append(
                    home.seconds("import", small, "--user", "ana", "--create")
                )  # fmt: skip
                found["import of 200,000 rows, home that is there"].append(
                    home.seconds("import", large, "--user", "ben", "--create", "--yes")
                )
            with new_home(folder) as home:
                found["import of 200,000 rows, new home"].append(
                    home.seconds("import", large, "--user", "ana", "--create")
                )  # fmt: skip
                home.seconds("import", fifty_plays(folder, number), "--user", "ana", "--no-refresh")
                found["refresh of 50 plays"].append(home.seconds("refresh"))
                found["refresh of nothing"].append(home.seconds("refresh"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    base = {name: median(found[f"DuckDB, {name} rows"]) for name in ("16,000", "200,000")}
    rows = []
    for name, seconds in found.items():
        size = "16,000" if "16,000" in name else "200,000"
        rows.append((name, median(seconds), median(seconds) / base[size], AIMS_S.get(name, "")))
    print_table("Whole commands", ("", "seconds", f"DuckDB = 1 ({ZONE})", "aim, seconds"), rows)


if __name__ == "__main__":
    main()
