-- The token endpoint has a bucket of its own: a 429 of it silences every refresh of the client id.
alter table ops.quota_calls drop constraint quota_calls_bucket_check;
alter table ops.quota_calls add constraint quota_calls_bucket_check
check (bucket in ('polls', 'tokens', 'personal', 'catalogue'));
alter table ops.quota_blocks drop constraint quota_blocks_bucket_check;
alter table ops.quota_blocks add constraint quota_blocks_bucket_check
check (bucket in ('polls', 'tokens', 'personal', 'catalogue'));
