"""What dbt says about who reads the marts is what the API's statements read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.architecture.repository import PACKAGE, ROOT, marts, relative

API = PACKAGE / "web"
# A mart, not `marts.version` of a Python object nor the folder of SQL files.
_MART = re.compile(r"\b(?:from|join)\s+marts\.([a-z_]+)", re.IGNORECASE)
ALL_MARTS = {model.stem for model in marts()}


def exposed() -> dict[str, set[str]]:
    """The marts of each exposure."""
    described = yaml.safe_load((ROOT / "dbt_project" / "models" / "exposures.yml").read_text(encoding="utf-8"))
    return {
        each["name"]: {re.sub(r"ref\('(.+)'\)", r"\1", reference) for reference in each["depends_on"]}
        for each in described["exposures"]
    }


def statements() -> list[Path]:
    """Every file of the API that can hold a statement."""
    return sorted(path for ending in ("*.sql", "*.py", "*.html") for path in API.rglob(ending))


def read_by(paths: list[Path]) -> set[str]:
    return {mart for path in paths for text in spelt_out(path) for mart in _MART.findall(text)}


# What a part that is written once is written for; a recording is `shown` as one of its tracks, and search has kinds.
_WRITTEN_FOR = {
    "entity": ("track", "recording", "artist", "album"),
    "shown": ("track", "artist", "album"),
    "kind": ("track", "artist"),
}


def spelt_out(path: Path) -> list[str]:
    """A statement, or a part that is written once for several kinds of things, as each of them."""
    texts = [path.read_text(encoding="utf-8")]
    for name, values in _WRITTEN_FOR.items():
        holder = f"{{{{ {name} }}}}"
        texts = [text.replace(holder, value) for text in texts for value in (values if holder in text else ("",))]
    return texts


def test_the_exposures_name_marts_that_exist_each_once() -> None:
    described = (ROOT / "dbt_project" / "models" / "exposures.yml").read_text(encoding="utf-8")
    assert set(exposed()) == {"api", "dashboard"}
    assert all(named <= ALL_MARTS for named in exposed().values())
    assert len(re.findall(r"ref\(", described)) == sum(map(len, exposed().values()))


def test_the_api_reads_the_marts_that_its_exposures_name_and_no_others() -> None:
    read = read_by(statements())
    assert read - (exposed()["api"] | exposed()["dashboard"]) == set(), "add them to dbt_project/models/exposures.yml"
    for name, named in exposed().items():
        assert named - read == set(), f"no statement reads these any more: take them from the exposure {name}"


@pytest.mark.parametrize("path", sorted(API.rglob("*.sql")), ids=relative)
def test_a_statement_of_the_api_reads_marts_or_its_own_tables_alone(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert set(re.findall(r"\b(?:from|join)\s+(?!marts\.|app\.|ops\.)\w+\.\w+", text, re.IGNORECASE)) == set()


def test_a_mart_that_nobody_exposes_is_noticed(tmp_path: Path) -> None:
    stray = tmp_path / "stray.sql"
    stray.write_text("select 1\nfrom marts.agg_new_thing as new\njoin marts.fct_plays as play on true\n")
    assert read_by([stray]) == {"agg_new_thing", "fct_plays"}
