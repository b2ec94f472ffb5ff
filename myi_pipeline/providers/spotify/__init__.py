"""Spotify over HTTP: signing in, the Web API, and what its answers mean.

Nothing but errors is raised; no token, code or secret is in a repr, a log line or an error; every request has a
time-out and every answer a largest size.
"""
