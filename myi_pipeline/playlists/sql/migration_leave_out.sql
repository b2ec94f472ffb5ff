update app.migration_items
set
    undecided = jsonb_build_object(
        'outcome', outcome, 'uri', uri, 'reason', reason, 'is_decided', is_decided, 'candidates', candidates,
        'undecided', undecided
    ),
    outcome = 'unavailable',
    uri = null,
    reason = 'left_out',
    is_decided = true,
    is_refused = false
where migration_id = %(migration_id)s and position = %(position)s and reason <> 'left_out'
