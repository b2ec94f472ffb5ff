-- A refusal by the service stands only if the URI is still the refused one.
update app.migration_items
set
    undecided = coalesce(
        undecided,
        jsonb_build_object(
            'outcome', outcome, 'uri', uri, 'reason', reason, 'is_decided', is_decided, 'candidates', candidates
        )
    ),
    outcome = %(outcome)s,
    uri = %(uri)s,
    is_decided = %(is_decided)s,
    is_refused = is_refused and uri is not distinct from %(uri)s::text,
    reason = %(reason)s,
    candidates = %(candidates)s
where migration_id = %(migration_id)s and position = %(position)s
