"""Services over HTTP, one folder each: sign-in, sealed credentials, quota, circuits and retries."""
