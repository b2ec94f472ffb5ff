delete from app.linked_services
where user_id = %(user_id)s and service = %(service)s and lower(account) <> lower(%(account)s)
