with done as (
    delete from ops.listen_inbox
    where submission_id = %(submission_id)s
    returning submission_id, user_id, token_id, client, listen_type, received_at, listens, refused
)

insert into ops.submissions (
    submission_id, user_id, token_id, client, listen_type, received_at,
    rows_read, rows_loaded, rows_present, rows_identical, rows_quarantined
)
select
    done.submission_id,
    done.user_id,
    done.token_id,
    done.client,
    done.listen_type,
    done.received_at,
    jsonb_array_length(done.listens) + jsonb_array_length(done.refused),
    %(loaded)s,
    %(present)s,
    %(identical)s,
    jsonb_array_length(done.refused)
from done
