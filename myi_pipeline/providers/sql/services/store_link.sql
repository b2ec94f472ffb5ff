insert into app.linked_services (user_id, service, account, secret, linked_at)
values (%(user_id)s, %(service)s, %(account)s, %(secret)s, %(now)s)
on conflict (user_id, service) do nothing
