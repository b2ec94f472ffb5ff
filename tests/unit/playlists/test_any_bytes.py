"""Whatever bytes a file holds, reading it gives playlists or BadInput, and never anything else."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myi_pipeline.errors import BadInput
from myi_pipeline.playlists.files import FORMATS, WRITABLE, Limits, Playlist, read_bytes, write_playlists
from tests.unit.playlists.drawn_playlists import playlists

SUFFIXES = sorted({suffix for each in FORMATS.values() for suffix in each.suffixes} | {".json", ".txt", ""})
STARTS = [
    b"", b"#EXTM3U\n", b"[playlist]\n", b"<playlist version='1' xmlns='http://xspf.org/ns/0/'>", b'{"playlist": {',
    b'{"playlists": [', b'{"tracks": [], "albums": ', b"title;artist\n", b"\xff\xfe", b"\xef\xbb\xbf", b"sep=;\n",
    b'sep="\n',
]  # fmt: skip
# JSON of the account data's shape, and of shapes near to it.
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ("playlist", "playlists", "items", "track", "episode", "localTrack", "uri", "name", "tracks", "albums",
             "identifier", "location", "extension", "https://musicbrainz.org/doc/jspf#track", "additional_metadata",
             "artists", "duration", "addedDate", "date")
        ),
        inner, max_size=4,
    ),
    max_leaves=20,
)  # fmt: skip


def reads_or_refuses(data: bytes, suffix: str) -> None:
    try:
        read_bytes(data, place=f"a{suffix}", name="a", limits=Limits(max_entries=100))
    except BadInput as error:
        refused = error
    else:
        return
    assert str(refused).startswith("a")
    assert refused.rule


@given(start=st.sampled_from(STARTS), rest=st.binary(max_size=200), suffix=st.sampled_from(SUFFIXES))
@settings(max_examples=150)
def test_any_bytes_are_read_or_refused(start: bytes, rest: bytes, suffix: str) -> None:
    reads_or_refuses(start + rest, suffix)


@given(value=values, suffix=st.sampled_from((".json", ".jspf")))
@settings(max_examples=150)
def test_any_json_is_read_or_refused(value: object, suffix: str) -> None:
    reads_or_refuses(json.dumps(value).encode(), suffix)


@pytest.mark.parametrize("key", WRITABLE)
@given(playlist=playlists(), at=st.floats(0, 1), what=st.binary(max_size=3), cut=st.integers(0, 5))
@settings(max_examples=12)
def test_a_file_with_a_wound_is_read_or_refused(key: str, playlist: Playlist, at: float, what: bytes, cut: int) -> None:
    out = io.BytesIO()
    write_playlists([playlist], out, format_key=key)
    data, place = out.getvalue(), int(at * len(out.getvalue()))
    reads_or_refuses(data[:place] + what + data[place + cut :], FORMATS[key].suffixes[0])
