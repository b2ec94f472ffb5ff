insert into app.audit (event, user_id, user_key, address, detail)
values (
    %(event)s,
    %(user_id)s,
    (select u.user_key from app.users as u where u.user_id = %(user_id)s),
    %(address)s,
    %(detail)s
)
