update app.account_credentials
set refusals = refusals + 1, last_error = %(reason)s, last_failed_at = %(now)s
where account_id = %(account_id)s and authorised_at = %(authorised_at)s
returning refusals
