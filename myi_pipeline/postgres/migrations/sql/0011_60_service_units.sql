-- Quotas that a service counts by its own day: what was used of each, by client id.
create table ops.service_units (
    client_id text not null,
    day date not null,
    kind text not null check (kind in ('units', 'searches')),
    used int not null check (used >= 0),
    primary key (client_id, day, kind)
);
comment on table ops.service_units is
'What was used of a quota by the day: of YouTube units and searches, whose day ends at midnight Pacific time.';
grant select, insert, update, delete on ops.service_units to {ingest}, {app};

create view ops.service_unit_figures as
select kind, max(used) as used
from ops.service_units
where day = (now() at time zone 'America/Los_Angeles')::date
group by kind;
comment on view ops.service_unit_figures is
'For metrics: what was used of each kind today, of the client id that used most.';
grant select on ops.service_unit_figures to {monitor};

-- Linking an account asks the service whose it is, at the pace that it allows.
grant select, insert, update, delete on ops.service_paces to {app};
