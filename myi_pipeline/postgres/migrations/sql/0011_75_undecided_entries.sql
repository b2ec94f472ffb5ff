-- What a person says of an entry can be taken back: it is then as it was before anything was said.
alter table app.migration_items add column undecided jsonb;
comment on column app.migration_items.undecided is
'Outcome, uri, reason, is_decided and candidates before the first decision in this migration; NULL: there was none.';
