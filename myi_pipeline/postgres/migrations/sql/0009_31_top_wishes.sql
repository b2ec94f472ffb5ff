-- Whoever opens the overview after a while is here again: their top lists at Spotify are asked for, at most once in 24
-- hours, without making the page wait. Whether they are really due is looked at again before anything is asked.
alter table ops.live_wishes drop constraint live_wishes_wish_check;
alter table ops.live_wishes add constraint live_wishes_wish_check check (wish in ('poll', 'now_playing', 'top_lists'));
comment on table ops.live_wishes is
'What users ask of Spotify now: a poll, what is playing, or their top lists. Gone when it is being done.';

create function ops.want_top_lists(asked_user int, asked_at timestamptz) returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
    select ops.wish(login.user_id, 'top_lists', asked_at)
    from app.credentials as login
    left join ops.top_refreshes as last on last.user_id = login.user_id
    where
        login.user_id = asked_user
        and login.status = 'active'
        and login.paused_at is null
        and 'user-top-read' = any(login.scopes)
        and (last.refreshed_at is null or last.refreshed_at < asked_at - interval '24 hours')
        and (last.retry_at is null or last.retry_at < asked_at)
$$;
comment on function ops.want_top_lists(int, timestamptz) is
'Asks for a user''s top lists when they were not read within 24 hours and nothing stands in the way.';
revoke all on function ops.want_top_lists(int, timestamptz) from public;
grant execute on function ops.want_top_lists(int, timestamptz) to {app};
