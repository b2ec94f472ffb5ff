update {circuits}
set
    state = %(state)s,
    authorisation_failures = %(authorisation_failures)s,
    network_failures = %(network_failures)s,
    unknown_failures = %(unknown_failures)s,
    openings = %(openings)s,
    opened_at = %(opened_at)s,
    open_until = %(open_until)s,
    probe_at = %(probe_at)s,
    kind = %(kind)s,
    reason = %(reason)s
where {holder_id} = %(holder_id)s
