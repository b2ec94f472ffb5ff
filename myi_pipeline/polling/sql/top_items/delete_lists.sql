delete from raw.top_items as t
using jsonb_to_recordset(%(lists)s) as p (entity_kind text, term text)
where
    t.user_id = %(user_id)s
    and t.taken_on = (%(now)s::timestamptz at time zone 'UTC')::date
    and t.entity_kind = p.entity_kind
    and t.term = p.term
