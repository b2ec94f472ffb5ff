-- A row only if the account differs from that of the poll before.
insert into app.polled_accounts (user_id, first_poll_id, account_key)
select
    %(user_id)s,
    %(poll_id)s,
    %(account_key)s
where
    %(account_key)s::text is distinct from (
        select account_key
        from app.polled_accounts
        where user_id = %(user_id)s
        order by first_poll_id desc
        limit 1
    )
