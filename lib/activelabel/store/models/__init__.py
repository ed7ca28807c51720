"""What the ledger keeps of models and what they have scored."""
