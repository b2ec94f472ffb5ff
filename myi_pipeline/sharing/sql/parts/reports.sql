-- The content of each report, if it is still stored, without its link, which would open it to anybody.
select s.kind, s.title, s.snapshot, s.made_at, s.expires_at, s.revoked_at, s.is_indexed, s.views
from app.shares as s
where s.user_id = %(user_id)s
order by s.made_at, s.share_id
