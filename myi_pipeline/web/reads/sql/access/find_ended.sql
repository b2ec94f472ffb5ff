-- Whose a credential was that is good no more. A session that ended by its age is an old cookie and no guess.
select user_id, 'token' as kind
from app.access_tokens
where token_hash = %(hash)s
union all
select user_id, 'session' as kind
from app.sessions
where reference_hash = %(hash)s
