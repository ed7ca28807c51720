"""Who asks, and what they may do: users of the ledger, or people whom a login provider knows."""
