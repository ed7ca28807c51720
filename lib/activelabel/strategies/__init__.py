"""Strategies, which choose the next case: one file per method, for volumes and slices."""
