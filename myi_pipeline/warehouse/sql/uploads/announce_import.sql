-- A place to look at before the import begins, which will find this row by its content.
insert into app.imports (user_id, sha256, archive_name, kind, bytes_total)
values (%(user_id)s, %(sha256)s, %(archive_name)s, %(kind)s, %(bytes_total)s)
on conflict (user_id, sha256) do nothing
returning import_id
