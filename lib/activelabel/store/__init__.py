"""The ledger: scores, annotations, leases and models, in SQL. Start at `store.ledger.Ledger`."""
