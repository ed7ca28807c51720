"""Workers: processes on any machine that take over scoring, preparing and training from a project's ledger."""
