"""The connection to the ledger: where it is, and the engine for its kind of database."""
