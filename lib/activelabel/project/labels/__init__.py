"""The labels of a project: their names, their files and records."""
