"""Postgres: the embedded server, connections and roles, pools, migrations.

Settings are passed as arguments.
"""
