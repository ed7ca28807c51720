"""Who asks: users, passwords, tokens, sessions. Knows no web framework."""
