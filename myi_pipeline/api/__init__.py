"""The read side over HTTP: the API, sign-in and the pages.

Belongs here: routes, what protects them, and how answers look. Not here: computing anything; an answer is read from the
marts in index order. Invariant: a mart is read as the role `api`, in a read-only transaction, with the signed-in user
set for row-level security.
"""
