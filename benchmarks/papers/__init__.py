"""The papers' claims, tried again: a module each."""
