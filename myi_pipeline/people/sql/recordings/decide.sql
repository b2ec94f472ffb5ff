insert into app.recording_decisions (user_id, decision, content_id, other_id)
values (%(user_id)s, %(decision)s, %(content_id)s, %(other_id)s)
returning decision_id, decision, content_id, other_id, decided_at
