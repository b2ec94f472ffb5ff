"""A database dump of the simulated MusicBrainz: the files that its server would export, in the layout of its tables.

Columns are in the order of admin/sql/CreateTables.sql in metabrainz/musicbrainz-server at schema 31. Those that MYI
does not read have placeholder values. `bystanders` adds rows of music that nobody played.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path
from random import Random
from uuid import UUID

from myi_pipeline.simulator.live.musicbrainz import GENRES, MusicBrainz

_NOW = "2026-07-01 12:00:00.123456+00"
# In the order of the archives.
_CORE = (
    "artist", "artist_credit", "artist_credit_name", "genre", "isrc", "medium", "recording", "recording_gid_redirect",
    "release", "release_country", "release_unknown_country", "track",
)  # fmt: skip
_DERIVED = ("artist_tag", "recording_tag", "tag")


def write_dump(known: MusicBrainz, folder: Path, *, bystanders: int = 0) -> None:
    """Write the tables, unpacked, into `folder`/mbdump."""
    (folder / "mbdump").mkdir(parents=True, exist_ok=True)
    for name, rows in _tables(known, bystanders).items():
        text = "".join("\t".join(map(_field, row)) + "\n" for row in rows)
        (folder / "mbdump" / name).write_text(text, encoding="utf-8")


def pack_dump(unpacked: Path, folder: Path) -> None:
    """Pack the tables of `unpacked` as they are published: core data and derived data, each with its notes."""
    folder.mkdir(parents=True, exist_ok=True)
    for archive, names in (("mbdump.tar.bz2", _CORE), ("mbdump-derived.tar.bz2", _DERIVED)):
        with tarfile.open(folder / archive, "w:bz2") as packed:
            for note, text in (("TIMESTAMP", _NOW), ("SCHEMA_SEQUENCE", "31"), ("COPYING", "for the demo")):
                member = tarfile.TarInfo(note)
                member.size = len(text) + 1
                packed.addfile(member, io.BytesIO(f"{text}\n".encode()))
            for name in names:
                packed.add(unpacked / "mbdump" / name, f"mbdump/{name}")


def _tables(known: MusicBrainz, bystanders: int) -> dict[str, list[tuple[object, ...]]]:
    tables: dict[str, list[tuple[object, ...]]] = {name: [] for name in _CORE + _DERIVED}
    artists = {artist.mbid: number for number, artist in enumerate(known.artists.values(), 1)}
    tags: dict[str, int] = {}
    for artist in known.artists.values():
        number = artists[artist.mbid]
        tables["artist"].append(_artist(number, artist.mbid, artist.name))
        for vote in artist.votes:
            tag = tags.setdefault(vote.name, len(tags) + 1)
            tables["artist_tag"].append((number, tag, vote.count, _NOW))
    releases: dict[UUID, int] = {}
    credits: dict[tuple[tuple[int, str], ...], int] = {}
    for number, made in enumerate(known.recordings, 1):
        parts = tuple((artists[artist.mbid], phrase) for artist, phrase in made.credits)
        if parts not in credits:
            credit = credits[parts] = len(credits) + 1
            name = "".join(artist.name + phrase for artist, phrase in made.credits)
            tables["artist_credit"].append((credit, name, len(parts), 1, _NOW, 0, UUID(int=credit)))
            for place, (artist, phrase) in enumerate(made.credits):
                tables["artist_credit_name"].append((credit, place, artists[artist.mbid], artist.name, phrase))
        credit = credits[parts]
        tables["recording"].append((number, made.mbid, made.title, credit, made.length_ms, "", 0, _NOW, False))
        tables["recording_gid_redirect"] += [(merged, number, _NOW) for merged in made.merged]
        if made.isrc is not None:
            tables["isrc"].append((number, number, made.isrc, 0, _NOW))
        for vote in made.votes:
            tag = tags.setdefault(vote.name, len(tags) + 1)
            tables["recording_tag"].append((number, tag, vote.count, _NOW))
        # A tag that was voted down.
        tables["recording_tag"].append((number, tags.setdefault("spoken word", len(tags) + 1), -1, _NOW))
        if made.release_mbid not in releases:
            release = releases[made.release_mbid] = len(releases) + 1
            tables["release"].append(_release(release, made.release_mbid, made.release, credit))
            tables["medium"].append((release, release, 1, 1, "", 0, _NOW, 12, UUID(int=release)))
        # Dates are per recording, so each has a release of its own with the date; the shared album has none.
        release = releases[made.release_mbid]
        tables["track"].append(_track(2 * number, number, release, made.title, credit, made.length_ms))
        dated = len(known.recordings) + number
        if made.date:
            tables["release"].append(_release(dated, UUID(int=dated), made.release, credit))
            tables["medium"].append((dated, dated, 1, None, "", 0, _NOW, 1, UUID(int=dated)))
            tables["track"].append(_track(2 * number + 1, number, dated, made.title, credit, made.length_ms))
            year, month, day = (*map(int, made.date.split("-")), None, None)[:3]
            if number % 2:
                tables["release_country"].append((dated, 222, year, month, day))
                tables["release_country"].append((dated, 81, (year or 0) + 3, None, None))
            else:
                tables["release_unknown_country"].append((dated, year, month, day))
    tables["tag"] = [(number, name, 7) for name, number in tags.items()]
    tables["genre"] = [(number, UUID(int=number), name, "", 0, _NOW) for number, name in enumerate(GENRES, 1)]
    _add_bystanders(tables, bystanders)
    return tables


def _add_bystanders(tables: dict[str, list[tuple[object, ...]]], count: int) -> None:
    rng = Random("bystanders")
    first = 10_000_000
    for number in range(first, first + count):
        mbid, title = UUID(int=number), f"Nobody's\tsong \\ {rng.randrange(count)}"
        tables["artist"].append(_artist(number, mbid, f"Nobody {number}"))
        tables["artist_credit"].append((number, f"Nobody {number}", 1, 1, _NOW, 0, mbid))
        tables["artist_credit_name"].append((number, 0, number, f"Nobody {number}", ""))
        tables["recording"].append((number, mbid, title, number, rng.randrange(400_000), "", 0, _NOW, False))
        tables["isrc"].append((number, number, f"XX{number:010}", 0, _NOW))
        tables["release"].append(_release(number, mbid, title, number))
        tables["medium"].append((number, number, 1, 1, "", 0, _NOW, 12, mbid))
        tables["track"].append(_track(number, number, number, title, number, None))


def _artist(number: int, mbid: UUID, name: str) -> tuple[object, ...]:
    return (number, mbid, name, name, 1970, *[None] * 5, 1, None, None, "", 0, _NOW, False, None, None)


def _release(number: int, mbid: UUID, name: str, credit: int) -> tuple[object, ...]:
    return (number, mbid, name, credit, number, 1, None, None, None, None, "", 0, -1, _NOW)


def _track(number: int, recording: int, medium: int, name: str, credit: int, length: int | None) -> tuple[object, ...]:
    return (number, UUID(int=number), recording, medium, 1, "A1", name, credit, length, 0, _NOW, False)


def _field(value: object) -> str:
    """In the format of COPY."""
    if value is None:
        return "\\N"
    if isinstance(value, bool):
        return "t" if value else "f"
    text = str(value)
    for char, escaped in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
        text = text.replace(char, escaped)
    return text


def written_tables() -> Iterable[str]:
    """Every table of the dump."""
    return _CORE + _DERIVED
