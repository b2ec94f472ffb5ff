"""Who owns what and who may do what in a warehouse, with roles by what they are for: the same wherever it lies."""

from __future__ import annotations

from myi_pipeline.postgres.connections import Warehouse
from tests.integration.backup.conftest import ask

_SCHEMAS = "('app', 'raw', 'ops', 'load', 'staging', 'intermediate', 'marts')"
_GRANTS = """
select 'relation', n.nspname || '.' || c.relname, pg_get_userbyid(c.relowner),
       (select string_agg(a.grantee::regrole || ' ' || a.privilege_type, ', ' order by 1)
        from aclexplode(c.relacl) as a where a.privilege_type <> 'MAINTAIN')
from pg_class as c inner join pg_namespace as n on n.oid = c.relnamespace
where n.nspname in SCHEMAS and c.relkind in ('r', 'p', 'v', 'm', 'S')
union all
select 'function', p.oid::regprocedure::text, pg_get_userbyid(p.proowner),
       (select string_agg(case a.grantee when 0 then 'public' else a.grantee::regrole::text end, ', ' order by 1)
        from aclexplode(p.proacl) as a)
from pg_proc as p inner join pg_namespace as n on n.oid = p.pronamespace
where n.nspname in SCHEMAS
union all
select 'schema', n.nspname, pg_get_userbyid(n.nspowner),
       (select string_agg(a.grantee::regrole || ' ' || a.privilege_type, ', ' order by 1)
        from aclexplode(n.nspacl) as a)
from pg_namespace as n where n.nspname in SCHEMAS
union all
select 'policy', schemaname || '.' || tablename || ' ' || policyname, array_to_string(roles, ', '), qual
from pg_policies
union all
select 'row security', c.oid::regclass::text, c.relrowsecurity::text, c.relforcerowsecurity::text
from pg_class as c inner join pg_namespace as n on n.oid = c.relnamespace
where n.nspname in SCHEMAS and c.relrowsecurity
union all
select 'column', c.oid::regclass || '.' || t.attname, '',
       (select string_agg(a.grantee::regrole || ' ' || a.privilege_type, ', ' order by 1)
        from aclexplode(t.attacl) as a)
from pg_attribute as t inner join pg_class as c on c.oid = t.attrelid
where t.attacl is not null and c.relnamespace::regnamespace::text in SCHEMAS
order by 1, 2
"""


def rights(warehouse: Warehouse) -> set[tuple[str, ...]]:
    rows = ask(warehouse, _GRANTS.replace("SCHEMAS", _SCHEMAS))
    names = sorted(
        ((name, f"<{login}>") for login, name in warehouse.names().items() if login != "database"),
        key=lambda pair: -len(pair[0]),
    )

    def told(cell: object) -> str:
        text = "" if cell is None else str(cell)
        for name, login in names:
            text = text.replace(f'"{name}"', login).replace(name, login)
        return ", ".join(sorted(text.split(", ")))

    return {tuple(told(cell) for cell in row) for row in rows}
