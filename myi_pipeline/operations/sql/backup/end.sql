update ops.backups
set state = %(state)s, finished_at = now(), bytes = %(bytes)s, has_secrets = %(has_secrets)s, error = %(error)s
where backup_id = %(backup_id)s
