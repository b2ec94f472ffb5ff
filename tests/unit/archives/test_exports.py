"""Names that no single export has together."""

from __future__ import annotations

import pytest

from myi_pipeline.archives.files.formats import export_numbers, kind_by_name
from myi_pipeline.archives.files.kinds import FileKind


def exports(*names: str) -> list[int]:
    return export_numbers([(name, kind_by_name(name) or FileKind.ACCOUNT_MUSIC) for name in names])


@pytest.mark.parametrize(
    "names",
    [
        ("endsong_0.json", "endsong_1.json", "endsong_10.json"),
        ("a/Streaming_History_Audio_2019_0 (1).json", "a/Streaming_History_Audio_2019_1 (1).json"),
        ("Streaming_History_Audio_2019-2020_1.json", "Streaming_History_Video_2019-2020.json"),
        ("Streaming_History_Video_2018.json", "Streaming_History_Video_2019.json"),
        ("StreamingHistory_music_0.json", "StreamingHistory_podcast_0.json", "StreamingHistory_music_1.json"),
        ("StreamingHistory0.json", "endsong_0.json"),
        ("StreamingHistory0.json", "StreamingHistory1.json"),
    ],
)
def test_the_files_of_one_export_are_of_one_export(names: tuple[str, ...]) -> None:
    assert set(exports(*names)) == {0}


@pytest.mark.parametrize(
    "names",
    [
        ("Streaming_History_Audio_2019_0.json", "Streaming_History_Audio_2019-2020_0 (1).json"),
        ("may/StreamingHistory_music_0.json", "november/StreamingHistory_music_0.json"),
        ("endsong_0.json", "Streaming_History_Audio_2019_1.json"),
        ("StreamingHistory0.json", "StreamingHistory_podcast_0.json"),
        ("my plays.json", "my other plays.json"),
    ],
)
def test_two_files_of_one_number_or_of_two_eras_are_of_two_exports(names: tuple[str, ...]) -> None:
    assert len(set(exports(*names))) == len(names)
