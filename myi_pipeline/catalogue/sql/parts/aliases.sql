select c.content_key as content, other.content_key as goes_by, a.reason
from wanted_contents as w
inner join raw.content_aliases as a on a.content_id = w.content_id
inner join raw.contents as c on c.content_id = a.content_id
inner join raw.contents as other on other.content_id = a.canonical_id
order by c.content_id
