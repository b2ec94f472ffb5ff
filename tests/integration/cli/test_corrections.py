"""`myi corrections` on a real database, before anything was refreshed."""

from __future__ import annotations

from collections.abc import Callable

from myi_pipeline.postgres.connections import Role, Warehouse


def test_a_correction_is_added_listed_and_undone(myi: Callable, warehouse: Warehouse) -> None:
    assert myi("user", "add", "ana", "--time-zone", "Europe/Berlin").code == 0
    span = ("--from", "2023-01-01", "--to", "2023-12-31")
    tried = myi("corrections", "add", "ana", "--action", "hide", *span, "--dry-run", "--json")
    assert (tried.code, tried.document["correction"], tried.document["reached"]["plays"]) == (0, None, 0)
    added = myi("corrections", "add", "ana", "--action", "correct", *span, "--shift=-1:30", "--note", "old radio")
    assert added.code == 0, added.err
    assert "No plays match now." in added.out

    (listed,) = myi("corrections", "list", "ana", "--json").document["corrections"]
    assert (listed["action"], listed["shift_s"], listed["note"]) == ("correct", -5400, "old radio")
    assert listed["until_at"].startswith("2023-12-31T23:00:00")
    assert "correct by -5400 s" in " ".join(myi("corrections", "list", "ana").out.split())
    number = listed["correction_id"]
    assert myi("corrections", "undo", "ana", number).code == 0
    again = myi("corrections", "undo", "ana", number)
    assert (again.code, "no correction" in again.err) == (1, True)
    with warehouse.connect(Role.INGEST) as connection:
        events = connection.execute("select event from app.audit where event like 'correct%' order by 1").fetchall()
    assert events == [("corrected",), ("correction_undone",)]


def test_a_wrong_option_is_told_with_what_is_right(myi: Callable) -> None:
    assert myi("user", "add", "ana").code == 0
    for options, said in {
        ("hide",): "select plays",
        ("shrink", "--kind", "track"): "hide, delete or correct",
        ("hide", "--kind", "song"): "track, episode, chapter",
        ("hide", "--source", "gramophone"): "extended_history",
        ("correct", "--kind", "track"): "give a shift",
        ("correct", "--kind", "track", "--shift", "soon"): "+1:00",
        ("hide", "--from", "2020-02-30"): "YYYY-MM-DD",
        ("hide", "--from", "2020-03-02", "--to", "2020-03-01"): "ends before it begins",
    }.items():
        refused = myi("corrections", "add", "ana", "--action", *options)
        assert refused.code == 2, options
        assert said in " ".join(refused.err.split()), options
    assert myi("corrections", "list", "bob").code == 2
