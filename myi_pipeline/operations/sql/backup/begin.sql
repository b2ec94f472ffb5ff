insert into ops.backups (place, name, is_scheduled)
values (%(place)s, %(name)s, %(is_scheduled)s)
returning backup_id
