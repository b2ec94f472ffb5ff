"""Reading the marts: one module per question, used by the JSON routes and by the pages.

A read takes the `Marts` of one user and returns typed rows, whose fields are the columns of its statement in `sql/`.
"""
