"""Settings of the whole process belong to nobody: whoever changes one puts back what was there, or owns the process."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.architecture.repository import modules, relative

SETTERS = {
    ("csv", "field_size_limit"),
    ("locale", "setlocale"),
    ("os", "chdir"),
    ("os", "umask"),
    ("socket", "setdefaulttimeout"),
    ("sys", "set_int_max_str_digits"),
    ("sys", "setrecursionlimit"),
    ("time", "tzset"),
}
ALLOWED = {
    "myi_pipeline/operations/take_away/compare.py": "puts the limit of CSV back",
    "myi_pipeline/cli/playlists_in_files.py": "asks for the umask, which can only be had by setting it",
    "myi_pipeline/cli/app.py": "is the process, and gives the umask back",
    "myi_pipeline/operations/supervisor.py": "is the process",
}


def changes(source: str) -> Iterator[int]:
    """The lines on which a setting of the whole process is changed."""
    # Parsing all modules takes five seconds, and hardly any has one of these names.
    if not any(name in source for _, name in SETTERS):
        return
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=module), attr=name), args=[_, *_]):
                if (module, name) in SETTERS:
                    yield node.lineno
            case ast.ImportFrom(module=str(module), names=names):
                if any((module, each.name) in SETTERS for each in names):
                    yield node.lineno


def test_no_module_changes_what_others_rely_on() -> None:
    found = [
        f"{relative(path)}:{line}"
        for path in modules()
        if relative(path) not in ALLOWED
        for line in changes(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_each_change_is_noticed_and_asking_is_none() -> None:
    assert list(changes("import csv\ncsv.field_size_limit(5)\n"))
    assert list(changes("from os import umask\n"))
    assert not list(changes("import csv\nlimit = csv.field_size_limit()\n"))
