"""Prepared images on disk, so that each image is read and prepared once, and preparation ahead of the network."""
