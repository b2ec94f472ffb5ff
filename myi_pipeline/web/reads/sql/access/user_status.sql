-- How things stand for a person who comes to a page: one row. An import counts as under way until its rows are counted.
select
    person.time_zone_chosen_at is not null as is_zone_chosen,
    coalesce(login.status, '') as login_status,
    ops.days_to_count(%(user_id)s, %(at_most)s) as days_to_count,
    import.import_id,
    import.archive_name,
    import.status as import_status,
    exists (
        select from app.access_tokens as token
        where
            token.user_id = person.user_id
            and token.scope = 'listens:write'
            and token.revoked_at is null
            and token.last_used_at > now() - interval '30 days'
    ) as has_scrobbler
from app.users as person
left join app.credentials as login on login.user_id = person.user_id and login.is_main
left join lateral (
    select import_id, archive_name, status
    from app.imports
    where user_id = person.user_id and coalesce(confirmation, '') <> 'needed'
    order by import_id desc
    limit 1
) as import on true
where person.user_id = %(user_id)s
