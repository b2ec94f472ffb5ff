-- Whether a person's page should say that more is to come. The ledger is small: what it holds is done within minutes. What
-- stays longer waits for something else (a time zone that the server does not know, a refresh that fails), and says so.
create function ops.days_to_count(asked_user int, at_most int) returns int
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select count(*)::int from (
        select from ops.changed_days
        where user_id = asked_user and changed_at > now() - interval '1 hour'
        limit at_most
    ) as waiting
$$;
comment on function ops.days_to_count(int, int) is
    'Days of a user that changed within the hour and that no mart run has taken in yet; no more than at_most.';
revoke all on function ops.days_to_count(int, int) from public;
grant execute on function ops.days_to_count(int, int) to {app};
