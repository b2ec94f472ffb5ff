"""Spotify over HTTP: signing in, the Web API, and what its answers mean.

Belongs here: requests, response models, and turning plays into records. Not here: storing anything, counting requests
over processes, deciding when to poll. Invariants: nothing but core.errors is raised; no token, code or secret is in a
repr, a log line or an error; every request has a time-out and every answer a largest size.
"""
