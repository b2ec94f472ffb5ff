-- The saved migrations to check now, the longest waiting first. News is a list of entries that differs from the last
-- run's, a later decision on one of its tracks, or a last run that did not finish.
select
    s.saved_id,
    s.user_id,
    s.source_playlist_id,
    newest.version_no,
    newest.name as source_name,
    s.target_account_id,
    s.target_playlist,
    s.target_name,
    s.is_equal,
    a.provider,
    last.migration_id is null
    or last.state not in ('done', 'incomplete')
    or (last.state = 'incomplete' and last.last_error is not null)
    or newest.items_key is distinct from taken.items_key
    or exists (
        select from app.match_decisions as d
        inner join app.migration_items as i on i.content_id = d.content_id
        where
            d.user_id = s.user_id
            and d.provider = a.provider
            and i.migration_id = last.migration_id
            and greatest(d.decided_at, d.undone_at) >= coalesce(last.finished_at, last.created_at)
    ) as has_news
from app.saved_migrations as s
inner join app.provider_accounts as a on a.account_id = s.target_account_id
cross join lateral (
    select v.version_no, v.name, v.items_key
    from raw.playlist_versions as v
    where v.playlist_id = s.source_playlist_id and v.items is not null
    order by v.version_no desc
    limit 1
) as newest
left join lateral (
    select m.migration_id, m.source_version_no, m.created_at, m.finished_at, m.ordered, m.state, m.last_error
    from app.migrations as m
    where m.saved_id = s.saved_id or m.migration_id = s.origin_id
    order by m.migration_id desc
    limit 1
) as last on true
left join raw.playlist_versions as taken
    on taken.playlist_id = s.source_playlist_id and taken.version_no = last.source_version_no
where
    s.is_daily
    and s.paused_at is null
    and s.looked_at <= %(before)s
    and a.state = 'active'
    and a.paused_at is null
    and last.ordered is null
order by s.looked_at, s.saved_id
limit %(limit)s
