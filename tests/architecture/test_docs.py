"""The documentation is complete: settings, commands, options and marts are described, and links lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from myi_pipeline.cli.app import app
from myi_pipeline.settings import PREFIX, Settings
from tests.architecture.repository import DOCS, PACKAGE, ROOT, marts, pages, relative

CONFIGURATION = DOCS / "configuration.md"
COMMANDS = DOCS / "commands.md"
MARTS = DOCS / "marts.md"

_LINK = re.compile(r"\[[^\]]+\]\(([^)#\s]+)(?:#[^)]*)?\)")


def sections(page: str, level: int = 3) -> dict[str, str]:
    """The text below each heading of a level, by heading, its backticks dropped."""
    found: dict[str, str] = {}
    current: str | None = None
    for line in page.splitlines():
        heading = re.match(r"(#+) (.+)", line)
        if heading and len(heading[1]) <= level:
            current = heading[2].replace("`", "").strip() if len(heading[1]) == level else None
            if current is not None:
                found[current] = ""
        elif current is not None:
            found[current] += line + "\n"
    return found


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every command as it is typed, with the long names of its options."""

    def walk(command: Any, path: str) -> Iterator[tuple[str, list[str]]]:
        if hasattr(command, "commands"):
            for name, below in command.commands.items():
                yield from walk(below, f"{path} {name}")
            return
        options = [max(option.opts, key=len) for option in command.params if option.param_type_name == "option"]
        yield path, [option for option in options if option != "--help"]

    yield from walk(typer.main.get_command(app), "myi")


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_is_described_with_its_default(name: str) -> None:
    variable = PREFIX + name.upper()
    rows = [
        line for line in CONFIGURATION.read_text(encoding="utf-8").splitlines() if line.startswith(f"| `{variable}`")
    ]
    assert len(rows) == 1, f"docs/configuration.md needs one row for {variable}"
    assert all(cell.strip() for cell in rows[0].strip("|").split("|")), f"a cell of {variable} is empty"


def test_no_setting_is_described_that_does_not_exist() -> None:
    described = set(re.findall(r"^\| `(MYI_\w+)`", CONFIGURATION.read_text(encoding="utf-8"), re.MULTILINE))
    assert described == {PREFIX + name.upper() for name in Settings.model_fields}


def test_every_setting_says_in_code_what_it_is_for() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize(("command", "options"), list(commands()), ids=[path for path, _ in commands()])
def test_every_command_is_described_with_each_of_its_options(command: str, options: list[str]) -> None:
    described = sections(COMMANDS.read_text(encoding="utf-8"))
    assert command in described, f"docs/commands.md needs a heading `{command}`"
    missing = [option for option in options if f"`{option}" not in described[command]]
    assert missing == []


def test_no_command_is_described_that_does_not_exist() -> None:
    described = {name for name in sections(COMMANDS.read_text(encoding="utf-8")) if name.startswith("myi ")}
    assert described == {path for path, _ in commands()}


def _columns(model: Path) -> list[str]:
    described = yaml.safe_load(model.with_suffix(".yml").read_text(encoding="utf-8"))
    (one,) = (each for each in described["models"] if each["name"] == model.stem)
    return [column["name"] for column in one["columns"]]


@pytest.mark.parametrize("model", marts(), ids=[model.stem for model in marts()])
def test_every_mart_is_described_with_each_of_its_columns(model: Path) -> None:
    described = sections(MARTS.read_text(encoding="utf-8"))
    assert model.stem in described, f"docs/marts.md needs a heading `{model.stem}`"
    missing = [column for column in _columns(model) if f"`{column}`" not in described[model.stem]]
    assert missing == []


@pytest.mark.parametrize("model", marts(), ids=[model.stem for model in marts()])
def test_what_counts_is_said_in_one_wording(model: Path) -> None:
    described = yaml.safe_load(model.with_suffix(".yml").read_text(encoding="utf-8"))
    for column in (column for each in described["models"] for column in each["columns"]):
        if column["name"] in {"counted_plays", "is_counted"}:
            assert column["description"] == "{{ doc('" + column["name"] + "') }}"


def test_no_description_ends_at_a_comma_that_lacks_quotes() -> None:
    known = {"name", "data_type", "constraints", "description", "data_tests"}
    cut = []
    for path in sorted((ROOT / "dbt_project" / "models").rglob("*.yml")):
        for model in yaml.safe_load(path.read_text(encoding="utf-8")).get("models", []):
            cut += [f"{model['name']}.{column['name']}" for column in model["columns"] if set(column) - known]
    assert cut == []


def test_no_mart_is_described_that_does_not_exist() -> None:
    assert set(sections(MARTS.read_text(encoding="utf-8"))) == {model.stem for model in marts()}


@pytest.mark.parametrize("page", list(pages()), ids=relative)
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    targets = _LINK.findall(page.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target and not target.startswith("mailto:")]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_every_page_is_linked_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [relative(page) for page in DOCS.rglob("*.md") if f"({relative(page)}" not in readme] == []


def test_a_missing_heading_is_noticed() -> None:
    assert sections("## a\n### `myi x`\ntext `--y`\n## b\nother\n") == {"myi x": "text `--y`\n"}


def test_every_file_that_contributors_are_sent_to_exists() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w./-]+\.(?:py|sql|md|yml|toml|html))`", text))
    there = [
        f"/{relative(path)}"
        for folder in (PACKAGE, DOCS, ROOT / "dbt_project" / "models", ROOT / "dbt_project" / "macros", ROOT / "tests")
        for path in folder.rglob("*.*")
    ] + [f"/{path.name}" for path in ROOT.iterdir()]
    named = {name for name in named if "NNNN" not in name}
    assert len(named) > 50
    assert sorted(name for name in named if not any(path.endswith(f"/{name}") for path in there)) == []
