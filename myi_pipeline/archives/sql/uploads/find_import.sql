select import_id, status from app.imports where user_id = %(user_id)s and sha256 = %(sha256)s
