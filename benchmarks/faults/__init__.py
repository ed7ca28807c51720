"""Kills and other faults while annotators work: `run` does it, the others are its parts."""
