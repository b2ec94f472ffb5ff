"""No table with rows of users is forgotten: an export has its rows, or says why not."""

from __future__ import annotations

from myi_pipeline.operations.take_away.tables import NOT_EXPORTED, exported_tables
from tests.integration.archives.setups import Setup

# Tables of users' rows: by their own column, or by a foreign key that leads to one. Partitions are their table's.
TABLES = """
with recursive tables as (
    select c.oid, format('%s.%s', n.nspname, c.relname) as name
    from pg_class as c
    inner join pg_namespace as n on n.oid = c.relnamespace
    where n.nspname in ('app', 'raw', 'ops') and c.relkind in ('r', 'p') and not c.relispartition
),

of_users as (
    select t.oid, t.name
    from tables as t
    inner join pg_attribute as a on a.attrelid = t.oid and a.attname = 'user_id' and not a.attisdropped
    union
    select t.oid, t.name
    from of_users as u
    inner join pg_constraint as k on k.contype = 'f' and k.confrelid = u.oid
    inner join tables as t on t.oid = k.conrelid
)

select name from of_users order by name
"""


def test_every_table_with_rows_of_users_is_exported_or_says_why_not(shared_setup: Setup) -> None:
    there = {str(name) for (name,) in shared_setup.sql(TABLES)}
    exported = exported_tables()
    assert not set(exported) & set(NOT_EXPORTED)
    assert there - set(exported) - set(NOT_EXPORTED) == set(), "say where an export has these, in take_away/tables.py"
    assert (set(exported) | set(NOT_EXPORTED)) - there == set(), "these are no tables of users"
    assert all(reason and reason[0].islower() for reason in NOT_EXPORTED.values())


def test_a_table_that_nobody_registered_is_found_broken(shared_setup: Setup) -> None:
    shared_setup.sql("create table ops.forgotten (import_id int references app.imports)")
    try:
        there = {str(name) for (name,) in shared_setup.sql(TABLES)}
        assert there - set(exported_tables()) - set(NOT_EXPORTED) == {"ops.forgotten"}
    finally:
        shared_setup.sql("drop table ops.forgotten")
