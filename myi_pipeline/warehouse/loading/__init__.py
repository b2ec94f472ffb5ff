"""Getting records into raw: stage, intern, number, insert in chunks, account for every row.

Not here: reading archives or pages, and what a play is. Invariant: a row is in raw or its reason is stored.
"""
