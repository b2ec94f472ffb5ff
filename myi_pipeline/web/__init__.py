"""The read side over HTTP: the JSON API, sign-in and the pages.

Answers are read from the marts in index order; nothing is computed from plays here.
"""
