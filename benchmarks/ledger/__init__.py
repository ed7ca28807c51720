"""What storing costs: the ledger beside the host's, its size, saving a label, workers that share it."""
