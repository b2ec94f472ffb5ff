"""What a search takes with a million plays of one listener: p50 and p99 of each kind of query.

Names are put together of syllables, so that trigrams are shared as in real names, and words are as common as in titles.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from random import Random

from benchmarks.api import at, free_port, load, server
from benchmarks.setups import Setup, arguments, open_setup, print_machine, print_table
from myi_pipeline.marts.dbt_runner import DbtProcess
from myi_pipeline.people import manage_access
from myi_pipeline.postgres.connections import Role
from myi_pipeline.web.reads.cursors import FIRST_PAGE
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.plays import find_plays
from myi_pipeline.web.reads.pools import Pools
from myi_pipeline.web.reads.search import search

MAY_MS, PAGE_MAY_MS = 100.0, 40.0
_SYLLABLES = "ba be bjo bra ca che cla da del di dra e fa fer flo ga gri ha hel in ja ka ko la le lo ma mi mo na ne no o pa pe ra re ri ro sa se si sto ta te ti to u va ve vi wa we yo za".split()  # noqa: E501, SIM905 - a line, not a page
# As often as in a thousand titles, or nearly.
_COMMON = (
    ["the"] * 90 + ["love"] * 35 + ["you"] * 30 + ["remastered", "live", "feat"] * 20 + ["night", "blue", "day"] * 12
)

EVENTS = """
insert into raw.contents
(
    content_key, kind_id, uri, title, creator, collection, match_title, match_key, artist_id, album_id, names_played_at,
    names_batch_id
)
select
    md5('c' || t.number)::uuid, 1, 'spotify:track:' || lpad(t.number::text, 22, '0'), t.title, artist.name, album.name,
    t.title, md5('c' || t.number)::uuid, artist.artist_id, album.album_id, now(), 1
from pg_temp.tracks as t
inner join raw.artists as artist on artist.artist_key = md5('a' || t.artist)::uuid
inner join raw.albums as album on album.album_key = md5('b' || t.album)::uuid;

insert into raw.listening_events (played_at, user_id, content_id, ms_played, batch_id, source_id)
select
    timestamptz '2015-01-01Z' + n * interval '315 seconds',
    %(user)s,
    -- A few are heard often, most of them now and then.
    first.content_id + least(%(tracks)s - 1, (%(tracks)s * random() ^ 4)::int),
    180000,
    1,
    1
from generate_series(1, %(plays)s) as n
cross join (select min(content_id) as content_id from raw.contents) as first
"""


def names(rng: Random, count: int, words: Callable[[], int]) -> list[str]:
    def word() -> str:
        return rng.choice(_COMMON) if rng.random() < 0.25 else "".join(rng.choices(_SYLLABLES, k=rng.randrange(2, 4)))

    return [" ".join(word() for _ in range(words())).title() for _ in range(count)]


def fill(setup: Setup, *, plays: int, tracks: int, artists: int) -> tuple[int, list[str], list[str]]:
    """A listener with so many plays; the user's number, the names of artists and titles."""
    rng = Random(1)
    user = setup.add_user("ana")
    artist_names = names(rng, artists, lambda: rng.randrange(1, 4))
    titles = names(rng, tracks, lambda: rng.randrange(1, 6))
    albums = names(rng, tracks // 4, lambda: rng.randrange(1, 5))
    with setup.warehouse.connect(Role.OWNER) as connection:
        connection.execute("select ops.ensure_event_partitions('2015-01-01', '2026-01-01')")
        cursor = connection.cursor()
        cursor.executemany(
            "insert into raw.artists (artist_key, name) values (md5('a' || %s)::uuid, %s)",
            [(str(number), name) for number, name in enumerate(artist_names)],
        )
        cursor.executemany(
            "insert into raw.albums (album_key, artist_id, name) select md5('b' || %s)::uuid, artist_id, %s"
            " from raw.artists where artist_key = md5('a' || %s)::uuid",
            [(str(number), name, str(number % artists)) for number, name in enumerate(albums)],
        )
        connection.execute("create temporary table tracks (number int, title text, artist text, album text)")
        with cursor.copy("copy pg_temp.tracks from stdin") as copy:
            for number, title in enumerate(titles):
                album = number % len(albums)
                copy.write_row((number, title, str(album % artists), str(album)))
        began = time.perf_counter()
        for statement in EVENTS.split(";"):
            connection.execute(statement.encode(), {"user": user, "tracks": tracks, "plays": plays})
        print(f"({plays:,} plays of {tracks:,} tracks written after {time.perf_counter() - began:.0f} s)")
    with DbtProcess() as dbt:
        setup.refresh(dbt=dbt)
    setup.execute("vacuum analyze")
    return user, artist_names, titles


def slipped(rng: Random, name: str) -> str:
    longest = max(name.split(), key=len)
    place = rng.randrange(1, max(2, len(longest) - 1))
    return name.replace(
        longest, longest[:place] + longest[place + 1 :][:1] + longest[place : place + 1] + longest[place + 2 :]
    )


def queries(rng: Random, artists: Sequence[str], titles: Sequence[str], count: int) -> dict[str, list[str]]:
    def some(of: Sequence[str]) -> list[str]:
        return [rng.choice(of) for _ in range(count)]

    return {
        "an artist's name": some(artists),
        "a title": some(titles),
        "its first three letters": [name[:3] for name in some(artists)],
        "a letter or two": [name[: rng.randrange(1, 3)] for name in some(artists)],
        "a common word": some(["the", "love", "you", "live", "remastered", "night"]),
        "two common words": some(["the love", "you night", "live remastered", "the day", "blue night"]),
        "a part of a word": [max(name.split(), key=len)[1:5] for name in some(titles)],
        "a name with a slip": [slipped(rng, name) for name in some(artists)],
        "a title with a slip": [slipped(rng, name) for name in some(titles)],
        "nothing that is there": ["".join(rng.choices("qxzwvkj", k=8)) for _ in range(count)],
    }


async def measure(pools: Pools, user: int, typed: Sequence[str], *, is_plays: bool) -> list[float]:
    async def read(marts: Marts, each: str) -> None:
        if is_plays:
            await find_plays(marts, each, after=FIRST_PAGE, limit=60)
        else:
            await search(marts, each, limit=9)

    spent = []
    for each in typed:
        began = time.perf_counter()
        await pools.read(user, lambda marts, each=each: read(marts, each))  # type: ignore[misc]
        spent.append((time.perf_counter() - began) * 1000)
    return sorted(spent)


async def run(setup: Setup, user: int, asked: dict[str, list[str]]) -> bool:
    pools = Pools(setup.settings, setup.warehouse)
    await pools.open()
    rows: list[tuple[object, ...]] = []
    try:
        for is_plays in (False, True):
            for name, typed in asked.items():
                await measure(pools, user, typed[:5], is_plays=is_plays)
                spent = await measure(pools, user, typed, is_plays=is_plays)
                p50, p99 = spent[len(spent) // 2], spent[int(len(spent) * 0.99)]
                verdict = "" if is_plays else "holds" if p99 <= MAY_MS else "missed"
                rows.append((("plays: " if is_plays else "") + name, p50, p99, verdict))
    finally:
        await pools.close()
    print_table("a search", ("", "p50 ms", f"p99 ms, at most {MAY_MS:.0f}", ""), rows)
    return all(row[3] != "missed" for row in rows)


def pages(setup: Setup, user: int, count: int) -> bool:
    """Whole pages over HTTP: of what was heard most, and a search."""
    with setup.warehouse.connect(Role.APP, autocommit=True) as connection:
        session = manage_access.begin_session(connection, user_id=user, method="link", device="bench")
    paths = {"a search": ("/search?q=blue+night", MAY_MS)}
    for entity in ("artist", "album", "track"):
        ((id, plays),) = setup.execute(
            f"select {entity}_id, plays from marts.agg_period_{entity}s_stored"
            " where period_start = '1970-01-01' order by plays desc limit 1"
        )
        paths[f"the {entity} heard most, {plays:,} plays"] = (f"/{entity}s/{id}", PAGE_MAY_MS)
    port = free_port()
    rows: list[tuple[object, ...]] = []
    with server("api", port):
        for name, (path, may) in paths.items():
            head = f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncookie: myi_session={session}\r\n\r\n"
            spent, _ = asyncio.run(load(port, [head.encode()], connections=1, count=count))
            p50 = at(spent, 0.5)
            rows.append((name, p50, at(spent, 0.99), may, "holds" if p50 <= may else "missed"))
    print_table("a page", ("", "p50 ms", "p99 ms", "p50 at most", ""), rows)
    return all(row[4] == "holds" for row in rows)


def main() -> int:
    given = arguments(__doc__, plays=1_000_000, tracks=60_000, artists=15_000, queries=200)
    print_machine()
    with open_setup(given.database_url) as setup:
        user, artists, titles = fill(setup, plays=given.plays, tracks=given.tracks, artists=given.artists)
        sizes = setup.execute(
            "select c.relname, pg_relation_size(c.oid) / 1e6 from pg_class as c"
            " where c.relname in ('contents', 'artists', 'tracks_search', 'spoken_search', 'artists_search')"
            " and c.relnamespace = 'raw'::regnamespace order by 1"
        )
        print_table("MB on disk", ("", "MB"), [(name, float(str(size))) for name, size in sizes])
        asked = queries(Random(2), artists, titles, given.queries)
        is_good = asyncio.run(run(setup, user, asked))
        return 0 if pages(setup, user, given.queries) and is_good else 1


if __name__ == "__main__":
    sys.exit(main())
