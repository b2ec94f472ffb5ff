select
    c.*,
    u.user_key
from ops.circuits as c
inner join app.users as u on u.user_id = c.user_id
where
    c.state <> 'closed'
    or c.authorisation_failures + c.network_failures + c.unknown_failures > 0
order by c.user_id
