delete from app.agreements
where accepted_at is null and expires_at <= %(now)s
