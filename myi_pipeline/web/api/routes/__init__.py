"""The routes, one module a group: each identifies the user, makes one query or call, and answers."""
