-- Decisions on a migration that is done make it incomplete; once these are taken back it is done again, as it was.
alter table app.migrations add column applied jsonb;
comment on column app.migrations.applied is
'While it is incomplete by decisions made after it was done: what was applied, and the columns that they changed.';
