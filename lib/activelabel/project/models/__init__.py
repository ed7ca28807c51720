"""The models of a project: published, in use, loaded."""
