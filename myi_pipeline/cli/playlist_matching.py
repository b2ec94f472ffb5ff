"""`myi playlists match`: whether pairs of tracks are one recording, by the rules that migrations use."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from myi_pipeline.cli.output import counted, number, plain, table
from myi_pipeline.cli.session import JsonOption, open_session
from myi_pipeline.errors import BadInput

if TYPE_CHECKING:
    from myi_pipeline.catalogue.matching.choices import Choice
    from myi_pipeline.catalogue.matching.pair_rows import BadRow, PairRow


_MOST_BYTES = 256 * 1024 * 1024
_SHOWN = 50


def match_command(
    pairs: Annotated[
        Path,
        typer.Option("--pairs", metavar="FILE", help="Pairs of tracks: JSON lines, a JSON list, or CSV with a header."),
    ],
    as_json: JsonOption = False,
) -> None:
    """Show for each pair of tracks whether the second would be accepted for the first, and why."""
    from myi_pipeline.catalogue.matching.choices import choose
    from myi_pipeline.catalogue.matching.pair_rows import BadRow, read_pairs

    session = open_session(as_json=as_json)
    found: list[tuple[PairRow, Choice]] = []
    refused: list[BadRow] = []
    for row in read_pairs(_read(pairs)):
        if isinstance(row, BadRow):
            refused.append(row)
        else:
            found.append((row, choose(row.left, row.right)))
    document = {
        "pairs": [_as_document(row, choice) for row, choice in found],
        "refused": [{"line": each.line, "rule": each.rule} for each in refused],
        "counts": {**Counter(choice.outcome.value for _, choice in found), "refused": len(refused)},
    }
    session.output.result(document, lambda console: _render(console, found, refused))
    if refused:
        raise typer.Exit(1)


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise BadInput(f"{path.name} is larger than 256 MB", place=path.name, rule="at most 256 MB")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}", place=path.name, rule="a file that can be read") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path.name} is not UTF-8", place=f"byte {error.start}", rule="UTF-8") from error


def _as_document(row: PairRow, choice: Choice) -> dict[str, object]:
    return {
        "line": row.line,
        "id": row.label,
        "decision": choice.outcome,
        "score": round(choice.score, 4),
        "class": choice.kinship,
        "reason": choice.reason,
        "margin": None if choice.margin is None else round(choice.margin, 4),
        "chosen": None if choice.chosen is None else choice.chosen.place,
    }


def _render(console: Console, found: list[tuple[PairRow, Choice]], refused: list[BadRow]) -> None:
    rows = (
        (number(row.line), row.left.title, row.right[0].title if row.right else "", choice.outcome,
         f"{choice.score:.2f}", choice.kinship, choice.reason)
        for row, choice in found[:_SHOWN]
    )  # fmt: skip
    console.print(table(None, (">line", "left", "right", "decision", ">score", "class", "reason"), rows))
    if len(found) > _SHOWN:
        console.print(f"... and {number(len(found) - _SHOWN)} more; --json has all.")
    counts = Counter(choice.outcome.value for _, choice in found)
    console.print(", ".join(f"{number(count)} {outcome}" for outcome, count in sorted(counts.items())) or "No pairs.")
    for each in refused[:_SHOWN]:
        console.print(Text(plain(f"line {each.line}: {each.rule}")), soft_wrap=True)
    if refused:
        console.print(f"{counted(len(refused), 'row')} refused.")


def add_commands(app: typer.Typer) -> None:
    app.command("match")(match_command)
