select
    s.share_id,
    u.user_key,
    s.kind,
    s.title,
    case
        when s.revoked_at is not null then 'revoked'
        when s.expires_at <= %(now)s then 'expired'
        else 'open'
    end as state,
    s.made_at,
    s.expires_at,
    s.revoked_at,
    s.is_indexed,
    s.views
from app.shares as s
inner join app.users as u on u.user_id = s.user_id
where
    (%(user_id)s::int is null or s.user_id = %(user_id)s)
    and (%(share_id)s::text is null or s.share_id = %(share_id)s)
order by s.made_at desc, s.share_id
