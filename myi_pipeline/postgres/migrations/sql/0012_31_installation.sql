-- Identifies this installation: several may store backups in the same place, and each only deletes its own. A restored
-- installation keeps the id.
create table ops.installation (
    is_only boolean primary key default true check (is_only),
    installation_id uuid not null default gen_random_uuid()
);
comment on table ops.installation is 'One row: the random id that identifies this installation in its backups.';

insert into ops.installation default values;

grant select on ops.installation to {ingest};
