"""`myi backup` on the command line: what makes one, what is listed, and wrong usage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from myi_pipeline.postgres.connections import Role, Warehouse


def test_a_backup_is_made_listed_and_old_ones_go(
    myi: Callable, warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, passphrase = tmp_path / "backups", tmp_path / "passphrase"
    passphrase.write_text("correct horse battery staple\nand nothing more\n")

    assert myi("backup", "list", place).out.strip() == f"No backup at {place}."
    first = myi("backup", place, "--passphrase-file", passphrase, "--json")
    assert first.code == 0, first.err
    assert first.document["has_secrets"] is True
    # The same by its whole name and by settings alone; of two in one day the newer one stays.
    monkeypatch.setenv("MYI_BACKUP", str(place))
    monkeypatch.setenv("MYI_BACKUP_WITHOUT_SECRETS", "true")
    second = myi("backup", "--keep", "1y", "--json")
    assert second.code == 0, second.err
    assert second.document["deleted"] == [first.document["name"]]
    listed = myi("backup", "list", "--json").document["backups"]
    assert [(each["name"], each["users"], each["has_secrets"]) for each in listed] == [
        (second.document["name"], 0, False)
    ]
    assert second.document["name"] in myi("backup", "list").out

    with warehouse.connect(Role.INGEST) as connection:
        commands = connection.execute("select detail ->> 'command' from app.audit order by audit_id").fetchall()
    assert commands == [("backup make",), ("backup make",)]


@pytest.mark.slow
def test_a_wrong_passphrase_says_nothing_about_a_backup(myi: Callable, warehouse: Warehouse, tmp_path: Path) -> None:
    place, passphrase, wrong = tmp_path / "backups", tmp_path / "passphrase", tmp_path / "wrong"
    passphrase.write_text("correct horse battery staple\n")
    wrong.write_text("correct horse battery stable\n")
    assert myi("backup", place, "--passphrase-file", passphrase).code == 0
    refused = myi("backup", "verify", place, "--passphrase-file", wrong)
    assert (refused.code, "the passphrase does not open the secrets" in refused.err) == (1, True), refused.err
    with warehouse.connect(Role.INGEST) as connection:
        query = "select verified_at, verify_error from ops.backups where state = 'completed'"
        assert connection.execute(query).fetchall() == [(None, None)]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("backup", "PLACE"), 2, "a passphrase is needed to seal the secrets"),
        (("backup", "PLACE", "--without-secrets", "--keep", "7x"), 2, "--keep must be numbers of h, d, w, m or y"),
        (("backup", "ftp://host/x", "--without-secrets"), 2, "must be a folder, or begin with s3://"),
        (("backup", "--without-secrets"), 1, "where are the backups?"),
        (("backup", "PLACE", "--passphrase-file", "PLACE/none"), 1, "the passphrase cannot be read from"),
        (("backup", "verify", "PLACE"), 1, "there is no backup at"),
        (("restore", "PLACE/myi-20260101T000000Z-0a0a0a"), 1, "there is no backup at"),
        (("upgrade",), 1, "the server of MYI_DATABASE_URL is not MYI's to upgrade"),
        (("backup", "make", "--unknown"), 2, "No such option"),
    ],
)
def test_wrong_usage_is_told(myi: Callable, tmp_path: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    ran = myi(*(each.replace("PLACE", str(tmp_path / "b")) for each in arguments))
    assert (ran.code, said in ran.err) == (code, True), ran.err
    assert not (tmp_path / "b").exists()
