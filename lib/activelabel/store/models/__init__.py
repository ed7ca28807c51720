"""The ledger's tables of models, their use and their scores."""
