-- Restores an entry to what it was before it was left out.
update app.migration_items
set
    outcome = undecided ->> 'outcome',
    uri = undecided ->> 'uri',
    reason = undecided ->> 'reason',
    is_decided = (undecided ->> 'is_decided')::boolean,
    undecided = nullif(undecided -> 'undecided', 'null')
where migration_id = %(migration_id)s and position = %(position)s and reason = 'left_out'
returning uri
