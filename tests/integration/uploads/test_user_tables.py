"""Every table says how a user's rows in it are erased."""

from __future__ import annotations

from myi_pipeline.operations.user_tables import ERASED, NOBODYS, Erased, cascading_tables, undecided_tables
from myi_pipeline.postgres.connections import Role, Warehouse


def test_every_table_says_how_a_users_rows_are_erased(warehouse: Warehouse) -> None:
    with warehouse.connect(Role.OWNER, autocommit=True) as connection:
        assert undecided_tables(connection) == ()
        tables = {
            row[0]: row[1]
            for row in connection.execute(
                "select format('%I.%I', table_schema, table_name), bool_or(column_name = 'user_id')"
                " from information_schema.columns where table_schema in ('app', 'ops', 'raw') group by 1"
            )
        }
        # What is said is said of tables that there are, and of those with a user's number nobody says: nobody's.
        assert {*ERASED, *NOBODYS} <= set(tables)
        assert [table for table in NOBODYS if tables[table]] == []
        cascades = cascading_tables(connection)
        by_trigger = {table for table, how in ERASED.items() if how is Erased.TRIGGER}
        assert {table for table in by_trigger if "app.users" in cascades.get(table, ())} == set()


def test_a_broken_schema_is_found_in_which_a_table_says_nothing(warehouse: Warehouse) -> None:
    with warehouse.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("create table app.diaries (user_id int not null, entry text)")
        connection.execute("create table ops.scratch (user_id int references app.users, entry text)")
        assert undecided_tables(connection) == ("app.diaries", "ops.scratch")
        connection.execute("create table app.letters (user_id int references app.users on delete cascade)")
        assert undecided_tables(connection) == ("app.diaries", "ops.scratch")
