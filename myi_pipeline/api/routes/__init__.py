"""The routes, one file a group. Thin: who asks, one query or service, one answer."""
