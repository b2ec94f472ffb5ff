"""What a scrobbler submits: understood, or refused with a reason, and nothing in between."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myi_pipeline.submissions.listens import BadSubmission, Listen, listen_of, plays_until, read_submission

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
AT = int(NOW.timestamp()) - 600
TRACK = "4vLYewWIvqHfKtJDk8c8tq"


def one(info: Any = None, *, at: Any = AT, **names: Any) -> Listen:
    """The listen of a request of one."""
    track = {"track_name": "So What", "artist_name": "Miles Davis", "additional_info": info, **names}
    body = json.dumps({"listen_type": "single", "payload": [{"listened_at": at, "track_metadata": track}]})
    (listen,) = read_submission(body.encode(), now=NOW).listens
    return listen


@pytest.mark.parametrize(
    ("at", "detail"),
    [
        (AT * 1000, "listened_at must be in seconds since 1970, not in milliseconds."),
        (str(AT * 1000), "listened_at must be in seconds since 1970, not in milliseconds."),
        (AT + 90_000, "listened_at is more than an hour in the future."),
    ],
)
def test_a_time_in_milliseconds_is_refused_as_such(at: Any, detail: str) -> None:
    track = {"track_name": "So What", "artist_name": "Miles Davis"}
    body = json.dumps({"listen_type": "single", "payload": [{"listened_at": at, "track_metadata": track}]})
    submission = read_submission(body.encode(), now=NOW)
    assert submission.listens == ()
    assert [(each.reason, each.detail) for each in submission.refused] == [("in_the_future", detail)]


@pytest.mark.parametrize(
    ("info", "uri"),
    [
        ({"spotify_id": f"https://open.spotify.com/track/{TRACK}"}, f"spotify:track:{TRACK}"),
        ({"spotify_id": f"http://open.spotify.com/track/{TRACK}?si=1"}, f"spotify:track:{TRACK}"),
        ({"spotify_id": TRACK}, f"spotify:track:{TRACK}"),
        ({"origin_url": f"https://open.spotify.com/intl-de/track/{TRACK}"}, f"spotify:track:{TRACK}"),
        ({"spotify_id": f"spotify:track:{TRACK}"}, f"spotify:track:{TRACK}"),
        ({"spotify_id": f"https://open.spotify.com/album/{TRACK}"}, None),
        ({"spotify_id": f"https://evil.example/track/{TRACK}"}, None),
        ({"origin_url": TRACK}, None),
        ({"origin_url": "https://www.youtube.com/watch?v=abc"}, None),
        (None, None),
        ([], None),
    ],
)
def test_a_track_of_spotifys_is_known_by_its_address(info: Any, uri: str | None) -> None:
    assert one(info).uri == uri


def test_a_code_in_a_list_and_an_mbid_that_was_mapped_are_taken() -> None:
    mbid = "0b5e6cf8-0d3b-4d5c-9d2e-0e6f6a1b2c3d"
    mapped = one({"isrc": ["USSM1-59-00113"]}, mbid_mapping={"recording_mbid": mbid})
    assert (mapped.isrc, mapped.recording_mbid) == ("USSM15900113", mbid)
    assert one({"isrc": ["USSM15900113", "USSM15900114"]}, mbid_mapping=[mbid]).isrc is None
    told = "62c2e20a-559e-422f-a44c-9afa7882f0c4"
    assert one({"recording_mbid": told}, mbid_mapping={"recording_mbid": mbid}).recording_mbid == told


@pytest.mark.parametrize(
    ("info", "duration_ms", "ms_played"),
    [
        ({"duration_ms": 545_000}, 545_000, None),
        ({"duration": 545}, 545_000, None),
        ({"duration_ms": "545000.9"}, 545_000, None),
        ({"duration_ms": 0, "duration": 545}, 545_000, None),
        ({"duration": -3}, None, None),
        ({"duration_ms": 2_073_600_001}, None, None),
        ({"duration_ms": True}, None, None),
        ({"duration": [545]}, None, None),
        ({"duration": 545, "duration_played": 60}, 545_000, 60_000),
    ],
)
def test_lengths_are_taken_as_they_are_told(info: Any, duration_ms: int | None, ms_played: int | None) -> None:
    listen = one(info)
    assert (listen.duration_ms, listen.ms_played) == (duration_ms, ms_played)


@pytest.mark.parametrize(
    ("info", "client"),
    [
        ({"submission_client": "Navidrome"}, "Navidrome"),
        ({"media_player": "Rhythmbox", "submission_client": "rhythmbox"}, "Rhythmbox"),
        ({"media_player": "Jellyfin", "submission_client": "plugin"}, "Jellyfin / plugin"),
        ({"media_player": " ", "submission_client": None}, None),
        ({"media_player": "x" * 500}, "x" * 200),
    ],
)
def test_who_reported_it_is_told_apart(info: Any, client: str | None) -> None:
    listen = one(info)
    assert listen.client == client
    context = listen.context()
    assert (context.platform if context else None) == client


def test_what_spotify_has_is_credited_to_the_first_artist_and_the_rest_as_it_is_told() -> None:
    names: Any = {"artist_names": ["Miles Davis", "John Coltrane"]}
    joined = one(names, artist_name="Miles Davis, John Coltrane").content()
    of_spotify = one({**names, "spotify_id": TRACK}, artist_name="Miles Davis, John Coltrane").content()
    assert joined is not None
    assert of_spotify is not None
    assert (joined.creator, of_spotify.creator) == ("Miles Davis, John Coltrane", "Miles Davis")
    assert one(artist_name="Unknown Artist", track_name="Unknown Track").content() is None


@pytest.mark.parametrize(
    ("at", "is_taken"),
    [
        (1_033_430_400, True),
        (1_033_430_399, False),
        (int(NOW.timestamp()) + 3_599, True),
        (int(NOW.timestamp()) + 3_600, False),
        (AT * 1_000, False),
        (str(AT), True),
        (float(AT) + 0.5, True),
        (None, False),
        (True, False),
        ("yesterday", False),
        ({}, False),
    ],
)
def test_a_time_lies_between_2002_and_an_hour_ahead(at: Any, is_taken: bool) -> None:
    track = {"track_name": "a", "artist_name": "b"}
    body = json.dumps({"listen_type": "single", "payload": [{"listened_at": at, "track_metadata": track}]})
    assert bool(read_submission(body.encode(), now=NOW).listens) == is_taken


def test_what_plays_now_ends_with_the_track_or_after_ten_minutes() -> None:
    assert plays_until(one({"duration": 60}), now=NOW) == NOW + timedelta(minutes=1)
    assert plays_until(one(), now=NOW) == NOW + timedelta(minutes=10)
    assert plays_until(one({"duration": 86_400}), now=NOW) == NOW + timedelta(hours=6)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_LISTEN = st.fixed_dictionaries(
    {},
    optional={
        "listened_at": st.integers(AT - 100, AT) | _JSON,
        "track_metadata": st.fixed_dictionaries(
            {},
            optional={
                "track_name": st.text(max_size=5) | _JSON,
                "artist_name": st.text(max_size=5) | _JSON,
                "release_name": _JSON,
                "additional_info": st.dictionaries(
                    st.sampled_from(["duration", "duration_ms", "isrc", "spotify_id", "artist_names", "media_player"]),
                    _JSON,
                ),
            },
        ),
    },
)


@given(payload=st.lists(_LISTEN | _JSON, min_size=1, max_size=6))
@settings(max_examples=200)
def test_every_listen_is_understood_or_refused_and_survives_the_inbox(payload: list[Any]) -> None:
    body = json.dumps({"listen_type": "import", "payload": payload}).encode()
    found = read_submission(body, now=NOW)
    indexes = [listen.row_index for listen in found.listens] + [row.row_index for row in found.refused]
    assert sorted(indexes) == list(range(len(payload)))
    for listen in found.listens:
        stored = json.dumps(listen.document(), ensure_ascii=False)
        assert listen_of(json.loads(stored)) == listen
        assert stored.encode("utf-8")
        assert "\x00" not in f"{listen.title}{listen.artist}{listen.album}{listen.client}"
        listen.content()
        assert NOW - timedelta(days=1) < listen.played_at < NOW + timedelta(hours=1)
    for row in found.refused:
        assert row.detail
        json.dumps(row.row).encode("utf-8")


@given(body=st.binary(max_size=60) | _JSON.map(lambda value: json.dumps(value).encode()))
@settings(max_examples=200)
def test_what_is_no_request_is_refused_as_a_whole(body: bytes) -> None:
    with pytest.raises(BadSubmission):
        read_submission(body, now=NOW)
