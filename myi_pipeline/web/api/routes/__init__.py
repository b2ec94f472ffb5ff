"""The routes, one module a group: each recognises the user, makes one query or call, and answers."""
