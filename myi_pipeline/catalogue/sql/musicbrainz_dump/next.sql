-- Many at once, including those that are not due because they failed at the web service a moment ago.
select entry_id
from ops.musicbrainz_queue
where entry_id > %(after)s and state = 'waiting' and (leased_until is null or leased_until <= %(now)s)
order by entry_id
limit %(most)s
for update skip locked
