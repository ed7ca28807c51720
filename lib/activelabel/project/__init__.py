"""A project: its settings, folders, names, ledger, images and models."""
