"""The frozen records that the ledger returns; they need no database. Times are aware and in UTC."""
