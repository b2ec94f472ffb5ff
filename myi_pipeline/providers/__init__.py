"""Other people's services over HTTP: sign-in, sealed credentials, quota, circuit breakers and retries; one folder a
service."""
