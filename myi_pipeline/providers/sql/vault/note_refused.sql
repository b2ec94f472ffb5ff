update app.credentials
set
    refusals = refusals + 1,
    last_error = %(reason)s,
    last_failed_at = %(now)s,
    status = case when %(is_final)s or refusals + 1 >= %(most)s then 'reauth_required' else status end
where provider_account_id = %(account)s and authorised_at = %(authorised_at)s
returning status
