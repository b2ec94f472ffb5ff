-- In the order in which they began, which the rules use to decide what came first.
select numbers.batch, coalesce(i.kind, 'not an archive') as kind
from (
    select e.batch_id as batch from raw.listening_events as e where e.user_id = %(user_id)s
    union
    select i.import_id from app.imports as i where i.user_id = %(user_id)s
    union
    select p.first_poll_id from app.polled_accounts as p where p.user_id = %(user_id)s
) as numbers
left join app.imports as i on i.import_id = numbers.batch
order by numbers.batch
