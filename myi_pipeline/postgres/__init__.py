"""Postgres: the embedded server, connections and roles, pools, migrations.

Values of settings arrive as arguments.
"""
