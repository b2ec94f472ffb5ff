insert into app.notice_wishes (user_id, muted, quiet_from, quiet_until)
values (%(user_id)s, %(muted)s, %(quiet_from)s, %(quiet_until)s)
on conflict (user_id) do update set
    muted = excluded.muted,
    quiet_from = excluded.quiet_from,
    quiet_until = excluded.quiet_until
