"""Dagster's own web application, behind a guard through which every request passes."""
