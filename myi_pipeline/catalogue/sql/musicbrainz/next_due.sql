select entry_id
from ops.musicbrainz_queue
where state = 'waiting' and due_at <= %(now)s and (leased_until is null or leased_until <= %(now)s)
order by plays desc, entry_id
limit 1
for update skip locked
