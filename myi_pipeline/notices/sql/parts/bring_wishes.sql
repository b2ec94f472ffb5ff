-- What somebody has said here stays.
insert into app.notice_wishes (user_id, muted, quiet_from, quiet_until)
select %(user_id)s, coalesce(r.muted, '{}'), r.quiet_from, r.quiet_until
from told_settings_notices as t
cross join lateral jsonb_to_record(t.told) as r (muted text [], quiet_from time, quiet_until time)
order by t.row_no
limit 1
on conflict (user_id) do nothing;
