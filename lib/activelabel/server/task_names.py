"""The names by which the host's clients ask for the tasks of a project."""

TRAINER = "segmentation"
MODEL = "segmentation"
