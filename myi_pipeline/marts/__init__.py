"""Mart runs: what is recomputed, dbt, and verifying the marts against a full rebuild."""
