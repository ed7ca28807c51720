"""The losses of trainings."""
