-- What the role for metrics may see: figures of the whole house, and no row about one person.
revoke select on
ops.changed_days, ops.changed_contents, ops.changed_users, ops.mart_runs, ops.mart_state, ops.quota_calls,
ops.quota_blocks, ops.circuits, ops.circuit_events, ops.polls, ops.poll_states, ops.catalogue_queue, ops.top_refreshes
from {monitor};
revoke usage on schema marts from {monitor};

create view ops.schema_version as
select version_num from ops.alembic_version;
comment on view ops.schema_version is 'The schema''s version, for readiness.';

create view ops.poll_figures as
select max(polled_at) as last_poll_at from ops.poll_states;
comment on view ops.poll_figures is 'When a poll last succeeded, of any user.';

create view ops.figures as
select 'users' as name, '' as label, count(*)::double precision as value
from app.users
union all
select 'marts_age_seconds', '', extract(epoch from now() - completed_at)
from ops.mart_state
union all
select 'mart_runs_failed_24h', '', count(*)
from ops.mart_runs
where status in ('failed', 'abandoned') and started_at > now() - interval '24 hours'
union all
select 'ledger_open_rows', ledger, count(*)
from (
    select 'days' as ledger from ops.changed_days
    union all
    select 'contents' from ops.changed_contents
    union all
    select 'users' from ops.changed_users
) as open_rows
group by ledger
union all
select 'ledger_age_seconds', '', coalesce(extract(epoch from now() - min(changed_at)), 0)
from (
    select changed_at from ops.changed_days
    union all
    select changed_at from ops.changed_contents
    union all
    select changed_at from ops.changed_users
) as changes
union all
select 'last_poll_age_seconds', '', extract(epoch from now() - last_poll_at)
from ops.poll_figures
union all
-- Of the client id that asked most: that is the one whose quota ends first.
select 'spotify_calls_24h', bucket, max(calls)
from (
    select client_id, bucket, sum(calls) as calls
    from ops.quota_calls
    where called_at > now() - interval '24 hours'
    group by client_id, bucket
) as per_client
group by bucket
union all
select 'spotify_calls_24h', 'all', coalesce(max(calls), 0)
from (
    select client_id, sum(calls) as calls
    from ops.quota_calls
    where called_at > now() - interval '24 hours'
    group by client_id
) as per_client
union all
select 'spotify_blocked', bucket, count(*)
from ops.quota_blocks
where blocked_until > now()
group by bucket
union all
select 'circuits', state, count(*)
from ops.circuits
group by state
union all
select 'logins', case when status = 'active' and paused_at is not null then 'paused' else status end, count(*)
from app.credentials
group by 2
union all
-- Six months after the person agreed, whatever is refreshed meanwhile.
select 'logins_ending', stage.days::text, count(c.user_id)
from (values (0), (1), (7), (30)) as stage (days)
left join app.credentials as c
    on c.authorised_at + interval '6 months' <= now() + make_interval(days => stage.days)
group by stage.days
union all
select 'imports', status, count(*)
from app.imports
group by status
union all
select 'sessions', '', count(*)
from app.sessions;
comment on view ops.figures is 'Figures for metrics: a name, at most one label, a number.';

grant select on ops.schema_version, ops.figures to {monitor};
