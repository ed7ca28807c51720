"""Login and permissions of requests: users of the ledger or of a login provider."""
