"""Task names that the host's clients use."""

TRAINER = "segmentation"
MODEL = "segmentation"
