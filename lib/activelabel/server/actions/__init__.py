"""What clients ask of a project: cases, models, inference, its description."""
