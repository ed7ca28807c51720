"""The host's tasks for training."""
