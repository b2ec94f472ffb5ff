"""Users, their sign-ins, sessions and tokens, and the audit log."""
