-- A row that is dated ahead of now is looked at again when its time has come: it stays in quarantine as a whole until then.
alter table ops.quarantine
add column due_at timestamptz,
add column whole_row jsonb,
add constraint whole_while_due check ((due_at is null) = (whole_row is null));
comment on column ops.quarantine.due_at is 'The time of a row that lies in the future; then maintenance looks at it again.';
comment on column ops.quarantine.whole_row is 'All of such a row but its personal fields, as row_content may be cut.';
create index quarantine_due on ops.quarantine (due_at) where due_at is not null;

-- Rows that an older version put there come too, where nothing of them was cut.
do $$
declare
    found record;
    moment timestamptz;
begin
    for found in
        select quarantine_id, row_content, coalesce(row_content ->> 'ts', row_content ->> 'endTime') as told
        from ops.quarantine
        where reason = 'in_the_future' and jsonb_typeof(row_content) = 'object' and row_content::text not like '%…%'
    loop
        begin
            moment := (found.told::timestamp) at time zone 'UTC';
            update ops.quarantine set due_at = moment, whole_row = found.row_content
            where quarantine_id = found.quarantine_id and moment is not null;
        exception when data_exception then
            null;
        end;
    end loop;
end $$;
