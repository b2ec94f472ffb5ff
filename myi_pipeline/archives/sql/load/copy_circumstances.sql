copy {load}_circumstances (
    circumstance_no, source_id, context_key, platform, conn_country, reason_start, reason_end,
    shuffle, skipped, offline, incognito
) from stdin
