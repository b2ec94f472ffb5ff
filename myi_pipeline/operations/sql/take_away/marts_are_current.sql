-- A refresh deletes the ledger's rows last, so a snapshot in which none is left has marts that know everything.
select
    exists (select from ops.mart_state as m where m.completed_at is not null)
    and not exists (select from ops.changed_days as d where d.user_id = %(user_id)s)
    and not exists (select from ops.changed_users as u where u.user_id = %(user_id)s)
    and not exists (select from ops.changed_playlists as p where p.user_id = %(user_id)s)
    and not exists (
        select from ops.changed_contents as c
        where c.content_id in (select w.content_id from wanted_contents as w)
    )
    and not exists (
        select from ops.changed_facts as f
        where f.content_id in (select w.content_id from wanted_contents as w)
    )
