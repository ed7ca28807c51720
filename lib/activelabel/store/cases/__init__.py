"""What the ledger keeps of a case: who has it, what was drawn, what was skipped."""
