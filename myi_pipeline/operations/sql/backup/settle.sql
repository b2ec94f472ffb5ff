-- Others remember numbers that were given after the backup was made: Dagster those of imports and refreshes, browsers
-- the versions of their figures, a store of exports those of users. No number is given twice: each sequence goes on far
-- behind whatever was given meanwhile.
select setval(format('%%I.%%I', s.schemaname, s.sequencename)::regclass, coalesce(s.last_value, 0) + %(gap)s)
from pg_sequences as s
where s.schemaname in ('app', 'ops', 'raw') and coalesce(s.last_value, 0) + %(gap)s <= s.max_value;

update ops.mart_fence set run_id = run_id + %(gap)s;

-- What was under way when the backup was made is no more. A refresh that was has closed nothing: the next one repeats it.
update ops.mart_runs set status = 'failed', error = 'ended by a restore', finished_at = now() where status = 'running';

-- The backup's own row was taken in the middle of it.
update ops.backups set state = 'completed', finished_at = now(), bytes = %(bytes)s where name = %(name)s and state = 'running';

update ops.backups set state = 'failed', finished_at = now(), error = 'ended by a restore' where state = 'running';

-- Browsers sign in again: who signed out, or was signed out, since the backup stays so.
delete from app.sessions;

delete from app.sign_in_links;

delete from app.sign_ins;

delete from app.dagster_links;

delete from app.dagster_sessions;
