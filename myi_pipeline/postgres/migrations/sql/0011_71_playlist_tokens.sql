alter table app.access_tokens drop constraint access_tokens_scope_check;
alter table app.access_tokens add constraint access_tokens_scope_check
check (scope in ('read', 'operate', 'listens:write', 'playlists:write'));
comment on column app.access_tokens.scope is
'read: the user''s marts; operate: Dagster''s pages too, of an operator; listens:write: submits only; playlists:write: moves playlists';
