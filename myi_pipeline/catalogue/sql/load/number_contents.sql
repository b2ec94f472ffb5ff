insert into {load}_content_ids (content_no, content_id)
select s.content_no, c.content_id
from {load}_contents as s
inner join raw.contents as c on c.content_key = s.content_key;
analyze {load}_content_ids;
