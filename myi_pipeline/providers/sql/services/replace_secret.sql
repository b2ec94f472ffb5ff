update app.linked_services
set secret = %(secret)s, secret_ended_at = null, account = %(account)s
where user_id = %(user_id)s and service = %(service)s
