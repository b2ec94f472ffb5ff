"""Backups: the warehouse, Dagster's database, secrets, uploads and exports, made while everything runs; restoring them;
and verifying that this works.

Making: `make`, with `dump` and `packing`. Restoring: `restore`, with `load` and `settle`. `verify` does both in a
temporary server. A backup describes itself in its `manifest`; this installation records its backups in the `journal`.
"""
