insert into {circuits} ({holder_id}, state)
select {holder_id}, 'closed'
from {holders}
where {holder_id} = %(holder_id)s
on conflict ({holder_id}) do nothing
