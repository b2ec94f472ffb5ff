-- How far a source's clock may be off for good, in seconds: a device that was never set, or a log that was read in the
-- wrong zone, is off by hours; the resolution learns by how much.
alter table raw.sources add column may_be_off_s int not null default 30 check (may_be_off_s between 1 and 50400);
-- So anybody else knows better when something was played.
update raw.sources set may_be_off_s = 50400, rank = 90 where source = 'scrobbler_log';
comment on column raw.sources.may_be_off_s is 'How far its clock may be off for good, in seconds.';
