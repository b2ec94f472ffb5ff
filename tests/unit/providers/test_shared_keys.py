"""Keys that parts of an installation share: the same in each empty home, each with a label of its own."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from myi_pipeline.archives.reading_settings import account_hasher
from myi_pipeline.postgres.local_keys import KEY_BYTES, local_key
from myi_pipeline.providers.encryption_keys import new_key_text, put_new_key_into_file
from myi_pipeline.providers.shared_keys import lasting_key, shared_keys
from myi_pipeline.settings import Settings

OLD, NEW = new_key_text(), new_key_text()


def host(home: Path, *keys: str) -> Settings:
    return Settings(home=home, encryption_keys=SecretStr(",".join(keys)) if keys else None)


def test_empty_homes_with_the_same_encryption_keys_have_the_same_keys_and_make_none(tmp_path: Path) -> None:
    one, two = host(tmp_path / "one", OLD), host(tmp_path / "two", OLD)
    made = {name: shared_keys(one, name) for name in ("cursors", "downloads")}
    assert made == {name: shared_keys(two, name) for name in made}
    assert len({*made["cursors"], *made["downloads"], *one.encryption_key_bytes()}) == 3
    assert all(len(key) == KEY_BYTES for keys in made.values() for key in keys)
    assert not list(tmp_path.iterdir())


def test_keys_of_the_file_make_what_keys_of_the_environment_make(tmp_path: Path) -> None:
    control = host(tmp_path)
    put_new_key_into_file(control)
    text = (control.secrets_folder / "encryption_keys").read_text().strip()
    assert shared_keys(control, "cursors") == shared_keys(host(tmp_path / "other", text), "cursors")


def test_after_a_rotation_the_new_key_signs_and_the_former_one_still_checks(tmp_path: Path) -> None:
    (before,) = shared_keys(host(tmp_path, OLD), "cursors")
    first, *others = shared_keys(host(tmp_path, NEW, OLD), "cursors")
    assert first == shared_keys(host(tmp_path, NEW), "cursors")[0] != before
    assert others == [before]


def test_what_a_home_had_made_stays_good_and_suffices_without_encryption_keys(tmp_path: Path) -> None:
    kept = local_key(host(tmp_path), "downloads")
    assert shared_keys(host(tmp_path), "downloads") == (kept,)
    first, *others = shared_keys(host(tmp_path, OLD), "downloads")
    assert first == shared_keys(host(tmp_path / "empty", OLD), "downloads")[0]
    assert others == [kept]


def test_a_hash_that_is_stored_is_the_same_in_each_empty_home_and_after_a_rotation(tmp_path: Path) -> None:
    """Each pod hashed the user names in archives with a key of its own, and none knew that two people handed in
    archives of one account."""
    one, two = host(tmp_path / "one", OLD), host(tmp_path / "two", OLD)
    hashed = account_hasher(one)("ada")
    assert account_hasher(two)("ada") == hashed
    for rotated in (host(tmp_path / "one", NEW), host(tmp_path / "one"), host(tmp_path / "three", NEW, OLD)):
        assert account_hasher(rotated)("ada") == hashed
    given = two.model_copy(update={"account_names_key": SecretStr("ab" * KEY_BYTES)})
    assert account_hasher(given)("ada") != hashed


def test_a_home_that_had_its_own_key_for_hashes_keeps_it(tmp_path: Path) -> None:
    kept = local_key(host(tmp_path), "account_names")
    assert lasting_key(host(tmp_path, OLD), "account_names") == kept
