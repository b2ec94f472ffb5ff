"""The real reader finds in each archive exactly what the truth says; neither was written from the other."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from myi_pipeline.archives.files import Limits, open_history
from myi_pipeline.catalogue.plays import ContentKind, QuarantinedRow
from myi_pipeline.simulator import ArchiveTruth, Listener, write_account_archive, write_extended_archive
from myi_pipeline.simulator.account import AccountNames
from myi_pipeline.simulator.bad_rows import BAD_ROWS
from myi_pipeline.simulator.spec import Vintage


def read(truth: ArchiveTruth) -> tuple[Counter[tuple[object, ...]], Counter[str], dict[str, int]]:
    """Plays by what was kept of them, quarantined rows by reason, rows by file."""
    plays: Counter[tuple[object, ...]] = Counter()
    refused: Counter[str] = Counter()
    rows: dict[str, int] = {}
    with open_history(truth.path, limits=Limits(), hash_account=str.encode) as archive:
        assert archive.kind == truth.kind
        assert set(archive.skipped) == set(truth.other_files)
        for file in archive.files:
            reader = archive.read(file)
            for item in reader:
                if isinstance(item, QuarantinedRow):
                    refused[item.reason] += 1
                    continue
                content = item.content and (ContentKind(item.content.kind).name.lower(), *item.content[2:6])
                flags = (item.shuffle, item.skipped, item.offline, item.incognito)
                plays[item.played_at, item.ms_played, content, item.context and item.context[1:], *flags] += 1
            rows[file.name] = reader.rows_read
    return plays, refused, rows


def true_plays(truth: ArchiveTruth) -> Counter[tuple[object, ...]]:
    plays: Counter[tuple[object, ...]] = Counter()
    for play in truth.plays():
        content = None if play.kind == "unknown" else play[2:7]
        # The reader takes an empty reason for none.
        words = (play.platform, play.conn_country, play.reason_start or None, play.reason_end or None)
        context = words if any(words) else None
        flags = (play.shuffle, play.skipped, play.offline, play.incognito)
        plays[play.played_at, play.ms_played, content, context, *flags] += 1
    return plays


@pytest.mark.parametrize("vintage", ["endsong", "2023", "2024", "2026"])
def test_of_an_extended_archive(tmp_path: Path, listener: Listener, vintage: Vintage) -> None:
    truth = write_extended_archive(
        tmp_path / "a.zip", listener, vintage=vintage, rows_per_file=1500, bad=dict.fromkeys(BAD_ROWS, 5)
    )
    plays, refused, rows = read(truth)

    assert set(plays) == set(true_plays(truth))
    assert sum(plays.values()) == truth.distinct + truth.identical
    assert refused == truth.quarantined
    assert rows == {file.name: file.rows for file in truth.files}


@pytest.mark.parametrize("names", ["old", "new"])
def test_of_an_account_archive(tmp_path: Path, listener: Listener, names: AccountNames) -> None:
    truth = write_account_archive(tmp_path / "a.zip", listener, until=date(2023, 6, 30), names=names)
    plays, refused, rows = read(truth)

    assert plays == true_plays(truth)
    assert not refused
    assert rows == {file.name: file.rows for file in truth.files}
