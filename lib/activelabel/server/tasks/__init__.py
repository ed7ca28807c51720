"""The host's tasks for inference."""
