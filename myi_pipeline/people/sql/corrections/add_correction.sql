insert into app.corrections (
    user_id, action, event_id, event_at, from_at, until_at, artist_id, source_id, kind, shift_s, to_content_id, note,
    for_good_at
)
values (
    %(user_id)s,
    %(action)s,
    %(event_id)s,
    %(event_at)s,
    %(from_at)s,
    %(until_at)s,
    %(artist_id)s,
    (select source_id from app.list_sources() where source = %(source)s),
    %(kind)s,
    %(shift_s)s,
    %(to_content_id)s,
    %(note)s,
    case when %(for_good)s then now() end
)
returning correction_id
