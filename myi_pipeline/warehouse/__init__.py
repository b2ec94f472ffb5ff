"""Postgres: the embedded server, connections, migrations, the raw loader, the change ledger, mart runs.

Values of settings arrive as arguments; nothing here reads the environment or parses what a source sent.
"""
