"""Trainings of a project: what one learns from and begins with, its stages, and what comes of its result."""
