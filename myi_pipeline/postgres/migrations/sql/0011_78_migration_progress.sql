-- How far a migration is, without planning it again each time that somebody looks.
alter table app.migrations add column were_there int not null default 0;
comment on column app.migrations.were_there is 'Matched entries that the target held when it was planned.';
