"""Reading the marts: the questions and their statements, used by the JSON routes and by the pages.

A read takes the `Marts` of one user and returns typed rows, whose fields are the columns of its statement in `sql/`.
"""
