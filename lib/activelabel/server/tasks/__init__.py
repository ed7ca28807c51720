"""The host's tasks for strategies, scoring and inference."""
