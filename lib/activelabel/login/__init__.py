"""Users, passwords, tokens and sessions, independent of any web framework."""
