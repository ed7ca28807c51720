"""Actions of clients on a project: cases, models, inference, description."""
