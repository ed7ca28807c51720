"""The ledger: scores, annotations, leases and models, in SQL. The entry point is `store.ledger.Ledger`."""
