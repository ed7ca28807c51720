"""The ledger's tables of cases: leases, annotations, drafts and skips."""
