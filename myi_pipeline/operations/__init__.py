"""Keeping an installation running: checks, maintenance, the processes of `myi up`."""
