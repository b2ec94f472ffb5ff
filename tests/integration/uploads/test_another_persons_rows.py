"""An archive of another user that was written or packed again: its bytes differ, and its plays are the other's."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from myi_pipeline.archives.accounting import ImportResult
from myi_pipeline.archives.import_history import import_history
from myi_pipeline.archives.reading_settings import account_hasher, archive_limits
from myi_pipeline.archives.uploads.import_uploads import import_uploads
from myi_pipeline.archives.uploads.incoming import incoming
from myi_pipeline.archives.uploads.receive import TakenUpload, judge_upload, place_upload, take_upload
from myi_pipeline.errors import BadInput, NotConfirmed
from myi_pipeline.operations.take_away.bring_back import bring_back
from myi_pipeline.operations.take_away.export import write_export
from myi_pipeline.postgres.connections import Role
from tests.integration.uploads.conftest import Uploads

Rows = list[dict[str, Any]]
FIRST = datetime(2021, 3, 1, 18, tzinfo=UTC)


def listening(count: int, *, first: int = 0, shift_s: int = 0, days: int = 1) -> Rows:
    """So many plays out of a life of them, from the one numbered `first` on; each was heard to its end."""

    def ends(number: int) -> datetime:
        return FIRST + timedelta(days=number // 10 * days, minutes=4 * (number % 10), seconds=shift_s)

    return [
        {
            "ts": f"{ends(number):%Y-%m-%dT%H:%M:%SZ}",
            "ms_played": 180_000 + number,
            "master_metadata_track_name": f"Song {number}",
            "master_metadata_album_artist_name": "Band",
            "master_metadata_album_album_name": "Album",
            "spotify_track_uri": f"spotify:track:{number:022d}",
        }
        for number in range(first, first + count)
    ]


def account_data(count: int, *, first: int = 0) -> Rows:
    return [
        {
            "endTime": row["ts"][:16].replace("T", " "),
            "artistName": row["master_metadata_album_artist_name"],
            "trackName": row["master_metadata_track_name"],
            "msPlayed": row["ms_played"],
        }
        for row in listening(count, first=first)
    ]


def files_of(rows: Rows) -> dict[str, str]:
    """As Spotify hands them over: 40 rows a file."""
    return {
        f"MyData/Streaming_History_Audio_2021_{number}.json": json.dumps(rows[start : start + 40], indent=2)
        for number, start in enumerate(range(0, len(rows), 40))
    }


def pack(path: Path, files: dict[str, str], **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def newline(path: Path, rows: Rows) -> Path:
    return pack(path, {name: text + "\n" for name, text in files_of(rows).items()})


def minified(path: Path, rows: Rows) -> Path:
    return pack(
        path, {name: json.dumps(json.loads(text), separators=(",", ":")) for name, text in files_of(rows).items()}
    )


def merged(path: Path, rows: Rows) -> Path:
    return pack(path, {"endsong_0.json": json.dumps(rows)})


def subset(path: Path, rows: Rows) -> Path:
    return pack(path, {"endsong_0.json": json.dumps(rows[50:75])})


def in_another_order(path: Path, rows: Rows) -> Path:
    return pack(path, {"endsong_0.json": json.dumps([dict(reversed(row.items())) for row in reversed(rows)])})


def with_some_of_their_own(path: Path, rows: Rows) -> Path:
    return pack(path, {"endsong_0.json": json.dumps(rows + listening(60, first=1_000))})


REWRITTEN = [newline, minified, merged, subset, in_another_order, with_some_of_their_own]


def bring(uploads: Uploads, path: Path, user: str, **options: Any) -> ImportResult:
    return import_history(
        uploads.warehouse,
        paths=path,
        user_key=user,
        limits=archive_limits(uploads.settings),
        hash_account=account_hasher(uploads.settings),
        **options,
    )


def hand_in(uploads: Uploads, path: Path, user: str) -> TakenUpload:
    """As a browser does."""
    with incoming(uploads.settings, user_key=user, most_bytes=path.stat().st_size) as upload:
        upload.write(path.read_bytes())
        judged = judge_upload(upload, settings=uploads.settings, name=path.name, time_zone="UTC")
        ((user_id,),) = uploads.sql("select user_id from app.users where user_key = %s", user)
        with uploads.warehouse.connect(Role.APP, autocommit=True) as connection:
            return take_upload(connection, judged, place_upload(judged, user_key=user), user_id=user_id)


@pytest.fixture
def anas(uploads: Uploads, tmp_path: Path) -> Rows:
    """What Ana has brought."""
    rows = listening(100)
    assert (
        bring(uploads, pack(tmp_path / "ana" / "my_spotify_data.zip", files_of(rows)), "ana").accounting.loaded == 100
    )
    return rows


def waiting(uploads: Uploads) -> list[tuple[Any, ...]]:
    return uploads.sql(
        "select status, confirmation, error from app.imports join app.users using (user_id) where user_key = 'ben'"
    )


@pytest.mark.parametrize("rewrite", REWRITTEN, ids=lambda rewrite: rewrite.__name__)
def test_another_persons_archive_is_known_by_its_rows_on_every_way_in(
    uploads: Uploads, tmp_path: Path, anas: Rows, rewrite: Callable[[Path, Rows], Path]
) -> None:
    archive = rewrite(tmp_path / "archive.zip", anas)

    with pytest.raises(NotConfirmed) as refusal:
        bring(uploads, archive, "ben")
    assert "ana" not in str(refusal.value)
    ((status, confirmation, error),) = waiting(uploads)
    assert (status, confirmation, error) == ("pending", "needed", str(refusal.value))

    uploads.sql("delete from app.imports where user_id = 2")
    uploads.put("ben/archive.zip", content=archive.read_bytes())
    assert uploads.run("ben").waiting == ("ben/archive.zip",)
    assert waiting(uploads)[0][:2] == ("pending", "needed")

    uploads.sql("delete from app.imports where user_id = 2")
    hand_in(uploads, archive, "ben")
    assert waiting(uploads)[0][:2] == ("pending", "needed")
    assert uploads.wanted() == []

    # A word lets it in, and nothing is asked about it afterwards.
    assert bring(uploads, archive, "ben", is_confirmed=True).accounting.loaded > 0
    assert bring(uploads, archive, "ben").attempt == 2


def test_account_data_of_another_person_is_known_by_its_rows(uploads: Uploads, tmp_path: Path) -> None:
    rows = account_data(60)
    bring(uploads, pack(tmp_path / "a.zip", {"StreamingHistory_music_0.json": json.dumps(rows, indent=1)}), "ana")
    with pytest.raises(NotConfirmed):
        bring(uploads, pack(tmp_path / "b.zip", {"StreamingHistory_music_0.json": json.dumps(rows)}), "ben")
    # Minutes and milliseconds of songs that two people heard together agree: half of an archive is a shared evening.
    mixed = account_data(30) + account_data(20, first=500)
    assert (
        bring(
            uploads, pack(tmp_path / "c.zip", {"StreamingHistory_music_0.json": json.dumps(mixed)}), "ben"
        ).accounting.loaded
        == 50
    )


def test_two_who_listen_together_are_two(uploads: Uploads, tmp_path: Path, anas: Rows) -> None:
    """The same songs to their ends, by two accounts: seconds apart, and now and then in the very second."""
    together = [row for number in range(100) for row in listening(1, first=number, shift_s=number % 3)]
    assert bring(uploads, merged(tmp_path / "ben.zip", together), "ben").accounting.loaded == 100
    # An evening of it among other evenings, each in the very second.
    assert (
        bring(uploads, merged(tmp_path / "more.zip", listening(40) + listening(60, first=200)), "ben").status
        == "completed"
    )


def test_nobodys_own_next_export_waits(uploads: Uploads, tmp_path: Path, anas: Rows) -> None:
    archive = merged(tmp_path / "ben.zip", anas)
    bring(uploads, archive, "ben", is_confirmed=True)
    # Both hold these rows now: each of the two brings a later export, written differently.
    for user, rewrite in (("ana", minified), ("ben", newline)):
        later = rewrite(tmp_path / f"{user}.zip", listening(110))
        assert bring(uploads, later, user).accounting.loaded == 10
    hand_in(uploads, merged(tmp_path / "again.zip", listening(120)), "ben")
    assert uploads.sql("select count(*) from app.imports where confirmation = 'needed'") == [(0,)]


def test_a_handful_of_rows_says_nothing(uploads: Uploads, tmp_path: Path, anas: Rows) -> None:
    assert bring(uploads, merged(tmp_path / "few.zip", anas[:19]), "ben").accounting.loaded == 19


def test_a_setup_of_many_is_asked_in_moments(uploads: Uploads, tmp_path: Path) -> None:
    """2,000 people over ten years of months: the question is looks into an index, and few of them."""
    uploads.sql(
        "insert into app.users (user_key, time_zone) select 'user-' || n, 'UTC' from generate_series(1, 2000) n"
    )
    rows = listening(400, days=90)
    bring(uploads, merged(tmp_path / "ana.zip", rows), "ana")
    uploads.sql(
        "insert into raw.listening_events (user_id, played_at, source_id, content_id, ms_played, batch_id)"
        " select u.user_id, e.played_at + interval '1 second', 1, e.content_id, e.ms_played, e.batch_id"
        " from app.users u cross join raw.listening_events e where u.user_key like 'user-%' and u.user_id % 10 = 0"
    )
    began = datetime.now(UTC)
    with pytest.raises(NotConfirmed):
        bring(uploads, minified(tmp_path / "ben.zip", rows), "ben")
    assert datetime.now(UTC) - began < timedelta(seconds=5)


def test_an_export_of_myi_goes_the_way_of_an_archive_and_a_cut_one_goes_nowhere(
    uploads: Uploads, tmp_path: Path, anas: Rows
) -> None:
    path = tmp_path / "export.zip"
    with path.open("wb") as out:
        write_export(uploads.warehouse, out, user_key="ana")
    (tmp_path / "cut.zip").write_bytes(path.read_bytes()[:-40])
    with pytest.raises(BadInput):
        hand_in(uploads, tmp_path / "cut.zip", "ben")
    assert waiting(uploads) == []
    taken = hand_in(uploads, path, "ben")
    ((status, confirmation, _),) = waiting(uploads)
    assert (status, confirmation) == ("pending", "needed")
    uploads.sql("update app.imports set confirmation = 'given' where import_id = %s", taken.import_id)
    done = import_uploads(
        uploads.warehouse,
        settings=uploads.settings,
        user_key="ben",
        names=None,
        sleep=lambda _: None,
        take_in_export=bring_back,
    )
    assert [result.accounting.loaded for result in done.results] == [len(anas)]
    assert hand_in(uploads, path, "ben").is_known
