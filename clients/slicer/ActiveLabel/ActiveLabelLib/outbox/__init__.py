"""Drawings that the server does not have yet, kept in files of this machine."""
