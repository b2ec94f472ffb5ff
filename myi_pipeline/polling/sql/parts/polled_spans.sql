-- An open span ends when this installation last polled: the one that takes in the export does not poll.
select
    s.polled_from,
    coalesce(s.polled_to, greatest(s.polled_from, p.polled_at)) as polled_to,
    s.polled_to is null as is_open
from raw.polled_spans as s
left join ops.poll_states as p on p.user_id = s.user_id
where s.user_id = %(user_id)s
order by s.polled_from
