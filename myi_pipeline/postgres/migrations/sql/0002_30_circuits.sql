-- Circuits: users whose requests fail are left alone for a while. No row means closed and untouched.
create table ops.circuits (
    user_id int primary key references app.users on delete cascade,
    state text not null check (state in ('closed', 'open', 'half_open')),
    authorisation_failures int not null default 0,
    network_failures int not null default 0,
    unknown_failures int not null default 0,
    openings int not null default 0,
    opened_at timestamptz,
    open_until timestamptz,
    probe_at timestamptz,
    kind text check (kind in ('authorisation', 'network', 'unknown')),
    reason text,
    check (state = 'closed' or (opened_at is not null and open_until is not null)),
    check (state <> 'half_open' or probe_at is not null)
);

create table ops.circuit_events (
    event_id bigint generated always as identity primary key,
    user_id int not null references app.users on delete cascade,
    happened_at timestamptz not null,
    from_state text not null,
    to_state text not null,
    open_until timestamptz,
    kind text,
    reason text
);
create index circuit_events_user on ops.circuit_events (user_id, event_id);
comment on table ops.circuit_events is 'The history of circuits: every change of state, with its reason.';

grant select, insert, update, delete on ops.circuits, ops.circuit_events to {ingest};
grant select on ops.circuits, ops.circuit_events to {monitor};
