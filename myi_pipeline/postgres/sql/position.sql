-- The end of this server's write-ahead log, or the position that a replica has replayed; the timeline of a primary; the
-- seconds since a replica's last replayed change was made; the system identifier, which copies share with their
-- original; and the timeline of either (for a replica, that of its last checkpoint).
select
    (
        case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_insert_lsn() end - '0/0'
    )::bigint as position,
    case when not pg_is_in_recovery() then left(pg_walfile_name(pg_current_wal_lsn()), 8) end as timeline,
    extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp())::float8 as idle_s,
    (select system_identifier from pg_control_system()) as system,
    case
        when pg_is_in_recovery() then (select upper(lpad(to_hex(timeline_id), 8, '0')) from pg_control_checkpoint())
        else left(pg_walfile_name(pg_current_wal_lsn()), 8)
    end as follows
