"""Parts of several answers."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

PlayId = Annotated[
    str,
    Field(
        description="64 bits in decimal; a text, because programs that count in doubles would round it.",
        pattern=r"^-?[0-9]{1,19}$",
        examples=["-4611686018427387904"],
    ),
]
Count = Annotated[int, Field(ge=0, examples=[42])]
MsPlayed = Annotated[
    int, Field(ge=0, description="Milliseconds heard; plays of unknown length add nothing.", examples=[7_560_000])
]
EntityId = Annotated[int, Field(ge=1, examples=[271])]
Uri = Annotated[
    str | None,
    Field(description="Spotify's URI; null if no source gave one.", examples=["spotify:track:4uLU6hMCjMI75M1A2tKUQC"]),
]


class Answer(BaseModel):
    """Fields are what the contract says, and no others."""

    model_config = ConfigDict(extra="forbid")


class Document(Answer):
    version: int | None = Field(
        description="The version of the marts that this was read from; null before the first refresh.", examples=[17]
    )


class ListDocument(Document):
    next: str | None = Field(
        description="The cursor of the next page; null on the last one. The Link header holds the whole address.",
        examples=["kX3v-0hJ2c1mB9aQe7Lw8VsiMjAyNC0wMy0xMCIsMTdd"],
    )


class Heard(Answer):
    plays: Count = Field(description="Plays of any length.")
    counted_plays: Count = Field(description="Plays that count: heard for 30 s, or half of something shorter.")
    ms_played: MsPlayed
