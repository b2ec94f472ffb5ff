"""Spotify over HTTP: signing in, the Web API, and the meaning of its answers.

Only MYI's own errors are raised; no repr, log line or error contains a token, code or secret; every request has a
timeout and every answer a size limit.
"""
