-- Where its beginning has arrived, or is on its way.
select distinct
    target_id,
    settings_key
from ops.notice_deliveries
where notice_id = %(notice_id)s and moment like 'began:%%' and (delivered_at is not null or leased_until > %(now)s)
