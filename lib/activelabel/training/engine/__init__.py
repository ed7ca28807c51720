"""A training from its plan to its weights: the loop over epochs, its batches, steps, validation and records."""
